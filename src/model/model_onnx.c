#include "model_onnx.h"
#include "machine.h"
#include "model_onnx_files.h"
#include "log.h"
#include "text.h"
#include <dlfcn.h>
#include <onnxruntime_c_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BATCH_TOKENS_USUAL = 1024, BATCH_TEXTS_MAX = 256, INPUTS_MAX = 3, RANK_MAX = 4 };

/* What a graph may take; in this order. */
static const char *const input_names[INPUTS_MAX] = {"input_ids", "attention_mask",
                                                    "token_type_ids"};
enum input { INPUT_IDS, INPUT_MASK, INPUT_KINDS };

/* What its output is. */
enum shape {
    SHAPE_TOKENS, /* [batch, length, width]: to be pooled */
    SHAPE_VECTOR, /* [batch, width]: it was pooled in the graph */
    SHAPE_SCORE   /* [batch, 1]: it judges pairs */
};

struct model_onnx {
    struct engine_embed_backend base; /* first */
    struct model_onnx_options options;
    struct model_onnx_setup setup;
    struct engine_embed_facts facts;
    struct model_wordpiece_ids ids;
    const OrtApi *api;
    OrtEnv *env;
    OrtSession *session;
    OrtMemoryInfo *memory;
    bool takes[INPUTS_MAX];
    char output[256];
    enum shape shape;
    int64_t *inputs[INPUTS_MAX]; /* facts.batch_tokens numbers each */
};

static bool load(struct engine_embed_backend *backend, void (*progress)(void *, int), void *arg,
                 struct engine_embed_facts *facts, struct status *st);
static void *open_first(char tried[256]);
static bool open_session(struct model_onnx *o, const char *path, struct status *st);
static bool set_options(struct model_onnx *o, OrtSessionOptions *options, struct status *st);
static bool look_at_inputs(struct model_onnx *o, struct status *st);
static bool look_at_output(struct model_onnx *o, struct status *st);
static bool shape_of(struct model_onnx *o, bool input, size_t index, ONNXTensorElementDataType want,
                     int64_t dimensions[RANK_MAX], size_t *rank, struct status *st);
static bool tensor_shape(struct model_onnx *o, const OrtTypeInfo *type,
                         ONNXTensorElementDataType want, int64_t dimensions[RANK_MAX], size_t *rank,
                         struct status *st);
static bool name_of(struct model_onnx *o, bool input, size_t index, char out[256],
                    struct status *st);
static bool warm_up(struct model_onnx *o, struct status *st);
static bool tokenize(const struct engine_embed_backend *backend, struct text text,
                     uint32_t tokens_max, struct engine_tokens *out, size_t *count,
                     struct status *st);
static void frame(const struct engine_embed_backend *backend, const int32_t **before,
                  uint32_t *before_count, const int32_t **between, uint32_t *between_count,
                  const int32_t **behind, uint32_t *behind_count);
static void piece(const struct engine_embed_backend *backend, int32_t token, struct text_buf *out);
static bool text(const struct engine_embed_backend *backend, const int32_t *tokens, size_t count,
                 struct text_buf *out, struct status *st);
static bool compute(struct engine_embed_backend *backend, const struct engine_embed_batch *batch,
                    struct status *st);
static void fill_inputs(struct model_onnx *o, const struct engine_embed_batch *batch);
static bool run(struct model_onnx *o, const struct engine_embed_batch *batch, OrtValue **out,
                struct status *st);
static bool read_output(struct model_onnx *o, const struct engine_embed_batch *batch,
                        OrtValue *value, struct status *st);
static void pool(const struct model_onnx *o, const float *tokens,
                 const struct engine_embed_row *row);
static void onnx_free(struct engine_embed_backend *backend);
static bool passed(const struct model_onnx *o, OrtStatus *result, struct status *st,
                   const char *what);

/* Stays open: the library has threads and statics that closing would pull the ground from. */
static const OrtApi *library_api;

static const struct engine_embed_ops ops = {
    .load = load,
    .tokenize = tokenize,
    .frame = frame,
    .piece = piece,
    .text = text,
    .compute = compute,
    .free = onnx_free,
};

struct engine_embed_backend *model_onnx_new(const struct model_onnx_options *options)
{
    struct model_onnx *o = base_alloc(sizeof *o);
    o->base.ops = &ops;
    o->options = *options;
    o->options.path = strdup(options->path);
    WEIR_ASSERT(o->options.path != NULL);
    return &o->base;
}

