/* tokenizer.json as the tokenizers library writes it, or vocab.txt with tokenizer_config.json as
 * BERT's authors did. Each part must be one that model_wordpiece does in the same way. */
#include "model_wordpiece.h"
#include "model_wordpiece_internal.h"
#include "arena.h"
#include "json.h"
#include <stdlib.h>
#include <string.h>

enum {
    VOCAB_MAX = 1000000,
    VALUES_MAX = 4 * VOCAB_MAX,
    TOKEN_BYTES_MAX = 1024,
    NAME_BYTES_MAX = 256,
    WORD_CHARS_USUAL = 100,
    WORD_CHARS_MOST = 1000
};

/* What is known of the special tokens before the vocabulary is. */
struct specials {
    struct text unknown, first, end, padding;
};

static const struct json_limits limits = {.members_max = VOCAB_MAX, .values_max = VALUES_MAX};

static bool read_parts(const struct json_at *root, struct model_wordpiece *wp,
                       struct specials *specials, struct text *prefix, struct json_at *vocab,
                       struct status *st);
static bool read_normalizer(const struct json_at *root, struct model_wordpiece *wp,
                            struct status *st);
static bool read_frame(const struct json_at *root, struct specials *specials, struct status *st);
static bool read_template(const struct json_at *frame, struct specials *specials,
                          struct status *st);
static bool read_step(const struct json_at *steps, size_t index, const char *key, int64_t kind,
                      struct text *id, struct status *st);
static bool type_is(const struct json_at *at, const char *key, const char *type,
                    struct json_at *out, struct status *st);
static void start_table(struct model_wordpiece *wp, size_t count, size_t bytes, struct text prefix);
static bool add_entry(struct model_wordpiece *wp, struct text token, int64_t id,
                      size_t *memory_used, struct status *st);
static void order_by_id(struct model_wordpiece *wp);
static int by_id(const void *left, const void *right);
static bool find_specials(struct model_wordpiece *wp, const struct specials *specials,
                          struct status *st);
static int32_t find(const struct model_wordpiece *wp, struct text token);
static bool wordpiece_read(struct model_wordpiece *wp, struct json_at *root, struct status *st);

bool model_wordpiece_open(struct text tokenizer_json, struct model_wordpiece **out,
                          struct status *st)
{
    AUTO(json_t) json_t *root = NULL;
    AUTO(model_wordpiece) struct model_wordpiece *wp = base_alloc(sizeof *wp);
    if (!json_read(tokenizer_json, &limits, &root, st))
        return false;
    struct json_at at = json_at_root(root);
    if (!wordpiece_read(wp, &at, st))
        return false;
    *out = TAKE(wp);
    return true;
}

static bool wordpiece_read(struct model_wordpiece *wp, struct json_at *root, struct status *st)
{
    struct specials specials = {.padding = TEXT("[PAD]")};
    struct text prefix = TEXT_NONE;
    struct json_at vocab;
    if (!read_parts(root, wp, &specials, &prefix, &vocab, st))
        return false;
    const char *key;
    json_t *value;
    size_t bytes = 0, used = 0;
    json_object_foreach(vocab.value, key, value) bytes += strlen(key);
    start_table(wp, json_object_size(vocab.value), bytes, prefix);
    json_object_foreach(vocab.value, key, value)
    {
        if (!json_is_integer(value))
            return status_fail(st, STATUS_INVALID, "its token %.64s has no number", key);
        if (!add_entry(wp, text_of(key), json_integer_value(value), &used, st))
            return false;
    }
    return find_specials(wp, &specials, st);
}

