/* Whose step it is: groups, prompts and writers, and who is let in for it. */
#include "engine_sched_test.h"

static uint32_t holes_of(struct engine_task *tasks, size_t count, uint32_t group)
{
    int32_t low = INT32_MAX, high = -1;
    uint32_t many = 0;
    for (size_t i = 0; i < count; i++)
        if (tasks[i].group == group && tasks[i].sequence >= 0) {
            low = tasks[i].sequence < low ? tasks[i].sequence : low;
            high = tasks[i].sequence > high ? tasks[i].sequence : high;
            many++;
        }
    return many == 0 ? 0 : (uint32_t)(high - low) + 1 - many;
}

/* Two groups whose tasks come mixed: each step holds one of them, and they take turns. */
static void groups_take_turns(void **state)
{
    (void)state;
    struct engine_sched *sched = engine_sched_new(&usual);
    struct engine_task tasks[6];
    struct engine_plan plan;
    for (uint32_t i = 0; i < ARRAY_LEN(tasks); i++) {
        tasks[i] = task_of(20, 100, i == 5 ? 2 : 1);
        tasks[i].group = i % 2;
        engine_sched_add(sched, &tasks[i]);
    }
    admit_all(sched);
    assert_int_equal(holes_of(tasks, 6, 0) + holes_of(tasks, 6, 1), 0);
    uint32_t last = 2, before[2] = {0};
    for (int i = 0; i < 40; i++) {
        struct engine_demand demand = engine_sched_demand(sched);
        engine_sched_plan(sched, demand.prompts_next ? BUDGET : 0, &plan);
        assert_int_not_equal(plan.group, last);
        last = plan.group;
        assert_int_equal(demand.writers + demand.prompts, 3);
        assert_int_equal(demand.other_groups, 1);
        assert_int_equal(demand.other_writers, before[1 - last] > 0 ? 3 : 0);
        assert_int_equal(plan.count, 3);
        engine_sched_advance(sched, &plan);
        for (uint32_t k = 0; k < plan.count; k++) {
            assert_int_equal(plan.chunks[k].task->group, last);
            if (plan.chunks[k].wants_output)
                assert_true(engine_sched_output(sched, plan.chunks[k].task));
        }
        before[last]++;
    }
    for (uint32_t i = 0; i < ARRAY_LEN(tasks); i++)
        assert_in_range(tasks[i].output, 19, 20);
    /* Who is paused has no turn; one group alone has every step. */
    tasks[1].paused = tasks[3].paused = tasks[5].paused = true;
    for (int i = 0; i < 3; i++) {
        engine_sched_plan(sched, 0, &plan);
        assert_int_equal(plan.group, 0);
        assert_int_equal(engine_sched_demand(sched).other_groups, 0);
        engine_sched_advance(sched, &plan);
        for (uint32_t k = 0; k < plan.count; k++)
            assert_true(engine_sched_output(sched, plan.chunks[k].task));
    }
    for (uint32_t i = 0; i < ARRAY_LEN(tasks); i++)
        engine_sched_drop(sched, &tasks[i]);
    engine_sched_free(sched);
}

/* A full house: one of the first group ends, one of the second takes its number, and changes places
 * with the first group's last: one copy, since it has nothing yet. */
static void groups_stand_together(void **state)
{
    (void)state;
    struct engine_sched *sched = engine_sched_new(&usual);
    struct engine_task tasks[SEQUENCES + 1];
    struct engine_move move;
    for (uint32_t i = 0; i < SEQUENCES; i++) {
        tasks[i] = task_of(5, 50, 1);
        tasks[i].group = i < 5 ? 0 : 1;
        engine_sched_add(sched, &tasks[i]);
    }
    step(sched);
    step(sched);
    assert_false(engine_sched_move(sched, &move));
    int32_t edge = tasks[0].sequence;
    for (uint32_t i = 0; i < 5; i++)
        edge = tasks[i].sequence > edge ? tasks[i].sequence : edge;
    engine_sched_drop(sched, &tasks[0]);
    tasks[SEQUENCES] = task_of(5, 50, 1);
    tasks[SEQUENCES].group = 1;
    engine_sched_add(sched, &tasks[SEQUENCES]);
    admit_all(sched);
    assert_int_equal(tasks[SEQUENCES].sequence, 0);
    assert_true(engine_sched_move(sched, &move));
    assert_int_equal(move.task->sequence, edge);
    assert_int_equal(move.to, 0);
    engine_sched_moved(sched, &move);
    assert_int_equal(tasks[SEQUENCES].sequence, edge);
    assert_int_equal(holes_of(tasks + 1, SEQUENCES, 0) + holes_of(tasks + 1, SEQUENCES, 1), 0);
    assert_false(engine_sched_move(sched, &move));
    for (uint32_t i = 1; i <= SEQUENCES; i++)
        engine_sched_drop(sched, &tasks[i]);
    engine_sched_free(sched);
}

