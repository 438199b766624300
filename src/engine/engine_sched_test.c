#include "engine_sched_test.h"

static void one_task_from_start_to_end(void **state)
{
    (void)state;
    struct engine_sched *sched = engine_sched_new(&usual);
    struct engine_task task = task_of(300, 3, 1);
    engine_sched_add(sched, &task);
    assert_int_equal(engine_sched_counts(sched).waiting, 1);
    assert_int_equal(step(sched), BATCH); /* alone: the whole batch */
    assert_int_equal(task.sequence, 0);
    assert_int_equal(engine_sched_counts(sched).cache_held, 303);
    assert_int_equal(task.state, ENGINE_TASK_PROMPT);
    assert_int_equal(step(sched), 44); /* the prompt's last row gives the first token */
    assert_int_equal(task.output, 1);
    assert_int_equal(step(sched), 1);
    assert_int_equal(step(sched), 1);
    assert_int_equal(task.output, 3);
    assert_int_equal(task.computed, 302); /* the last token is never computed */
    assert_int_equal(task.state, ENGINE_TASK_OUT);
    assert_int_equal(step(sched), 0);
    assert_int_equal(engine_sched_counts(sched).cache_held, 0);
    engine_sched_free(sched);
    engine_sched_free(NULL);
}

static void prompts_share_and_writers_go_on(void **state)
{
    (void)state;
    struct engine_sched *sched = engine_sched_new(&usual);
    struct engine_task writer = task_of(1, 100, 1), a = task_of(400, 2, 1), b = task_of(400, 2, 2),
                       c = task_of(400, 2, 3);
    engine_sched_add(sched, &writer);
    step(sched);
    engine_sched_add(sched, &a);
    engine_sched_add(sched, &b);
    engine_sched_add(sched, &c);
    uint32_t written = writer.output, steps = 0;
    while (a.state != ENGINE_TASK_OUT || b.state != ENGINE_TASK_OUT || c.state != ENGINE_TASK_OUT) {
        uint32_t before[3] = {a.computed, b.computed, c.computed};
        uint32_t rows = step(sched);
        assert_true(rows <= BUDGET + 4);
        steps++;
        assert_int_equal(writer.output, written + steps);
        if (a.computed < 300 && b.computed < 300 && c.computed < 300)
            assert_true(a.computed > before[0] && b.computed > before[1] && c.computed > before[2]);
        uint32_t least = a.computed, most = a.computed;
        least = b.computed < least ? b.computed : least;
        least = c.computed < least ? c.computed : least;
        most = b.computed > most ? b.computed : most;
        most = c.computed > most ? c.computed : most;
        if (steps < 10)
            assert_true(most - least <= 2 * BUDGET);
    }
    assert_true(steps <= 3 * 400 / BUDGET + 5); /* nothing of the budget is left unused */
    engine_sched_drop(sched, &writer);
    engine_sched_free(sched);
}

