#include "model_vocab.h"
#include "arena.h"
#include "model_answer.h"
#include "model_llama_internal.h"
#include <limits.h>
#include <llama.h>
#include <stdlib.h>
#include <string.h>

static bool is_control(enum llama_token_attr kind, struct text text);
static int by_bytes(const void *left, const void *right);
static size_t piece_of(void *vocab, int32_t token, char *out);
static bool make_room(struct engine_tokens *tokens, uint32_t more);

void model_vocab_open(struct model_vocab *vocab, const struct llama_vocab *llama)
{
    *vocab = (struct model_vocab){.llama = llama, .count = (uint32_t)llama_vocab_n_tokens(llama)};
    vocab->control = calloc(vocab->count, sizeof *vocab->control);
    WEIR_ASSERT(vocab->control != NULL);
    for (uint32_t i = 0; i < vocab->count; i++) {
        enum llama_token_attr kind = llama_vocab_get_attr(llama, (int32_t)i);
        struct text text = text_of(llama_vocab_get_text(llama, (int32_t)i));
        if (!is_control(kind, text) || text.len < 2)
            continue;
        vocab->control[vocab->control_count++] = text;
        vocab->control_starts[(unsigned char)text.at[0]] = true;
        if (text.len > vocab->control_bytes_max)
            vocab->control_bytes_max = text.len;
    }
    qsort(vocab->control, vocab->control_count, sizeof *vocab->control, by_bytes);
    vocab->late = base_alloc(sizeof *vocab->late);
    pthread_mutex_init(&vocab->late->mutex, NULL);
}

/* The library makes some of gpt-oss's, "<|start|>" say, tokens of the user's own, whose texts are
 * shown, and become tokens wherever they stand. */
static bool is_control(enum llama_token_attr kind, struct text text)
{
    if ((kind & LLAMA_TOKEN_ATTR_USER_DEFINED) != 0)
        return text_starts(text, TEXT("<|")) && text_ends(text, TEXT("|>"));
    return (kind & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN)) != 0;
}

void model_vocab_close(struct model_vocab *vocab)
{
    free(vocab->control);
    if (vocab->late != NULL) {
        grammar_pieces_free(vocab->late->pieces);
        pthread_mutex_destroy(&vocab->late->mutex);
        free(vocab->late);
    }
    *vocab = (struct model_vocab){0};
}

static int by_bytes(const void *left, const void *right)
{
    const struct text *a = left, *b = right;
    return text_compare(*a, *b);
}

bool model_vocab_tokenize(const struct model_vocab *vocab, struct text text, bool starts,
                          bool special, uint32_t tokens_max, struct engine_tokens *out,
                          struct status *st)
{
    if (text.len > INT32_MAX / 2)
        return status_fail(st, STATUS_TOO_LARGE, "the text has %zu bytes", text.len);
    /* Never more tokens than bytes, and a few that the model puts around them. */
    if (!make_room(out, (uint32_t)text.len + 8))
        return status_fail(st, STATUS_TOO_LARGE, "the text has %zu bytes", text.len);
    int32_t got =
        llama_tokenize(vocab->llama, text.at != NULL ? text.at : "", (int32_t)text.len,
                       out->at + out->count, (int32_t)(out->size - out->count), starts, special);
    if (got < 0)
        return status_fail(st, STATUS_TOO_LARGE, "the text could not be split into tokens");
    out->count += (uint32_t)got;
    if (out->count > tokens_max)
        return status_fail(st, STATUS_TOO_LARGE, "the text has %u tokens; at most %u are allowed",
                           out->count, tokens_max);
    return true;
}

size_t model_vocab_piece(const struct model_vocab *vocab, int32_t token,
                         char out[MODEL_PIECE_BYTES_MAX])
{
    WEIR_ASSERT(token >= 0 && (uint32_t)token < vocab->count);
    int32_t got = llama_token_to_piece(vocab->llama, token, out, MODEL_PIECE_BYTES_MAX, 0, false);
    return got < 0 ? 0 : (size_t)got;
}

size_t model_vocab_name(const struct model_vocab *vocab, int32_t token,
                        char out[MODEL_PIECE_BYTES_MAX])
{
    WEIR_ASSERT(token >= 0 && (uint32_t)token < vocab->count);
    int32_t got = llama_token_to_piece(vocab->llama, token, out, MODEL_PIECE_BYTES_MAX, 0, true);
    return got < 0 ? 0 : (size_t)got;
}

bool model_vocab_text(const struct model_vocab *vocab, const int32_t *tokens, size_t count,
                      bool names, struct text_buf *out)
{
    AUTO(model_answer) struct model_answer *text = model_answer_new(NULL, 0);
    char piece[MODEL_PIECE_BYTES_MAX];
    struct text whole;
    for (size_t i = 0; i < count; i++) {
        size_t len = names ? model_vocab_name(vocab, tokens[i], piece)
                           : model_vocab_piece(vocab, tokens[i], piece);
        (void)model_answer_add(text, (struct text){piece, len}, &whole);
        text_buf_add(out, whole);
    }
    text_buf_add(out, model_answer_rest(text));
    return !out->cut;
}

uint32_t model_vocab_count(const struct model_vocab *vocab)
{
    return vocab->count;
}

const struct grammar_pieces *model_vocab_pieces(const struct model_vocab *vocab)
{
    struct model_vocab_late *late = vocab->late;
    struct model_vocab copy = *vocab;
    pthread_mutex_lock(&late->mutex);
    if (late->pieces == NULL)
        late->pieces = model_vocab_make_pieces(vocab, piece_of, &copy);
    pthread_mutex_unlock(&late->mutex);
    return late->pieces;
}

struct grammar_pieces *model_vocab_make_pieces(const struct model_vocab *vocab,
                                               size_t (*piece)(void *arg, int32_t token, char *out),
                                               void *arg)
{
    int32_t *ends = base_alloc(vocab->count * sizeof *ends);
    size_t count = 0;
    for (uint32_t i = 0; i < vocab->count; i++)
        if (llama_vocab_is_eog(vocab->llama, (int32_t)i))
            ends[count++] = (int32_t)i;
    struct grammar_pieces *pieces = grammar_pieces_new(vocab->count, piece, arg, ends, count);
    free(ends);
    return pieces;
}

static size_t piece_of(void *vocab, int32_t token, char *out)
{
    return model_vocab_piece(vocab, token, out);
}

/* The longest that `text` begins with is the last one not behind it in order, or shares as much
 * with that one as it has itself. */
size_t model_vocab_control_at(const struct model_vocab *vocab, struct text text)
{
    if (text.len < 2 || !vocab->control_starts[(unsigned char)text.at[0]])
        return 0;
    text = text_take(text, vocab->control_bytes_max);
    while (text.len >= 2) {
        size_t low = 0, high = vocab->control_count; /* those before `low` are not behind it */
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (text_compare(vocab->control[middle], text) <= 0)
                low = middle + 1;
            else
                high = middle;
        }
        if (low == 0)
            return 0;
        struct text last = vocab->control[low - 1];
        size_t same = 0;
        while (same < last.len && same < text.len && last.at[same] == text.at[same])
            same++;
        if (same == last.len)
            return same;
        text.len = same;
    }
    return 0;
}

static bool make_room(struct engine_tokens *tokens, uint32_t more)
{
    uint32_t need;
    if (__builtin_add_overflow(tokens->count, more, &need))
        return false;
    if (need <= tokens->size)
        return true;
    int32_t *grown = realloc(tokens->at, (size_t)need * sizeof *grown);
    WEIR_ASSERT(grown != NULL);
    tokens->at = grown;
    tokens->size = need;
    return true;
}
