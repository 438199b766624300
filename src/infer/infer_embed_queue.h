/* infer_embed_queue: texts that wait to be computed, and which of them go into the next batch (the
 * rule is told in infer_embed.h). Pure bookkeeping: no clock, no lock; whoever holds the batcher's
 * lock calls. Nothing allocates but infer_embed_queue_new. */
#pragma once
#include "base.h"
#include "infer_embed_backend.h"

enum { INFER_EMBED_TENANTS = 1024 }; /* beyond, tenants share a place by their hash */

struct infer_embed_item {
    struct infer_embed_row row;
    void *call;                    /* whose it is: infer_embed_queue_drop takes all of one */
    uint64_t tenant;               /* a hash */
    uint32_t weight;               /* of the tenant: what it may have beside others'; 0: 100 */
    struct infer_embed_item *next; /* the queue's, while it is in it */
    uint64_t arrival;
};

struct infer_embed_queue;
struct infer_embed_queue *infer_embed_queue_new(const struct infer_embed_facts *facts);
void infer_embed_queue_free(struct infer_embed_queue *queue); /* what is in it is forgotten */

void infer_embed_queue_add(struct infer_embed_queue *queue, struct infer_embed_item *item);
/* Takes out the items of `call` that wait. Returns how many. */
size_t infer_embed_queue_drop(struct infer_embed_queue *queue, uint64_t tenant, const void *call);
/* Fills `items`, which has room for facts.batch_texts, and charges their tenants; 0 when nobody
 * waits. `*length`: of the bucket. */
uint32_t infer_embed_queue_take(struct infer_embed_queue *queue, struct infer_embed_item **items,
                                uint32_t *length);
size_t infer_embed_queue_count(const struct infer_embed_queue *queue);
size_t infer_embed_queue_tokens(const struct infer_embed_queue *queue); /* as they are computed */
