/* infer_public: a system message of the operator's own, whose beginning of a prompt is computed
 * once for every tenant (engine_radix.h: no tenant gets what another computed, but this is nobody's
 * secret). The loop's thread. */
#pragma once
#include "base.h"
#include "infer_server.h"
#include "status.h"
#include "text.h"

enum { INFER_PUBLIC_BYTES_MAX = 256 << 10 };

/* Makes the prompts of a conversation that begins with the system message `system`, and computes
 * what they have in common. `*tokens`: how many that are.
 * Waits, for as long as that takes. The model is ready.
 * Fails: STATUS_INVALID when there is too little in common, or it does not fit in the context;
 * STATUS_LIMIT when it is not kept, for want of memory or because this model keeps nothing;
 * STATUS_CANCELLED. */
MUST_CHECK bool infer_public_compute(struct infer_server *server, struct text system,
                                     uint32_t *tokens, struct status *st);
