#include "model_vocab_kept.h"
#include "model_llama_internal.h"
#include <stdlib.h>
#include <string.h>

struct model_vocab_kept {
    const struct model_vocab *vocab;
    int32_t tokens[MODEL_KEPT_MAX];
    size_t count;
    struct model_vocab_late late;
};

static int32_t control_of(const struct model_vocab *vocab, const char *text);
static size_t piece_of(void *kept, int32_t token, char *out);

struct model_vocab_kept *model_vocab_kept_new(const struct model_vocab *vocab,
                                              const char *const *texts)
{
    struct model_vocab_kept *kept = base_alloc(sizeof *kept);
    kept->vocab = vocab;
    pthread_mutex_init(&kept->late.mutex, NULL);
    for (; *texts != NULL && kept->count < MODEL_KEPT_MAX; texts++) {
        int32_t token = control_of(vocab, *texts);
        if (token >= 0)
            kept->tokens[kept->count++] = token;
    }
    return kept;
}

void model_vocab_kept_free(struct model_vocab_kept *kept)
{
    if (kept == NULL)
        return;
    grammar_pieces_free(kept->late.pieces);
    pthread_mutex_destroy(&kept->late.mutex);
    free(kept);
}

size_t model_vocab_kept_piece(const struct model_vocab_kept *kept, int32_t token,
                              char out[MODEL_PIECE_BYTES_MAX])
{
    for (size_t i = 0; i < kept->count; i++)
        if (kept->tokens[i] == token)
            return model_vocab_name(kept->vocab, token, out);
    return model_vocab_piece(kept->vocab, token, out);
}

const struct grammar_pieces *model_vocab_kept_pieces(struct model_vocab_kept *kept)
{
    if (kept->count == 0)
        return model_vocab_pieces(kept->vocab);
    pthread_mutex_lock(&kept->late.mutex);
    if (kept->late.pieces == NULL)
        kept->late.pieces = model_vocab_make_pieces(kept->vocab, piece_of, kept);
    pthread_mutex_unlock(&kept->late.mutex);
    return kept->late.pieces;
}

/* -1: not one token, or one that is text. */
static int32_t control_of(const struct model_vocab *vocab, const char *text)
{
    int32_t found[2];
    if (llama_tokenize(vocab->llama, text, (int32_t)strlen(text), found, 2, false, true) != 1)
        return -1;
    enum llama_token_attr kind = llama_vocab_get_attr(vocab->llama, found[0]);
    return (kind & LLAMA_TOKEN_ATTR_CONTROL) != 0 ? found[0] : -1;
}

static size_t piece_of(void *kept, int32_t token, char *out)
{
    return model_vocab_kept_piece(kept, token, out);
}
