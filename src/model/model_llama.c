#include "model_llama.h"
#include "model_gguf.h"
#include "model_llama_internal.h"
#include "machine.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT_USUAL = 4096, PARALLEL_USUAL = 8, BATCH_USUAL = 512, META_BYTES = 128 };
enum { OUTPUTS_MIN = 8 }; /* so that a draft can be seen through */

static bool load(struct engine_backend *backend, void (*progress)(void *, int), void *arg,
                 struct engine_facts *facts, struct status *st);
static bool load_model(struct model_llama *l, struct status *st);
static bool open_context(struct model_llama *l, struct status *st);
static uint32_t sequences_that_fit(const struct model_llama *l, uint64_t cache_bytes);
static uint64_t token_cache_bytes(const struct model_llama *l);
static void make_batch(struct model_llama *l);
static bool warm_up(struct model_llama *l, struct status *st);
static void find_ends(struct model_llama *l);
static enum engine_decode decode(struct engine_backend *backend, const struct engine_batch *batch);
static float *logits(struct engine_backend *backend, uint32_t row);
static void llama_close(struct engine_backend *backend);
static bool on_progress(float share, void *arg);
static bool on_abort(void *arg);
static int64_t meta_int(const struct llama_model *model, const char *suffix);

static const struct engine_backend_ops ops = {
    .load = load,
    .decode = decode,
    .logits = logits,
    .clear = model_llama_clear,
    .move = model_llama_move,
    .state_size = model_llama_state_size,
    .state_save = model_llama_state_save,
    .state_load = model_llama_state_load,
    .trim = model_llama_trim,
    .free = llama_close,
};

struct engine_backend *model_llama_new(const struct model_llama_options *options)
{
    struct model_llama *l = calloc(1, sizeof *l);
    WEIR_ASSERT(l != NULL);
    l->base.ops = &ops;
    l->options = *options;
    l->options.path = strdup(options->path);
    WEIR_ASSERT(l->options.path != NULL && options->adapters_count <= MODEL_ADAPTERS_MAX);
    for (uint32_t i = 0; i < options->adapters_count; i++) {
        l->options.adapters[i] = strdup(options->adapters[i]);
        WEIR_ASSERT(l->options.adapters[i] != NULL);
    }
    return &l->base;
}

const struct model_vocab *model_llama_vocab(const struct engine_backend *backend)
{
    const struct model_llama *l = (const void *)backend;
    WEIR_ASSERT(backend->ops == &ops && l->vocab.llama != NULL);
    return &l->vocab;
}

const struct llama_model *model_llama_model(const struct engine_backend *backend)
{
    const struct model_llama *l = (const void *)backend;
    WEIR_ASSERT(backend->ops == &ops && l->model != NULL);
    return l->model;
}

static bool load(struct engine_backend *backend, void (*progress)(void *, int), void *arg,
                 struct engine_facts *facts, struct status *st)
{
    struct model_llama *l = (void *)backend;
    l->progress = progress;
    l->progress_arg = arg;
    if (!model_gguf_check(l->options.path, st))
        return false;
    model_llama_start_library();
    if (!load_model(l, st))
        return status_wrap(st, "could not load the model %s", l->options.path);
    if (!model_llama_adapters_load(l, st))
        return false;
    if (!open_context(l, st))
        return status_wrap(st, "could not load the model %s", l->options.path);
    make_batch(l);
    find_ends(l);
    model_vocab_open(&l->vocab, llama_model_get_vocab(l->model));
    if (!warm_up(l, st))
        return status_wrap(st, "could not use the model %s", l->options.path);
    progress(arg, 100);
    *facts = l->facts;
    return true;
}

static bool load_model(struct model_llama *l, struct status *st)
{
    struct llama_model_params params = llama_model_default_params();
    params.n_gpu_layers = l->options.gpu_layers;
    params.progress_callback = on_progress;
    params.progress_callback_user_data = l;
    if (l->options.lock_memory)
        params.load_mode = LLAMA_LOAD_MODE_MMAP_MLOCK;
    model_llama_complaint_clear();
    l->model = llama_model_load_from_file(l->options.path, params);
    if (l->model == NULL)
        return status_fail(st, STATUS_INVALID, "%s",
                           model_llama_complaint("the library refused it"));
    if (!llama_model_has_decoder(l->model) || llama_model_has_encoder(l->model) ||
        llama_model_is_diffusion(l->model))
        return status_fail(st, STATUS_INVALID, "it is no model that writes text step by step");
    if (llama_vocab_type(llama_model_get_vocab(l->model)) == LLAMA_VOCAB_TYPE_NONE)
        return status_fail(st, STATUS_INVALID, "it has no vocabulary");
    l->facts.weights_bytes = llama_model_size(l->model);
    return true;
}

