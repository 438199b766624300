/* The steps: who gets how many rows, and what follows from them. */
#include "engine_sched_internal.h"

/* Smaller pieces of a prompt are not worth their share of a step: rows of unlike number are
 * computed one after the other, and each time the weights are read. */
enum { SLICE = 64 };

static void share_budget(struct engine_sched *s, uint32_t group, uint32_t budget);
static struct engine_task *next_to_share(const struct engine_sched *s, uint32_t group,
                                         uint32_t budget, uint32_t limit);
static uint32_t share_max(const struct engine_task *task, uint32_t budget, uint32_t limit);
static bool comes_before(const struct engine_task *a, const struct engine_task *b);
static bool writes(const struct engine_sched *s, const struct engine_tenant *tenant);
static bool has_prompt(const struct engine_task *task);

struct engine_demand engine_sched_demand(const struct engine_sched *s)
{
    struct engine_sched_turn turn = engine_sched_turn(s);
    struct engine_demand demand = {.other_groups = turn.groups > 0 ? turn.groups - 1 : 0};
    const struct engine_task *first = NULL;
    for (uint32_t i = 0; i < s->options.sequences; i++) {
        const struct engine_task *task = s->running[i];
        if (task == NULL || task->paused)
            continue;
        if (task->group != turn.group) {
            demand.other_writers += !has_prompt(task);
            continue;
        }
        if (!has_prompt(task)) {
            demand.writers++;
            continue;
        }
        demand.prompts++;
        demand.prompt_tokens += engine_sched_left(task);
        if ((first == NULL || comes_before(task, first)) && !writes(s, task->vtc.tenant))
            first = task;
    }
    uint32_t free = s->options.sequences - s->running_count, waiting = engine_vtc_waiting(s->vtc);
    demand.waiting = waiting < free ? waiting : free;
    demand.first_tokens =
        first != NULL && demand.writers + demand.other_writers > 0 ? engine_sched_left(first) : 0;
    demand.shared = s->alone < ENGINE_SCHED_SHARED_STEPS;
    demand.prompts_next = demand.prompts > 0 && (demand.writers == 0 || !s->prompted[turn.group]);
    return demand;
}

void engine_sched_plan(struct engine_sched *s, uint32_t prompt_budget, struct engine_plan *plan)
{
    bool prompts = prompt_budget > 0;
    uint32_t group = engine_sched_turn(s).group;
    if (prompts)
        share_budget(s, group, prompt_budget < s->options.batch ? prompt_budget : s->options.batch);
    *plan = (struct engine_plan){.chunks = s->chunks, .group = group};
    for (uint32_t i = 0; i < s->options.sequences; i++) {
        struct engine_task *task = s->running[i];
        if (task == NULL || task->paused || task->group != group)
            continue;
        bool writing = !has_prompt(task);
        uint32_t count = prompts ? s->share[i] : writing ? 1 + task->ahead : 1;
        WEIR_ASSERT(task->ahead == 0 || (writing && task->computed + count <= task->reserved &&
                                         task->output + count <= task->output_max));
        if (count == 0)
            continue;
        bool wants = (writing && !prompts) || count == engine_sched_left(task);
        plan->chunks[plan->count++] = (struct engine_chunk){task, task->computed, count, wants};
        plan->rows += count;
    }
    WEIR_ASSERT(plan->rows <= s->options.batch);
    s->prompted[group] = prompts;
    s->alone += s->alone < ENGINE_SCHED_SHARED_STEPS && plan->rows > 0;
    s->refreshed = s->gave_way = false;
    engine_sched_took_turn(s, group);
}

void engine_sched_advance(struct engine_sched *s, const struct engine_plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        struct engine_task *task = plan->chunks[i].task;
        task->computed += plan->chunks[i].count - task->ahead;
        task->ahead = 0;
        WEIR_ASSERT(task->computed <= task->reserved);
        uint32_t prompt = task->computed < task->prompt_count ? task->computed : task->prompt_count;
        if (prompt > task->charged)
            engine_vtc_prompt(s->vtc, task, prompt - task->charged, false);
        if (task->state == ENGINE_TASK_PROMPT && engine_sched_left(task) == 0) {
            task->state = ENGINE_TASK_WRITING;
            s->prompting--;
        }
    }
    engine_vtc_worked(s->vtc, plan->rows);
}

void engine_sched_right(struct engine_sched *s, struct engine_task *task)
{
    (void)s;
    WEIR_ASSERT(task->state == ENGINE_TASK_WRITING && engine_sched_left(task) == 1);
    WEIR_ASSERT(task->computed < task->reserved);
    task->computed++;
}

bool engine_sched_output(struct engine_sched *s, struct engine_task *task)
{
    WEIR_ASSERT(task->state == ENGINE_TASK_WRITING && task->output < task->output_max);
    WEIR_ASSERT(engine_sched_left(task) == 0);
    engine_vtc_output(s->vtc, task, 1);
    task->output++;
    return task->output < task->output_max;
}

/* In slices. One that is not done by it gets at most three quarters as long as others want any. */
static void share_budget(struct engine_sched *s, uint32_t group, uint32_t budget)
{
    uint32_t limit = budget - budget / 4, all = budget;
    for (uint32_t i = 0; i < s->options.sequences; i++)
        s->share[i] = 0;
    while (budget > 0) {
        struct engine_task *task = next_to_share(s, group, all, limit);
        if (task == NULL && limit == UINT32_MAX)
            break;
        if (task == NULL) {
            limit = UINT32_MAX;
            continue;
        }
        uint32_t *share = &s->share[task->sequence];
        uint32_t more = share_max(task, all, limit) - *share;
        if (more > SLICE)
            more = SLICE;
        if (more > budget)
            more = budget;
        *share += more;
        budget -= more;
        struct engine_tenant *tenant = task->vtc.tenant;
        tenant->given += engine_vtc_cost(more, ENGINE_VTC_PROMPT, tenant->weight);
    }
}

/* NULL when all have what they can use, or are at the limit. */
static struct engine_task *next_to_share(const struct engine_sched *s, uint32_t group,
                                         uint32_t budget, uint32_t limit)
{
    struct engine_task *best = NULL;
    for (uint32_t i = 0; i < s->options.sequences; i++) {
        struct engine_task *task = s->running[i];
        if (task != NULL && task->group == group && !task->paused && has_prompt(task) &&
            s->share[i] < share_max(task, budget, limit) &&
            (best == NULL || comes_before(task, best)))
            best = task;
    }
    return best;
}

static uint32_t share_max(const struct engine_task *task, uint32_t budget, uint32_t limit)
{
    uint32_t most = engine_sched_chunk_max(task);
    bool done = most <= budget && most == engine_sched_left(task);
    return done || most < limit ? most : limit;
}

/* The tenant that got least; within a tenant as they were in the queue. */
static bool comes_before(const struct engine_task *a, const struct engine_task *b)
{
    const struct engine_tenant *x = a->vtc.tenant, *y = b->vtc.tenant;
    if (x == y)
        return a->vtc.key < b->vtc.key || (a->vtc.key == b->vtc.key && a->admitted < b->admitted);
    return x->counter + x->given < y->counter + y->given;
}

static bool writes(const struct engine_sched *s, const struct engine_tenant *tenant)
{
    for (uint32_t i = 0; i < s->options.sequences; i++) {
        const struct engine_task *task = s->running[i];
        if (task != NULL && !task->paused && !has_prompt(task) && task->vtc.tenant == tenant)
            return true;
    }
    return false;
}

static bool has_prompt(const struct engine_task *task)
{
    return task->state == ENGINE_TASK_PROMPT;
}
