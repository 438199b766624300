/* model_llama: the backend that computes with llama.cpp. No other file but model_vocab
 * knows its header. */
#pragma once
#include "base.h"
#include "engine_backend.h"
#include "model_vocab.h"
#include "text.h"

struct llama_model;

/* What the library says goes to the log from now on. Of a state that it cannot go on from, as a
 * damaged file brings about, it tells `dies`, on whichever thread, in one sentence, and then aborts
 * the process; `dies` may end it first. Call it before there are threads. */
void model_llama_watch(void (*dies)(const char *why));

enum { MODEL_ADAPTERS_MAX = 31 }; /* each is a group of the scheduler, as is the model without */
enum model_cache_type { MODEL_CACHE_F16, MODEL_CACHE_Q8_0, MODEL_CACHE_TYPE_COUNT };
/* Of attention: AUTO is on where the device can do it. MODEL_CACHE_Q8_0 needs it. */
enum model_flash { MODEL_FLASH_AUTO, MODEL_FLASH_ON, MODEL_FLASH_OFF, MODEL_FLASH_COUNT };

struct model_llama_options {
    const char *path;  /* copied */
    uint32_t context;  /* tokens of one request; 0: what the model was trained for, at most 4,096 */
    uint32_t parallel; /* sequences; 0: 8, or fewer where their cache would not fit in memory */
    uint32_t batch;    /* tokens of one step; 0: 512 */
    int threads;       /* 0: machine_cores */
    int poll;          /* 0 to 100: how long idle compute threads spin before they sleep */
    int gpu_layers;    /* -1: all */
    enum model_cache_type cache_type;
    enum model_flash flash;
    bool lock_memory;
    const char *adapters[MODEL_ADAPTERS_MAX]; /* LoRA files in GGUF; copied. The first is 1 to
                                               * engine_batch.adapter */
    uint32_t adapters_count;
};

/* Nothing is opened yet: that is the backend's load, on the engine's thread. */
struct engine_backend *model_llama_new(const struct model_llama_options *options);
/* Valid from load to free; any thread. */
const struct model_vocab *model_llama_vocab(const struct engine_backend *backend);
const struct llama_model *model_llama_model(const struct engine_backend *backend);
