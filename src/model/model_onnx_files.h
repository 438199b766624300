/* model_onnx_files: a model in ONNX and what lies beside it, as sentence-transformers publishes it:
 * model.onnx (or onnx/model.onnx), tokenizer.json or vocab.txt, config.json, 1_Pooling/config.json.
 * Any thread. Blocks for reading files. */
#pragma once
#include <limits.h>
#include "base.h"
#include "model_wordpiece.h"
#include "status.h"

enum model_pooling {
    MODEL_POOLING_MEAN, /* of all tokens */
    MODEL_POOLING_CLS,  /* the first one */
    MODEL_POOLING_LAST,
    MODEL_POOLING_COUNT
};

struct model_onnx_files {
    char model[PATH_MAX];  /* the .onnx file */
    char folder[PATH_MAX]; /* where the others are */
    uint64_t model_bytes;
};
struct model_onnx_setup {
    struct model_wordpiece *wordpiece; /* model_wordpiece_close */
    enum model_pooling pooling;
    uint32_t context; /* tokens that the model has places for */
};

/* Whether `path` means a model in ONNX: a folder, or a file whose name ends in .onnx. */
bool model_onnx_is(const char *path);
/* That the files are there; not what is in them.
 * Fails: STATUS_NOT_FOUND, STATUS_INVALID; the text names the path. */
MUST_CHECK bool model_onnx_find(const char *path, struct model_onnx_files *out, struct status *st);
/* Every path that may be read for it, in `out`; each may be a link to another place, and need not
 * be there. Returns how many. */
enum { MODEL_ONNX_PATHS = 9 };
size_t model_onnx_paths(const struct model_onnx_files *files, char out[MODEL_ONNX_PATHS][PATH_MAX]);
/* Reads all but the model. Fails: STATUS_INVALID, STATUS_SYSTEM. */
MUST_CHECK bool model_onnx_read(const struct model_onnx_files *files, struct model_onnx_setup *out,
                                struct status *st);