bool model_wordpiece_open_lines(struct text vocab_txt, struct text config_json,
                                struct model_wordpiece **out, struct status *st)
{
    AUTO(json_t) json_t *root = NULL;
    AUTO(model_wordpiece) struct model_wordpiece *wp = base_alloc(sizeof *wp);
    struct specials specials = {TEXT("[UNK]"), TEXT("[CLS]"), TEXT("[SEP]"), TEXT("[PAD]")};
    wp->clean = wp->chinese = wp->lower = true;
    wp->word_chars_max = WORD_CHARS_USUAL;
    if (!text_utf8_valid(vocab_txt))
        return status_fail(st, STATUS_INVALID, "its vocabulary is not UTF-8");
    if (config_json.len > 0) {
        if (!json_read(config_json, &limits, &root, st))
            return false;
        struct json_at at = json_at_root(root);
        if (!json_get_bool(&at, "do_lower_case", JSON_OPTIONAL, &wp->lower, st) ||
            !json_get_bool(&at, "tokenize_chinese_chars", JSON_OPTIONAL, &wp->chinese, st))
            return false;
        wp->strip = wp->lower;
        if (!json_get_bool(&at, "strip_accents", JSON_OPTIONAL, &wp->strip, st))
            return false;
    } else {
        wp->strip = true;
    }
    size_t lines = 0, used = 0;
    for (size_t i = 0; i < vocab_txt.len; i++)
        lines += vocab_txt.at[i] == '\n';
    if (lines >= VOCAB_MAX)
        return status_fail(st, STATUS_INVALID, "its vocabulary has %zu tokens; %d are the most",
                           lines, VOCAB_MAX);
    start_table(wp, lines + 1, vocab_txt.len, TEXT("##"));
    struct text rest = vocab_txt, line;
    for (int64_t id = 0; text_split(&rest, '\n', &line); id++) {
        if (text_ends(line, TEXT("\r")))
            line.len--;
        if (line.len > 0 && !add_entry(wp, line, id, &used, st))
            return false;
    }
    if (!find_specials(wp, &specials, st))
        return false;
    *out = TAKE(wp);
    return true;
}

static bool read_parts(const struct json_at *root, struct model_wordpiece *wp,
                       struct specials *specials, struct text *prefix, struct json_at *vocab,
                       struct status *st)
{
    struct json_at model, cutter;
    int64_t chars = WORD_CHARS_USUAL;
    *prefix = TEXT("##");
    if (!read_normalizer(root, wp, st) ||
        !type_is(root, "pre_tokenizer", "BertPreTokenizer", &cutter, st) ||
        !type_is(root, "model", "WordPiece", &model, st) || !read_frame(root, specials, st) ||
        !json_get_text(&model, "unk_token", JSON_REQUIRED, NAME_BYTES_MAX, &specials->unknown,
                       st) ||
        !json_get_text(&model, "continuing_subword_prefix", JSON_OPTIONAL, NAME_BYTES_MAX, prefix,
                       st) ||
        !json_get_int(&model, "max_input_chars_per_word", JSON_OPTIONAL, 1, WORD_CHARS_MOST, &chars,
                      st) ||
        !json_get_object(&model, "vocab", JSON_REQUIRED, vocab, st))
        return false;
    wp->word_chars_max = (uint32_t)chars;
    return prefix->len > 0 ? true
                           : status_fail(st, STATUS_INVALID,
                                         "its pieces inside a word have no sign of their own");
}

static bool read_normalizer(const struct json_at *root, struct model_wordpiece *wp,
                            struct status *st)
{
    struct json_at at;
    wp->clean = wp->chinese = wp->lower = true;
    if (!type_is(root, "normalizer", "BertNormalizer", &at, st) ||
        !json_get_bool(&at, "clean_text", JSON_OPTIONAL, &wp->clean, st) ||
        !json_get_bool(&at, "handle_chinese_chars", JSON_OPTIONAL, &wp->chinese, st) ||
        !json_get_bool(&at, "lowercase", JSON_OPTIONAL, &wp->lower, st))
        return false;
    wp->strip = wp->lower; /* null means: as the case */
    return json_get_bool(&at, "strip_accents", JSON_OPTIONAL, &wp->strip, st);
}

