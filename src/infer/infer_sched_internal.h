/* infer_sched_internal: what the files of the scheduler share: infer_sched.c has the life of a
 * task, infer_sched_room.c the account of the cache and who has to go, infer_sched_plan.c the
 * steps. */
#pragma once
#include "infer_sched.h"

struct infer_sched {
    struct infer_sched_options options;
    struct infer_vtc *vtc;
    struct infer_task **running; /* by sequence number; NULL: free */
    uint32_t running_count, prompting;
    uint64_t cache_held;
    uint64_t admitted;  /* how many were let in so far */
    uint64_t preempted; /* how many had to go */
    uint32_t output_usual;
    bool refreshed;            /* the counters, for the step being made */
    bool gave_way;             /* somebody went in this step for fairness' sake: one is enough */
    struct infer_task *chosen; /* by make_room, until it is preempted */
    struct infer_chunk *chunks;
    uint32_t *share; /* by sequence number: prompt tokens of the step being planned */
};

/* Tokens that a task knows and that are not in the cache. */
static inline uint32_t infer_sched_left(const struct infer_task *task)
{
    return task->prompt_count + task->output - task->computed;
}

/* Of those, what one chunk may have. */
static inline uint32_t infer_sched_chunk_max(const struct infer_task *task)
{
    uint32_t left = infer_sched_left(task), to_cut = task->cut - task->computed;
    return task->cut > task->computed && to_cut < left ? to_cut : left;
}

/* Brings the counters up to date, once per step. */
void infer_sched_refresh(struct infer_sched *sched);
/* What the task would hold when it was let in now, and whether there is so much. */
uint32_t infer_sched_need(const struct infer_sched *sched, const struct infer_task *task);
bool infer_sched_fits(const struct infer_sched *sched, const struct infer_task *task);
