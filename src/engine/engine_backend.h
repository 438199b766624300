/* engine_backend: what computes, as the engine sees it: rows of tokens in, rows of logits out, and
 * a cache with numbered sequences. model_llama.h is the real one; tests bring one of their own with
 * known step times. Only the engine thread calls the functions, one at a time. */
#pragma once
#include <stdatomic.h>
#include "base.h"
#include "engine.h"
#include "status.h"

struct engine_batch {
    uint32_t rows;
    int32_t *token, *position, *sequence; /* per row; rows of one sequence stand together */
    bool *wants;                          /* per row: its logits will be asked for */
    uint32_t adapter;                     /* of all rows; 0: none, at most facts.adapters */
};

enum engine_decode {
    ENGINE_DECODE_OK,
    ENGINE_DECODE_FULL,    /* no room in the cache; nothing was changed */
    ENGINE_DECODE_ABORTED, /* `abort` was set meanwhile */
    ENGINE_DECODE_BROKEN,
    ENGINE_DECODE_COUNT
};

struct engine_backend_ops {
    /* Loads and warms up; may take minutes. `progress` is called with 0 to 100. */
    bool (*load)(struct engine_backend *backend, void (*progress)(void *arg, int percent),
                 void *arg, struct engine_facts *facts, struct status *st);
    enum engine_decode (*decode)(struct engine_backend *backend, const struct engine_batch *batch);
    /* The logits of row `row` of the last batch: facts.vocab floats, which the caller may change.
     */
    float *(*logits)(struct engine_backend *backend, uint32_t row);
    void (*clear)(struct engine_backend *backend, int32_t sequence);
    /* Moves the cache of one sequence to an empty one. False: nothing was changed. */
    bool (*move)(struct engine_backend *backend, int32_t from, int32_t to);
    /* One sequence's cache as bytes in the host's memory: how many it takes now, 0 for failure. */
    size_t (*state_size)(struct engine_backend *backend, int32_t sequence);
    /* Writes at most `size` bytes. Returns how many, 0 for failure. */
    size_t (*state_save)(struct engine_backend *backend, int32_t sequence, void *out, size_t size);
    /* Into an empty sequence of the same process; it then goes on where the saved one stood. False:
     * it is still empty. */
    bool (*state_load)(struct engine_backend *backend, int32_t sequence, const void *blob,
                       size_t size);
    /* Forgets what stands at position `tokens` and after it. False: the model cannot go on from
     * there (engine_facts), and nothing was changed. */
    bool (*trim)(struct engine_backend *backend, int32_t sequence, uint32_t tokens);
    void (*free)(struct engine_backend *backend);
};

/* The first member of each implementation's own struct. */
struct engine_backend {
    const struct engine_backend_ops *ops;
    _Atomic bool abort; /* any thread sets it: load and decode should return soon */
};