static bool load(struct engine_embed_backend *backend, void (*progress)(void *, int), void *arg,
                 struct engine_embed_facts *facts, struct status *st)
{
    struct model_onnx *o = (void *)backend;
    struct model_onnx_files files;
    if (!model_onnx_find(o->options.path, &files, st) || !model_onnx_read(&files, &o->setup, st))
        return false;
    progress(arg, 5);
    o->ids = model_wordpiece_ids(o->setup.wordpiece);
    o->facts = (struct engine_embed_facts){
        .context = o->setup.context,
        .vocab = model_wordpiece_count(o->setup.wordpiece),
        .batch_tokens = o->options.batch_tokens > 0 ? o->options.batch_tokens : BATCH_TOKENS_USUAL,
        .batch_texts = BATCH_TEXTS_MAX,
        .pads = true,
        .weights_bytes = files.model_bytes,
    };
    if (o->options.context > 0 && o->options.context < o->facts.context)
        o->facts.context = o->options.context;
    if (o->facts.batch_tokens < o->facts.context)
        o->facts.batch_tokens = o->facts.context;
    for (size_t i = 0; i < INPUTS_MAX; i++)
        o->inputs[i] = base_alloc(o->facts.batch_tokens * sizeof *o->inputs[i]);
    if (!model_onnx_open_library(st))
        return false;
    o->api = library_api;
    progress(arg, 10);
    if (!open_session(o, files.model, st) || !look_at_inputs(o, st) || !look_at_output(o, st) ||
        !warm_up(o, st))
        return status_wrap(st, "could not load the model %s", files.model);
    o->facts.ranks = o->shape == SHAPE_SCORE;
    progress(arg, 100);
    *facts = o->facts;
    return true;
}

bool model_onnx_open_library(struct status *st)
{
    const OrtApiBase *(*get_base)(void);
    char tried[256];
    if (library_api != NULL)
        return true;
    void *library = open_first(tried);
    void *found = library != NULL ? dlsym(library, "OrtGetApiBase") : NULL;
    if (found == NULL)
        return status_fail(st, STATUS_INVALID,
                           "ONNX Runtime is not on this machine (%s); scripts/deps onnxruntime "
                           "brings it",
                           tried);
    memcpy(&get_base, &found, sizeof get_base); /* C has no cast from object to function */
    const OrtApi *api = get_base()->GetApi(ORT_API_VERSION);
    if (api == NULL)
        return status_fail(st, STATUS_INVALID,
                           "ONNX Runtime %s is too old: at least 1.%d is wanted",
                           get_base()->GetVersionString(), ORT_API_VERSION);
    LOG_DEBUG("ONNX Runtime", LOG_CSTR("version", get_base()->GetVersionString()));
    library_api = api;
    return true;
}

static void *open_first(char tried[256])
{
    char beside[PATH_MAX + 64];
    char program[PATH_MAX];
    const char *places[4];
    size_t count = 0;
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    if (len > 0) {
        program[len] = 0;
        char *slash = strrchr(program, '/');
        if (slash != NULL)
            *slash = 0;
        (void)snprintf(beside, sizeof beside, "%s/../lib/weir/libonnxruntime.so.1", program);
        places[count++] = beside;
    }
    places[count++] = WEIR_ONNX_LIBRARY;
    places[count++] = "libonnxruntime.so.1";
    places[count++] = "libonnxruntime.so.1.21";
    tried[0] = 0;
    for (size_t i = 0; i < count; i++) {
        void *library = dlopen(places[i], RTLD_NOW | RTLD_LOCAL);
        if (library != NULL)
            return library;
        (void)snprintf(tried, 256, "%s", dlerror());
    }
    return NULL;
}

static void on_log(void *arg, OrtLoggingLevel level, const char *category, const char *id,
                   const char *place, const char *message)
{
    (void)arg;
    (void)level;
    (void)category;
    (void)id;
    (void)place;
    LOG_DEBUG("onnxruntime", LOG_CSTR("says", message));
}

static bool open_session(struct model_onnx *o, const char *path, struct status *st)
{
    OrtSessionOptions *options = NULL;
    if (!passed(o,
                o->api->CreateEnvWithCustomLogger(on_log, NULL, ORT_LOGGING_LEVEL_WARNING, "weir",
                                                  &o->env),
                st, "could not start ONNX Runtime") ||
        !passed(o, o->api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeCPU, &o->memory), st,
                "could not start ONNX Runtime") ||
        !passed(o, o->api->CreateSessionOptions(&options), st, "could not start ONNX Runtime"))
        return false;
    bool ok =
        set_options(o, options, st) &&
        passed(o, o->api->CreateSession(o->env, path, options, &o->session), st, "it was refused");
    o->api->ReleaseSessionOptions(options);
    return ok;
}

