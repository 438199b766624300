#include "engine_prefix.h"
#include "clock.h"
#include "machine.h"
#include "engine_radix.h"
#include "log.h"
#include <stdlib.h>

enum {
    GAIN_MIN = ENGINE_RADIX_BLOCK, /* tokens: for fewer nobody waits, and nothing is saved */
    RESTORE_MIN = 16,              /* tokens: fewer are computed as fast as copied */
    COPY_US_MIN = 20000,           /* see may_copy */
    HOLD_US_MAX = 120000000,       /* so long one prompt waits for another at most */
    LOOKED_AT_MAX = 512,           /* of those that wait; others are computed by themselves */
};
static const uint64_t bytes_usual = 512 * MIB;

struct engine_prefix {
    struct engine_radix *kept;
    struct engine_leaders *leaders; /* of the step being made */
    uint32_t window;
    int64_t copied_us; /* in this step */
    double token_us,
        byte_us; /* moving averages: computing one token, copying one byte; 0: unknown */
};

static void hold_one(struct engine *e, struct engine_request *r, int64_t now);
static const struct engine_beginnings *beginnings_of(struct engine_request *r);
static uint32_t done_blocks(const struct engine_request *r);
static struct engine_request *leader_of(struct engine *e, struct engine_request *r,
                                        uint32_t *common);
static void cut_at(struct engine_prefix *p, struct engine_request *r, uint32_t common);
static void enter(struct engine *e, struct engine_request *r);
static bool save_running(struct engine *e, const struct engine_request *r, uint32_t known);
static bool restore(struct engine *e, struct engine_request *r,
                    const struct engine_radix_found *found);
static bool worth(const struct engine_prefix *p, size_t bytes, uint32_t tokens);
static bool save(struct engine *e, struct engine_request *r);
static void copied(struct engine_prefix *p, int64_t began, size_t bytes);
static bool may_copy(const struct engine *e);
static uint32_t next_cut(const struct engine_request *r);
static bool same_scope(const struct engine_request *a, const struct engine_request *b);
static struct engine_radix_scope scope_of(const struct engine_request *r);
static void find(const struct engine *e, const struct engine_request *r, uint32_t count,
                 struct engine_radix_found *out);
static void publish_stats(struct engine *e);

void engine_prefix_open(struct engine *e)
{
    uint64_t bytes = e->options.prefix_bytes_max, left = machine_memory_free();
    if (bytes == 0)
        bytes = left > 0 && left / 8 < bytes_usual ? left / 8 : bytes_usual;
    if (e->options.prefix_off)
        return;
    if (e->facts.recurrent) {
        LOG_INFO("what this model remembers of a prompt cannot be cut: no prompt is kept");
        return;
    }
    struct engine_prefix *p = base_alloc(sizeof *p);
    p->window = e->facts.window;
    p->kept = engine_radix_new(&(struct engine_radix_options){
        .bytes_max = bytes,
        .scope_bytes_max = e->options.prefix_tenant_bytes_max,
        .window = p->window,
    });
    p->leaders = engine_leaders_new();
    e->prefix = p;
}

void engine_prefix_close(struct engine *e)
{
    if (e->prefix == NULL)
        return;
    engine_radix_free(e->prefix->kept);
    engine_leaders_free(e->prefix->leaders);
    free(e->prefix);
    e->prefix = NULL;
}

/* In order of arrival, so that the first of several alike is the one that the others wait for. */
void engine_prefix_hold(struct engine *e, int64_t now)
{
    struct engine_prefix *p = e->prefix;
    if (p == NULL)
        return;
    p->copied_us = 0;
    for (struct engine_request *r = e->first; r != NULL; r = r->after)
        if (r->task.state == ENGINE_TASK_WAITING && r->kept == NULL)
            r->prefix.entered = r->task.held = false;
    struct engine_sched_counts counts = engine_sched_counts(e->sched);
    if (counts.sequences_free == 0 || counts.waiting == 0)
        return; /* they wait for a sequence, and for no leader: their tenant's turn counts them */
    engine_leaders_clear(p->leaders);
    for (struct engine_request *l = e->first; l != NULL; l = l->after)
        if (l->task.state == ENGINE_TASK_PROMPT && (!l->task.paused || !l->prefix.entered))
            engine_leaders_add(p->leaders, beginnings_of(l), done_blocks(l), l);
    uint32_t looked_at = 0;
    for (struct engine_request *r = e->first; r != NULL; r = r->after) {
        if (r->task.state != ENGINE_TASK_WAITING)
            continue;
        if (++looked_at > LOOKED_AT_MAX)
            break;
        if (r->kept == NULL)
            hold_one(e, r, now);
        if (!r->task.held && !r->task.paused)
            engine_leaders_add(p->leaders, beginnings_of(r), 0, r);
    }
}

static void hold_one(struct engine *e, struct engine_request *r, int64_t now)
{
    uint32_t common = 0;
    struct engine_request *leader = leader_of(e, r, &common);
    if (leader == NULL) {
        r->prefix.held_us = 0;
        return;
    }
    if (r->prefix.held_us == 0 && leader->task.state == ENGINE_TASK_PROMPT)
        r->prefix.held_us = now;
    r->task.held = r->prefix.held_us == 0 || now - r->prefix.held_us <= HOLD_US_MAX;
    if (r->task.held)
        cut_at(e->prefix, leader, common);
}

