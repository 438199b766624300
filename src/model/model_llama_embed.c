#include "model_llama_embed.h"
#include "arena.h"
#include "model_gguf.h"
#include "model_llama_internal.h"
#include "machine.h"
#include "model_wordpiece.h"
#include "log.h"
#include <llama.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_TOKENS_USUAL = 512, CONTEXT_MOST = 8192, BATCH_TEXTS_MAX = 64, FRAME_MAX = 2 };

struct model_llama_embed {
    struct engine_embed_backend base; /* first */
    struct model_llama_embed_options options;
    struct engine_embed_facts facts;
    struct llama_model *model;
    struct llama_context *context;
    struct model_llama_pool pool;
    struct llama_batch batch;
    struct model_wordpiece *wordpiece; /* NULL: the library cuts texts into tokens */
    int32_t before[FRAME_MAX], between[FRAME_MAX], behind[FRAME_MAX];
    uint32_t before_count, between_count, behind_count;
    void (*progress)(void *arg, int percent);
    void *progress_arg;
};

static bool load(struct engine_embed_backend *backend, void (*progress)(void *, int), void *arg,
                 struct engine_embed_facts *facts, struct status *st);
static bool load_model(struct model_llama_embed *l, struct status *st);
static bool open_context(struct model_llama_embed *l, struct status *st);
static void open_wordpiece(struct model_llama_embed *l);
static void find_frame(struct model_llama_embed *l);
static bool warm_up(struct model_llama_embed *l, struct status *st);
static bool tokenize(const struct engine_embed_backend *backend, struct text text,
                     uint32_t tokens_max, struct engine_tokens *out, size_t *count,
                     struct status *st);
static void frame(const struct engine_embed_backend *backend, const int32_t **before,
                  uint32_t *before_count, const int32_t **between, uint32_t *between_count,
                  const int32_t **behind, uint32_t *behind_count);
static struct model_vocab vocab_of(const struct model_llama_embed *l);
static void piece(const struct engine_embed_backend *backend, int32_t token, struct text_buf *out);
static bool text(const struct engine_embed_backend *backend, const int32_t *tokens, size_t count,
                 struct text_buf *out, struct status *st);
static bool compute(struct engine_embed_backend *backend, const struct engine_embed_batch *batch,
                    struct status *st);
static void llama_embed_free(struct engine_embed_backend *backend);
static bool on_progress(float share, void *arg);
static bool on_abort(void *arg);

static const struct engine_embed_ops ops = {
    .load = load,
    .tokenize = tokenize,
    .frame = frame,
    .piece = piece,
    .text = text,
    .compute = compute,
    .free = llama_embed_free,
};

struct engine_embed_backend *model_llama_embed_new(const struct model_llama_embed_options *options)
{
    struct model_llama_embed *l = base_alloc(sizeof *l);
    l->base.ops = &ops;
    l->options = *options;
    l->options.path = strdup(options->path);
    WEIR_ASSERT(l->options.path != NULL);
    return &l->base;
}

static bool load(struct engine_embed_backend *backend, void (*progress)(void *, int), void *arg,
                 struct engine_embed_facts *facts, struct status *st)
{
    struct model_llama_embed *l = (void *)backend;
    l->progress = progress;
    l->progress_arg = arg;
    if (!model_gguf_check(l->options.path, st))
        return false;
    model_llama_start_library();
    if (!load_model(l, st) || !open_context(l, st))
        return status_wrap(st, "could not load the model %s", l->options.path);
    open_wordpiece(l);
    find_frame(l);
    if (!warm_up(l, st))
        return status_wrap(st, "could not use the model %s", l->options.path);
    progress(arg, 100);
    *facts = l->facts;
    return true;
}

