/* engine_draft: speculation by look-up. What an answer says next is often what stood behind the
 * same words before, when it repeats its prompt or itself. So those tokens are computed in one step
 * with the newest one, and each of them is kept that the sampler picks by itself: the answer is the
 * same as without. Rows of one step are not free, so it is done only where an answer has repeated
 * something for long, and where the machine was measured to gain by it.
 * Pure bookkeeping; the engine's thread. */
#pragma once
#include "base.h"

enum {
    ENGINE_DRAFT_TOKENS = 7,   /* with the newest token eight rows: what calibration measures */
    ENGINE_DRAFT_AGREE_MIN = 8 /* tokens that must have been the same before a draft is tried */
};

/* Of one request. Zeroed at its start. */
struct engine_draft {
    int32_t tokens[ENGINE_DRAFT_TOKENS];
    uint32_t count; /* of the step being made; 0: none */
    uint32_t need;  /* tokens that must have been the same; 0: ENGINE_DRAFT_AGREE_MIN */
};

/* Fills `draft` with what followed the longest of the latest places where the last tokens stood
 * before; what goes beyond the end follows from itself. count 0 when too few were the same. */
void engine_draft_find(struct engine_draft *draft, const int32_t *tokens, uint32_t count);
/* So many of it were right. Those that were wrong make the next one need more. */
void engine_draft_was_right(struct engine_draft *draft, uint32_t right);
/* Whether a step with a draft, which takes `with_us`, gains over steps of one row. */
bool engine_draft_pays(double with_us, double single_us);