/* Whose prompt, being computed or about to be, begins as r's does; NULL when it is not worth
 * waiting for. `*common`: how far. */
static struct engine_request *leader_of(struct engine *e, struct engine_request *r,
                                        uint32_t *common)
{
    uint32_t count = r->prompt_count - 1; /* the last one is always computed, for its logits */
    struct engine_request *leader = engine_leaders_find(e->prefix->leaders, beginnings_of(r));
    if (leader == NULL || !same_scope(leader, r))
        return NULL;
    uint32_t most = leader->prompt_count < count ? leader->prompt_count : count;
    *common = engine_radix_common(leader->prompt, r->prompt, most);
    if (*common < GAIN_MIN || leader->task.computed >= *common)
        return NULL;
    struct engine_radix_found found;
    find(e, r, count, &found);
    return *common >= found.tokens + GAIN_MIN ? leader : NULL;
}

/* It may still have to compute the part of a block that others share behind their last whole one.
 */
static uint32_t done_blocks(const struct engine_request *r)
{
    return r->task.computed < ENGINE_RADIX_BLOCK ? 0 : r->task.computed - ENGINE_RADIX_BLOCK;
}

static const struct engine_beginnings *beginnings_of(struct engine_request *r)
{
    if (!r->prefix.hashed)
        r->prefix.beginnings =
            engine_beginnings_of(r->task.tenant + r->task.group, r->prompt, r->prompt_count);
    r->prefix.hashed = true;
    return &r->prefix.beginnings;
}

/* `r` should stop after `common` tokens, so that its state is what another prompt can begin with.
 * Only with a sliding window: other states are cut to what is needed. */
static void cut_at(struct engine_prefix *p, struct engine_request *r, uint32_t common)
{
    if (p->window == 0 || common <= r->task.computed ||
        (r->prefix.share_at > r->task.computed && r->prefix.share_at < common))
        return;
    r->prefix.share_at = common;
    r->task.cut = next_cut(r);
}

static uint32_t next_cut(const struct engine_request *r)
{
    uint32_t a = r->prefix.share_at, b = r->prefix.end_at, done = r->task.computed;
    if (a <= done)
        return b > done ? b : 0;
    return b > done && b < a ? b : a;
}

void engine_prefix_restore(struct engine *e)
{
    if (e->prefix == NULL)
        return;
    for (struct engine_request *r = e->first; r != NULL; r = r->after) {
        if (r->task.state != ENGINE_TASK_PROMPT || r->task.computed > 0 || r->prefix.entered)
            continue;
        if (may_copy(e))
            enter(e, r);
        else
            r->task.paused = true; /* until the next step */
    }
    publish_stats(e);
}

static void enter(struct engine *e, struct engine_request *r)
{
    struct engine_prefix *p = e->prefix;
    uint32_t count = r->prompt_count + r->task.output - 1, cached = 0;
    struct engine_radix_found found;
    r->prefix.entered = true;
    find(e, r, count, &found);
    if (save_running(e, r, found.tokens))
        find(e, r, count, &found);
    if (found.entry != NULL && found.tokens >= RESTORE_MIN && restore(e, r, &found))
        cached = found.tokens;
    if (r->task.preemptions == 0) /* what is found when it comes back was its own */
        r->prefix.cached = cached;
    if (cached > 0) {
        engine_sched_restored(e->sched, &r->task, cached);
        atomic_fetch_add_explicit(&e->stats.prefix_hits, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&e->stats.prefix_tokens, cached, memory_order_relaxed);
    }
    if (p->window == 0)
        return;
    if (count >= cached + GAIN_MIN && r->prompt_count + r->task.output_max > p->window)
        r->prefix.end_at = count;
    if (found.common >= cached + GAIN_MIN)
        cut_at(p, r, found.common);
    r->task.cut = next_cut(r);
}

/* Saves what a running request has, when it has more than the `known` tokens that r could begin
 * with otherwise. */
static bool save_running(struct engine *e, const struct engine_request *r, uint32_t known)
{
    struct engine_request *best = NULL;
    uint32_t count = r->prompt_count + r->task.output - 1, best_usable = known;
    for (struct engine_request *l = e->first; l != NULL; l = l->after) {
        uint32_t has = l->task.sequence < 0 ? 0 : l->task.computed,
                 most = has < count ? has : count;
        if (l == r || most < best_usable + GAIN_MIN || !same_scope(l, r))
            continue;
        uint32_t common = engine_radix_common(l->prompt, r->prompt, most);
        uint32_t usable = engine_radix_usable(e->prefix->window, has, common);
        if (usable < best_usable + GAIN_MIN)
            continue;
        best = l;
        best_usable = usable;
    }
    return best != NULL && save(e, best);
}