static bool load_model(struct model_llama_embed *l, struct status *st)
{
    struct llama_model_params params = llama_model_default_params();
    params.n_gpu_layers = l->options.gpu_layers;
    params.progress_callback = on_progress;
    params.progress_callback_user_data = l;
    model_llama_complaint_clear();
    l->model = llama_model_load_from_file(l->options.path, params);
    if (l->model == NULL)
        return status_fail(st, STATUS_INVALID, "%s",
                           model_llama_complaint("the library refused it"));
    if (llama_model_has_encoder(l->model) && llama_model_has_decoder(l->model))
        return status_fail(st, STATUS_INVALID, "it turns one text into another");
    const struct llama_vocab *vocab = llama_model_get_vocab(l->model);
    if (llama_vocab_type(vocab) == LLAMA_VOCAB_TYPE_NONE)
        return status_fail(st, STATUS_INVALID, "it has no vocabulary");
    l->facts.vocab = (uint32_t)llama_vocab_n_tokens(vocab);
    l->facts.weights_bytes = llama_model_size(l->model);
    return true;
}

/* A text is not cut into steps: all of a batch is computed at once. Every token sees the whole
 * batch and ignores what is not its own, so that a larger one costs more for each token. */
static bool open_context(struct model_llama_embed *l, struct status *st)
{
    int32_t trained = llama_model_n_ctx_train(l->model);
    uint32_t context = trained > 0 && trained < CONTEXT_MOST ? (uint32_t)trained : CONTEXT_MOST;
    if (l->options.context > 0 && l->options.context < context)
        context = l->options.context;
    uint32_t batch = l->options.batch_tokens > 0 ? l->options.batch_tokens : BATCH_TOKENS_USUAL;
    if (batch < context)
        batch = context;
    int threads = l->options.threads > 0 ? l->options.threads : machine_cores();
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = params.n_batch = params.n_ubatch = batch;
    params.n_seq_max = BATCH_TEXTS_MAX;
    params.n_threads = params.n_threads_batch = threads;
    params.embeddings = true;
    params.kv_unified = true;
    params.no_perf = true;
    params.abort_callback = on_abort;
    params.abort_callback_data = l;
    l->context = llama_init_from_model(l->model, params);
    if (l->context != NULL && llama_pooling_type(l->context) == LLAMA_POOLING_TYPE_NONE) {
        llama_free(l->context); /* the file does not say: what most encoders are trained for */
        params.pooling_type = LLAMA_POOLING_TYPE_MEAN;
        l->context = llama_init_from_model(l->model, params);
    }
    if (l->context == NULL)
        return status_fail(st, STATUS_INVALID, "%s",
                           model_llama_complaint("the library refused it"));
    l->pool = model_llama_pool_open(l->context, threads, l->options.poll);
    l->facts.ranks = llama_pooling_type(l->context) == LLAMA_POOLING_TYPE_RANK;
    if (l->facts.ranks && llama_model_n_cls_out(l->model) != 1)
        return status_fail(st, STATUS_INVALID, "it sorts into %u classes, instead of judging pairs",
                           llama_model_n_cls_out(l->model));
    l->facts.dimensions = l->facts.ranks ? 1 : (uint32_t)llama_model_n_embd_out(l->model);
    l->facts.context = context;
    l->facts.batch_tokens = batch;
    l->facts.batch_texts = BATCH_TEXTS_MAX;
    l->batch = llama_batch_init((int32_t)batch, 0, 1);
    return true;
}

/* A BERT's vocabulary, of which the library's file has another form: a word begins with U+2581, and
 * what goes on inside one has no sign. The library's own cutter leaves Korean syllables whole,
 * which the models have learned in parts; it is left to it only where the vocabulary is no BERT's.
 */
