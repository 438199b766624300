/* In place of model_onnx.c where Weir is built without ONNX Runtime's header. */
#include "model_onnx.h"
#include <stdlib.h>

static bool load(struct engine_embed_backend *backend, void (*progress)(void *, int), void *arg,
                 struct engine_embed_facts *facts, struct status *st);
static void absent_free(struct engine_embed_backend *backend);

static const struct engine_embed_ops ops = {.load = load, .free = absent_free};

struct engine_embed_backend *model_onnx_new(const struct model_onnx_options *options)
{
    (void)options;
    struct engine_embed_backend *backend = base_alloc(sizeof *backend);
    backend->ops = &ops;
    return backend;
}

static bool load(struct engine_embed_backend *backend, void (*progress)(void *, int), void *arg,
                 struct engine_embed_facts *facts, struct status *st)
{
    (void)backend;
    (void)progress;
    (void)arg;
    (void)facts;
    return model_onnx_open_library(st);
}

bool model_onnx_open_library(struct status *st)
{
    return status_fail(st, STATUS_INVALID,
                       "this Weir was built without ONNX Runtime: run scripts/deps onnxruntime and "
                       "build it again, or take the model as GGUF");
}

static void absent_free(struct engine_embed_backend *backend)
{
    free(backend);
}
