#include "engine_sched.h"
#include "engine_sched_internal.h"
#include <stdlib.h>

enum { OUTPUT_USUAL_FIRST = 128 };

static bool enough_prompts(const struct engine_sched *s, const struct engine_task *task,
                           uint32_t prompts_max);
static int32_t leave_sequence(struct engine_sched *s, struct engine_task *task);
static void set_state(struct engine_sched *s, struct engine_task *task);

struct engine_sched *engine_sched_new(const struct engine_sched_options *options)
{
    WEIR_ASSERT(options->sequences > 0 && options->batch >= options->sequences);
    WEIR_ASSERT(options->cache_tokens >= options->context);
    struct engine_sched *s = base_alloc(sizeof *s);
    s->options = *options;
    s->vtc = engine_vtc_new();
    s->output_usual = OUTPUT_USUAL_FIRST;
    s->alone = ENGINE_SCHED_SHARED_STEPS;
    s->running = base_alloc(options->sequences * sizeof(struct engine_task *));
    s->chunks = base_alloc(options->sequences * sizeof *s->chunks);
    s->share = base_alloc(options->sequences * sizeof *s->share);
    return s;
}

void engine_sched_free(struct engine_sched *s)
{
    if (s == NULL)
        return;
    WEIR_ASSERT(s->running_count == 0 && s->cache_held == 0);
    engine_vtc_free(s->vtc);
    free(s->running);
    free(s->chunks);
    free(s->share);
    free(s);
}

void engine_sched_add(struct engine_sched *s, struct engine_task *task)
{
    WEIR_ASSERT(task->prompt_count > 0 && task->output_max > 0);
    WEIR_ASSERT(task->group < ENGINE_SCHED_GROUPS_MAX);
    WEIR_ASSERT((uint64_t)task->prompt_count + task->output_max <= s->options.context);
    task->state = ENGINE_TASK_WAITING;
    task->sequence = -1;
    task->ahead = task->computed = task->output = task->reserved = task->charged =
        task->preemptions = 0;
    engine_vtc_enter(s->vtc, task);
    if (s->asked && task->tenant != s->last_tenant)
        s->alone = 0;
    s->asked = true;
    s->last_tenant = task->tenant;
    s->refreshed = false;
}

int32_t engine_sched_drop(struct engine_sched *s, struct engine_task *task)
{
    WEIR_ASSERT(task->state != ENGINE_TASK_OUT);
    int32_t sequence = task->sequence;
    if (sequence >= 0)
        leave_sequence(s, task);
    if (task->output > 0) /* a moving average of the length of answers */
        s->output_usual = (uint32_t)((s->output_usual * UINT64_C(15) + task->output + 15) / 16);
    engine_vtc_leave(s->vtc, task);
    task->state = ENGINE_TASK_OUT;
    if (s->chosen == task)
        s->chosen = NULL;
    return sequence;
}

int32_t engine_sched_preempt(struct engine_sched *s, struct engine_task *task)
{
    WEIR_ASSERT(task->sequence >= 0 && task == s->chosen);
    int32_t sequence = leave_sequence(s, task);
    engine_vtc_back(s->vtc, task);
    task->state = ENGINE_TASK_WAITING;
    task->computed = 0;
    task->preemptions++;
    s->preempted++;
    s->chosen = NULL;
    return sequence;
}

/* Strictly in turn: a task too big for what is free now holds up those behind it, so that small
 * ones cannot keep it out for ever. */
struct engine_task *engine_sched_admit(struct engine_sched *s, uint32_t prompts_max)
{
    engine_sched_refresh(s);
    struct engine_task *task = engine_vtc_first(s->vtc);
    if (task == NULL || !engine_sched_fits(s, task) || enough_prompts(s, task, prompts_max))
        return NULL;
    engine_vtc_take(s->vtc, task);
    task->sequence = engine_sched_place(s, task->group);
    task->reserved = engine_sched_need(s, task);
    task->admitted = ++s->admitted;
    s->running[task->sequence] = task;
    s->running_count++;
    s->cache_held += task->reserved;
    set_state(s, task);
    return task;
}

/* One that comes back had been let in before, and most of what it knows may have been kept. */
static bool enough_prompts(const struct engine_sched *s, const struct engine_task *task,
                           uint32_t prompts_max)
{
    uint32_t prompts = 0;
    uint64_t left = 0;
    bool of_its_tenant = false;
    if (task->preemptions > 0)
        return false;
    for (uint32_t i = 0; i < s->options.sequences; i++) {
        const struct engine_task *other = s->running[i];
        if (other == NULL || other->paused || other->state != ENGINE_TASK_PROMPT)
            continue;
        prompts++;
        left += engine_sched_chunk_max(other);
        of_its_tenant |= other->vtc.tenant == task->vtc.tenant;
    }
    return of_its_tenant && prompts >= 2 && left >= prompts_max;
}

void engine_sched_restored(struct engine_sched *s, struct engine_task *task, uint32_t count)
{
    WEIR_ASSERT(task->sequence >= 0 && task->computed == 0 && count <= task->reserved);
    WEIR_ASSERT(count < task->prompt_count + task->output);
    uint32_t prompt = count < task->prompt_count ? count : task->prompt_count;
    if (prompt > task->charged)
        engine_vtc_prompt(s->vtc, task, prompt - task->charged, true);
    if (task->state == ENGINE_TASK_PROMPT)
        s->prompting--;
    task->computed = count;
    set_state(s, task);
}

struct engine_sched_counts engine_sched_counts(const struct engine_sched *s)
{
    struct engine_sched_counts counts = {
        .waiting = engine_vtc_waiting(s->vtc),
        .prompting = s->prompting,
        .writing = s->running_count - s->prompting,
        .sequences_free = s->options.sequences - s->running_count,
        .cache_held = s->cache_held,
        .output_usual = s->output_usual,
        .preempted = s->preempted,
    };
    for (uint32_t i = 0; i < s->options.sequences; i++)
        counts.paused += s->running[i] != NULL && s->running[i]->paused;
    return counts;
}

void engine_sched_refresh(struct engine_sched *s)
{
    if (!s->refreshed)
        engine_vtc_refresh(s->vtc);
    s->refreshed = true;
}

static int32_t leave_sequence(struct engine_sched *s, struct engine_task *task)
{
    int32_t sequence = task->sequence;
    WEIR_ASSERT(s->running[sequence] == task && s->cache_held >= task->reserved);
    if (task->state == ENGINE_TASK_PROMPT)
        s->prompting--;
    s->running[sequence] = NULL;
    s->running_count--;
    s->cache_held -= task->reserved;
    task->reserved = 0;
    task->sequence = -1;
    return sequence;
}

/* It writes when all that it lacks is the token written last. */
static void set_state(struct engine_sched *s, struct engine_task *task)
{
    bool writes = task->output > 0 && engine_sched_left(task) == 1;
    task->state = writes ? ENGINE_TASK_WRITING : ENGINE_TASK_PROMPT;
    if (!writes)
        s->prompting++;
}