static void open_wordpiece(struct model_llama_embed *l)
{
    const struct llama_vocab *vocab = llama_model_get_vocab(l->model);
    static const struct text begins = {"\xe2\x96\x81", 3};
    struct status st = {0};
    char lower[8] = "", strip[8] = "";
    if (llama_vocab_type(vocab) != LLAMA_VOCAB_TYPE_WPM)
        return;
    AUTO(arena) struct arena *arena = arena_open(256 * MIB);
    struct text_buf lines = text_buf_in(arena, 64 * MIB);
    for (uint32_t i = 0; i < l->facts.vocab; i++) {
        struct text token = text_of(llama_vocab_get_text(vocab, (int32_t)i));
        enum llama_token_attr kind = llama_vocab_get_attr(vocab, (int32_t)i);
        if ((kind & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN)) == 0) {
            if (text_starts(token, begins))
                token = text_skip(token, begins.len);
            else
                text_buf_add(&lines, TEXT("##"));
        }
        if (text_find_byte(token, '\n') < token.len)
            return;
        text_buf_add(&lines, token);
        text_buf_add(&lines, TEXT("\n"));
    }
    (void)llama_model_meta_val_str(l->model, "tokenizer.ggml.normalizer.lowercase", lower,
                                   sizeof lower);
    (void)llama_model_meta_val_str(l->model, "tokenizer.ggml.normalizer.strip_accents", strip,
                                   sizeof strip);
    bool is_lower = strcmp(lower, "false") != 0;
    bool is_strip = strip[0] != 0 ? strcmp(strip, "true") == 0 : is_lower;
    struct text config = arena_format(arena, "{\"do_lower_case\":%s,\"strip_accents\":%s}",
                                      is_lower ? "true" : "false", is_strip ? "true" : "false");
    if (!model_wordpiece_open_lines(text_buf_text(&lines), config, &l->wordpiece, &st))
        LOG_DEBUG("the library cuts texts into tokens", LOG_CSTR("why", st.text));
}

static void find_frame(struct model_llama_embed *l)
{
    const struct llama_vocab *vocab = llama_model_get_vocab(l->model);
    int32_t eos = llama_vocab_eos(vocab), sep = llama_vocab_sep(vocab);
    if (llama_vocab_get_add_bos(vocab) && llama_vocab_bos(vocab) >= 0)
        l->before[l->before_count++] = llama_vocab_bos(vocab);
    if (llama_vocab_get_add_eos(vocab) && eos >= 0)
        l->between[l->between_count++] = l->behind[l->behind_count++] = eos;
    if (llama_vocab_get_add_sep(vocab) && sep >= 0) {
        l->between[l->between_count++] = sep;
        if (l->behind_count == 0)
            l->behind[l->behind_count++] = sep;
    }
}

static bool warm_up(struct model_llama_embed *l, struct status *st)
{
    int32_t tokens[2 * FRAME_MAX + 1];
    uint32_t count = 0;
    for (uint32_t i = 0; i < l->before_count; i++)
        tokens[count++] = l->before[i];
    for (uint32_t i = 0; i < l->behind_count; i++)
        tokens[count++] = l->behind[i];
    if (count == 0)
        tokens[count++] = 0;
    float *out = base_alloc(l->facts.dimensions * sizeof *out);
    struct engine_embed_row row = {tokens, count, count, out};
    bool ok = compute(&l->base, &(struct engine_embed_batch){&row, 1, count}, st);
    free(out);
    return ok;
}

static bool tokenize(const struct engine_embed_backend *backend, struct text text,
                     uint32_t tokens_max, struct engine_tokens *out, size_t *count,
                     struct status *st)
{
    const struct model_llama_embed *l = (const void *)backend;
    if (l->wordpiece != NULL)
        return model_wordpiece_encode(l->wordpiece, text, tokens_max, out, count, st);
    const struct model_vocab vocab = vocab_of(l);
    uint32_t before = out->count;
    if (!model_vocab_tokenize(&vocab, text, false, false, UINT32_MAX, out, st))
        return false;
    *count = out->count - before;
    if (*count > tokens_max)
        out->count = before + tokens_max;
    return true;
}

static void frame(const struct engine_embed_backend *backend, const int32_t **before,
                  uint32_t *before_count, const int32_t **between, uint32_t *between_count,
                  const int32_t **behind, uint32_t *behind_count)
{
    const struct model_llama_embed *l = (const void *)backend;
    *before = l->before;
    *before_count = l->before_count;
    *between = l->between;
    *between_count = l->between_count;
    *behind = l->behind;
    *behind_count = l->behind_count;
}