static bool open_context(struct model_llama *l, struct status *st)
{
    static const enum ggml_type cache_types[MODEL_CACHE_TYPE_COUNT] = {
        [MODEL_CACHE_F16] = GGML_TYPE_F16,
        [MODEL_CACHE_Q8_0] = GGML_TYPE_Q8_0,
    };
    static const enum llama_flash_attn_type flash_types[MODEL_FLASH_COUNT] = {
        [MODEL_FLASH_AUTO] = LLAMA_FLASH_ATTN_TYPE_AUTO,
        [MODEL_FLASH_ON] = LLAMA_FLASH_ATTN_TYPE_ENABLED,
        [MODEL_FLASH_OFF] = LLAMA_FLASH_ATTN_TYPE_DISABLED,
    };
    uint32_t trained = (uint32_t)llama_model_n_ctx_train(l->model), context = l->options.context;
    if (context == 0)
        context = trained > 0 && trained < CONTEXT_USUAL ? trained : CONTEXT_USUAL;
    uint64_t cache_bytes = token_cache_bytes(l) * context;
    uint32_t parallel = l->options.parallel;
    if (parallel == 0)
        parallel = sequences_that_fit(l, cache_bytes);
    if (parallel > llama_max_parallel_sequences())
        return status_fail(st, STATUS_INVALID, "at most %zu sequences can run at once",
                           llama_max_parallel_sequences());
    if ((uint64_t)context * parallel > INT32_MAX)
        return status_fail(st, STATUS_INVALID, "%u sequences of %u tokens are too many", parallel,
                           context);
    uint32_t batch = l->options.batch == 0 ? BATCH_USUAL : l->options.batch;
    if (batch < parallel)
        batch = parallel;

    int threads = l->options.threads > 0 ? l->options.threads : machine_cores();
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = context * parallel;
    params.n_batch = params.n_ubatch = batch;
    params.n_seq_max = parallel;
    params.n_outputs_max = parallel > OUTPUTS_MIN ? parallel : OUTPUTS_MIN;
    params.n_threads = params.n_threads_batch = threads;
    params.flash_attn_type = flash_types[l->options.flash];
    params.type_k = params.type_v = cache_types[l->options.cache_type];
    params.kv_unified = false;
    params.swa_full = false; /* what lies behind a window is of no use: not kept (see trim) */
    params.abort_callback = on_abort;
    params.abort_callback_data = l;
    model_llama_complaint_clear();
    l->context = llama_init_from_model(l->model, params);
    if (l->context == NULL)
        return status_fail(st, STATUS_INVALID, "no context of %u tokens for %u sequences: %s",
                           context, parallel, model_llama_complaint("out of memory"));
    l->pool = model_llama_pool_open(l->context, threads, l->options.poll);
    model_threads_open(&l->threads, threads);
    uint32_t real = llama_n_ctx_seq(l->context);
    l->facts.context = real < context ? real : context;
    l->facts.parallel = parallel;
    l->facts.outputs = params.n_outputs_max;
    l->facts.batch = llama_n_batch(l->context);
    l->facts.vocab = (uint32_t)llama_vocab_n_tokens(llama_model_get_vocab(l->model));
    l->facts.kv_bytes = token_cache_bytes(l) * real * parallel;
    return true;
}

/* A third of the memory that is left may become cache. */
static uint32_t sequences_that_fit(const struct model_llama *l, uint64_t cache_bytes)
{
    (void)l;
    uint64_t left = machine_memory_free();
    if (left == 0 || cache_bytes == 0)
        return PARALLEL_USUAL;
    uint64_t fit = left / 3 / cache_bytes;
    return fit < 1 ? 1 : fit > PARALLEL_USUAL ? PARALLEL_USUAL : (uint32_t)fit;
}

static uint64_t token_cache_bytes(const struct model_llama *l)
{
    int64_t heads = llama_model_n_head(l->model), heads_kv = llama_model_n_head_kv(l->model);
    int64_t key = meta_int(l->model, "attention.key_length");
    int64_t value = meta_int(l->model, "attention.value_length");
    int64_t usual = heads > 0 ? llama_model_n_embd(l->model) / heads : 0;
    int64_t both = (key > 0 ? key : usual) + (value > 0 ? value : usual);
    int64_t elements = llama_model_n_layer(l->model) * heads_kv * both;
    if (elements <= 0)
        return 0;
    return (uint64_t)elements * (l->options.cache_type == MODEL_CACHE_Q8_0 ? 34 : 64) / 32;
}

static void make_batch(struct model_llama *l)
{
    l->sequence_counts = calloc(l->facts.batch, sizeof *l->sequence_counts);
    l->sequences = calloc(l->facts.batch, sizeof *l->sequences);
    l->wants = calloc(l->facts.batch, sizeof *l->wants);
    WEIR_ASSERT(l->sequence_counts != NULL && l->sequences != NULL && l->wants != NULL);
    for (uint32_t i = 0; i < l->facts.batch; i++)
        l->sequence_counts[i] = 1;
    l->batch.n_seq_id = l->sequence_counts;
    l->batch.seq_id = l->sequences;
    l->batch.logits = l->wants;
}