/* What stands before and behind a text, and between two. */
static bool read_frame(const struct json_at *root, struct specials *specials, struct status *st)
{
    struct json_at frame, sep, cls;
    struct text type;
    if (!json_get_object(root, "post_processor", JSON_REQUIRED, &frame, st) ||
        !json_get_text(&frame, "type", JSON_REQUIRED, NAME_BYTES_MAX, &type, st))
        return false;
    if (text_equal(type, TEXT("TemplateProcessing")))
        return read_template(&frame, specials, st);
    if (!text_equal(type, TEXT("BertProcessing")))
        return json_fail(&frame, "type", st, "is %.*s, which is not known here", TEXT_ARG(type));
    if (!json_get_array(&frame, "sep", JSON_REQUIRED, 2, &sep, st) ||
        !json_get_array(&frame, "cls", JSON_REQUIRED, 2, &cls, st))
        return false;
    if (json_count(&sep) == 0 || json_count(&cls) == 0)
        return json_fail(&frame, "sep", st, "is empty");
    return json_item_text(&sep, 0, NAME_BYTES_MAX, &specials->end, st) &&
           json_item_text(&cls, 0, NAME_BYTES_MAX, &specials->first, st);
}

/* [CLS] A [SEP], and for a pair [CLS] A [SEP] B [SEP] with B of the second kind. */
static bool read_template(const struct json_at *frame, struct specials *specials, struct status *st)
{
    struct json_at one, two;
    struct text id, third = TEXT_NONE, last = TEXT_NONE;
    if (!json_get_array(frame, "single", JSON_REQUIRED, 16, &one, st) ||
        !json_get_array(frame, "pair", JSON_REQUIRED, 16, &two, st))
        return false;
    if (json_count(&one) != 3 || json_count(&two) != 5)
        return json_fail(frame, "single", st, "is not the frame of a BERT model");
    if (!read_step(&one, 0, "SpecialToken", 0, &specials->first, st) ||
        !read_step(&one, 1, "Sequence", 0, &id, st) ||
        !read_step(&one, 2, "SpecialToken", 0, &specials->end, st) ||
        !read_step(&two, 0, "SpecialToken", 0, &id, st) ||
        !read_step(&two, 1, "Sequence", 0, &id, st) ||
        !read_step(&two, 2, "SpecialToken", 0, &third, st) ||
        !read_step(&two, 3, "Sequence", 1, &id, st) ||
        !read_step(&two, 4, "SpecialToken", 1, &last, st))
        return false;
    if (!text_equal(third, specials->end) || !text_equal(last, specials->end))
        return json_fail(frame, "pair", st, "is not the frame of a BERT model");
    return true;
}

static bool read_step(const struct json_at *steps, size_t index, const char *key, int64_t kind,
                      struct text *id, struct status *st)
{
    struct json_at step, inner;
    int64_t found = -1;
    if (!json_item_object(steps, index, &step, st) ||
        !json_get_object(&step, key, JSON_REQUIRED, &inner, st) ||
        !json_get_text(&inner, "id", JSON_REQUIRED, NAME_BYTES_MAX, id, st) ||
        !json_get_int(&inner, "type_id", JSON_REQUIRED, 0, 255, &found, st))
        return false;
    return found == kind ? true
                         : json_fail(&inner, "type_id", st, "is %lld, where a BERT model has %lld",
                                     (long long)found, (long long)kind);
}

static bool type_is(const struct json_at *at, const char *key, const char *type,
                    struct json_at *out, struct status *st)
{
    struct text found;
    if (!json_get_object(at, key, JSON_REQUIRED, out, st) ||
        !json_get_text(out, "type", JSON_REQUIRED, NAME_BYTES_MAX, &found, st))
        return false;
    return text_equal(found, text_of(type))
               ? true
               : json_fail(out, "type", st, "is %.*s; only %s is known here", TEXT_ARG(found),
                           type);
}

