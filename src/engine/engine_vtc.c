#include "engine_vtc.h"
#include "engine_sched.h"
#include <stdlib.h>

/* Tenants without a task that are remembered because they are ahead. */
enum { BUCKETS = 1024, IDLE_MAX = 256 };

struct engine_vtc {
    struct engine_tenant *buckets[BUCKETS]; /* by id */
    struct engine_tenant *all;
    struct engine_tenant *last_hungry; /* the one that was hungry last, when nobody is */
    uint64_t floor;                    /* no newcomer begins lower; never falls */
    uint64_t worked;
    uint64_t served;
    uint32_t waiting;
    size_t tenants, idle;
};

static struct engine_tenant *find_or_add(struct engine_vtc *vtc, uint64_t id);
static void queue(struct engine_tenant *tenant, struct engine_task *task, int64_t key);
static void unqueue(struct engine_vtc *vtc, struct engine_task *task);
static void leave_running(struct engine_task *task);
static struct engine_task *first_of(const struct engine_tenant *tenant);
static bool comes_before(const struct engine_tenant *a, const struct engine_tenant *b);
static bool is_hungry(const struct engine_tenant *tenant);
static void became_idle(struct engine_vtc *vtc);
static void forget(struct engine_vtc *vtc, struct engine_tenant *tenant);
static uint32_t uncharged(const struct engine_task *task);

struct engine_vtc *engine_vtc_new(void)
{
    return base_alloc(sizeof(struct engine_vtc));
}

void engine_vtc_free(struct engine_vtc *vtc)
{
    if (vtc == NULL)
        return;
    while (vtc->all != NULL) {
        WEIR_ASSERT(vtc->all->waiting == 0 && vtc->all->running == 0);
        forget(vtc, vtc->all);
    }
    free(vtc);
}

void engine_vtc_enter(struct engine_vtc *vtc, struct engine_task *task)
{
    WEIR_ASSERT(task->vtc.tenant == NULL && task->weight <= ENGINE_VTC_WEIGHT_MAX);
    struct engine_tenant *tenant = find_or_add(vtc, task->tenant);
    if (tenant->waiting + tenant->running == 0) {
        vtc->idle--;
        tenant->served = ++vtc->served; /* in a tie it comes after those who wait already */
    }
    tenant->weight = task->weight == 0 ? ENGINE_VTC_WEIGHT_USUAL : task->weight;
    task->vtc = (struct engine_vtc_place){.tenant = tenant};
    queue(tenant, task, (int64_t)(vtc->worked + (uint64_t)task->prompt_count * ENGINE_VTC_AGEING));
    vtc->waiting++;
}

/* Those who stay hungry set the mark to which the others are lifted; when there are none, the one
 * who was hungry last does. */
void engine_vtc_refresh(struct engine_vtc *vtc)
{
    uint64_t least = UINT64_MAX;
    for (struct engine_tenant *t = vtc->all; t != NULL; t = t->after) {
        t->given = 0;
        if (t->hungry && is_hungry(t) && t->counter < least)
            least = t->counter;
    }
    if (least == UINT64_MAX && vtc->last_hungry != NULL)
        least = vtc->last_hungry->counter;
    if (least != UINT64_MAX && least > vtc->floor)
        vtc->floor = least;
    for (struct engine_tenant *t = vtc->all; t != NULL; t = t->after) {
        bool hungry = is_hungry(t);
        if (hungry && !t->hungry && t->counter < vtc->floor)
            t->counter = vtc->floor;
        if (hungry || t->hungry)
            vtc->last_hungry = t;
        t->hungry = hungry;
    }
}

struct engine_task *engine_vtc_first(const struct engine_vtc *vtc)
{
    const struct engine_tenant *best = NULL;
    for (const struct engine_tenant *t = vtc->all; t != NULL; t = t->after)
        if (first_of(t) != NULL && (best == NULL || comes_before(t, best)))
            best = t;
    return best == NULL ? NULL : first_of(best);
}

void engine_vtc_take(struct engine_vtc *vtc, struct engine_task *task)
{
    struct engine_tenant *tenant = task->vtc.tenant;
    unqueue(vtc, task);
    tenant->running++;
    tenant->pending += uncharged(task);
    tenant->served = ++vtc->served;
}

void engine_vtc_back(struct engine_vtc *vtc, struct engine_task *task)
{
    struct engine_tenant *tenant = task->vtc.tenant;
    leave_running(task);
    int64_t first = tenant->first == NULL ? 0 : tenant->first->vtc.key;
    queue(tenant, task, (first < 0 ? first : 0) - 1); /* the keys of the others are not below 0 */
    vtc->waiting++;
}

void engine_vtc_leave(struct engine_vtc *vtc, struct engine_task *task)
{
    struct engine_tenant *tenant = task->vtc.tenant;
    WEIR_ASSERT(tenant != NULL);
    if (task->vtc.queued)
        unqueue(vtc, task);
    else
        leave_running(task);
    task->vtc = (struct engine_vtc_place){0};
    if (tenant->waiting + tenant->running == 0) {
        vtc->idle++;
        became_idle(vtc);
    }
}

void engine_vtc_prompt(struct engine_vtc *vtc, struct engine_task *task, uint32_t tokens,
                       bool free_of)
{
    (void)vtc;
    struct engine_tenant *tenant = task->vtc.tenant;
    WEIR_ASSERT(tenant->pending >= tokens && uncharged(task) >= tokens && !task->vtc.queued);
    task->charged += tokens;
    tenant->pending -= tokens;
    if (!free_of)
        tenant->counter += engine_vtc_cost(tokens, ENGINE_VTC_PROMPT, tenant->weight);
}

