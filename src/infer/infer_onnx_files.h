/* infer_onnx_files: a model in ONNX and what lies beside it, as sentence-transformers publishes it:
 * model.onnx (or onnx/model.onnx), tokenizer.json or vocab.txt, config.json, 1_Pooling/config.json.
 * Any thread. Blocks for reading files. */
#pragma once
#include <limits.h>
#include "base.h"
#include "infer_wordpiece.h"
#include "status.h"

enum infer_pooling {
    INFER_POOLING_MEAN, /* of all tokens */
    INFER_POOLING_CLS,  /* the first one */
    INFER_POOLING_LAST,
    INFER_POOLING_COUNT
};

struct infer_onnx_files {
    char model[PATH_MAX];  /* the .onnx file */
    char folder[PATH_MAX]; /* where the others are */
    uint64_t model_bytes;
};
struct infer_onnx_setup {
    struct infer_wordpiece *wordpiece; /* infer_wordpiece_close */
    enum infer_pooling pooling;
    uint32_t context; /* tokens that the model has places for */
};

/* Whether `path` means a model in ONNX: a folder, or a file whose name ends in .onnx. */
bool infer_onnx_is(const char *path);
/* That the files are there; not what is in them.
 * Fails: STATUS_NOT_FOUND, STATUS_INVALID; the text names the path. */
MUST_CHECK bool infer_onnx_find(const char *path, struct infer_onnx_files *out, struct status *st);
/* Every path that may be read for it, in `out`; each may be a link to another place, and need not
 * be there. Returns how many. */
enum { INFER_ONNX_PATHS = 9 };
size_t infer_onnx_paths(const struct infer_onnx_files *files, char out[INFER_ONNX_PATHS][PATH_MAX]);
/* Reads all but the model. Fails: STATUS_INVALID, STATUS_SYSTEM. */
MUST_CHECK bool infer_onnx_read(const struct infer_onnx_files *files, struct infer_onnx_setup *out,
                                struct status *st);
