#include "engine_sched.h"
#include "check.h"
#include <stdlib.h>

static struct engine_task task_of(uint64_t tenant, uint32_t prompt, uint32_t weight)
{
    return (struct engine_task){
        .tenant = tenant, .prompt_count = prompt, .output_max = 1, .weight = weight};
}

/* Lets in whose turn it is, computes its prompt and `output` tokens, and ends it. */
static struct engine_task *serve(struct engine_vtc *vtc, uint32_t output)
{
    engine_vtc_refresh(vtc);
    struct engine_task *task = engine_vtc_first(vtc);
    if (task == NULL)
        return NULL;
    engine_vtc_take(vtc, task);
    engine_vtc_prompt(vtc, task, task->prompt_count, false);
    engine_vtc_output(vtc, task, output);
    engine_vtc_worked(vtc, task->prompt_count + output);
    engine_vtc_leave(vtc, task);
    return task;
}

static void by_weight(void **state)
{
    (void)state;
    struct engine_vtc *vtc = engine_vtc_new();
    static struct engine_task tasks[3][200];
    static const uint32_t weights[] = {100, 200, 400};
    uint32_t served[3] = {0};
    for (size_t t = 0; t < 3; t++)
        for (size_t i = 0; i < 200; i++) {
            tasks[t][i] = task_of(t, 10, weights[t]);
            engine_vtc_enter(vtc, &tasks[t][i]);
        }
    assert_int_equal(engine_vtc_waiting(vtc), 600);
    for (int i = 0; i < 210; i++)
        served[serve(vtc, 5)->tenant]++;
    assert_in_range(served[0], 29, 31); /* 30, 60, 120 */
    assert_in_range(served[1], 59, 61);
    assert_in_range(served[2], 119, 121);
    for (size_t t = 0; t < 3; t++)
        for (size_t i = 0; i < 200; i++)
            if (tasks[t][i].vtc.tenant != NULL)
                engine_vtc_leave(vtc, &tasks[t][i]);
    assert_null(engine_vtc_first(vtc));
    engine_vtc_free(vtc);
    engine_vtc_free(NULL);
}

/* Who was away for long gets no more than its share when it comes back. */
static void nobody_saves_up(void **state)
{
    (void)state;
    struct engine_vtc *vtc = engine_vtc_new();
    static struct engine_task heavy[100], light[50];
    for (size_t i = 0; i < 100; i++) {
        heavy[i] = task_of(1, 100, 0);
        engine_vtc_enter(vtc, &heavy[i]);
    }
    light[0] = task_of(2, 100, 0);
    engine_vtc_enter(vtc, &light[0]);
    for (int i = 0; i < 50; i++)
        assert_non_null(serve(vtc, 10));
    for (size_t i = 1; i < 50; i++) {
        light[i] = task_of(2, 100, 0);
        engine_vtc_enter(vtc, &light[i]);
    }
    int lights = 0;
    for (int i = 0; i < 20; i++)
        lights += serve(vtc, 10)->tenant == 2;
    assert_in_range(lights, 9, 11);
    while (serve(vtc, 10) != NULL) {
    }
    engine_vtc_free(vtc);
}

/* When nobody was there, a newcomer begins where the last one ended, and not before it. */
static void a_newcomer_to_an_empty_house(void **state)
{
    (void)state;
    struct engine_vtc *vtc = engine_vtc_new();
    struct engine_task a = task_of(1, 1000, 0), b = task_of(2, 10, 0), c = task_of(1, 10, 0);
    engine_vtc_enter(vtc, &a);
    assert_ptr_equal(serve(vtc, 100), &a);
    engine_vtc_refresh(vtc);
    engine_vtc_enter(vtc, &b);
    engine_vtc_refresh(vtc);
    assert_int_equal(b.vtc.tenant->counter,
                     engine_vtc_cost(1000 + 100 * ENGINE_VTC_OUTPUT, 1, ENGINE_VTC_WEIGHT_USUAL));
    engine_vtc_enter(vtc, &c);
    assert_ptr_equal(serve(vtc, 0), &b);
    assert_ptr_equal(serve(vtc, 0), &c);
    engine_vtc_free(vtc);
}

/* What was let in and is not computed yet counts for who is next, and not for what was got. */
static void pending_counts_for_the_next(void **state)
{
    (void)state;
    struct engine_vtc *vtc = engine_vtc_new();
    struct engine_task a[2] = {task_of(1, 100, 0), task_of(1, 100, 0)}, b = task_of(2, 300, 0);
    engine_vtc_enter(vtc, &a[0]);
    engine_vtc_enter(vtc, &a[1]);
    engine_vtc_enter(vtc, &b);
    engine_vtc_refresh(vtc);
    assert_ptr_equal(engine_vtc_first(vtc), &a[0]);
    engine_vtc_take(vtc, &a[0]);
    assert_ptr_equal(engine_vtc_first(vtc), &b);
    engine_vtc_take(vtc, &b);
    assert_ptr_equal(engine_vtc_first(vtc), &a[1]);
    assert_int_equal(a[0].vtc.tenant->counter, 0);
    engine_vtc_prompt(vtc, &b, 200, true); /* found in a cache */
    assert_int_equal(b.vtc.tenant->pending, 100);
    assert_int_equal(b.vtc.tenant->counter, 0);
    engine_vtc_back(vtc, &b);
    engine_vtc_leave(vtc, &a[0]); /* cancelled: nothing is paid for what was not computed */
    assert_int_equal(a[1].vtc.tenant->pending, 0);
    assert_int_equal(a[1].vtc.tenant->counter, 0);
    engine_vtc_take(vtc, &b);
    assert_int_equal(b.vtc.tenant->pending, 100);
    engine_vtc_leave(vtc, &b);
    engine_vtc_leave(vtc, &a[1]);
    engine_vtc_free(vtc);
}

