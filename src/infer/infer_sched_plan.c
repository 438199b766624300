/* The steps: who gets how many rows, and what follows from them. */
#include "infer_sched_internal.h"

/* Smaller pieces of a prompt are not worth their share of a step: rows of unlike number are
 * computed one after the other, and each time the weights are read. */
enum { SLICE = 64 };

static void share_budget(struct infer_sched *s, uint32_t budget);
static struct infer_task *next_to_share(const struct infer_sched *s, uint32_t limit);
static bool comes_before(const struct infer_task *a, const struct infer_task *b);
static bool wants_prompt_rows(const struct infer_task *task);

struct infer_demand infer_sched_demand(const struct infer_sched *s)
{
    struct infer_demand demand = {0};
    for (uint32_t i = 0; i < s->options.sequences; i++) {
        const struct infer_task *task = s->running[i];
        if (task == NULL || task->paused)
            continue;
        if (task->state == INFER_TASK_WRITING) {
            demand.writers++;
        } else {
            demand.prompts++;
            demand.prompt_tokens += infer_sched_left(task);
        }
    }
    return demand;
}

void infer_sched_plan(struct infer_sched *s, uint32_t prompt_budget, struct infer_plan *plan)
{
    WEIR_ASSERT(prompt_budget > 0);
    uint32_t room = s->options.batch - infer_sched_demand(s).writers;
    share_budget(s, prompt_budget < room ? prompt_budget : room);
    *plan = (struct infer_plan){.chunks = s->chunks};
    for (uint32_t i = 0; i < s->options.sequences; i++) {
        struct infer_task *task = s->running[i];
        if (task == NULL || task->paused)
            continue;
        uint32_t count = task->state == INFER_TASK_WRITING ? 1 : s->share[i];
        if (count == 0)
            continue;
        bool wants = count == infer_sched_left(task);
        plan->chunks[plan->count++] = (struct infer_chunk){task, task->computed, count, wants};
        plan->rows += count;
    }
    WEIR_ASSERT(plan->rows <= s->options.batch);
    s->refreshed = s->gave_way = false;
}

void infer_sched_advance(struct infer_sched *s, const struct infer_plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        struct infer_task *task = plan->chunks[i].task;
        task->computed += plan->chunks[i].count;
        WEIR_ASSERT(task->computed <= task->reserved);
        uint32_t prompt = task->computed < task->prompt_count ? task->computed : task->prompt_count;
        if (prompt > task->charged)
            infer_vtc_prompt(s->vtc, task, prompt - task->charged, false);
        if (task->state == INFER_TASK_PROMPT && infer_sched_left(task) == 0) {
            task->state = INFER_TASK_WRITING;
            s->prompting--;
        }
    }
    infer_vtc_worked(s->vtc, plan->rows);
}

bool infer_sched_output(struct infer_sched *s, struct infer_task *task)
{
    WEIR_ASSERT(task->state == INFER_TASK_WRITING && task->output < task->output_max);
    WEIR_ASSERT(infer_sched_left(task) == 0);
    infer_vtc_output(s->vtc, task, 1);
    task->output++;
    return task->output < task->output_max;
}

/* First one token to each prompt, then slices in turn. One task gets at most three quarters as long
 * as others want any. */
static void share_budget(struct infer_sched *s, uint32_t budget)
{
    uint32_t limit = budget - budget / 4;
    for (uint32_t i = 0; i < s->options.sequences; i++) {
        s->share[i] = budget > 0 && wants_prompt_rows(s->running[i]) ? 1 : 0;
        budget -= s->share[i];
    }
    while (budget > 0) {
        struct infer_task *task = next_to_share(s, limit);
        if (task == NULL && limit == UINT32_MAX)
            break;
        if (task == NULL) {
            limit = UINT32_MAX;
            continue;
        }
        uint32_t *share = &s->share[task->sequence];
        uint32_t more = infer_sched_chunk_max(task) - *share;
        if (more > SLICE)
            more = SLICE;
        if (more > budget)
            more = budget;
        if (more > limit - *share)
            more = limit - *share;
        *share += more;
        budget -= more;
        struct infer_tenant *tenant = task->vtc.tenant;
        tenant->given += infer_vtc_cost(more, INFER_VTC_PROMPT, tenant->weight);
    }
}

/* NULL when all have what they can use, or are at the limit. */
static struct infer_task *next_to_share(const struct infer_sched *s, uint32_t limit)
{
    struct infer_task *best = NULL;
    for (uint32_t i = 0; i < s->options.sequences; i++) {
        struct infer_task *task = s->running[i];
        if (s->share[i] > 0 && s->share[i] < infer_sched_chunk_max(task) && s->share[i] < limit &&
            (best == NULL || comes_before(task, best)))
            best = task;
    }
    return best;
}

/* The tenant that got least; within a tenant as they were in the queue. */
static bool comes_before(const struct infer_task *a, const struct infer_task *b)
{
    const struct infer_tenant *x = a->vtc.tenant, *y = b->vtc.tenant;
    if (x == y)
        return a->vtc.key < b->vtc.key || (a->vtc.key == b->vtc.key && a->admitted < b->admitted);
    return x->counter + x->given < y->counter + y->given;
}

static bool wants_prompt_rows(const struct infer_task *task)
{
    return task != NULL && !task->paused && task->state == INFER_TASK_PROMPT;
}