static bool restore(struct engine *e, struct engine_request *r,
                    const struct engine_radix_found *found)
{
    const struct engine_backend_ops *ops = e->backend->ops;
    struct engine_prefix *p = e->prefix;
    int32_t sequence = r->task.sequence;
    size_t bytes;
    const void *blob = engine_radix_blob(found->entry, &bytes);
    if (!worth(p, bytes, found->tokens))
        return false;
    int64_t began = clock_mono_us();
    bool ok = ops->state_load(e->backend, sequence, blob, bytes);
    if (ok && !ops->trim(e->backend, sequence, found->tokens)) {
        ops->clear(e->backend, sequence);
        ok = false;
    }
    copied(p, began, bytes);
    if (ok)
        engine_radix_used(p->kept, found->entry);
    else
        engine_radix_remove(p->kept, found->entry);
    return ok;
}

/* Whether copying is cheaper than computing. */
static bool worth(const struct engine_prefix *p, size_t bytes, uint32_t tokens)
{
    return (double)bytes * p->byte_us < (double)tokens * p->token_us || p->token_us <= 0;
}

void engine_prefix_computed(struct engine *e, const struct engine_plan *plan, int64_t took_us)
{
    struct engine_prefix *p = e->prefix;
    uint32_t prompt_rows = 0;
    if (p == NULL)
        return;
    for (uint32_t i = 0; i < plan->count; i++) {
        struct engine_task *task = plan->chunks[i].task;
        if (plan->chunks[i].count > 1)
            prompt_rows += plan->chunks[i].count;
        if (task->cut == 0 || task->cut != task->computed)
            continue;
        struct engine_request *r = engine_request_of(task);
        (void)save(e, r);
        task->cut = next_cut(r);
    }
    if (prompt_rows >= GAIN_MIN / 2) {
        double now = (double)took_us / plan->rows;
        p->token_us = p->token_us <= 0 ? now : p->token_us + (now - p->token_us) / 8;
    }
}

/* What the next turn of the conversation will begin with. */
void engine_prefix_end(struct engine *e, struct engine_request *r)
{
    if (e->prefix == NULL || r->task.sequence < 0 || !may_copy(e))
        return;
    struct engine_radix_found found;
    find(e, r, r->task.computed, &found);
    if (r->task.computed >= found.tokens + GAIN_MIN)
        (void)save(e, r);
    publish_stats(e);
}

/* The state as it is now; all its tokens are known. */
static bool save(struct engine *e, struct engine_request *r)
{
    const struct engine_backend_ops *ops = e->backend->ops;
    struct engine_prefix *p = e->prefix;
    struct engine_radix_scope scope = scope_of(r);
    uint32_t count = r->task.computed;
    size_t size = ops->state_size(e->backend, r->task.sequence);
    if (count < GAIN_MIN || size == 0 || !worth(p, size, count))
        return false;
    int64_t began = clock_mono_us();
    struct engine_radix_entry *entry = engine_radix_put(p->kept, &scope, r->prompt, count, size);
    if (entry == NULL)
        return false;
    bool ok = ops->state_save(e->backend, r->task.sequence, engine_radix_blob(entry, &size),
                              size) == size;
    copied(p, began, size);
    if (!ok)
        engine_radix_remove(p->kept, entry);
    return ok;
}

static void copied(struct engine_prefix *p, int64_t began, size_t bytes)
{
    int64_t took = clock_mono_us() - began;
    double now = (double)took / (double)bytes;
    p->copied_us += took;
    p->byte_us = p->byte_us <= 0 ? now : p->byte_us + (now - p->byte_us) / 8;
}

/* In one step: a quarter of a step's time; as much as there is when nobody's next token waits. */
static bool may_copy(const struct engine *e)
{
    struct engine_sched_counts counts = engine_sched_counts(e->sched);
    int64_t quarter = atomic_load_explicit(&e->stats.step_us, memory_order_relaxed) / 4;
    return e->prefix->copied_us < (quarter > COPY_US_MIN ? quarter : COPY_US_MIN) ||
           counts.writing <= counts.paused;
}

static bool same_scope(const struct engine_request *a, const struct engine_request *b)
{
    return a->is_public == b->is_public && a->task.tenant == b->task.tenant &&
           a->task.group == b->task.group && text_equal(a->tenant, b->tenant);
}

static struct engine_radix_scope scope_of(const struct engine_request *r)
{
    return (struct engine_radix_scope){
        .tenant = r->tenant, .adapters = r->task.group, .is_public = r->is_public};
}

static void find(const struct engine *e, const struct engine_request *r, uint32_t count,
                 struct engine_radix_found *out)
{
    struct engine_radix_scope scope = scope_of(r);
    engine_radix_find(e->prefix->kept, &scope, r->prompt, count, out);
}

static void publish_stats(struct engine *e)
{
    struct engine_radix_stats stats = engine_radix_stats(e->prefix->kept);
    atomic_store_explicit(&e->stats.prefix_bytes, stats.bytes, memory_order_relaxed);
    atomic_store_explicit(&e->stats.prefix_entries, stats.entries, memory_order_relaxed);
    atomic_store_explicit(&e->stats.prefix_evicted, stats.evicted, memory_order_relaxed);
}
