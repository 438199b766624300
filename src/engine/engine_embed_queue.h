/* engine_embed_queue: texts that wait to be computed, and which of them go into the next batch (the
 * rule is told in engine_embed.h). Pure bookkeeping: no clock, no lock; whoever holds the batcher's
 * lock calls. Nothing allocates but engine_embed_queue_new. */
#pragma once
#include "base.h"
#include "engine_embed_backend.h"

enum { ENGINE_EMBED_TENANTS = 1024 }; /* beyond, tenants share a place by their hash */

struct engine_embed_item {
    struct engine_embed_row row;
    void *call;                     /* whose it is: engine_embed_queue_drop takes all of one */
    uint64_t tenant;                /* a hash */
    uint32_t weight;                /* of the tenant: what it may have beside others'; 0: 100 */
    struct engine_embed_item *next; /* the queue's, while it is in it */
    uint64_t arrival;
};

struct engine_embed_queue;
struct engine_embed_queue *engine_embed_queue_new(const struct engine_embed_facts *facts);
void engine_embed_queue_free(struct engine_embed_queue *queue); /* what is in it is forgotten */

void engine_embed_queue_add(struct engine_embed_queue *queue, struct engine_embed_item *item);
/* Takes out the items of `call` that wait. Returns how many. */
size_t engine_embed_queue_drop(struct engine_embed_queue *queue, uint64_t tenant, const void *call);
/* Fills `items`, which has room for facts.batch_texts, and charges their tenants; 0 when nobody
 * waits. `*length`: of the bucket. */
uint32_t engine_embed_queue_take(struct engine_embed_queue *queue, struct engine_embed_item **items,
                                 uint32_t *length);
size_t engine_embed_queue_count(const struct engine_embed_queue *queue);
size_t engine_embed_queue_tokens(const struct engine_embed_queue *queue); /* as they are computed */