static void tenants_take_turns(void **state)
{
    (void)state;
    struct engine_sched_options options = usual;
    options.sequences = 1;
    options.cache_tokens = CONTEXT;
    struct engine_sched *sched = engine_sched_new(&options);
    struct engine_task heavy[20], light[2];
    for (size_t i = 0; i < ARRAY_LEN(heavy); i++) {
        heavy[i] = task_of(10, 1, 7);
        engine_sched_add(sched, &heavy[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(light); i++) {
        light[i] = task_of(10, 1, 8);
        engine_sched_add(sched, &light[i]);
    }
    step(sched); /* heavy 0 */
    step(sched);
    assert_int_equal(light[0].state, ENGINE_TASK_OUT);
    assert_int_equal(heavy[1].state, ENGINE_TASK_WAITING);
    step(sched); /* heavy 1 */
    assert_int_equal(light[1].state, ENGINE_TASK_WAITING);
    step(sched);
    assert_int_equal(light[1].state, ENGINE_TASK_OUT);
    /* In order within the tenant. One that leaves the queue leaves no hole. */
    assert_int_equal(engine_sched_drop(sched, &heavy[3]), -1);
    step(sched);
    assert_int_equal(heavy[2].state, ENGINE_TASK_OUT);
    step(sched);
    assert_int_equal(heavy[4].state, ENGINE_TASK_OUT);
    assert_int_equal(heavy[5].state, ENGINE_TASK_WAITING);
    for (size_t i = 5; i < ARRAY_LEN(heavy); i++)
        engine_sched_drop(sched, &heavy[i]);
    engine_sched_free(sched);
}

static void a_big_one_is_not_passed_by_for_ever(void **state)
{
    (void)state;
    struct engine_sched_options options = usual;
    options.cache_tokens = CONTEXT; /* as if all sequences shared one */
    struct engine_sched *sched = engine_sched_new(&options);
    struct engine_task small[50], big = task_of(500, 10, 2);
    for (size_t i = 0; i < ARRAY_LEN(small); i++)
        small[i] = task_of(100, 20, 1);
    engine_sched_add(sched, &small[0]);
    step(sched);
    engine_sched_add(sched, &big);
    for (size_t i = 1; i < ARRAY_LEN(small); i++)
        engine_sched_add(sched, &small[i]);
    for (int i = 0; i < 25 && big.state == ENGINE_TASK_WAITING; i++) {
        step(sched);
        assert_true(engine_sched_counts(sched).cache_held <= CONTEXT);
    }
    assert_int_not_equal(big.state, ENGINE_TASK_WAITING);
    engine_sched_drop(sched, &big);
    for (size_t i = 0; i < ARRAY_LEN(small); i++)
        if (small[i].state != ENGINE_TASK_OUT)
            engine_sched_drop(sched, &small[i]);
    assert_int_equal(engine_sched_counts(sched).cache_held, 0);
    engine_sched_free(sched);
}

static void paused_and_moved(void **state)
{
    (void)state;
    struct engine_sched *sched = engine_sched_new(&usual);
    struct engine_task tasks[4];
    for (int i = 0; i < 4; i++) {
        tasks[i] = task_of(5, 50, 1);
        engine_sched_add(sched, &tasks[i]);
    }
    step(sched);
    tasks[1].paused = true;
    assert_int_equal(step(sched), 3);
    assert_int_equal(tasks[1].output, 1);
    assert_int_equal(engine_sched_counts(sched).paused, 1);
    tasks[1].paused = false;
    assert_int_equal(step(sched), 4);

    struct engine_move move;
    assert_false(engine_sched_move(sched, &move));
    assert_int_equal(engine_sched_drop(sched, &tasks[0]), 0);
    assert_false(engine_sched_move(sched, &move)); /* 1, 2, 3 stand without a gap */
    assert_int_equal(engine_sched_drop(sched, &tasks[2]), 2);
    assert_true(engine_sched_move(sched, &move));
    assert_ptr_equal(move.task, &tasks[1]); /* it was paused, so there is less to be copied */
    assert_int_equal(move.to, 2);
    engine_sched_moved(sched, &move);
    assert_int_equal(tasks[1].sequence, 2);
    assert_false(engine_sched_move(sched, &move));
    struct engine_plan plan;
    engine_sched_plan(sched, 0, &plan);
    assert_int_equal(plan.count, 2);
    assert_ptr_equal(plan.chunks[1].task, &tasks[3]);
    engine_sched_drop(sched, &tasks[1]);
    engine_sched_drop(sched, &tasks[3]);
    engine_sched_free(sched);
}

static void held_cut_and_restored(void **state)
{
    (void)state;
    struct engine_sched *sched = engine_sched_new(&usual);
    struct engine_task first = task_of(300, 2, 1), second = task_of(200, 2, 1),
                       other = task_of(200, 2, 2);
    first.held = other.held = true;
    engine_sched_add(sched, &first);
    engine_sched_add(sched, &second);
    engine_sched_add(sched, &other);
    admit_all(sched);
    assert_int_equal(first.state, ENGINE_TASK_WAITING);
    assert_int_equal(other.state, ENGINE_TASK_WAITING);
    assert_int_equal(second.state, ENGINE_TASK_PROMPT); /* who is held keeps nobody back */
    engine_sched_restored(sched, &second, 64);
    second.cut = 100;
    assert_int_equal(step(sched), 36);
    assert_int_equal(second.computed, 100);
    assert_int_equal(step(sched), 100); /* what is behind it cuts no more */
    assert_int_equal(second.state, ENGINE_TASK_WRITING);
    first.held = other.held = false;
    first.cut = 299; /* all but the last */
    admit_all(sched);
    assert_int_equal(first.state, ENGINE_TASK_PROMPT);
    assert_int_equal(other.state, ENGINE_TASK_PROMPT);
    engine_sched_restored(sched, &other, 199);
    while (first.state == ENGINE_TASK_PROMPT) {
        uint32_t before = first.computed;
        step(sched);
        assert_true(before >= 299 || first.computed <= 299);
    }
    assert_int_equal(second.state, ENGINE_TASK_OUT);
    assert_int_equal(other.state, ENGINE_TASK_OUT);
    first.held = true; /* means nothing once it is in */
    step(sched);
    assert_int_equal(first.state, ENGINE_TASK_OUT);
    assert_int_equal(engine_sched_counts(sched).cache_held, 0);
    engine_sched_free(sched);
}

/* The shortest first, but what came earlier by AGEING times the difference is not passed. */
static void short_ones_first_until_they_age(void **state)
{
    (void)state;
    struct engine_sched_options options = usual;
    options.sequences = 1;
    options.cache_tokens = CONTEXT;
    struct engine_sched *sched = engine_sched_new(&options);
    struct engine_task busy = task_of(1, 1, 1), longer = task_of(200, 1, 1),
                       shorter = task_of(20, 1, 1);
    engine_sched_add(sched, &busy);
    engine_sched_add(sched, &longer);
    engine_sched_add(sched, &shorter);
    while (busy.state != ENGINE_TASK_OUT)
        step(sched);
    step(sched);
    assert_int_equal(shorter.state, ENGINE_TASK_OUT);
    assert_int_equal(longer.state, ENGINE_TASK_WAITING);
    /* One of 20 that comes with every step: 21 rows each, so the long one's turn comes. */
    uint32_t passed = 0;
    while (longer.state == ENGINE_TASK_WAITING) {
        shorter = task_of(20, 1, 1);
        engine_sched_add(sched, &shorter);
        step(sched);
        if (shorter.state == ENGINE_TASK_WAITING)
            engine_sched_drop(sched, &shorter);
        else
            passed++;
        assert_true(passed < 200 * ENGINE_VTC_AGEING / 20);
    }
    assert_true(passed > 10);
    if (longer.state != ENGINE_TASK_OUT)
        engine_sched_drop(sched, &longer);
    engine_sched_free(sched);
}

static void budget_by_tenant_and_length(void **state)
{
    (void)state;
    struct engine_sched *sched = engine_sched_new(&usual);
    struct engine_task writer = task_of(1, 100, 9), heavy[4], light = task_of(90, 2, 2);
    engine_sched_add(sched, &writer);
    step(sched);
    for (size_t i = 0; i < ARRAY_LEN(heavy); i++) {
        heavy[i] = task_of(i == 3 ? 30 : 300, 2, 1);
        engine_sched_add(sched, &heavy[i]);
    }
    engine_sched_add(sched, &light);
    step(sched);
    assert_int_equal(heavy[3].output, 1); /* the tenant's shortest, at once */
    assert_true(light.computed >= BUDGET / 3);
    step(sched);
    step(sched);
    assert_true(light.output > 0); /* half of each step is the other tenant's */
    for (size_t i = 0; i < 3; i++)
        assert_true(heavy[i].computed >= 3); /* none stands still */
    engine_sched_drop(sched, &writer);
    for (size_t i = 0; i < ARRAY_LEN(heavy); i++)
        if (heavy[i].state != ENGINE_TASK_OUT)
            engine_sched_drop(sched, &heavy[i]);
    if (light.state != ENGINE_TASK_OUT)
        engine_sched_drop(sched, &light);
    engine_sched_free(sched);
}

static void answers_grow_in_blocks(void **state)
{
    (void)state;
    struct engine_sched *sched = engine_sched_new(&usual);
    struct engine_task task = task_of(100, 412, 1);
    engine_sched_add(sched, &task);
    step(sched);
    assert_int_equal(task.reserved, 256); /* 100 and the usual 128, in blocks */
    while (task.output < 157)
        step(sched);
    assert_int_equal(task.reserved, 256);
    step(sched);
    assert_int_equal(task.computed, 257);
    assert_int_equal(task.reserved, 320);
    while (task.state != ENGINE_TASK_OUT)
        step(sched);
    assert_int_equal(task.output, 412);
    /* The next one of a tenant is expected to write more. */
    assert_int_equal(engine_sched_counts(sched).output_usual, (128 * 15 + 412 + 15) / 16);
    engine_sched_free(sched);
}

/* Three tasks in a cache for two: the newest goes back, and all finish. */
static void who_makes_room(void **state)
{
    (void)state;
    struct engine_sched_options options = usual;
    options.cache_tokens = 1000;
    struct engine_sched *sched = engine_sched_new(&options);
    struct engine_task a = task_of(100, 400, 1), b = task_of(100, 400, 1), c = task_of(60, 400, 2);
    engine_sched_add(sched, &a);
    engine_sched_add(sched, &b);
    engine_sched_add(sched, &c);
    uint32_t steps = 0;
    while (a.state != ENGINE_TASK_OUT || b.state != ENGINE_TASK_OUT || c.state != ENGINE_TASK_OUT) {
        assert_true(step(sched) > 0);
        assert_true(engine_sched_counts(sched).cache_held <= options.cache_tokens);
        assert_true(++steps < 3000);
    }
    assert_int_equal(a.output, 400);
    assert_int_equal(b.output, 400);
    assert_int_equal(c.output, 400);
    assert_int_equal(a.preemptions, 0);
    assert_true(b.preemptions > 0);
    assert_int_equal(c.preemptions, 0); /* its tenant's only one, and the other had two */
    assert_int_equal(engine_sched_counts(sched).preempted, b.preemptions);
    engine_sched_free(sched);
}

static void who_has_nothing_gets_a_sequence(void **state)
{
    (void)state;
    struct engine_sched_options options = usual;
    options.sequences = 2;
    options.cache_tokens = 2 * CONTEXT;
    options.lag_tokens = 100;
    struct engine_sched *sched = engine_sched_new(&options);
    struct engine_task heavy[4], light[2];
    for (size_t i = 0; i < ARRAY_LEN(heavy); i++) {
        heavy[i] = task_of(10, 300, 1);
        engine_sched_add(sched, &heavy[i]);
    }
    for (int i = 0; i < 20; i++)
        step(sched);
    light[0] = task_of(10, 300, 2);
    light[1] = task_of(10, 300, 2);
    engine_sched_add(sched, &light[0]);
    engine_sched_add(sched, &light[1]);
    assert_null(engine_sched_make_room(sched, 10)); /* too much to be computed again */
    step(sched);
    assert_int_equal(light[0].output, 1); /* at once */
    assert_int_equal(heavy[1].state, ENGINE_TASK_WAITING);
    assert_int_equal(heavy[1].preemptions, 1);
    assert_int_equal(heavy[0].state, ENGINE_TASK_WRITING);
    for (int i = 0; i < 20; i++)
        step(sched);
    assert_int_equal(light[1].state, ENGINE_TASK_WAITING); /* one each */
    /* A third tenant finds one of each, takes none until it is 100 tokens behind, then one. */
    struct engine_task third = task_of(10, 5, 3);
    engine_sched_add(sched, &third);
    uint32_t steps = 0;
    while (third.output == 0 && steps < 200) {
        step(sched);
        steps++;
    }
    assert_in_range(steps, 20, 100);
    /* The one that had to go comes before the others of its tenant. */
    while (heavy[1].state == ENGINE_TASK_WAITING && heavy[0].state != ENGINE_TASK_OUT)
        step(sched);
    assert_int_equal(heavy[2].state, ENGINE_TASK_WAITING);
    for (size_t i = 0; i < ARRAY_LEN(heavy); i++)
        if (heavy[i].state != ENGINE_TASK_OUT)
            engine_sched_drop(sched, &heavy[i]);
    for (size_t i = 0; i < ARRAY_LEN(light); i++)
        if (light[i].state != ENGINE_TASK_OUT)
            engine_sched_drop(sched, &light[i]);
    if (third.state != ENGINE_TASK_OUT)
        engine_sched_drop(sched, &third);
    engine_sched_free(sched);
}

/* What is in a sequence already, from a cache or kept from before, is not computed, nor paid. */
static void what_is_there_already(void **state)
{
    (void)state;
    struct engine_sched *sched = engine_sched_new(&usual);
    struct engine_task task = task_of(200, 10, 1);
    struct engine_plan plan;
    engine_sched_add(sched, &task);
    assert_ptr_equal(engine_sched_admit(sched, UINT32_MAX), &task);
    assert_null(engine_sched_admit(sched, UINT32_MAX));
    engine_sched_restored(sched, &task, 150);
    engine_sched_plan(sched, BATCH, &plan);
    assert_int_equal(plan.rows, 50);
    assert_int_equal(plan.chunks[0].from, 150);
    assert_true(plan.chunks[0].wants_output);
    engine_sched_advance(sched, &plan);
    assert_int_equal(task.vtc.tenant->counter,
                     engine_vtc_cost(50, ENGINE_VTC_PROMPT, ENGINE_VTC_WEIGHT_USUAL));
    assert_true(engine_sched_output(sched, &task));
    assert_int_equal(step(sched), 1);
    assert_int_equal(task.computed, 201);
    engine_sched_drop(sched, &task);
    engine_sched_free(sched);
}

/* All who run are paused: one of them goes, and who could run does. */
static void paused_ones_hold_up_nobody(void **state)
{
    (void)state;
    struct engine_sched_options options = usual;
    options.sequences = 1;
    options.cache_tokens = CONTEXT;
    struct engine_sched *sched = engine_sched_new(&options);
    struct engine_task slow = task_of(10, 50, 1), other = task_of(10, 5, 1);
    engine_sched_add(sched, &slow);
    step(sched);
    slow.paused = true;
    assert_int_equal(step(sched), 0);
    engine_sched_add(sched, &other);
    assert_int_equal(step(sched), 10);
    assert_int_equal(slow.state, ENGINE_TASK_WAITING);
    slow.paused = false; /* before all others of its tenant, but nobody has to go for it */
    while (other.state != ENGINE_TASK_OUT)
        assert_int_equal(step(sched), 1);
    assert_int_equal(step(sched), 11); /* its prompt and its one token, again */
    assert_int_equal(slow.output, 2);
    engine_sched_drop(sched, &slow);
    engine_sched_free(sched);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_task_from_start_to_end),
        cmocka_unit_test(prompts_share_and_writers_go_on),
        cmocka_unit_test(tenants_take_turns),
        cmocka_unit_test(a_big_one_is_not_passed_by_for_ever),
        cmocka_unit_test(paused_and_moved),
        cmocka_unit_test(held_cut_and_restored),
        cmocka_unit_test(short_ones_first_until_they_age),
        cmocka_unit_test(budget_by_tenant_and_length),
        cmocka_unit_test(answers_grow_in_blocks),
        cmocka_unit_test(who_makes_room),
        cmocka_unit_test(who_has_nothing_gets_a_sequence),
        cmocka_unit_test(what_is_there_already),
        cmocka_unit_test(paused_ones_hold_up_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
