/* model_llama_embed: vectors by llama.cpp, from a GGUF file whose model makes them (an encoder, or
 * one that says how its tokens become one vector), and scores from one that judges pairs. */
#pragma once
#include "base.h"
#include "engine_embed_backend.h"

struct model_llama_embed_options {
    const char *path; /* copied */
    uint32_t context; /* tokens of one text; 0: what the model was trained for, at most 8,192 */
    uint32_t batch_tokens; /* of one batch; 0: 512, or the context if that is more */
    int threads;           /* 0: machine_cores */
    int poll;              /* as in model_llama_options */
    int gpu_layers;        /* -1: all */
};
/* Nothing is opened yet: that is the backend's load. */
struct engine_embed_backend *model_llama_embed_new(const struct model_llama_embed_options *options);
