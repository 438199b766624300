#include "engine_internal.h"
#include "engine_prefix.h"
#include "log.h"
#include <stdlib.h>

enum {
    KEPT_TOKENS_MIN = 16,    /* computing fewer anew takes less than keeping them */
    COMPUTED_AGAIN_MAX = 256 /* so many are computed again for another's turn */
};

static uint32_t tokens_to_give(const struct engine *e);
static void keep(struct engine *e, struct engine_request *r);
static void bring_back(struct engine *e, struct engine_request *r);
static void close_gaps(struct engine *e);

bool engine_make_room(struct engine *e)
{
    struct engine_task *task;
    bool any = false;
    while ((task = engine_sched_make_room(e->sched, tokens_to_give(e))) != NULL) {
        keep(e, engine_request_of(task));
        e->backend->ops->clear(e->backend, engine_sched_preempt(e->sched, task));
        any = true;
    }
    return any;
}

/* What a prompt lacks once its known beginning is copied decides who else is let in; and whoever is
 * to be moved is moved before there is more to be copied. */
void engine_admit(struct engine *e)
{
    bool any;
    do {
        struct engine_demand demand = engine_sched_demand(e->sched);
        uint32_t prompts_max = engine_pace_prompts(&e->pace, &demand);
        struct engine_task *task;
        any = false;
        while ((task = engine_sched_admit(e->sched, prompts_max)) != NULL) {
            struct engine_request *r = engine_request_of(task);
            any = true;
            if (r->kept != NULL)
                bring_back(e, r);
        }
        close_gaps(e);
        engine_prefix_restore(e);
    } while (any);
}

void engine_unkeep(struct engine *e, struct engine_request *r)
{
    e->kept_bytes -= r->kept_bytes;
    r->kept_bytes = 0;
    free(TAKE(r->kept));
}

/* As many as there is memory to keep. */
static uint32_t tokens_to_give(const struct engine *e)
{
    uint64_t all = (uint64_t)e->facts.parallel * e->facts.context;
    uint64_t each = e->facts.kv_bytes / all + 1,
             free_bytes = e->options.kept_bytes_max - e->kept_bytes;
    uint64_t tokens = free_bytes / each;
    return tokens < COMPUTED_AGAIN_MAX ? COMPUTED_AGAIN_MAX
           : tokens < UINT32_MAX       ? (uint32_t)tokens
                                       : UINT32_MAX;
}

/* The limit is looked at before the memory is asked for; without room it is computed again. */
static void keep(struct engine *e, struct engine_request *r)
{
    const struct engine_backend_ops *ops = e->backend->ops;
    WEIR_ASSERT(r->kept == NULL);
    if (ops->state_size == NULL || r->task.computed < KEPT_TOKENS_MIN)
        return;
    size_t size = ops->state_size(e->backend, r->task.sequence);
    if (size == 0 || size > e->options.kept_bytes_max - e->kept_bytes)
        return;
    uint8_t *kept = malloc(size);
    if (kept == NULL || ops->state_save(e->backend, r->task.sequence, kept, size) != size) {
        free(kept);
        return;
    }
    r->kept = kept;
    r->kept_bytes = size;
    r->kept_tokens = r->task.computed;
    e->kept_bytes += size;
}

static void bring_back(struct engine *e, struct engine_request *r)
{
    int32_t sequence = r->task.sequence;
    if (e->backend->ops->state_load(e->backend, sequence, r->kept, r->kept_bytes)) {
        engine_sched_restored(e->sched, &r->task, r->kept_tokens);
    } else {
        LOG_WARN("the kept cache of a request could not be loaded: it is computed again",
                 LOG_INT("tokens", r->kept_tokens));
        e->backend->ops->clear(e->backend, sequence);
    }
    engine_unkeep(e, r);
}

static void close_gaps(struct engine *e)
{
    struct engine_move move;
    while (engine_sched_move(e->sched, &move)) {
        if (move.task->computed > 0 &&
            !e->backend->ops->move(e->backend, move.task->sequence, move.to))
            return;
        engine_sched_moved(e->sched, &move);
    }
}