/* Enough of one for what needs no list of control tokens. */
static struct model_vocab vocab_of(const struct model_llama_embed *l)
{
    return (struct model_vocab){.llama = llama_model_get_vocab(l->model), .count = l->facts.vocab};
}

static void piece(const struct engine_embed_backend *backend, int32_t token, struct text_buf *out)
{
    const struct model_llama_embed *l = (const void *)backend;
    const struct model_vocab vocab = vocab_of(l);
    if (l->wordpiece != NULL)
        model_wordpiece_piece(l->wordpiece, token, out);
    else if (!model_vocab_text(&vocab, &token, 1, true, out))
        return; /* the caller sees that the buffer is full */
}

static bool text(const struct engine_embed_backend *backend, const int32_t *tokens, size_t count,
                 struct text_buf *out, struct status *st)
{
    const struct model_llama_embed *l = (const void *)backend;
    const struct model_vocab vocab = vocab_of(l);
    if (llama_vocab_type(vocab.llama) == LLAMA_VOCAB_TYPE_WPM)
        return model_wordpiece_no_text(st);
    return model_vocab_text(&vocab, tokens, count, true, out)
               ? true
               : status_fail_field(st, STATUS_TOO_LARGE, "tokens", "the text would be too long");
}

static bool compute(struct engine_embed_backend *backend, const struct engine_embed_batch *batch,
                    struct status *st)
{
    struct model_llama_embed *l = (void *)backend;
    int32_t at = 0;
    for (uint32_t r = 0; r < batch->count; r++)
        for (uint32_t i = 0; i < batch->rows[r].count; i++, at++) {
            l->batch.token[at] = batch->rows[r].tokens[i];
            l->batch.pos[at] = (int32_t)i;
            l->batch.n_seq_id[at] = 1;
            l->batch.seq_id[at][0] = (int32_t)r;
            l->batch.logits[at] = 1;
        }
    WEIR_ASSERT(at > 0 && (uint32_t)at <= l->facts.batch_tokens);
    l->batch.n_tokens = at;
    llama_memory_t memory = llama_get_memory(l->context);
    if (memory != NULL)
        llama_memory_clear(memory, false);
    int32_t result =
        memory != NULL ? llama_decode(l->context, l->batch) : llama_encode(l->context, l->batch);
    if (result != 0)
        return status_fail(st, STATUS_INTERNAL, "the model could not compute (%d)", result);
    for (uint32_t r = 0; r < batch->count; r++) {
        const float *found = llama_get_embeddings_seq(l->context, (int32_t)r);
        if (found == NULL)
            return status_fail(st, STATUS_INTERNAL, "the model gave no vector");
        memcpy(batch->rows[r].out, found, l->facts.dimensions * sizeof(float));
        if (!l->facts.ranks)
            engine_embed_normalize(batch->rows[r].out, l->facts.dimensions);
    }
    return true;
}

static void llama_embed_free(struct engine_embed_backend *backend)
{
    struct model_llama_embed *l = (void *)backend;
    if (l->batch.token != NULL)
        llama_batch_free(l->batch);
    if (l->context != NULL)
        llama_free(l->context);
    model_llama_pool_close(&l->pool);
    model_wordpiece_close(l->wordpiece);
    if (l->model != NULL)
        llama_model_free(l->model);
    free((void *)(uintptr_t)l->options.path);
    free(l);
}

static bool on_progress(float share, void *arg)
{
    struct model_llama_embed *l = arg;
    l->progress(l->progress_arg, (int)(share * 95));
    return !atomic_load(&l->base.abort);
}

static bool on_abort(void *arg)
{
    struct model_llama_embed *l = arg;
    return atomic_load_explicit(&l->base.abort, memory_order_relaxed);
}
