#include "infer_sched.h"
#include <stdlib.h>

/* Below so many tokens a chunk is not worth its share of a step. */
enum { SHARE_MIN = 64 };

struct infer_sched {
    struct infer_sched_options options;
    struct infer_turn *turn;
    struct infer_task **running; /* by sequence number; NULL: free */
    uint32_t running_count, prompting;
    uint32_t next_prompt; /* sequence number at which the round of prompts goes on */
    uint64_t cache_held;
    struct infer_chunk *chunks;
    uint32_t *share; /* by sequence number: prompt tokens of the step being planned */
};

static uint32_t writing_rows(const struct infer_sched *s);
static void share_budget(struct infer_sched *s, uint32_t budget);
static uint32_t prompt_left(const struct infer_task *task);
static int32_t lowest_free(const struct infer_sched *s);
static void *allocate(size_t count, size_t size);

struct infer_sched *infer_sched_new(const struct infer_sched_options *options)
{
    WEIR_ASSERT(options->sequences > 0 && options->batch >= options->sequences);
    WEIR_ASSERT(options->prompt_budget > 0 && options->cache_tokens >= options->context);
    struct infer_sched *s = allocate(1, sizeof *s);
    s->options = *options;
    s->turn = infer_turn_new();
    s->running = allocate(options->sequences, sizeof(struct infer_task *));
    s->chunks = allocate(options->sequences, sizeof *s->chunks);
    s->share = allocate(options->sequences, sizeof *s->share);
    return s;
}

void infer_sched_free(struct infer_sched *s)
{
    if (s == NULL)
        return;
    WEIR_ASSERT(s->running_count == 0 && s->cache_held == 0);
    infer_turn_free(s->turn);
    free(s->running);
    free(s->chunks);
    free(s->share);
    free(s);
}

void infer_sched_add(struct infer_sched *s, struct infer_task *task)
{
    WEIR_ASSERT(task->prompt_count > 0 && task->output_max > 0);
    WEIR_ASSERT((uint64_t)task->prompt_count + task->output_max <= s->options.context);
    task->state = INFER_TASK_WAITING;
    task->sequence = -1;
    task->computed = task->output = task->reserved = 0;
    infer_turn_add(s->turn, task);
}

int32_t infer_sched_drop(struct infer_sched *s, struct infer_task *task)
{
    WEIR_ASSERT(task->state != INFER_TASK_OUT);
    if (task->state == INFER_TASK_WAITING)
        infer_turn_remove(s->turn, task);
    if (task->state == INFER_TASK_PROMPT)
        s->prompting--;
    task->state = INFER_TASK_OUT;
    int32_t sequence = task->sequence;
    if (sequence < 0)
        return -1;
    WEIR_ASSERT(s->running[sequence] == task && s->cache_held >= task->reserved);
    s->running[sequence] = NULL;
    s->running_count--;
    s->cache_held -= task->reserved;
    task->reserved = 0;
    task->sequence = -1;
    return sequence;
}

/* Strictly in turn: a task too big for what is free now holds up those behind it, so that small
 * ones cannot keep it out for ever. */
void infer_sched_admit(struct infer_sched *s)
{
    struct infer_task *task;
    while ((task = infer_turn_first(s->turn)) != NULL) {
        int32_t sequence = lowest_free(s);
        uint32_t need = task->prompt_count + task->output_max;
        if (sequence < 0 || s->options.cache_tokens - s->cache_held < need)
            return;
        infer_turn_take(s->turn, task);
        task->state = INFER_TASK_PROMPT;
        task->sequence = sequence;
        task->reserved = need;
        s->running[sequence] = task;
        s->running_count++;
        s->prompting++;
        s->cache_held += need;
    }
}

void infer_sched_restored(struct infer_sched *s, struct infer_task *task, uint32_t tokens)
{
    WEIR_ASSERT(task->state == INFER_TASK_PROMPT && s->running[task->sequence] == task);
    WEIR_ASSERT(task->computed == 0 && tokens < task->prompt_count);
    task->computed = tokens;
}

void infer_sched_plan(struct infer_sched *s, struct infer_plan *plan)
{
    infer_sched_admit(s);
    uint32_t writing = writing_rows(s), budget = s->options.batch - writing;
    if (writing > 0 && budget > s->options.prompt_budget)
        budget = s->options.prompt_budget;
    share_budget(s, budget);
    *plan = (struct infer_plan){.chunks = s->chunks};
    for (uint32_t i = 0; i < s->options.sequences; i++) {
        struct infer_task *task = s->running[i];
        if (task == NULL || task->paused)
            continue;
        bool writes = task->state == INFER_TASK_WRITING;
        uint32_t count = writes ? 1 : s->share[i];
        if (count == 0)
            continue;
        bool wants = writes || task->computed + count == task->prompt_count;
        plan->chunks[plan->count++] = (struct infer_chunk){task, task->computed, count, wants};
        plan->rows += count;
    }
    WEIR_ASSERT(plan->rows <= s->options.batch);
}