/* One thread at a time runs, so its threads are the process's. They sleep as soon as they have
 * nothing to do, and no memory is kept for the largest batch that ever was. */
static bool set_options(struct model_onnx *o, OrtSessionOptions *options, struct status *st)
{
    static const char what[] = "could not set up ONNX Runtime";
    const OrtApi *api = o->api;
    int threads = o->options.threads > 0 ? o->options.threads : machine_cores();
    return passed(o, api->SetIntraOpNumThreads(options, threads), st, what) &&
           passed(o, api->SetInterOpNumThreads(options, 1), st, what) &&
           passed(o, api->SetSessionExecutionMode(options, ORT_SEQUENTIAL), st, what) &&
           passed(o, api->SetSessionGraphOptimizationLevel(options, ORT_ENABLE_ALL), st, what) &&
           passed(o, api->DisableCpuMemArena(options), st, what) &&
           passed(o, api->DisableMemPattern(options), st, what) &&
           passed(o, api->AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0"),
                  st, what) &&
           passed(o, api->AddSessionConfigEntry(options, "session.inter_op.allow_spinning", "0"),
                  st, what) &&
           passed(o, api->AddSessionConfigEntry(options, "session.set_denormal_as_zero", "1"), st,
                  what);
}

static bool look_at_inputs(struct model_onnx *o, struct status *st)
{
    size_t count = 0;
    if (!passed(o, o->api->SessionGetInputCount(o->session, &count), st, "it has no inputs"))
        return false;
    for (size_t i = 0; i < count; i++) {
        char name[256];
        int64_t dimensions[RANK_MAX];
        size_t rank, known = 0;
        if (!name_of(o, true, i, name, st))
            return false;
        while (known < INPUTS_MAX && strcmp(name, input_names[known]) != 0)
            known++;
        if (known == INPUTS_MAX)
            return status_fail(st, STATUS_INVALID, "it wants %s, which is not known here", name);
        if (!shape_of(o, true, i, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, dimensions, &rank, st))
            return status_wrap(st, "its input %s", name);
        if (rank != 2 || dimensions[0] > 0 || dimensions[1] > 0)
            return status_fail(st, STATUS_INVALID,
                               "its input %s is not of any number of texts and any length", name);
        o->takes[known] = true;
    }
    return o->takes[INPUT_IDS]
               ? true
               : status_fail(st, STATUS_INVALID, "it does not take %s", input_names[INPUT_IDS]);
}

/* The first one: what exporters write first is what the model is for. */
static bool look_at_output(struct model_onnx *o, struct status *st)
{
    int64_t dimensions[RANK_MAX];
    size_t rank;
    if (!name_of(o, false, 0, o->output, st) ||
        !shape_of(o, false, 0, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, dimensions, &rank, st))
        return status_wrap(st, "its output");
    int64_t width = rank > 0 ? dimensions[rank - 1] : 0;
    bool fits = (rank == 3 || rank == 2) && width > 0 && width <= 65536;
    bool judges = rank == 2 && strcmp(o->output, "logits") == 0;
    if (!fits || (judges && width != 1))
        return status_fail(st, STATUS_INVALID,
                           "its output %s is neither a vector for each token, nor one for each "
                           "text, nor one score for each pair",
                           o->output);
    o->shape = judges ? SHAPE_SCORE : rank == 3 ? SHAPE_TOKENS : SHAPE_VECTOR;
    o->facts.dimensions = (uint32_t)width;
    return true;
}

static bool shape_of(struct model_onnx *o, bool input, size_t index, ONNXTensorElementDataType want,
                     int64_t dimensions[RANK_MAX], size_t *rank, struct status *st)
{
    OrtTypeInfo *type = NULL;
    OrtStatus *result = input ? o->api->SessionGetInputTypeInfo(o->session, index, &type)
                              : o->api->SessionGetOutputTypeInfo(o->session, index, &type);
    if (!passed(o, result, st, "could not be looked at"))
        return false;
    bool ok = tensor_shape(o, type, want, dimensions, rank, st);
    o->api->ReleaseTypeInfo(type);
    return ok;
}

