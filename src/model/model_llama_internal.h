/* model_llama_internal: what the files over llama.cpp share: the vocabulary, the backend that
 * writes, the library's start and its words, threads. */
#pragma once
#include "model_llama.h"
#include "grammar_pieces.h"
#include "model_threads.h"
#include "model_vocab.h"
#include <llama.h>
#include <pthread.h>

/* What is made when it is first asked for, by whichever thread. */
struct model_vocab_late {
    pthread_mutex_t mutex;
    struct grammar_pieces *pieces;
};

struct model_vocab {
    const struct llama_vocab *llama;
    uint32_t count;
    struct text *control; /* texts of the control tokens, in bytewise order */
    uint32_t control_count;
    size_t control_bytes_max;
    bool control_starts[256]; /* by first byte */
    struct model_vocab_late *late;
};

/* Threads for the life of a context: without them the library starts some for every step. Close it
 * after the context. */
struct model_llama_pool {
    struct ggml_threadpool *at; /* NULL: none */
    void (*free)(struct ggml_threadpool *pool);
};

struct model_llama {
    struct engine_backend base; /* first */
    struct model_llama_options options;
    struct llama_model *model;
    struct llama_context *context;
    struct llama_adapter_lora *adapters[MODEL_ADAPTERS_MAX]; /* the model's */
    uint32_t adapter;                                        /* applied now; 0: none */
    struct model_llama_pool pool;
    struct model_threads threads;
    struct model_vocab vocab;
    struct engine_facts facts;
    struct llama_batch batch; /* points into the arrays below and into the engine's */
    int32_t *sequence_counts;
    llama_seq_id **sequences;
    int8_t *wants;
    uint8_t *state; /* of a sequence on the move */
    size_t state_size;
    void (*progress)(void *arg, int percent);
    void *progress_arg;
};

/* In model_llama_adapter.c. The first before there is a context: it counts their work.
 * Fails: as load; the text names the file. */
MUST_CHECK bool model_llama_adapters_load(struct model_llama *l, struct status *st);
void model_llama_adapter_use(struct model_llama *l, uint32_t adapter); /* 0: none */

void model_vocab_open(struct model_vocab *vocab, const struct llama_vocab *llama);
void model_vocab_close(struct model_vocab *vocab);
/* All tokens, with the bytes that `piece` gives them. Owns: the caller. */
struct grammar_pieces *model_vocab_make_pieces(const struct model_vocab *vocab,
                                               size_t (*piece)(void *arg, int32_t token, char *out),
                                               void *arg);

/* Backend operations: see engine_backend.h. */
void model_llama_clear(struct engine_backend *backend, int32_t sequence);
bool model_llama_move(struct engine_backend *backend, int32_t from, int32_t to);
size_t model_llama_state_size(struct engine_backend *backend, int32_t sequence);
size_t model_llama_state_save(struct engine_backend *backend, int32_t sequence, void *out,
                              size_t size);
bool model_llama_state_load(struct engine_backend *backend, int32_t sequence, const void *blob,
                            size_t size);
bool model_llama_trim(struct engine_backend *backend, int32_t sequence, uint32_t tokens);
/* Fills facts.window and facts.recurrent. Sequence 0 holds two tokens, and may hold one after. */
void model_llama_probe_trim(struct model_llama *l);

/* Once per process; later calls do nothing. */
void model_llama_start_library(void);
/* What the library said on this thread in anger, since its calls return no reason: the first since
 * the last clear, for what follows only says that something failed; `otherwise` when nothing. */
const char *model_llama_complaint(const char *otherwise);
void model_llama_complaint_clear(void);

struct model_llama_pool model_llama_pool_open(struct llama_context *context, int threads, int poll);
void model_llama_pool_close(struct model_llama_pool *pool);
