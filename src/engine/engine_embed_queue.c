#include "engine_embed_queue.h"
#include "engine_embed.h"
#include <stdlib.h>

enum { BUCKET_LEAST = 16, BUCKETS = 20, NOBODY = -1, WEIGHT_USUAL = 100, UNIT = 1 << 14 };

struct list {
    struct engine_embed_item *first, *last;
};
struct tenant {
    uint64_t used; /* tokens computed times UNIT over its weight; raised when it comes back */
    size_t count;
    struct list buckets[BUCKETS];
};
struct engine_embed_queue {
    struct engine_embed_facts facts;
    struct tenant tenants[ENGINE_EMBED_TENANTS];
    int active[ENGINE_EMBED_TENANTS]; /* places of those that have texts here */
    int active_count;
    uint64_t level; /* what the one had used who was served last */
    uint64_t arrivals;
    size_t count, tokens;
};

static int bucket_of(const struct engine_embed_queue *queue, const struct engine_embed_item *item);
static uint32_t cost(const struct engine_embed_queue *queue, const struct engine_embed_item *item);
static int least_served(const struct engine_embed_queue *queue, int bucket, uint32_t room);
static int oldest_bucket(const struct tenant *tenant);
static struct engine_embed_item *take_first(struct engine_embed_queue *queue, int place,
                                            int bucket);
static void leave_if_empty(struct engine_embed_queue *queue, int place);

uint32_t engine_embed_bucket(uint32_t count, uint32_t context)
{
    uint32_t bucket = BUCKET_LEAST;
    while (bucket < count)
        bucket *= 2;
    return bucket > context && context >= count ? context : bucket;
}

struct engine_embed_queue *engine_embed_queue_new(const struct engine_embed_facts *facts)
{
    WEIR_ASSERT(facts->batch_tokens >= facts->context && facts->batch_texts > 0);
    struct engine_embed_queue *queue = base_alloc(sizeof *queue);
    queue->facts = *facts;
    return queue;
}

void engine_embed_queue_free(struct engine_embed_queue *queue)
{
    free(queue);
}

void engine_embed_queue_add(struct engine_embed_queue *queue, struct engine_embed_item *item)
{
    WEIR_ASSERT(item->row.count > 0 && item->row.count <= queue->facts.context);
    int place = (int)(item->tenant % ENGINE_EMBED_TENANTS);
    struct tenant *tenant = &queue->tenants[place];
    if (tenant->count == 0) {
        uint64_t least = queue->level;
        int other = least_served(queue, NOBODY, UINT32_MAX);
        if (other != NOBODY)
            least = queue->tenants[other].used;
        if (tenant->used < least)
            tenant->used = least;
        queue->active[queue->active_count++] = place;
    }
    struct list *list = &tenant->buckets[bucket_of(queue, item)];
    item->next = NULL;
    item->arrival = queue->arrivals++;
    if (list->last != NULL)
        list->last->next = item;
    else
        list->first = item;
    list->last = item;
    tenant->count++;
    queue->count++;
    queue->tokens += cost(queue, item);
}

size_t engine_embed_queue_drop(struct engine_embed_queue *queue, uint64_t tenant_hash,
                               const void *call)
{
    int place = (int)(tenant_hash % ENGINE_EMBED_TENANTS);
    struct tenant *tenant = &queue->tenants[place];
    size_t dropped = 0;
    if (tenant->count == 0)
        return 0;
    for (int b = 0; b < BUCKETS; b++) {
        struct engine_embed_item **at = &tenant->buckets[b].first, *last = NULL;
        while (*at != NULL) {
            if ((*at)->call == call) {
                queue->tokens -= cost(queue, *at);
                dropped++;
                *at = (*at)->next;
            } else {
                last = *at;
                at = &last->next;
            }
        }
        tenant->buckets[b].last = last;
    }
    tenant->count -= dropped;
    queue->count -= dropped;
    leave_if_empty(queue, place);
    return dropped;
}