static bool tensor_shape(struct model_onnx *o, const OrtTypeInfo *type,
                         ONNXTensorElementDataType want, int64_t dimensions[RANK_MAX], size_t *rank,
                         struct status *st)
{
    static const char what[] = "could not be looked at";
    const OrtTensorTypeAndShapeInfo *shape = NULL;
    ONNXTensorElementDataType kind;
    if (!passed(o, o->api->CastTypeInfoToTensorInfo(type, &shape), st, what))
        return false;
    if (shape == NULL)
        return status_fail(st, STATUS_INVALID, "is no tensor");
    if (!passed(o, o->api->GetTensorElementType(shape, &kind), st, what) ||
        !passed(o, o->api->GetDimensionsCount(shape, rank), st, what))
        return false;
    if (kind != want || *rank > RANK_MAX)
        return status_fail(st, STATUS_INVALID, "has numbers of another type, or %zu dimensions",
                           *rank);
    return passed(o, o->api->GetDimensions(shape, dimensions, *rank), st, what);
}

static bool name_of(struct model_onnx *o, bool input, size_t index, char out[256],
                    struct status *st)
{
    OrtAllocator *allocator = NULL;
    char *name = NULL;
    if (!passed(o, o->api->GetAllocatorWithDefaultOptions(&allocator), st, "no allocator"))
        return false;
    OrtStatus *result = input ? o->api->SessionGetInputName(o->session, index, allocator, &name)
                              : o->api->SessionGetOutputName(o->session, index, allocator, &name);
    if (!passed(o, result, st, "it names no output"))
        return false;
    int len = snprintf(out, 256, "%s", name);
    allocator->Free(allocator, name);
    return len < 256 ? true : status_fail(st, STATUS_INVALID, "a name in it is too long");
}

/* One short text, so that a graph that cannot run is found out before it is said to be ready. */
static bool warm_up(struct model_onnx *o, struct status *st)
{
    const int32_t tokens[] = {o->ids.first, o->ids.end};
    float *out = base_alloc(o->facts.dimensions * sizeof *out);
    struct engine_embed_row row = {tokens, 2, 2, out};
    bool ok = compute(&o->base, &(struct engine_embed_batch){&row, 1, 16}, st);
    free(out);
    return ok;
}

static bool tokenize(const struct engine_embed_backend *backend, struct text text,
                     uint32_t tokens_max, struct engine_tokens *out, size_t *count,
                     struct status *st)
{
    const struct model_onnx *o = (const void *)backend;
    return model_wordpiece_encode(o->setup.wordpiece, text, tokens_max, out, count, st);
}

static void frame(const struct engine_embed_backend *backend, const int32_t **before,
                  uint32_t *before_count, const int32_t **between, uint32_t *between_count,
                  const int32_t **behind, uint32_t *behind_count)
{
    const struct model_onnx *o = (const void *)backend;
    *before = &o->ids.first;
    *between = *behind = &o->ids.end;
    *before_count = *between_count = *behind_count = 1;
}

static void piece(const struct engine_embed_backend *backend, int32_t token, struct text_buf *out)
{
    const struct model_onnx *o = (const void *)backend;
    model_wordpiece_piece(o->setup.wordpiece, token, out);
}

static bool text(const struct engine_embed_backend *backend, const int32_t *tokens, size_t count,
                 struct text_buf *out, struct status *st)
{
    (void)backend;
    (void)tokens;
    (void)count;
    (void)out;
    return model_wordpiece_no_text(st);
}

static bool compute(struct engine_embed_backend *backend, const struct engine_embed_batch *batch,
                    struct status *st)
{
    struct model_onnx *o = (void *)backend;
    WEIR_ASSERT((size_t)batch->count * batch->length <= o->facts.batch_tokens);
    OrtValue *value = NULL;
    fill_inputs(o, batch);
    if (!run(o, batch, &value, st))
        return false;
    bool ok = read_output(o, batch, value, st);
    o->api->ReleaseValue(value);
    return ok;
}

static void fill_inputs(struct model_onnx *o, const struct engine_embed_batch *batch)
{
    for (uint32_t r = 0; r < batch->count; r++) {
        const struct engine_embed_row *row = &batch->rows[r];
        size_t from = (size_t)r * batch->length;
        for (uint32_t i = 0; i < batch->length; i++) {
            bool is_text = i < row->count;
            o->inputs[INPUT_IDS][from + i] = is_text ? row->tokens[i] : o->ids.padding;
            o->inputs[INPUT_MASK][from + i] = is_text;
            o->inputs[INPUT_KINDS][from + i] = is_text && i >= row->second;
        }
    }
}

