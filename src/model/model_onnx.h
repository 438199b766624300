/* model_onnx: vectors by ONNX Runtime. The only file that knows its header; the library is opened
 * when the first such model is, so a process that serves another kind does without it. It is looked
 * for beside an installed Weir (../lib/weir), then where it was when Weir was built, then where the
 * system keeps libraries (LD_LIBRARY_PATH counts). */
#pragma once
#include "base.h"
#include "engine_embed_backend.h"
#include "status.h"

struct model_onnx_options {
    const char *path;      /* a folder, or a file *.onnx; copied */
    uint32_t context;      /* tokens of one text; 0: what the model has places for */
    uint32_t batch_tokens; /* of one batch, padding included; 0: 1,024 */
    int threads;           /* 0: machine_cores */
};
/* Nothing is opened yet: that is the backend's load. */
struct engine_embed_backend *model_onnx_new(const struct model_onnx_options *options);

/* Opens the library, once per process: before a sandbox closes the file system, else the backend's
 * load does it. Fails: STATUS_INVALID where there is none. */
MUST_CHECK bool model_onnx_open_library(struct status *st);