static void start_table(struct model_wordpiece *wp, size_t count, size_t bytes, struct text prefix)
{
    wp->table_size = 16;
    while (wp->table_size < 2 * count)
        wp->table_size *= 2;
    wp->table = base_alloc(wp->table_size * sizeof *wp->table);
    wp->memory = base_alloc(bytes + prefix.len + 1);
    memcpy(wp->memory + bytes, prefix.at, prefix.len);
    wp->prefix = (struct text){wp->memory + bytes, prefix.len};
}

static bool add_entry(struct model_wordpiece *wp, struct text token, int64_t id,
                      size_t *memory_used, struct status *st)
{
    if (id < 0 || id > INT32_MAX - 1 || token.len == 0 || token.len > TOKEN_BYTES_MAX)
        return status_fail(st, STATUS_INVALID, "its token of number %lld cannot be", (long long)id);
    bool goes_on = text_starts(token, wp->prefix) && token.len > wp->prefix.len;
    if (goes_on)
        token = text_skip(token, wp->prefix.len);
    char *copy = wp->memory + *memory_used;
    memcpy(copy, token.at, token.len);
    *memory_used += token.len;
    uint64_t hash =
        model_wordpiece_hash(goes_on ? WORDPIECE_SEED_GOES_ON : WORDPIECE_SEED_BEGINS, token);
    uint32_t place = (uint32_t)hash & (wp->table_size - 1);
    while (wp->table[place].text.len > 0) {
        const struct wordpiece_entry *entry = &wp->table[place];
        if (entry->goes_on == goes_on && text_equal(entry->text, token))
            return true; /* a line that stands twice keeps its first number */
        place = (place + 1) & (wp->table_size - 1);
    }
    wp->table[place] = (struct wordpiece_entry){{copy, token.len}, (int32_t)id, goes_on};
    if (token.len > wp->piece_bytes_max)
        wp->piece_bytes_max = token.len;
    if ((uint32_t)id >= wp->count)
        wp->count = (uint32_t)id + 1;
    return true;
}

static bool find_specials(struct model_wordpiece *wp, const struct specials *specials,
                          struct status *st)
{
    const struct text names[] = {specials->unknown, specials->first, specials->end};
    int32_t *const ids[] = {&wp->ids.unknown, &wp->ids.first, &wp->ids.end};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        *ids[i] = find(wp, names[i]);
        if (*ids[i] < 0)
            return status_fail(st, STATUS_INVALID, "its vocabulary lacks %.*s", TEXT_ARG(names[i]));
    }
    int32_t padding = find(wp, specials->padding);
    wp->ids.padding = padding < 0 ? 0 : padding;
    order_by_id(wp);
    return true;
}

/* Sorted, not indexed: a file may give a number that is far beyond how many tokens it has. */
static void order_by_id(struct model_wordpiece *wp)
{
    wp->by_id = base_alloc(wp->table_size / 2 * sizeof *wp->by_id);
    for (uint32_t i = 0; i < wp->table_size; i++)
        if (wp->table[i].text.len > 0)
            wp->by_id[wp->by_id_count++] = &wp->table[i];
    qsort(wp->by_id, wp->by_id_count, sizeof(*wp->by_id), by_id);
}

static int by_id(const void *left, const void *right)
{
    const struct wordpiece_entry *const *a = left, *const *b = right;
    return ((*a)->id > (*b)->id) - ((*a)->id < (*b)->id);
}

static int32_t find(const struct model_wordpiece *wp, struct text token)
{
    uint64_t hash = model_wordpiece_hash(WORDPIECE_SEED_BEGINS, token);
    for (uint32_t place = (uint32_t)hash & (wp->table_size - 1); wp->table[place].text.len > 0;
         place = (place + 1) & (wp->table_size - 1))
        if (!wp->table[place].goes_on && text_equal(wp->table[place].text, token))
            return wp->table[place].id;
    return -1;
}
