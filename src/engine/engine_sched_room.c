/* The account of the cache in tokens, and who has to go back into the queue. */
#include "engine_sched_internal.h"

static bool grow(struct engine_sched *s, struct engine_task *task);
static struct engine_task *victim_of_shortage(const struct engine_sched *s);
static struct engine_task *victim_of_standstill(const struct engine_sched *s);
static struct engine_task *victim_of_turn(const struct engine_sched *s, uint32_t tokens_max);
static struct engine_task *newest_of_furthest(const struct engine_sched *s, uint32_t running_min,
                                              bool paused_only, const struct engine_tenant *but);
static uint64_t cache_free(const struct engine_sched *s);
static bool anything_runs(const struct engine_sched *s);

struct engine_task *engine_sched_make_room(struct engine_sched *s, uint32_t turn_tokens_max)
{
    engine_sched_refresh(s);
    for (uint32_t i = 0; i < s->options.sequences; i++) {
        struct engine_task *task = s->running[i];
        if (task == NULL || task->paused || task->state != ENGINE_TASK_WRITING || grow(s, task))
            continue;
        s->chosen = victim_of_shortage(s);
        return s->chosen;
    }
    s->chosen = victim_of_standstill(s);
    if (s->chosen == NULL && !s->gave_way) {
        s->chosen = victim_of_turn(s, turn_tokens_max);
        s->gave_way = s->chosen != NULL;
    }
    return s->chosen;
}

/* In blocks; never more than prompt and longest answer. */
uint32_t engine_sched_need(const struct engine_sched *s, const struct engine_task *task)
{
    uint32_t left = task->output_max - task->output;
    uint32_t known = task->prompt_count + task->output;
    uint32_t need = known + (left < s->output_usual ? left : s->output_usual);
    uint32_t most = task->prompt_count + task->output_max;
    need = (need + ENGINE_SCHED_BLOCK - 1) / ENGINE_SCHED_BLOCK * ENGINE_SCHED_BLOCK;
    return need < most ? need : most;
}

/* Where the cache can run out, a block for each of those who run stays free when one is let in:
 * else it, or another one, would have to go again at once. */
bool engine_sched_fits(const struct engine_sched *s, const struct engine_task *task)
{
    if (s->running_count == s->options.sequences)
        return false;
    uint64_t all = (uint64_t)s->options.sequences * s->options.context;
    uint64_t spare = s->options.cache_tokens < all ? s->running_count * ENGINE_SCHED_BLOCK : 0;
    return cache_free(s) >= engine_sched_need(s, task) + (s->running_count > 0 ? spare : 0);
}

/* Room for the row that a writing task has in the next step. */
static bool grow(struct engine_sched *s, struct engine_task *task)
{
    if (task->computed < task->reserved)
        return true;
    uint32_t most = task->prompt_count + task->output_max;
    uint32_t block = most - task->reserved;
    if (block > ENGINE_SCHED_BLOCK)
        block = ENGINE_SCHED_BLOCK;
    WEIR_ASSERT(block > 0);
    if (cache_free(s) < block)
        return false;
    task->reserved += block;
    s->cache_held += block;
    return true;
}

/* Those who are paused compute nothing meanwhile. There is always somebody: one task alone has the
 * whole cache to grow in. */
static struct engine_task *victim_of_shortage(const struct engine_sched *s)
{
    struct engine_task *victim = newest_of_furthest(s, 1, true, NULL);
    if (victim == NULL)
        victim = newest_of_furthest(s, 2, false, NULL);
    if (victim == NULL)
        victim = newest_of_furthest(s, 1, false, NULL);
    WEIR_ASSERT(victim != NULL && s->running_count > 1);
    return victim;
}

/* All who run are paused, and keep out one who could run. */
static struct engine_task *victim_of_standstill(const struct engine_sched *s)
{
    const struct engine_task *next = engine_vtc_first(s->vtc);
    if (next == NULL || anything_runs(s) || engine_sched_fits(s, next))
        return NULL;
    return newest_of_furthest(s, 1, true, NULL);
}

/* The next one finds no room, and its tenant has less than it should. */
static struct engine_task *victim_of_turn(const struct engine_sched *s, uint32_t tokens_max)
{
    const struct engine_task *next = engine_vtc_first(s->vtc);
    if (s->options.lag_tokens == 0 || next == NULL || engine_sched_fits(s, next))
        return NULL;
    const struct engine_tenant *tenant = next->vtc.tenant;
    uint64_t claim = engine_vtc_claim(tenant);
    uint64_t lag = engine_vtc_cost(s->options.lag_tokens, 1, ENGINE_VTC_WEIGHT_USUAL);
    struct engine_task *victim = newest_of_furthest(s, 2, false, tenant);
    bool at_once = tenant->running == 0 && victim != NULL;
    if (victim == NULL)
        victim = newest_of_furthest(s, 1, false, tenant);
    if (victim == NULL || victim->computed > tokens_max)
        return NULL;
    /* As it will be without the victim, or that one would be the next. */
    uint64_t theirs = engine_vtc_claim(victim->vtc.tenant) -
                      engine_vtc_cost(victim->prompt_count - victim->charged, ENGINE_VTC_PROMPT,
                                      victim->vtc.tenant->weight);
    if (theirs < claim + (at_once ? 0 : lag))
        return NULL;
    /* One must do. Else the next one waits, and what becomes free is kept for it. */
    uint64_t need = engine_sched_need(s, next);
    uint64_t all = (uint64_t)s->options.sequences * s->options.context;
    if (s->options.cache_tokens < all)
        need += (s->running_count - UINT64_C(1)) * ENGINE_SCHED_BLOCK;
    return cache_free(s) + victim->reserved >= need ? victim : NULL;
}

/* Of the tenant, other than `but`, whose claim is greatest among those with so many running. */
static struct engine_task *newest_of_furthest(const struct engine_sched *s, uint32_t running_min,
                                              bool paused_only, const struct engine_tenant *but)
{
    struct engine_task *found = NULL;
    for (uint32_t i = 0; i < s->options.sequences; i++) {
        struct engine_task *task = s->running[i];
        if (task == NULL || (paused_only && !task->paused))
            continue;
        const struct engine_tenant *tenant = task->vtc.tenant;
        if (tenant == but || tenant->running < running_min)
            continue;
        if (found == NULL) {
            found = task;
            continue;
        }
        uint64_t claim = engine_vtc_claim(tenant), most = engine_vtc_claim(found->vtc.tenant);
        if (claim > most || (claim == most && task->admitted > found->admitted))
            found = task;
    }
    return found;
}

static uint64_t cache_free(const struct engine_sched *s)
{
    return s->options.cache_tokens - s->cache_held;
}

static bool anything_runs(const struct engine_sched *s)
{
    for (uint32_t i = 0; i < s->options.sequences; i++)
        if (s->running[i] != NULL && !s->running[i]->paused)
            return true;
    return false;
}