static bool run(struct model_onnx *o, const struct engine_embed_batch *batch, OrtValue **out,
                struct status *st)
{
    const int64_t shape[] = {batch->count, batch->length};
    size_t bytes = (size_t)batch->count * batch->length * sizeof(int64_t), count = 0;
    OrtValue *values[INPUTS_MAX] = {0};
    const char *names[INPUTS_MAX];
    const char *output = o->output;
    bool ok = true;
    for (size_t i = 0; i < INPUTS_MAX && ok; i++) {
        if (!o->takes[i])
            continue;
        names[count] = input_names[i];
        ok = passed(o,
                    o->api->CreateTensorWithDataAsOrtValue(o->memory, o->inputs[i], bytes, shape, 2,
                                                           ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
                                                           &values[count]),
                    st, "could not pass an input");
        count += ok;
    }
    ok = ok && passed(o,
                      o->api->Run(o->session, NULL, names, (const OrtValue *const *)values, count,
                                  &output, 1, out),
                      st, "could not compute");
    for (size_t i = 0; i < count; i++)
        o->api->ReleaseValue(values[i]);
    return ok;
}

static bool read_output(struct model_onnx *o, const struct engine_embed_batch *batch,
                        OrtValue *value, struct status *st)
{
    OrtTensorTypeAndShapeInfo *shape = NULL;
    size_t have = 0, width = o->facts.dimensions;
    void *data = NULL;
    if (!passed(o, o->api->GetTensorTypeAndShape(value, &shape), st, "could not read the output"))
        return false;
    bool ok =
        passed(o, o->api->GetTensorShapeElementCount(shape, &have), st,
               "could not read the output") &&
        passed(o, o->api->GetTensorMutableData(value, &data), st, "could not read the output");
    o->api->ReleaseTensorTypeAndShapeInfo(shape);
    size_t row_floats = o->shape == SHAPE_TOKENS ? (size_t)batch->length * width : width;
    if (ok && have != batch->count * row_floats)
        ok = status_fail(st, STATUS_INVALID, "its output has %zu numbers, not %zu", have,
                         batch->count * row_floats);
    for (uint32_t r = 0; ok && r < batch->count; r++) {
        const struct engine_embed_row *row = &batch->rows[r];
        const float *from = (const float *)data + r * row_floats;
        if (o->shape == SHAPE_TOKENS)
            pool(o, from, row);
        else
            memcpy(row->out, from, width * sizeof(float));
        if (o->shape != SHAPE_SCORE)
            engine_embed_normalize(row->out, o->facts.dimensions);
    }
    return ok;
}

static void pool(const struct model_onnx *o, const float *tokens,
                 const struct engine_embed_row *row)
{
    size_t width = o->facts.dimensions;
    if (o->setup.pooling != MODEL_POOLING_MEAN) {
        size_t which = o->setup.pooling == MODEL_POOLING_LAST ? row->count - 1 : 0;
        memcpy(row->out, tokens + which * width, width * sizeof(float));
        return;
    }
    memset(row->out, 0, width * sizeof(float));
    for (uint32_t i = 0; i < row->count; i++)
        for (size_t d = 0; d < width; d++)
            row->out[d] += tokens[i * width + d];
}

static void onnx_free(struct engine_embed_backend *backend)
{
    struct model_onnx *o = (void *)backend;
    if (o->api != NULL) {
        if (o->session != NULL)
            o->api->ReleaseSession(o->session);
        if (o->memory != NULL)
            o->api->ReleaseMemoryInfo(o->memory);
        if (o->env != NULL)
            o->api->ReleaseEnv(o->env);
    }
    /* The library stays open: it has threads and statics that closing would pull the ground from.
     */
    model_wordpiece_close(o->setup.wordpiece);
    for (size_t i = 0; i < INPUTS_MAX; i++)
        free(o->inputs[i]);
    free((void *)(uintptr_t)o->options.path);
    free(o);
}

static bool passed(const struct model_onnx *o, OrtStatus *result, struct status *st,
                   const char *what)
{
    if (result == NULL)
        return true;
    struct text says = text_utf8_take(text_of(o->api->GetErrorMessage(result)), 250);
    status_fail(st, STATUS_INVALID, "%s: %.*s", what, TEXT_ARG(says));
    o->api->ReleaseStatus(result);
    return false;
}
