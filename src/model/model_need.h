/* model_need: about how much memory a model takes, by its header and before it is loaded. Any
 * thread. Blocks for reading headers. */
#pragma once
#include "base.h"
#include "model_kind.h"

struct model_need_options {
    uint32_t context, parallel; /* as weir-infer is told; 0: what it takes then */
    bool q8_0;                  /* the cache is kept in half the memory */
};
struct model_need {
    enum model_kind kind;
    uint64_t bytes;
};
/* The weights, all parts of them; for a model that writes the cache of `parallel` requests of
 * `context` tokens (of 8, when it is not told: weir-infer takes fewer where memory is short); and
 * for computing a sixteenth of the weights and 48 MiB. Prompts that are kept come on top. False
 * when the file cannot be used. */
MUST_CHECK bool model_need_of(const char *path, const struct model_need_options *options,
                              struct model_need *out);
