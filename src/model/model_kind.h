/* model_kind: what a model's file is for, looked at before it is loaded: writing text, or vectors
 * of texts (and judging pairs), in which format. Any thread. Blocks for reading headers. */
#pragma once
#include "base.h"
#include "status.h"

enum model_kind {
    MODEL_KIND_CHAT,        /* GGUF: it writes */
    MODEL_KIND_EMBED_LLAMA, /* GGUF: an encoder, or it says how its tokens become one vector */
    MODEL_KIND_EMBED_ONNX,  /* a folder, or a file *.onnx */
    MODEL_KIND_COUNT
};

/* Whether the file can be a model at all (model_gguf_check, model_onnx_find).
 * Fails: STATUS_NOT_FOUND, STATUS_SYSTEM, STATUS_INVALID; the text names the path. */
MUST_CHECK bool model_kind_check(const char *path, struct status *st);
/* The same, and what it is for. */
MUST_CHECK bool model_kind_of(const char *path, enum model_kind *out, struct status *st);
