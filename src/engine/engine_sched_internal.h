/* engine_sched_internal: what the files of the scheduler share: engine_sched.c has the life of a
 * task, engine_sched_room.c the account of the cache and who has to go, engine_sched_plan.c the
 * steps, engine_sched_groups.c whose step it is and where in the batch each stands. */
#pragma once
#include "engine_sched.h"

enum { ENGINE_SCHED_SHARED_STEPS = 1000 };

struct engine_sched {
    struct engine_sched_options options;
    struct engine_vtc *vtc;
    struct engine_task **running; /* by sequence number; NULL: free */
    uint32_t running_count, prompting;
    uint64_t cache_held;
    uint64_t admitted;  /* how many were let in so far */
    uint64_t preempted; /* how many had to go */
    uint32_t output_usual;
    uint64_t last_tenant; /* who asked last */
    uint32_t alone;       /* steps since another one asked; SHARED_STEPS and more: nobody did */
    bool asked;           /* last_tenant is set */
    bool prompted[ENGINE_SCHED_GROUPS_MAX]; /* its last step was one of prompts */
    bool refreshed;                         /* the counters, for the step being made */
    bool gave_way;              /* somebody went in this step for fairness' sake: one is enough */
    struct engine_task *chosen; /* by make_room, until it is preempted */
    struct engine_chunk *chunks;
    uint32_t *share; /* by sequence number: prompt tokens of the step being planned */
    uint32_t waited[ENGINE_SCHED_GROUPS_MAX]; /* steps since its last, while it has rows */
};

/* Tokens that a task knows and that are not in the cache. */
static inline uint32_t engine_sched_left(const struct engine_task *task)
{
    return task->prompt_count + task->output - task->computed;
}

/* Of those, what one chunk may have. */
static inline uint32_t engine_sched_chunk_max(const struct engine_task *task)
{
    uint32_t left = engine_sched_left(task), to_cut = task->cut - task->computed;
    return task->cut > task->computed && to_cut < left ? to_cut : left;
}

/* Whose the next step is, and how many groups have something to compute. */
struct engine_sched_turn {
    uint32_t group, groups;
};
struct engine_sched_turn engine_sched_turn(const struct engine_sched *sched);
/* The step was planned. */
void engine_sched_took_turn(struct engine_sched *sched, uint32_t group);
/* A free sequence number for one of the group. */
int32_t engine_sched_place(const struct engine_sched *sched, uint32_t group);

/* Brings the counters up to date, once per step. */
void engine_sched_refresh(struct engine_sched *sched);
/* What the task would hold when it was let in now, and whether there is so much. */
uint32_t engine_sched_need(const struct engine_sched *sched, const struct engine_task *task);
bool engine_sched_fits(const struct engine_sched *sched, const struct engine_task *task);
