/* engine_embed_backend: what computes vectors, behind the batcher (engine_embed.h): ONNX Runtime,
 * or llama.cpp. One thread at a time calls load and compute; the rest is for any thread, once
 * loaded.
 */
#pragma once
#include <stdatomic.h>
#include "base.h"
#include "engine_tokens.h"
#include "status.h"
#include "text.h"

/* What the model is; fixed once it is loaded. */
struct engine_embed_facts {
    uint32_t context;      /* tokens of one text at most, with those that frame it */
    uint32_t dimensions;   /* of a vector; 1 for a model that ranks */
    uint32_t vocab;        /* number of tokens known */
    uint32_t batch_tokens; /* of one batch at most, padding included */
    uint32_t batch_texts;
    bool pads;  /* the texts of a batch are brought to one length, which costs as much as text */
    bool ranks; /* one number for a pair, instead of a vector for a text */
    uint64_t weights_bytes;
};

/* One text, as tokens. */
struct engine_embed_row {
    const int32_t *tokens;
    uint32_t count;
    uint32_t second; /* where the second text of a pair begins; `count` when there is none */
    float *out;      /* facts.dimensions numbers; vectors have length 1 */
};
struct engine_embed_batch {
    struct engine_embed_row *rows;
    uint32_t count;
    uint32_t length; /* of the longest row, rounded up to its bucket */
};

struct text_buf;
struct engine_embed_backend;
struct engine_embed_ops {
    /* Blocks. `progress` is told percents. Fails: STATUS_NOT_FOUND, STATUS_INVALID for what trying
     * again cannot help. */
    bool (*load)(struct engine_embed_backend *backend, void (*progress)(void *arg, int percent),
                 void *arg, struct engine_embed_facts *facts, struct status *st);
    /* Appends at most `tokens_max` tokens of `text`, not framed; `*count`: all it has. */
    bool (*tokenize)(const struct engine_embed_backend *backend, struct text text,
                     uint32_t tokens_max, struct engine_tokens *out, size_t *count,
                     struct status *st);
    /* The tokens that stand before a text, between the two of a pair, and behind. */
    void (*frame)(const struct engine_embed_backend *backend, const int32_t **before,
                  uint32_t *before_count, const int32_t **between, uint32_t *between_count,
                  const int32_t **behind, uint32_t *behind_count);
    /* Adds what the vocabulary has for a token, "##ing" say; nothing for one that it lacks. */
    void (*piece)(const struct engine_embed_backend *backend, int32_t token, struct text_buf *out);
    /* Adds the text that the tokens, all of the vocabulary, were cut from.
     * Fails: STATUS_INVALID where the vocabulary does not keep that, STATUS_TOO_LARGE. */
    bool (*text)(const struct engine_embed_backend *backend, const int32_t *tokens, size_t count,
                 struct text_buf *out, struct status *st);
    /* Blocks. */
    bool (*compute)(struct engine_embed_backend *backend, const struct engine_embed_batch *batch,
                    struct status *st);
    void (*free)(struct engine_embed_backend *backend);
};
struct engine_embed_backend {
    const struct engine_embed_ops *ops;
    _Atomic bool abort; /* the process ends: what runs should stop soon */
};

/* Brings a vector to length 1; one of length 0 stays. Any thread. */
void engine_embed_normalize(float *vector, uint32_t dimensions);