void infer_sched_advance(struct infer_sched *s, const struct infer_plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        struct infer_task *task = plan->chunks[i].task;
        task->computed += plan->chunks[i].count;
        WEIR_ASSERT(task->computed <= task->reserved);
        if (task->state == INFER_TASK_PROMPT && task->computed == task->prompt_count) {
            task->state = INFER_TASK_WRITING;
            s->prompting--;
        }
    }
}

bool infer_sched_output(struct infer_sched *s, struct infer_task *task)
{
    (void)s;
    WEIR_ASSERT(task->state == INFER_TASK_WRITING && task->output < task->output_max);
    task->output++;
    return task->output < task->output_max;
}

bool infer_sched_move(const struct infer_sched *s, struct infer_move *out)
{
    if (infer_turn_count(s->turn) > 0 || s->running_count < 2)
        return false;
    uint32_t low = 0, high = s->options.sequences - 1;
    while (s->running[low] == NULL)
        low++;
    while (s->running[high] == NULL)
        high--;
    if (high - low + 1 == s->running_count)
        return false; /* a gap below them all costs nothing */
    while (s->running[low] != NULL)
        low++;
    *out = (struct infer_move){s->running[high], (int32_t)low};
    return true;
}

void infer_sched_moved(struct infer_sched *s, const struct infer_move *move)
{
    WEIR_ASSERT(s->running[move->to] == NULL && s->running[move->task->sequence] == move->task);
    s->running[move->task->sequence] = NULL;
    s->running[move->to] = move->task;
    move->task->sequence = move->to;
}

struct infer_sched_counts infer_sched_counts(const struct infer_sched *s)
{
    struct infer_sched_counts counts = {
        .waiting = infer_turn_count(s->turn),
        .prompting = s->prompting,
        .writing = s->running_count - s->prompting,
        .sequences_free = s->options.sequences - s->running_count,
        .cache_held = s->cache_held,
    };
    for (uint32_t i = 0; i < s->options.sequences; i++)
        counts.paused += s->running[i] != NULL && s->running[i]->paused;
    return counts;
}

static uint32_t writing_rows(const struct infer_sched *s)
{
    uint32_t rows = 0;
    for (uint32_t i = 0; i < s->options.sequences; i++) {
        const struct infer_task *task = s->running[i];
        rows += task != NULL && !task->paused && task->state == INFER_TASK_WRITING;
    }
    return rows;
}

/* First one token to each prompt; then fair shares to as many as can have SHARE_MIN, at least two,
 * beginning where the last round ended; what the short ones leave goes to whoever comes next. */
static void share_budget(struct infer_sched *s, uint32_t budget)
{
    uint32_t sequences = s->options.sequences, prompts = 0, start = s->next_prompt;
    for (uint32_t k = 0; k < sequences; k++) {
        uint32_t i = (start + k) % sequences;
        const struct infer_task *task = s->running[i];
        s->share[i] = 0;
        if (task == NULL || task->paused || task->state != INFER_TASK_PROMPT || budget == 0)
            continue;
        s->share[i] = 1;
        budget--;
        prompts++;
    }
    if (prompts == 0)
        return;
    uint32_t sharing = budget / SHARE_MIN < 2 ? 2 : budget / SHARE_MIN;
    uint32_t each = budget / (sharing < prompts ? sharing : prompts) + 1;
    for (int round = 0; round < 2; round++)
        for (uint32_t k = 0; k < sequences && budget > 0; k++) {
            uint32_t i = (start + k) % sequences;
            if (s->share[i] == 0)
                continue;
            uint32_t more = prompt_left(s->running[i]) - s->share[i];
            if (more > budget)
                more = budget;
            if (round == 0 && more > each)
                more = each;
            s->share[i] += more;
            budget -= more;
            if (round == 0 && more > 0)
                s->next_prompt = (i + 1) % sequences;
        }
}

static uint32_t prompt_left(const struct infer_task *task)
{
    uint32_t end = task->prompt_count;
    if (task->cut > task->computed && task->cut < end)
        end = task->cut;
    return end - task->computed;
}

static int32_t lowest_free(const struct infer_sched *s)
{
    for (uint32_t i = 0; i < s->options.sequences; i++)
        if (s->running[i] == NULL)
            return (int32_t)i;
    return -1;
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    WEIR_ASSERT(memory != NULL);
    return memory;
}
