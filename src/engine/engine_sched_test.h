/* engine_sched_test: a scheduler driven as the engine does it, for its tests. */
#pragma once
#include "engine_sched.h"
#include "check.h"

enum { SEQUENCES = 8, CONTEXT = 512, BATCH = 256, BUDGET = 96 };

static const struct engine_sched_options usual = {
    .sequences = SEQUENCES,
    .context = CONTEXT,
    .cache_tokens = SEQUENCES * CONTEXT,
    .batch = BATCH,
};

static inline struct engine_task task_of(uint32_t prompt, uint32_t output, uint64_t tenant)
{
    return (struct engine_task){
        .prompt_count = prompt, .output_max = output, .tenant = tenant, .state = ENGINE_TASK_OUT};
}

static inline void admit_all(struct engine_sched *sched)
{
    while (engine_sched_admit(sched, UINT32_MAX) != NULL) {
    }
}

/* One step as the engine does it; tasks that are through are dropped. Returns the rows. */
static inline uint32_t half_step(struct engine_sched *sched)
{
    struct engine_plan plan;
    struct engine_task *task;
    while ((task = engine_sched_make_room(sched, UINT32_MAX)) != NULL)
        assert_true(engine_sched_preempt(sched, task) >= 0);
    admit_all(sched);
    struct engine_demand demand = engine_sched_demand(sched);
    uint32_t budget = demand.writers > 0 ? BUDGET : BATCH;
    engine_sched_plan(sched, demand.prompts_next ? budget : 0, &plan);
    engine_sched_advance(sched, &plan);
    for (uint32_t i = 0; i < plan.count; i++)
        if (plan.chunks[i].wants_output && !engine_sched_output(sched, plan.chunks[i].task))
            assert_true(engine_sched_drop(sched, plan.chunks[i].task) >= 0);
    return plan.rows;
}

/* One of each kind where there are both. */
static inline uint32_t step(struct engine_sched *sched)
{
    admit_all(sched);
    struct engine_demand demand = engine_sched_demand(sched);
    uint32_t rows = half_step(sched);
    return demand.prompts > 0 && demand.writers > 0 ? rows + half_step(sched) : rows;
}
