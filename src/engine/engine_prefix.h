/* engine_prefix: what the engine does with engine_radix. Prompts that begin as one before are
 * not computed again: the state of that one's sequence is copied to the new one's. A prompt whose
 * beginning is being computed right now, by a request of the same tenant, waits until that one has
 * got so far.
 * States are saved when a request ends, for the next turn of its conversation, and when another
 * request can use what a running one has. A model with a sliding window keeps too little for its
 * states to be cut, so with one they are also saved where it will be needed: before the prompt's
 * last token, and where two prompts part.
 * The engine thread only; NULL `e->prefix` (no memory for it, or a model whose states cannot be
 * cut) makes everything here do nothing. */
#pragma once
#include "engine_internal.h"

void engine_prefix_open(struct engine *e); /* when the model is loaded */
void engine_prefix_close(struct engine *e);

/* Once per step. Who waits and should go on waiting is held; again when a sequence has become free
 * since. */
void engine_prefix_hold(struct engine *e, int64_t now);
/* After that, and whenever somebody was let in: copies what there is for those who were. */
void engine_prefix_hold(struct engine *e, int64_t now);
/* After that, and whenever one was let in: copies what there is for those who were. */
void engine_prefix_restore(struct engine *e);
/* Once per step: the plan's rows are computed, in `took_us`; not yet sampled from. */
void engine_prefix_computed(struct engine *e, const struct engine_plan *plan, int64_t took_us);

/* Before the sequence of a request that ends is cleared. */
void engine_prefix_end(struct engine *e, struct engine_request *r);