uint32_t engine_embed_queue_take(struct engine_embed_queue *queue, struct engine_embed_item **items,
                                 uint32_t *length)
{
    int place = least_served(queue, NOBODY, UINT32_MAX);
    uint32_t count = 0, room = queue->facts.batch_tokens;
    if (place == NOBODY)
        return 0;
    queue->level = queue->tenants[place].used;
    int bucket = oldest_bucket(&queue->tenants[place]);
    *length = 0;
    while (place != NOBODY && count < queue->facts.batch_texts) {
        struct engine_embed_item *item = take_first(queue, place, bucket);
        items[count++] = item;
        room -= cost(queue, item);
        if (item->row.count > *length)
            *length = item->row.count;
        place = least_served(queue, bucket, room);
    }
    if (queue->facts.pads)
        *length = engine_embed_bucket(*length, queue->facts.context);
    return count;
}

size_t engine_embed_queue_count(const struct engine_embed_queue *queue)
{
    return queue->count;
}

size_t engine_embed_queue_tokens(const struct engine_embed_queue *queue)
{
    return queue->tokens;
}

/* Where nothing is padded, texts of all lengths go together. */
static int bucket_of(const struct engine_embed_queue *queue, const struct engine_embed_item *item)
{
    int bucket = 0;
    if (queue->facts.pads)
        while (((uint32_t)BUCKET_LEAST << bucket) < item->row.count)
            bucket++;
    WEIR_ASSERT(bucket < BUCKETS);
    return bucket;
}

static uint32_t cost(const struct engine_embed_queue *queue, const struct engine_embed_item *item)
{
    return queue->facts.pads ? engine_embed_bucket(item->row.count, queue->facts.context)
                             : item->row.count;
}

/* The place of the tenant with the least use among those whose next text of `bucket` (NOBODY: any)
 * fits into `room`; NOBODY when there is none. The one that came first of equals. */
static int least_served(const struct engine_embed_queue *queue, int bucket, uint32_t room)
{
    int best = NOBODY;
    for (int i = 0; i < queue->active_count; i++) {
        const struct tenant *tenant = &queue->tenants[queue->active[i]];
        if (bucket != NOBODY) {
            const struct engine_embed_item *first = tenant->buckets[bucket].first;
            if (first == NULL || cost(queue, first) > room)
                continue;
        }
        if (best == NOBODY || tenant->used < queue->tenants[best].used)
            best = queue->active[i];
    }
    return best;
}

static int oldest_bucket(const struct tenant *tenant)
{
    int oldest = NOBODY;
    for (int b = 0; b < BUCKETS; b++) {
        const struct engine_embed_item *first = tenant->buckets[b].first;
        if (first != NULL &&
            (oldest == NOBODY || first->arrival < tenant->buckets[oldest].first->arrival))
            oldest = b;
    }
    WEIR_ASSERT(oldest != NOBODY);
    return oldest;
}

static struct engine_embed_item *take_first(struct engine_embed_queue *queue, int place, int bucket)
{
    struct tenant *tenant = &queue->tenants[place];
    struct list *list = &tenant->buckets[bucket];
    struct engine_embed_item *item = list->first;
    list->first = item->next;
    if (list->first == NULL)
        list->last = NULL;
    item->next = NULL;
    uint32_t weight = item->weight > 0 ? item->weight : WEIGHT_USUAL;
    tenant->used += (uint64_t)cost(queue, item) * UNIT / weight;
    tenant->count--;
    queue->count--;
    queue->tokens -= cost(queue, item);
    leave_if_empty(queue, place);
    return item;
}

static void leave_if_empty(struct engine_embed_queue *queue, int place)
{
    if (queue->tenants[place].count > 0)
        return;
    for (int i = 0; i < queue->active_count; i++)
        if (queue->active[i] == place) {
            for (int rest = i + 1; rest < queue->active_count; rest++)
                queue->active[rest - 1] = queue->active[rest];
            queue->active_count--;
            return;
        }
}
