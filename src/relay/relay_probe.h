/* relay_probe: asks an upstream what it offers; also a test of the connection to it. Waits. */
#pragma once
#include "relay_call.h"

enum { RELAY_PROBE_MODELS_MAX = 2000 };

/* GET <base>/models. Owns: the ids are in `arena`.
 * Fails: what went wrong, in words for people; fiber.h. */
MUST_CHECK bool relay_probe_models(struct relay_worker *worker, struct relay_target *target,
                                   struct arena *arena, struct text **ids, size_t *count,
                                   struct status *st);
