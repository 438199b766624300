/* infer_backend: what computes, as the engine sees it: rows of tokens in, rows of logits out, and a
 * cache with numbered sequences. infer_llama.h is the real one; tests bring one of their own with
 * known step times. Only the engine thread calls the functions, one at a time. */
#pragma once
#include <stdatomic.h>
#include "base.h"
#include "infer_engine.h"
#include "status.h"

struct infer_batch {
    uint32_t rows;
    int32_t *token, *position, *sequence; /* per row; rows of one sequence stand together */
    bool *wants;                          /* per row: its logits will be asked for */
};

enum infer_decode {
    INFER_DECODE_OK,
    INFER_DECODE_FULL,    /* no room in the cache; nothing was changed */
    INFER_DECODE_ABORTED, /* `abort` was set meanwhile */
    INFER_DECODE_BROKEN,
    INFER_DECODE_COUNT
};

struct infer_backend_ops {
    /* Loads and warms up; may take minutes. `progress` is called with 0 to 100. */
    bool (*load)(struct infer_backend *backend, void (*progress)(void *arg, int percent), void *arg,
                 struct infer_model_facts *facts, struct status *st);
    enum infer_decode (*decode)(struct infer_backend *backend, const struct infer_batch *batch);
    /* The logits of row `row` of the last batch: facts.vocab floats, which the caller may change.
     */
    float *(*logits)(struct infer_backend *backend, uint32_t row);
    void (*clear)(struct infer_backend *backend, int32_t sequence);
    /* Moves the cache of one sequence to an empty one. False: nothing was changed. */
    bool (*move)(struct infer_backend *backend, int32_t from, int32_t to);
    /* One sequence's cache as bytes in the host's memory: how many it takes now, 0 for failure. */
    size_t (*state_size)(struct infer_backend *backend, int32_t sequence);
    /* Writes at most `size` bytes. Returns how many, 0 for failure. */
    size_t (*state_save)(struct infer_backend *backend, int32_t sequence, void *out, size_t size);
    /* Into an empty sequence of the same process; it then goes on where the saved one stood. False:
     * it is still empty. */
    bool (*state_load)(struct infer_backend *backend, int32_t sequence, const void *blob,
                       size_t size);
    /* Forgets what stands at position `tokens` and after it. False: the model cannot go on from
     * there (infer_model_facts), and nothing was changed. */
    bool (*trim)(struct infer_backend *backend, int32_t sequence, uint32_t tokens);
    void (*free)(struct infer_backend *backend);
};

/* The first member of each implementation's own struct. */
struct infer_backend {
    const struct infer_backend_ops *ops;
    _Atomic bool abort; /* any thread sets it: load and decode should return soon */
};