static void order_within_a_tenant(void **state)
{
    (void)state;
    struct engine_vtc *vtc = engine_vtc_new();
    struct engine_task tasks[5] = {task_of(1, 300, 0), task_of(1, 20, 0), task_of(1, 300, 0),
                                   task_of(1, 5, 0), task_of(1, 20, 0)};
    static const int order[] = {3, 1, 4, 0, 2};
    for (size_t i = 0; i < ARRAY_LEN(tasks); i++)
        engine_vtc_enter(vtc, &tasks[i]);
    engine_vtc_refresh(vtc);
    tasks[3].paused = true; /* it is passed over, and keeps its place */
    assert_ptr_equal(engine_vtc_first(vtc), &tasks[1]);
    tasks[3].paused = false;
    engine_vtc_take(vtc, &tasks[2]);
    engine_vtc_take(vtc, &tasks[0]);
    engine_vtc_back(vtc, &tasks[2]); /* before all others, the last one first */
    engine_vtc_back(vtc, &tasks[0]);
    assert_ptr_equal(engine_vtc_first(vtc), &tasks[0]);
    engine_vtc_take(vtc, &tasks[0]);
    assert_ptr_equal(engine_vtc_first(vtc), &tasks[2]);
    engine_vtc_take(vtc, &tasks[2]);
    engine_vtc_leave(vtc, &tasks[2]);
    engine_vtc_leave(vtc, &tasks[0]);
    for (size_t i = 0; i < 3; i++)
        assert_ptr_equal(serve(vtc, 0), &tasks[order[i]]);
    engine_vtc_free(vtc);
}

/* A paused tenant does not hold the mark down to which newcomers are lifted. */
static void paused_is_not_hungry(void **state)
{
    (void)state;
    struct engine_vtc *vtc = engine_vtc_new();
    static struct engine_task heavy[40];
    struct engine_task held = task_of(1, 10, 0), late = task_of(3, 10, 0);
    engine_vtc_enter(vtc, &held);
    engine_vtc_refresh(vtc);
    held.paused = true;
    for (size_t i = 0; i < 40; i++) {
        heavy[i] = task_of(2, 100, 0);
        engine_vtc_enter(vtc, &heavy[i]);
    }
    for (int i = 0; i < 20; i++)
        assert_int_equal(serve(vtc, 0)->tenant, 2);
    engine_vtc_enter(vtc, &late);
    held.paused = false; /* it comes back as a newcomer does */
    engine_vtc_refresh(vtc);
    assert_true(late.vtc.tenant->counter >= engine_vtc_cost(1900, 1, ENGINE_VTC_WEIGHT_USUAL));
    assert_int_equal(held.vtc.tenant->counter, late.vtc.tenant->counter);
    while (serve(vtc, 0) != NULL) {
    }
    engine_vtc_free(vtc);
}

/* A hundred thousand tenants, one after the other: few are remembered, and who is ahead is not let
 * off by that. */
static void tenants_are_forgotten(void **state)
{
    (void)state;
    struct engine_vtc *vtc = engine_vtc_new();
    struct engine_task heavy = task_of(7, 5000, 0), again = task_of(7, 10, 0), passer, first,
                       second;
    engine_vtc_enter(vtc, &heavy);
    assert_ptr_equal(serve(vtc, 5000), &heavy);
    size_t most = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        passer = task_of(1000 + i, 1 + (uint32_t)(i % 50), 0);
        engine_vtc_enter(vtc, &passer);
        assert_ptr_equal(serve(vtc, 1), &passer);
        size_t tenants = engine_vtc_tenants(vtc);
        most = tenants > most ? tenants : most;
    }
    assert_true(most < 1000);
    first = task_of(5, 10, 0);
    second = task_of(5, 10, 0);
    engine_vtc_enter(vtc, &again);
    engine_vtc_enter(vtc, &first);
    engine_vtc_enter(vtc, &second);
    engine_vtc_refresh(vtc);
    assert_int_equal(again.vtc.tenant->counter, first.vtc.tenant->counter);
    while (serve(vtc, 0) != NULL) {
    }
    engine_vtc_free(vtc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_weight),
        cmocka_unit_test(nobody_saves_up),
        cmocka_unit_test(a_newcomer_to_an_empty_house),
        cmocka_unit_test(pending_counts_for_the_next),
        cmocka_unit_test(order_within_a_tenant),
        cmocka_unit_test(paused_is_not_hungry),
        cmocka_unit_test(tenants_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
