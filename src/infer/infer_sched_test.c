#include "infer_sched.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

enum { SEQUENCES = 8, CONTEXT = 512, BATCH = 256, BUDGET = 96 };

static const struct infer_sched_options usual = {
    .sequences = SEQUENCES,
    .context = CONTEXT,
    .cache_tokens = SEQUENCES * CONTEXT,
    .batch = BATCH,
    .prompt_budget = BUDGET,
};

static struct infer_task task_of(uint32_t prompt, uint32_t output, uint64_t tenant)
{
    return (struct infer_task){
        .prompt_count = prompt, .output_max = output, .tenant = tenant, .state = INFER_TASK_OUT};
}

/* One step as the engine does it; tasks that are through are dropped. Returns the rows. */
static uint32_t step(struct infer_sched *sched)
{
    struct infer_plan plan;
    infer_sched_plan(sched, &plan);
    infer_sched_advance(sched, &plan);
    for (uint32_t i = 0; i < plan.count; i++)
        if (plan.chunks[i].wants_output && !infer_sched_output(sched, plan.chunks[i].task))
            assert_true(infer_sched_drop(sched, plan.chunks[i].task) >= 0);
    return plan.rows;
}

static void one_task_from_start_to_end(void **state)
{
    (void)state;
    struct infer_sched *sched = infer_sched_new(&usual);
    struct infer_task task = task_of(300, 3, 1);
    infer_sched_add(sched, &task);
    assert_int_equal(infer_sched_counts(sched).waiting, 1);
    assert_int_equal(step(sched), BATCH); /* alone: the whole batch */
    assert_int_equal(task.sequence, 0);
    assert_int_equal(infer_sched_counts(sched).cache_held, 303);
    assert_int_equal(task.state, INFER_TASK_PROMPT);
    assert_int_equal(step(sched), 44); /* the prompt's last row gives the first token */
    assert_int_equal(task.output, 1);
    assert_int_equal(step(sched), 1);
    assert_int_equal(step(sched), 1);
    assert_int_equal(task.output, 3);
    assert_int_equal(task.computed, 302); /* the last token is never computed */
    assert_int_equal(task.state, INFER_TASK_OUT);
    assert_int_equal(step(sched), 0);
    assert_int_equal(infer_sched_counts(sched).cache_held, 0);
    infer_sched_free(sched);
    infer_sched_free(NULL);
}

