/* A text runs through as characters: cleaned, taken apart, put in lower case, and then either a
 * space, or a word of one character, or one more character of the word at hand. So memory does not
 * grow with the text, but for its tokens. */
#include "model_wordpiece.h"
#include "arena.h"
#include "model_unicode.h"
#include "model_wordpiece_internal.h"
#include <stdlib.h>
#include <string.h>

enum { WORD_CHARS_ROOM = 1024 };

struct run {
    const struct model_wordpiece *wp;
    struct engine_tokens *out;
    uint32_t tokens_max; /* of `out`, with what it had before */
    size_t count;
    uint32_t word[WORD_CHARS_ROOM];
    uint32_t order[WORD_CHARS_ROOM]; /* model_unicode_order of each */
    size_t word_count;               /* may pass WORD_CHARS_ROOM: then it is too long anyhow */
};

static void take_character(struct run *run, uint32_t code);
static void take_plain(struct run *run, uint32_t code);
static void add_to_word(struct run *run, uint32_t code, uint32_t order);
static void end_word(struct run *run);
static size_t cut_word(struct run *run, const char *bytes, size_t length);
static int32_t longest(const struct model_wordpiece *wp, const char *at, size_t length,
                       bool goes_on, size_t *used);
static void add_token(struct run *run, int32_t id);

bool model_wordpiece_encode(const struct model_wordpiece *wp, struct text text, uint32_t tokens_max,
                            struct engine_tokens *out, size_t *count, struct status *st)
{
    if (!text_utf8_valid(text))
        return status_fail(st, STATUS_INVALID, "the text is not UTF-8");
    struct run run = {.wp = wp, .out = out, .tokens_max = out->count + tokens_max};
    const char *at = text.at, *end = at == NULL ? NULL : at + text.len;
    while (at != end)
        take_character(&run, model_unicode_take(&at, end));
    end_word(&run);
    if (count != NULL)
        *count = run.count;
    return true;
}

struct model_wordpiece_ids model_wordpiece_ids(const struct model_wordpiece *wp)
{
    return wp->ids;
}

uint32_t model_wordpiece_count(const struct model_wordpiece *wp)
{
    return wp->count;
}

void model_wordpiece_piece(const struct model_wordpiece *wp, int32_t token, struct text_buf *out)
{
    size_t from = 0, to = wp->by_id_count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (wp->by_id[middle]->id < token)
            from = middle + 1;
        else
            to = middle;
    }
    if (from == wp->by_id_count || wp->by_id[from]->id != token)
        return;
    if (wp->by_id[from]->goes_on)
        text_buf_add(out, wp->prefix);
    text_buf_add(out, wp->by_id[from]->text);
}

bool model_wordpiece_no_text(struct status *st)
{
    return status_fail_field(st, STATUS_INVALID, "model",
                             "this model's tokens do not keep spaces and case: they cannot be made "
                             "into the text again");
}

static void take_character(struct run *run, uint32_t code)
{
    const struct model_wordpiece *wp = run->wp;
    if (wp->clean) {
        bool line = code == '\t' || code == '\n' || code == '\r';
        bool control = code == 0x0b || code == 0x0c || code == 0x85; /* spaces, but controls too */
        if (code == 0xfffd || control || (model_unicode_kind(code) == MODEL_UNICODE_CONTROL))
            return;
        if (line)
            code = ' ';
    }
    bool alone = wp->chinese && model_unicode_is_ideograph(code);
    if (alone)
        end_word(run);
    if (wp->strip) {
        uint32_t parts[MODEL_UNICODE_PARTS_MAX];
        uint32_t count = model_unicode_plain(code, parts);
        for (uint32_t i = 0; i < count; i++)
            take_plain(run, parts[i]);
    } else {
        take_plain(run, code);
    }
    if (alone)
        end_word(run);
}