void engine_vtc_output(struct engine_vtc *vtc, struct engine_task *task, uint32_t tokens)
{
    (void)vtc;
    struct engine_tenant *tenant = task->vtc.tenant;
    tenant->counter += engine_vtc_cost(tokens, ENGINE_VTC_OUTPUT, tenant->weight);
}

void engine_vtc_worked(struct engine_vtc *vtc, uint64_t rows)
{
    vtc->worked += rows;
}

uint64_t engine_vtc_claim(const struct engine_tenant *tenant)
{
    return tenant->counter + engine_vtc_cost(tenant->pending, ENGINE_VTC_PROMPT, tenant->weight);
}

uint64_t engine_vtc_id(struct text tenant)
{
    uint64_t hash = 0xcbf29ce484222325U; /* FNV-1a */
    for (size_t i = 0; i < tenant.len; i++)
        hash = (hash ^ (unsigned char)tenant.at[i]) * 0x100000001b3U;
    return hash;
}

uint32_t engine_vtc_waiting(const struct engine_vtc *vtc)
{
    return vtc->waiting;
}

size_t engine_vtc_tenants(const struct engine_vtc *vtc)
{
    return vtc->tenants;
}

/* A new one counts as idle, since it has no task yet. */
static struct engine_tenant *find_or_add(struct engine_vtc *vtc, uint64_t id)
{
    struct engine_tenant **bucket = &vtc->buckets[id % BUCKETS];
    for (struct engine_tenant *t = *bucket; t != NULL; t = t->chain)
        if (t->id == id)
            return t;
    struct engine_tenant *tenant = base_alloc(sizeof *tenant);
    *tenant = (struct engine_tenant){.id = id, .chain = *bucket, .after = vtc->all};
    if (vtc->all != NULL)
        vtc->all->before = tenant;
    *bucket = vtc->all = tenant;
    vtc->tenants++;
    vtc->idle++;
    return tenant;
}

/* Behind all whose key is not greater; most come in order, so the search begins at the end. */
static void queue(struct engine_tenant *tenant, struct engine_task *task, int64_t key)
{
    struct engine_task *before = tenant->last;
    while (before != NULL && before->vtc.key > key)
        before = before->vtc.before;
    struct engine_task *after = before != NULL ? before->vtc.after : tenant->first;
    task->vtc.key = key;
    task->vtc.queued = true;
    task->vtc.before = before;
    task->vtc.after = after;
    if (before != NULL)
        before->vtc.after = task;
    else
        tenant->first = task;
    if (after != NULL)
        after->vtc.before = task;
    else
        tenant->last = task;
    tenant->waiting++;
}

static void unqueue(struct engine_vtc *vtc, struct engine_task *task)
{
    struct engine_vtc_place *place = &task->vtc;
    WEIR_ASSERT(place->queued);
    if (place->before != NULL)
        place->before->vtc.after = place->after;
    else
        place->tenant->first = place->after;
    if (place->after != NULL)
        place->after->vtc.before = place->before;
    else
        place->tenant->last = place->before;
    place->before = place->after = NULL;
    place->queued = false;
    place->tenant->waiting--;
    vtc->waiting--;
}

static void leave_running(struct engine_task *task)
{
    struct engine_tenant *tenant = task->vtc.tenant;
    WEIR_ASSERT(!task->vtc.queued && tenant->running > 0 && tenant->pending >= uncharged(task));
    tenant->running--;
    tenant->pending -= uncharged(task);
}

static struct engine_task *first_of(const struct engine_tenant *tenant)
{
    struct engine_task *task = tenant->first;
    while (task != NULL && (task->paused || task->held))
        task = task->vtc.after;
    return task;
}

/* Between equals, who has nothing running, then who was served longer ago. */
static bool comes_before(const struct engine_tenant *a, const struct engine_tenant *b)
{
    uint64_t mine = engine_vtc_claim(a), theirs = engine_vtc_claim(b);
    if (mine != theirs)
        return mine < theirs;
    if ((a->running == 0) != (b->running == 0))
        return a->running == 0;
    return a->served < b->served;
}

static bool is_hungry(const struct engine_tenant *tenant)
{
    return tenant->pending > 0 || first_of(tenant) != NULL;
}

/* A tenant that is not above the floor comes back as a newcomer would: it need not be remembered.
 * Of the others so many are kept; who is least ahead loses least. */
static void became_idle(struct engine_vtc *vtc)
{
    if (vtc->idle <= IDLE_MAX)
        return;
    struct engine_tenant *next, *least = NULL;
    for (struct engine_tenant *t = vtc->all; t != NULL; t = next) {
        next = t->after;
        if (t->waiting + t->running > 0)
            continue;
        if (t->counter <= vtc->floor)
            forget(vtc, t);
        else if (least == NULL || t->counter < least->counter)
            least = t;
    }
    if (vtc->idle > IDLE_MAX) {
        WEIR_ASSERT(least != NULL);
        forget(vtc, least);
    }
}

static void forget(struct engine_vtc *vtc, struct engine_tenant *tenant)
{
    if (vtc->last_hungry == tenant) {
        vtc->last_hungry = NULL;
        vtc->floor = tenant->counter > vtc->floor ? tenant->counter : vtc->floor;
    }
    struct engine_tenant **link = &vtc->buckets[tenant->id % BUCKETS];
    while (*link != tenant)
        link = &(*link)->chain;
    *link = tenant->chain;
    if (tenant->before != NULL)
        tenant->before->after = tenant->after;
    else
        vtc->all = tenant->after;
    if (tenant->after != NULL)
        tenant->after->before = tenant->before;
    vtc->tenants--;
    vtc->idle--;
    free(tenant);
}

static uint32_t uncharged(const struct engine_task *task)
{
    return task->prompt_count - task->charged;
}