/* Prompts, then writers, in which each prompt has a row so that there is no gap. */
static void steps_take_turns(void **state)
{
    (void)state;
    struct engine_sched *sched = engine_sched_new(&usual);
    struct engine_task writer = task_of(1, 100, 1), a = task_of(300, 2, 1), b = task_of(60, 2, 2);
    struct engine_plan plan;
    engine_sched_add(sched, &writer);
    half_step(sched);
    struct engine_demand demand = engine_sched_demand(sched);
    assert_true(demand.writers == 1 && demand.prompts == 0 && !demand.prompts_next);
    engine_sched_add(sched, &a);
    engine_sched_add(sched, &b);
    demand = engine_sched_demand(sched);
    assert_int_equal(demand.waiting, 2);
    admit_all(sched);
    half_step(sched); /* the last one was of prompts */
    assert_int_equal(writer.output, 2);
    assert_int_equal(a.computed, 1);
    demand = engine_sched_demand(sched);
    assert_true(demand.prompts_next && demand.prompts == 2 && demand.waiting == 0);
    assert_int_equal(demand.prompt_tokens, 358);
    assert_int_equal(demand.first_tokens, 59); /* nobody writes for the second tenant */
    engine_sched_plan(sched, 59, &plan);
    assert_int_equal(plan.count, 1);
    assert_ptr_equal(plan.chunks[0].task, &b);
    assert_true(plan.chunks[0].wants_output); /* it is done by it, so it has all */
    engine_sched_advance(sched, &plan);
    assert_true(engine_sched_output(sched, &b));
    demand = engine_sched_demand(sched);
    assert_true(!demand.prompts_next && demand.writers == 2 && demand.first_tokens == 0);
    engine_sched_plan(sched, 0, &plan);
    assert_int_equal(plan.rows, 3);
    engine_sched_advance(sched, &plan);
    engine_sched_drop(sched, &writer);
    engine_sched_drop(sched, &a);
    engine_sched_drop(sched, &b);
    engine_sched_free(sched);
}

/* Whether others came of late is told, for some time. */
static void who_came_of_late(void **state)
{
    (void)state;
    struct engine_sched *sched = engine_sched_new(&usual);
    struct engine_task tasks[3] = {task_of(1, 10, 7), task_of(1, 500, 8), task_of(1, 500, 8)};
    engine_sched_add(sched, &tasks[0]);
    assert_false(engine_sched_demand(sched).shared);
    engine_sched_drop(sched, &tasks[0]);
    engine_sched_add(sched, &tasks[1]);
    assert_true(engine_sched_demand(sched).shared);
    while (tasks[1].state != ENGINE_TASK_OUT)
        step(sched);
    engine_sched_add(sched, &tasks[2]); /* the same one */
    assert_true(engine_sched_demand(sched).shared);
    while (tasks[2].state != ENGINE_TASK_OUT)
        step(sched);
    assert_false(engine_sched_demand(sched).shared);
    engine_sched_free(sched);
}

/* Of many short prompts no more are under way than a step can take, but for other tenants. */
static void prompts_are_let_in_when_they_are_needed(void **state)
{
    (void)state;
    struct engine_sched *sched = engine_sched_new(&usual);
    struct engine_task many[6], other = task_of(50, 10, 2);
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        many[i] = task_of(30, 10, 1);
        engine_sched_add(sched, &many[i]);
    }
    struct engine_plan plan;
    assert_ptr_equal(engine_sched_admit(sched, 40), &many[0]);
    assert_ptr_equal(engine_sched_admit(sched, 40), &many[1]); /* two, to be sure */
    assert_null(engine_sched_admit(sched, 40));
    engine_sched_add(sched, &other); /* it need not wait for them */
    assert_ptr_equal(engine_sched_admit(sched, 40), &other);
    assert_null(engine_sched_admit(sched, 40));
    assert_ptr_equal(engine_sched_admit(sched, 140), &many[2]);
    assert_null(engine_sched_admit(sched, 140)); /* 30 each, and 50 */
    engine_sched_plan(sched, 120, &plan);
    assert_int_equal(plan.rows, 120);
    engine_sched_advance(sched, &plan); /* 20 are left */
    assert_ptr_equal(engine_sched_admit(sched, 40), &many[3]);
    many[3].paused = true; /* it takes part in no step */
    assert_ptr_equal(engine_sched_admit(sched, 40), &many[4]);
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        engine_sched_drop(sched, &many[i]);
    engine_sched_drop(sched, &other);
    engine_sched_free(sched);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_take_turns),
        cmocka_unit_test(groups_stand_together),
        cmocka_unit_test(steps_take_turns),
        cmocka_unit_test(who_came_of_late),
        cmocka_unit_test(prompts_are_let_in_when_they_are_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