static void take_plain(struct run *run, uint32_t code)
{
    uint32_t order = run->wp->strip && code >= 0x80 ? model_unicode_order(code) : 0;
    uint32_t codes[MODEL_UNICODE_LOWER_MAX] = {code}, count = 1;
    if (run->wp->lower)
        count = model_unicode_lower(code, codes);
    for (uint32_t i = 0; i < count; i++) {
        enum model_unicode_kind kind = model_unicode_kind(codes[i]);
        if (kind == MODEL_UNICODE_SPACE) {
            end_word(run);
        } else if (kind == MODEL_UNICODE_PUNCTUATION) {
            end_word(run);
            add_to_word(run, codes[i], 0);
            end_word(run);
        } else {
            add_to_word(run, codes[i], order);
        }
    }
}

/* In canonical order: one that has an order goes before those with a higher one. */
static void add_to_word(struct run *run, uint32_t code, uint32_t order)
{
    if (run->word_count >= WORD_CHARS_ROOM) {
        run->word_count++;
        return;
    }
    size_t at = run->word_count++;
    while (order != 0 && at > 0 && run->order[at - 1] > order) {
        run->word[at] = run->word[at - 1];
        run->order[at] = run->order[at - 1];
        at--;
    }
    run->word[at] = code;
    run->order[at] = order;
}

static void end_word(struct run *run)
{
    if (run->word_count == 0)
        return;
    size_t cut = 0, length = 0;
    char bytes[4 * WORD_CHARS_ROOM];
    if (run->word_count <= run->wp->word_chars_max && run->word_count <= WORD_CHARS_ROOM) {
        for (size_t i = 0; i < run->word_count; i++)
            length += model_unicode_put(run->word[i], bytes + length);
        cut = cut_word(run, bytes, length);
    }
    if (cut == 0)
        add_token(run, run->wp->ids.unknown);
    run->word_count = 0;
}

/* The number of pieces; 0 when some part is in no vocabulary, and nothing was added then. */
static size_t cut_word(struct run *run, const char *bytes, size_t length)
{
    int32_t pieces[WORD_CHARS_ROOM];
    size_t count = 0;
    for (size_t at = 0, used; at < length; at += used) {
        int32_t id = longest(run->wp, bytes + at, length - at, at > 0, &used);
        if (id < 0)
            return 0;
        pieces[count++] = id;
    }
    for (size_t i = 0; i < count; i++)
        add_token(run, pieces[i]);
    return count;
}

static int32_t longest(const struct model_wordpiece *wp, const char *at, size_t length,
                       bool goes_on, size_t *used)
{
    uint64_t hash = goes_on ? WORDPIECE_SEED_GOES_ON : WORDPIECE_SEED_BEGINS;
    int32_t best = -1;
    if (length > wp->piece_bytes_max)
        length = wp->piece_bytes_max;
    *used = 0;
    for (size_t end = 0; end < length;) {
        size_t next = end + 1;
        while (next < length && ((unsigned char)at[next] & 0xc0U) == 0x80)
            next++;
        hash = model_wordpiece_hash(hash, (struct text){at + end, next - end});
        end = next;
        struct text piece = {at, end};
        for (uint32_t place = (uint32_t)hash & (wp->table_size - 1); wp->table[place].text.len > 0;
             place = (place + 1) & (wp->table_size - 1)) {
            const struct wordpiece_entry *entry = &wp->table[place];
            if (entry->goes_on == goes_on && text_equal(entry->text, piece)) {
                best = entry->id;
                *used = end;
                break;
            }
        }
    }
    return best;
}

static void add_token(struct run *run, int32_t id)
{
    struct engine_tokens *out = run->out;
    run->count++;
    if (out->count >= run->tokens_max)
        return;
    if (out->count == out->size) {
        out->size = out->size < 32 ? 64 : out->size * 2;
        out->at = base_resize(out->at, out->size * sizeof *out->at);
    }
    out->at[out->count++] = id;
}

uint64_t model_wordpiece_hash(uint64_t hash, struct text text)
{
    for (size_t i = 0; i < text.len; i++) /* FNV-1a */
        hash = (hash ^ (unsigned char)text.at[i]) * 0x100000001b3U;
    return hash;
}

void model_wordpiece_close(struct model_wordpiece *wp)
{
    if (wp == NULL)
        return;
    free(wp->by_id);
    free(wp->table);
    free(wp->memory);
    free(wp);
}
