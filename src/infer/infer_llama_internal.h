/* infer_llama_internal: what the files over llama.cpp share: the vocabulary, the backend that
 * writes, the library's start and its words, threads. */
#pragma once
#include "infer_llama.h"
#include "infer_pieces.h"
#include "infer_threads.h"
#include "infer_vocab.h"
#include <llama.h>
#include <pthread.h>

/* What is made when it is first asked for, by whichever thread. */
struct infer_vocab_late {
    pthread_mutex_t mutex;
    struct infer_pieces *pieces;
};

struct infer_vocab {
    const struct llama_vocab *llama;
    uint32_t count;
    struct text *control; /* texts of the control tokens, in bytewise order */
    uint32_t control_count;
    size_t control_bytes_max;
    bool control_starts[256]; /* by first byte */
    struct infer_vocab_late *late;
};

/* Threads for the life of a context: without them the library starts some for every step. Close it
 * after the context. */
struct infer_llama_pool {
    struct ggml_threadpool *at; /* NULL: none */
    void (*free)(struct ggml_threadpool *pool);
};

struct infer_llama {
    struct infer_backend base; /* first */
    struct infer_llama_options options;
    struct llama_model *model;
    struct llama_context *context;
    struct infer_llama_pool pool;
    struct infer_threads threads;
    struct infer_vocab vocab;
    struct infer_model_facts facts;
    struct llama_batch batch; /* points into the arrays below and into the engine's */
    int32_t *sequence_counts;
    llama_seq_id **sequences;
    int8_t *wants;
    uint8_t *state; /* of a sequence on the move */
    size_t state_size;
    void (*progress)(void *arg, int percent);
    void *progress_arg;
};

void infer_vocab_open(struct infer_vocab *vocab, const struct llama_vocab *llama);
void infer_vocab_close(struct infer_vocab *vocab);

/* Backend operations: see infer_backend.h. */
void infer_llama_clear(struct infer_backend *backend, int32_t sequence);
bool infer_llama_move(struct infer_backend *backend, int32_t from, int32_t to);
size_t infer_llama_state_size(struct infer_backend *backend, int32_t sequence);
size_t infer_llama_state_save(struct infer_backend *backend, int32_t sequence, void *out,
                              size_t size);
bool infer_llama_state_load(struct infer_backend *backend, int32_t sequence, const void *blob,
                            size_t size);
bool infer_llama_trim(struct infer_backend *backend, int32_t sequence, uint32_t tokens);
/* Fills facts.window and facts.recurrent. Sequence 0 holds two tokens, and may hold one after. */
void infer_llama_probe_trim(struct infer_llama *l);

/* Once per process; later calls do nothing. */
void infer_llama_start_library(void);
/* What the library said last on this thread in anger, since its calls return no reason; `otherwise`
 * when it said nothing since the last clear. */
const char *infer_llama_complaint(const char *otherwise);
void infer_llama_complaint_clear(void);

struct infer_llama_pool infer_llama_pool_open(struct llama_context *context, int threads, int poll);
void infer_llama_pool_close(struct infer_llama_pool *pool);
