/* In place of infer_onnx.c where Weir is built without ONNX Runtime's header. */
#include "infer_onnx.h"
#include <stdlib.h>

static bool load(struct infer_embed_backend *backend, void (*progress)(void *, int), void *arg,
                 struct infer_embed_facts *facts, struct status *st);
static void absent_free(struct infer_embed_backend *backend);

static const struct infer_embed_ops ops = {.load = load, .free = absent_free};

struct infer_embed_backend *infer_onnx_new(const struct infer_onnx_options *options)
{
    (void)options;
    struct infer_embed_backend *backend = base_alloc(sizeof *backend);
    backend->ops = &ops;
    return backend;
}

static bool load(struct infer_embed_backend *backend, void (*progress)(void *, int), void *arg,
                 struct infer_embed_facts *facts, struct status *st)
{
    (void)backend;
    (void)progress;
    (void)arg;
    (void)facts;
    return infer_onnx_open_library(st);
}

bool infer_onnx_open_library(struct status *st)
{
    return status_fail(st, STATUS_INVALID,
                       "this Weir was built without ONNX Runtime: run scripts/deps onnxruntime and "
                       "build it again, or take the model as GGUF");
}

static void absent_free(struct infer_embed_backend *backend)
{
    free(backend);
}