static void prompts_share_and_writers_go_on(void **state)
{
    (void)state;
    struct infer_sched *sched = infer_sched_new(&usual);
    struct infer_task writer = task_of(1, 100, 1), a = task_of(400, 2, 1), b = task_of(400, 2, 2),
                      c = task_of(400, 2, 3);
    infer_sched_add(sched, &writer);
    step(sched);
    infer_sched_add(sched, &a);
    infer_sched_add(sched, &b);
    infer_sched_add(sched, &c);
    uint32_t written = writer.output, steps = 0;
    while (a.state != INFER_TASK_OUT || b.state != INFER_TASK_OUT || c.state != INFER_TASK_OUT) {
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
    infer_sched_drop(sched, &writer);
    infer_sched_free(sched);
}

static void tenants_take_turns(void **state)
{
    (void)state;
    struct infer_sched_options options = usual;
    options.sequences = 1;
    options.cache_tokens = CONTEXT;
    struct infer_sched *sched = infer_sched_new(&options);
    struct infer_task heavy[20], light[2];
    for (size_t i = 0; i < ARRAY_LEN(heavy); i++) {
        heavy[i] = task_of(10, 1, 7);
        infer_sched_add(sched, &heavy[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(light); i++) {
        light[i] = task_of(10, 1, 8);
        infer_sched_add(sched, &light[i]);
    }
    step(sched); /* heavy 0 */
    step(sched);
    assert_int_equal(light[0].state, INFER_TASK_OUT);
    assert_int_equal(heavy[1].state, INFER_TASK_WAITING);
    step(sched); /* heavy 1 */
    assert_int_equal(light[1].state, INFER_TASK_WAITING);
    step(sched);
    assert_int_equal(light[1].state, INFER_TASK_OUT);
    /* In order within the tenant. One that leaves the queue leaves no hole. */
    assert_int_equal(infer_sched_drop(sched, &heavy[3]), -1);
    step(sched);
    assert_int_equal(heavy[2].state, INFER_TASK_OUT);
    step(sched);
    assert_int_equal(heavy[4].state, INFER_TASK_OUT);
    assert_int_equal(heavy[5].state, INFER_TASK_WAITING);
    for (size_t i = 5; i < ARRAY_LEN(heavy); i++)
        infer_sched_drop(sched, &heavy[i]);
    infer_sched_free(sched);
}

static void a_big_one_is_not_passed_by_for_ever(void **state)
{
    (void)state;
    struct infer_sched_options options = usual;
    options.cache_tokens = CONTEXT; /* as if all sequences shared one */
    struct infer_sched *sched = infer_sched_new(&options);
    struct infer_task small[50], big = task_of(500, 10, 2);
    for (size_t i = 0; i < ARRAY_LEN(small); i++)
        small[i] = task_of(100, 20, 1);
    infer_sched_add(sched, &small[0]);
    step(sched);
    infer_sched_add(sched, &big);
    for (size_t i = 1; i < ARRAY_LEN(small); i++)
        infer_sched_add(sched, &small[i]);
    for (int i = 0; i < 25 && big.state == INFER_TASK_WAITING; i++) {
        step(sched);
        assert_true(infer_sched_counts(sched).cache_held <= CONTEXT);
    }
    assert_int_not_equal(big.state, INFER_TASK_WAITING);
    infer_sched_drop(sched, &big);
    for (size_t i = 0; i < ARRAY_LEN(small); i++)
        if (small[i].state != INFER_TASK_OUT)
            infer_sched_drop(sched, &small[i]);
    assert_int_equal(infer_sched_counts(sched).cache_held, 0);
    infer_sched_free(sched);
}

static void paused_and_moved(void **state)
{
    (void)state;
    struct infer_sched *sched = infer_sched_new(&usual);
    struct infer_task tasks[4];
    for (int i = 0; i < 4; i++) {
        tasks[i] = task_of(5, 50, 1);
        infer_sched_add(sched, &tasks[i]);
    }
    step(sched);
    tasks[1].paused = true;
    assert_int_equal(step(sched), 3);
    assert_int_equal(tasks[1].output, 1);
    assert_int_equal(infer_sched_counts(sched).paused, 1);
    tasks[1].paused = false;
    assert_int_equal(step(sched), 4);

    struct infer_move move;
    assert_false(infer_sched_move(sched, &move));
    assert_int_equal(infer_sched_drop(sched, &tasks[0]), 0);
    assert_false(infer_sched_move(sched, &move)); /* 1, 2, 3 stand without a gap */
    assert_int_equal(infer_sched_drop(sched, &tasks[2]), 2);
    assert_true(infer_sched_move(sched, &move));
    assert_ptr_equal(move.task, &tasks[3]);
    assert_int_equal(move.to, 2);
    infer_sched_moved(sched, &move);
    assert_int_equal(tasks[3].sequence, 2);
    assert_false(infer_sched_move(sched, &move));
    struct infer_plan plan;
    infer_sched_plan(sched, &plan);
    assert_int_equal(plan.count, 2);
    assert_ptr_equal(plan.chunks[1].task, &tasks[3]);
    infer_sched_drop(sched, &tasks[1]);
    infer_sched_drop(sched, &tasks[3]);
    infer_sched_free(sched);
}

static void held_cut_and_restored(void **state)
{
    (void)state;
    struct infer_sched *sched = infer_sched_new(&usual);
    struct infer_task first = task_of(300, 2, 1), second = task_of(200, 2, 1),
                      other = task_of(200, 2, 2);
    first.held = other.held = true;
    infer_sched_add(sched, &first);
    infer_sched_add(sched, &second);
    infer_sched_add(sched, &other);
    infer_sched_admit(sched);
    assert_int_equal(first.state, INFER_TASK_WAITING);
    assert_int_equal(other.state, INFER_TASK_WAITING);
    assert_int_equal(second.state, INFER_TASK_PROMPT); /* who is held keeps nobody back */
    infer_sched_restored(sched, &second, 64);
    second.cut = 100;
    assert_int_equal(step(sched), 36);
    assert_int_equal(second.computed, 100);
    assert_int_equal(step(sched), 100); /* what is behind it cuts no more */
    assert_int_equal(second.state, INFER_TASK_WRITING);
    first.held = other.held = false;
    first.cut = 299; /* all but the last */
    infer_sched_admit(sched);
    assert_int_equal(first.state, INFER_TASK_PROMPT);
    assert_int_equal(other.state, INFER_TASK_PROMPT);
    infer_sched_restored(sched, &other, 199);
    while (first.state == INFER_TASK_PROMPT) {
        uint32_t before = first.computed;
        step(sched);
        assert_true(before >= 299 || first.computed <= 299);
    }
    assert_int_equal(second.state, INFER_TASK_OUT);
    assert_int_equal(other.state, INFER_TASK_OUT);
    first.held = true; /* means nothing once it is in */
    step(sched);
    assert_int_equal(first.state, INFER_TASK_OUT);
    assert_int_equal(infer_sched_counts(sched).cache_held, 0);
    infer_sched_free(sched);
}

/* Random load against the promises in the header. */
enum { TASKS = 40, STEPS = 20000 };
struct world {
    struct infer_sched *sched;
    struct infer_task tasks[TASKS];
    uint32_t idle_steps[TASKS]; /* steps without any progress */
    uint32_t random;
};

static uint32_t draw(struct world *w, uint32_t bound)
{
    w->random = w->random * 1664525 + 1013904223;
    return (w->random >> 8) % bound;
}

static void check_plan(const struct world *w, const struct infer_plan *plan)
{
    uint32_t rows = 0, prompt_rows = 0, writers = 0, runnable = 0, prompts = 0, moving = 0;
    int32_t last = -1;
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct infer_chunk *chunk = &plan->chunks[i];
        assert_true(chunk->task->sequence > last && !chunk->task->paused && chunk->count > 0);
        last = chunk->task->sequence;
        assert_int_equal(chunk->from, chunk->task->computed);
        rows += chunk->count;
        if (chunk->task->state == INFER_TASK_PROMPT)
            prompt_rows += chunk->count;
        if (chunk->task->state == INFER_TASK_WRITING)
            writers++;
        else
            moving++;
    }
    uint64_t held = 0;
    for (int i = 0; i < TASKS; i++) {
        const struct infer_task *task = &w->tasks[i];
        held += task->state == INFER_TASK_OUT ? 0 : task->reserved;
        bool runs = !task->paused && task->sequence >= 0 && task->state != INFER_TASK_OUT;
        runnable += runs && task->state == INFER_TASK_WRITING;
        prompts += runs && task->state == INFER_TASK_PROMPT;
    }
    assert_int_equal(rows, plan->rows);
    assert_true(rows <= BATCH);
    assert_int_equal(writers, runnable); /* every writer has its row */
    if (writers > 0)
        assert_true(prompt_rows <= BUDGET);
    assert_true(moving >= (prompts < 2 ? prompts : 2));
    assert_int_equal(held, infer_sched_counts(w->sched).cache_held);
}

static void random_load(void **state)
{
    (void)state;
    static struct world w;
    const char *seed = getenv("WEIR_TEST_SEED");
    w.random = seed != NULL ? (uint32_t)strtoul(seed, NULL, 10) : (uint32_t)time(NULL);
    print_message("WEIR_TEST_SEED=%u\n", w.random);
    w.sched = infer_sched_new(&usual);
    uint32_t finished = 0, worst = 0;
    for (int i = 0; i < TASKS; i++)
        w.tasks[i].state = INFER_TASK_OUT;
    for (int s = 0; s < STEPS; s++) {
        for (int i = 0; i < TASKS; i++) {
            struct infer_task *task = &w.tasks[i];
            if (task->state == INFER_TASK_OUT && draw(&w, 30) == 0) {
                *task = task_of(1 + draw(&w, 400), 1 + draw(&w, 112), draw(&w, 5));
                task->state = INFER_TASK_OUT;
                w.idle_steps[i] = 0;
                infer_sched_add(w.sched, task);
            } else if (task->state != INFER_TASK_OUT && draw(&w, 300) == 0) {
                infer_sched_drop(w.sched, task);
            } else if (task->state != INFER_TASK_OUT) {
                task->paused = task->paused ? draw(&w, 4) != 0 : draw(&w, 100) == 0;
                task->held = task->held ? draw(&w, 4) != 0 : draw(&w, 100) == 0;
            }
        }
        struct infer_move move;
        while (infer_sched_move(w.sched, &move))
            infer_sched_moved(w.sched, &move);
        uint32_t before[TASKS];
        for (int i = 0; i < TASKS; i++)
            before[i] = w.tasks[i].computed;
        struct infer_plan plan;
        infer_sched_plan(w.sched, &plan);
        check_plan(&w, &plan);
        infer_sched_advance(w.sched, &plan);
        for (uint32_t i = 0; i < plan.count; i++)
            if (plan.chunks[i].wants_output && !infer_sched_output(w.sched, plan.chunks[i].task)) {
                infer_sched_drop(w.sched, plan.chunks[i].task);
                finished++;
            }
        for (int i = 0; i < TASKS; i++) {
            const struct infer_task *task = &w.tasks[i];
            bool stands = task->state != INFER_TASK_OUT && task->computed == before[i];
            w.idle_steps[i] = stands ? w.idle_steps[i] + 1 : 0;
            worst = w.idle_steps[i] > worst ? w.idle_steps[i] : worst;
        }
    }
    for (int i = 0; i < TASKS; i++)
        if (w.tasks[i].state != INFER_TASK_OUT)
            infer_sched_drop(w.sched, &w.tasks[i]);
    struct infer_sched_counts counts = infer_sched_counts(w.sched);
    assert_int_equal(counts.cache_held, 0);
    assert_int_equal(counts.sequences_free, SEQUENCES);
    assert_true(finished > 1000);
    /* A queue of at most TASKS, each through within some 120 steps, eight at a time. */
    assert_true(worst < 120 * TASKS / SEQUENCES * 3);
    infer_sched_free(w.sched);
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
        cmocka_unit_test(random_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
