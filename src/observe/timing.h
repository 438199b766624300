/* timing: the value of a Server-Timing header (W3C Server Timing): "queue;dur=1.2, prefill;dur=80".
 * Any thread. Nothing here waits or allocates. */
#pragma once
#include "base.h"
#include "text.h"

enum { TIMING_BYTES_MAX = 256 };

struct timing {
    char memory[TIMING_BYTES_MAX];
    size_t len;
    bool full; /* something was left out */
};

/* `name` is a token of our own; a negative duration is left out. What does not fit is left out
 * whole, with all that follows. */
void timing_add(struct timing *timing, const char *name, int64_t us);
struct text timing_text(const struct timing *timing);
