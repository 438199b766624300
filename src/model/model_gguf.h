/* model_gguf: whether a file can be a GGUF model, looked at before the library loads it. The
 * library trusts counts and sizes of the header in places and aborts on some of the rest; here each
 * is multiplied with an overflow check and held against the length of the file, so that a file that
 * is missing, cut, foreign or hostile is one clear sentence. Says nothing of what the model is.
 * Any thread. Blocks for the reading of the header. */
#pragma once
#include "base.h"
#include "status.h"
#include "text.h"

/* Fails: STATUS_NOT_FOUND, STATUS_SYSTEM, STATUS_INVALID; the text names the path. */
MUST_CHECK bool model_gguf_check(const char *path, struct status *st);
/* The same for bytes in memory, as `file_bytes` long: what is beyond `start` cannot be read, and
 * only the header need be there. */
MUST_CHECK bool model_gguf_check_bytes(struct text start, uint64_t file_bytes, struct status *st);