static void find_ends(struct model_llama *l)
{
    const struct llama_vocab *vocab = llama_model_get_vocab(l->model);
    for (uint32_t i = 0; i < l->facts.vocab && l->facts.ends_count < ENGINE_ENDS_MAX; i++)
        if (llama_vocab_is_eog(vocab, (int32_t)i))
            l->facts.ends[l->facts.ends_count++] = (int32_t)i;
}

/* One row in every sequence, with each adapter, so that weights are in memory and buffers made
 * before the first request pays for them; one more in the first, to see what the cache can do. */
static bool warm_up(struct model_llama *l, struct status *st)
{
    int32_t start = llama_vocab_bos(llama_model_get_vocab(l->model));
    int32_t token[256], position[256], sequence[256];
    bool wants[256];
    WEIR_ASSERT(l->facts.parallel > 0 && l->facts.parallel <= ARRAY_LEN(token));
    for (uint32_t i = 0; i < l->facts.parallel; i++) {
        token[i] = start >= 0 ? start : 0;
        position[i] = 0;
        sequence[i] = (int32_t)i;
        wants[i] = true;
    }
    struct engine_batch batch = {l->facts.parallel, token, position, sequence, wants, 0};
    enum engine_decode result = decode(&l->base, &batch);
    for (uint32_t i = 0; i < l->facts.adapters && result == ENGINE_DECODE_OK; i++) {
        llama_memory_clear(llama_get_memory(l->context), false);
        batch.adapter = i + 1;
        result = decode(&l->base, &batch);
    }
    batch.adapter = 0;
    batch.rows = 1;
    position[0] = 1;
    if (result == ENGINE_DECODE_OK)
        result = decode(&l->base, &batch);
    if (result != ENGINE_DECODE_OK)
        return status_fail(st, STATUS_INVALID, "its first step failed (%d) %s", (int)result,
                           model_llama_complaint(""));
    model_llama_probe_trim(l);
    llama_memory_clear(llama_get_memory(l->context), false);
    return true;
}

static enum engine_decode decode(struct engine_backend *backend, const struct engine_batch *batch)
{
    struct model_llama *l = (void *)backend;
    WEIR_ASSERT(batch->rows <= l->facts.batch);
    for (uint32_t i = 0; i < batch->rows; i++) {
        l->sequences[i] = &batch->sequence[i];
        l->wants[i] = batch->wants[i];
    }
    l->batch.n_tokens = (int32_t)batch->rows;
    l->batch.token = batch->token;
    l->batch.pos = batch->position;
    model_llama_adapter_use(l, batch->adapter);
    int threads = model_threads_before(&l->threads, batch->rows);
    llama_set_n_threads(l->context, threads, threads);
    int32_t result = llama_decode(l->context, l->batch);
    model_threads_after(&l->threads);
    if (result == 0)
        return ENGINE_DECODE_OK;
    return result == 1   ? ENGINE_DECODE_FULL
           : result == 2 ? ENGINE_DECODE_ABORTED
                         : ENGINE_DECODE_BROKEN;
}

static float *logits(struct engine_backend *backend, uint32_t row)
{
    struct model_llama *l = (void *)backend;
    float *found = llama_get_logits_ith(l->context, (int32_t)row);
    WEIR_ASSERT(found != NULL);
    return found;
}

static void llama_close(struct engine_backend *backend)
{
    struct model_llama *l = (void *)backend;
    if (l->context != NULL)
        llama_free(l->context);
    model_llama_pool_close(&l->pool);
    model_vocab_close(&l->vocab);
    if (l->model != NULL)
        llama_model_free(l->model);
    free(l->sequence_counts);
    free(l->sequences);
    free(l->wants);
    free(l->state);
    for (uint32_t i = 0; i < l->options.adapters_count; i++)
        free((void *)(uintptr_t)l->options.adapters[i]);
    free((void *)(uintptr_t)l->options.path);
    free(l);
}

static bool on_progress(float share, void *arg)
{
    struct model_llama *l = arg;
    l->progress(l->progress_arg, (int)(share * 95));
    return !atomic_load(&l->base.abort);
}

static bool on_abort(void *arg)
{
    struct model_llama *l = arg;
    return atomic_load_explicit(&l->base.abort, memory_order_relaxed);
}

/* "llama.attention.key_length" for the suffix "attention.key_length"; 0: not there. */
static int64_t meta_int(const struct llama_model *model, const char *suffix)
{
    char architecture[META_BYTES], key[2 * META_BYTES], value[META_BYTES];
    int64_t number;
    if (llama_model_meta_val_str(model, "general.architecture", architecture, sizeof architecture) <
        0)
        return 0;
    snprintf(key, sizeof key, "%s.%s", architecture, suffix);
    if (llama_model_meta_val_str(model, key, value, sizeof value) < 0 ||
        !text_to_i64(text_of(value), &number))
        return 0;
    return number;
}
