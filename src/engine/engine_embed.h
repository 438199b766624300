/* engine_embed: texts into vectors, many callers' in one batch. One thread computes; between
 * batches it takes the tenant that has had the least (by tokens, padding included, over its
 * weight), that tenant's oldest text, and beside it the texts of like length (16, 32, 64 .. tokens)
 * of all tenants, again the one with the least first, until the batch is full. A tenant that comes
 * back starts level with those that are there. So no tenant waits for more than a share of what
 * another has queued, and padding never more than doubles a text.
 *
 * When texts come and more are known to be on their way (engine_embed_expect), it waits for them,
 * at most 5 ms; else it starts at once.
 *
 * Called on the thread of the loop that it was opened on. */
#pragma once
#include "base.h"
#include "engine_embed_backend.h"
#include "engine.h"
#include "status.h"
#include "text.h"

struct engine_embed;
struct loop;

struct engine_embed_options {
    size_t queue_requests_max; /* that wait; 0: 256 */
    size_t queue_tokens_max;   /* of those that wait; 0: 64 batches */
    int64_t window_us;         /* how long a batch waits for texts on their way; 0: 5,000 */
    /* On the loop's thread, when the state has changed. May be NULL. */
    void (*changed)(void *arg);
    void *changed_arg;
};

struct engine_embed_stats {
    size_t queued, queued_tokens; /* requests and tokens that wait */
    uint64_t requests, refused, cancelled, failed;
    uint64_t texts, tokens, padded_tokens, batches; /* padded_tokens: as computed */
    int64_t batch_us;                               /* moving average */
};

/* Starts the thread, which loads the model and then waits for texts; returns at once.
 * Owns: takes `backend`. Fails: STATUS_SYSTEM when there is no thread to be had. */
MUST_CHECK bool engine_embed_open(struct loop *loop, struct engine_embed_backend *backend,
                                  const struct engine_embed_options *options,
                                  struct engine_embed **out, struct status *st);
/* Nobody may be waiting any more. Blocks for at most one batch. */
void engine_embed_close(struct engine_embed *embed);
AUTO_DEFINE(engine_embed, engine_embed_close)

/* As engine_state. */
enum engine_state engine_embed_state(const struct engine_embed *embed, int *percent,
                                     struct status *why);
const struct engine_embed_facts *engine_embed_facts(const struct engine_embed *embed); /* ready */
const struct engine_embed_backend *engine_embed_backend(const struct engine_embed *embed);
void engine_embed_stats(struct engine_embed *embed, struct engine_embed_stats *out);

/* That a request is being read whose texts will come soon; then either engine_embed_run or
 * engine_embed_unexpect is called once. */
void engine_embed_expect(struct engine_embed *embed);
void engine_embed_unexpect(struct engine_embed *embed);
/* Whether a request of so many tokens would be taken now; before work is done for it.
 * Fails: STATUS_UNAVAILABLE, STATUS_RATE_LIMITED with retry_after_ms. */
MUST_CHECK bool engine_embed_admits(struct engine_embed *embed, size_t tokens, struct status *st);

/* Computes the rows, whose `out` is filled. Waits. Does not keep the tokens or write to `out` after
 * it has returned; a caller that is cancelled takes what has not begun out of the queue.
 * `weight`: the tenant's share beside others'; 0: the usual, 100.
 * Each row has 1 to facts.context tokens, each below facts.vocab. After engine_embed_expect.
 * `queue_us` (may be NULL): how long they waited.
 * Fails: as engine_embed_admits; STATUS_INTERNAL when the model could not compute; fiber.h. */
MUST_CHECK bool engine_embed_run(struct engine_embed *embed, const struct engine_embed_row *rows,
                                 size_t count, struct text tenant, uint32_t weight,
                                 int64_t deadline_us, int64_t *queue_us, struct status *st);
/* The bucket of a text: how many tokens are computed for one of `count` where rows are padded. */
uint32_t engine_embed_bucket(uint32_t count, uint32_t context);
