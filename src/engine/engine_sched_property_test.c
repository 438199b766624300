/* The scheduler under random load, against the promises in its header and in engine_vtc.h. Time is
 * the fake engine's: each row costs what it costs, and engine_pace is told so. The seed is printed;
 * WEIR_TEST_SEED sets it, WEIR_TEST_LONG=1 makes ten times as many steps. */
#include "engine_sched.h"
#include "check.h"
#include "engine_pace.h"
#include <stdlib.h>
#include <time.h>

enum { TASKS = 48, TENANTS = 6, SEQUENCES_MAX = 8, CONTEXT = 512, BATCH = 256, GROUPS = 4 };
enum { STEPS = 10000, STEPS_LONG = 100000 };
enum { STEP_US = 2000, WRITER_US = 900, PROMPT_US = 300, TARGET_US = 30000 };

struct life {
    struct engine_task task;
    bool kept; /* its cache, when it went back */
    uint32_t kept_tokens;
    uint32_t prompt_paid; /* prompt tokens computed for the first time */
    uint64_t still_since; /* work done when it last got on, was paused or came */
};

struct world {
    const char *name;
    struct engine_sched_options options;
    uint32_t groups;
    struct engine_sched *sched;
    struct engine_pace pace;
    struct life lives[TASKS];
    struct life *owner[SEQUENCES_MAX]; /* whose cache is in a sequence */
    uint32_t cached[SEQUENCES_MAX];
    uint32_t weights[TENANTS];
    double got[TENANTS];                                    /* service over weight, tallied here */
    double least[TENANTS][TENANTS], most[TENANTS][TENANTS]; /* of the difference, while both wait */
    bool both[TENANTS][TENANTS];
    double worst_gap;
    uint32_t missed[GROUPS]; /* steps of others, in a row, while a group had something to compute */
    uint64_t parts, plans;   /* runs of sequence numbers in steps, and steps */
    uint32_t prompts_max;    /* at the last admission */
    bool prompted[GROUPS];   /* the last step of it was one of prompts */
    uint64_t work, worst_still, finished, preempted, cancelled, prompt_rows, bursts;
    uint64_t random;
};

static uint32_t draw(struct world *w, uint32_t bound)
{
    w->random = w->random * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)(w->random >> 33) % bound;
}

static struct life *life_of(struct engine_task *task)
{
    return (struct life *)(void *)task; /* its first member */
}

static void forget_sequence(struct world *w, int32_t sequence, const struct life *life)
{
    if (sequence < 0)
        return;
    assert_ptr_equal(w->owner[sequence], life);
    w->owner[sequence] = NULL;
    w->cached[sequence] = 0;
}

static void drop(struct world *w, struct life *life)
{
    forget_sequence(w, engine_sched_drop(w->sched, &life->task), life);
    assert_int_equal(life->task.state, ENGINE_TASK_OUT);
    assert_int_equal(life->task.reserved, 0);
}

/* Arrivals in waves, so that the house is full for long and empty at times. */
static void people_come_and_go(struct world *w, uint32_t step)
{
    bool busy = step / 700 % 3 != 0;
    for (size_t i = 0; i < TASKS; i++) {
        struct life *life = &w->lives[i];
        struct engine_task *task = &life->task;
        if (task->state == ENGINE_TASK_OUT && draw(w, busy ? 20 : 2000) == 0) {
            uint32_t tenant = draw(w, TENANTS);
            tenant = draw(w, 3) == 0 ? 0 : tenant; /* one asks more than the others */
            uint32_t prompt = 1 + draw(w, draw(w, 4) == 0 ? 400 : 60);
            *life = (struct life){.still_since = w->work};
            *task = (struct engine_task){.prompt_count = prompt,
                                         .output_max = 1 + draw(w, CONTEXT - prompt),
                                         .tenant = tenant,
                                         .weight = w->weights[tenant],
                                         .group = draw(w, w->groups),
                                         .state = ENGINE_TASK_OUT};
            engine_sched_add(w->sched, task);
        } else if (task->state != ENGINE_TASK_OUT && draw(w, 3000) == 0) {
            drop(w, life);
            w->cancelled++;
        } else if (task->state != ENGINE_TASK_OUT) {
            task->paused = task->paused ? draw(w, 8) != 0 : draw(w, 150) == 0;
            task->held = task->held ? draw(w, 5) != 0 : draw(w, 100) == 0;
            task->cut = draw(w, 20) == 0 ? draw(w, task->prompt_count) : task->cut;
            if (task->paused || task->held)
                life->still_since = w->work;
        }
    }
}

static uint32_t running_of(const struct world *w, uint64_t tenant)
{
    uint32_t count = 0;
    for (size_t i = 0; i < TASKS; i++)
        count += w->lives[i].task.sequence >= 0 && w->lives[i].task.tenant == tenant &&
                 w->lives[i].task.state != ENGINE_TASK_OUT;
    return count;
}

/* The tenant for which room is made keeps what it has. */
static bool is_next(const struct world *w, uint32_t tenant)
{
    for (size_t i = 0; i < TASKS; i++)
        if (w->lives[i].task.tenant == tenant && w->lives[i].task.state == ENGINE_TASK_WAITING)
            return true;
    return false;
}

static void make_room(struct world *w)
{
    struct engine_task *task;
    while ((task = engine_sched_make_room(w->sched, CONTEXT / 2)) != NULL) {
        struct life *life = life_of(task);
        assert_true(task->sequence >= 0);
        bool only = !task->paused && running_of(w, task->tenant) == 1;
        for (uint32_t t = 0; only && t < TENANTS; t++) /* while another has two */
            assert_true(running_of(w, t) < 2 || is_next(w, t));
        life->kept = draw(w, 3) > 0 && task->computed > 0;
        life->kept_tokens = task->computed;
        forget_sequence(w, engine_sched_preempt(w->sched, task), life);
        assert_int_equal(task->state, ENGINE_TASK_WAITING);
        w->preempted++;
    }
}

static void admit(struct world *w)
{
    struct engine_task *task;
    struct engine_demand demand = engine_sched_demand(w->sched);
    w->prompts_max = engine_pace_prompts(&w->pace, &demand);
    while ((task = engine_sched_admit(w->sched, w->prompts_max)) != NULL) {
        struct life *life = life_of(task);
        assert_true(!task->paused && !task->held);
        assert_true(task->sequence < (int32_t)w->options.sequences);
        assert_null(w->owner[task->sequence]);
        w->owner[task->sequence] = life;
        if (life->kept) {
            w->cached[task->sequence] = life->kept_tokens;
            engine_sched_restored(w->sched, task, life->kept_tokens);
        }
        life->kept = false;
    }
}

static void move_down(struct world *w)
{
    struct engine_move move;
    while (engine_sched_move(w->sched, &move)) {
        int32_t from = move.task->sequence;
        struct life *other = w->owner[move.to];
        assert_true(move.to != from && w->cached[move.to] == 0);
        assert_true(other == NULL || other->task.group != move.task->group);
        w->owner[move.to] = w->owner[from];
        w->cached[move.to] = w->cached[from];
        w->owner[from] = other;
        w->cached[from] = 0;
        engine_sched_moved(w->sched, &move);
    }
}

static void check_account(const struct world *w)
{
    uint64_t held = 0;
    for (size_t i = 0; i < TASKS; i++) {
        const struct engine_task *task = &w->lives[i].task;
        if (task->state == ENGINE_TASK_OUT)
            continue;
        held += task->reserved;
        assert_true((task->sequence >= 0) == (task->state != ENGINE_TASK_WAITING));
        assert_true(task->sequence >= 0 || task->reserved == 0);
        assert_true(task->computed <= task->reserved);
    }
    assert_int_equal(held, engine_sched_counts(w->sched).cache_held);
    assert_true(held <= w->options.cache_tokens);
}

/* Everything that is promised of one step. */
static void check_plan(struct world *w, const struct engine_plan *plan, uint32_t budget)
{
    uint32_t rows = 0, prompt_rows = 0, writers = 0, moving = 0, done = 0;
    uint32_t may_write = 0, prompts = 0, waiting = 0, low = UINT32_MAX, high = 0, running = 0;
    uint32_t active[GROUPS] = {0};
    int32_t last = -1;
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct engine_chunk *chunk = &plan->chunks[i];
        const struct engine_task *task = chunk->task;
        assert_true(task->sequence > last && !task->paused && chunk->count > 0);
        assert_int_equal(task->group, plan->group); /* never two in one step */
        w->parts += task->sequence > last + 1;
        w->parts += i == 0 && task->sequence == 0;
        last = task->sequence;
        assert_ptr_equal(w->owner[last], task); /* nobody who is gone */
        assert_int_equal(chunk->from, task->computed);
        assert_int_equal(chunk->from, w->cached[last]); /* nothing lost, nothing twice */
        assert_int_equal(chunk->wants_output,
                         chunk->from + chunk->count == task->prompt_count + task->output);
        assert_true(task->computed + chunk->count <= task->reserved); /* the cache is never full */
        rows += chunk->count;
        bool writes = task->state == ENGINE_TASK_WRITING;
        assert_true(!writes || chunk->count == 1);
        assert_true(chunk->from >= task->cut || chunk->from + chunk->count <= task->cut);
        writers += writes;
        moving += !writes;
        done += !writes && chunk->wants_output;
        prompt_rows += writes ? 0 : chunk->count;
    }
    for (size_t i = 0; i < TASKS; i++) {
        const struct engine_task *task = &w->lives[i].task;
        if (task->state == ENGINE_TASK_OUT)
            continue;
        waiting += task->state == ENGINE_TASK_WAITING && !task->paused && !task->held;
        if (task->sequence < 0)
            continue;
        running++;
        low = (uint32_t)task->sequence < low ? (uint32_t)task->sequence : low;
        high = (uint32_t)task->sequence > high ? (uint32_t)task->sequence : high;
        active[task->group] += !task->paused;
        if (task->group != plan->group)
            continue;
        may_write += !task->paused && task->state == ENGINE_TASK_WRITING;
        prompts += !task->paused && task->state == ENGINE_TASK_PROMPT;
    }
    w->plans += plan->rows > 0;
    for (uint32_t g = 0; g < w->groups; g++) {
        w->missed[g] = active[g] > 0 && g != plan->group ? w->missed[g] + 1 : 0;
        assert_true(w->missed[g] < 2 * w->groups);
        assert_true(w->groups != 2 || w->missed[g] <= 1);
        assert_true(plan->rows > 0 || active[g] == 0); /* work conservation */
    }
    assert_int_equal(rows, plan->rows);
    assert_true(rows <= w->options.batch);
    if (budget > 0) { /* nobody writes in a step of prompts; two advance, unless one is done */
        assert_int_equal(writers, 0);
        assert_true(prompt_rows <= budget);
        assert_true(moving >= (prompts < 2 || budget < 4 || done > 0 ? prompts > 0 : 2));
    } else { /* every writer has its row, and no prompt makes a gap */
        assert_int_equal(writers, may_write);
        assert_int_equal(moving, prompts);
        assert_int_equal(prompt_rows, prompts);
    }
    assert_true(budget == 0 || !w->prompted[plan->group] || may_write == 0); /* they take turns */
    /* Work conservation: nobody waits for a place that would fill the step. */
    assert_true(plan->rows > 0 || waiting == 0);
    bool room = w->groups == 1 && running < w->options.sequences &&
                w->options.cache_tokens == (uint64_t)w->options.sequences * CONTEXT;
    assert_true(!room || waiting == 0 || prompt_rows >= budget || prompt_rows >= w->prompts_max);
    if (running > 0 && w->groups == 1)
        assert_int_equal(high - low + 1, running); /* dense */
}

static void tally(struct world *w, const struct engine_plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        struct life *life = life_of(plan->chunks[i].task);
        struct engine_task *task = &life->task;
        w->cached[task->sequence] += plan->chunks[i].count;
        life->still_since = w->work + plan->rows;
        uint32_t prompt = task->computed < task->prompt_count ? task->computed : task->prompt_count;
        if (prompt > life->prompt_paid) {
            w->got[task->tenant] +=
                (double)(prompt - life->prompt_paid) * ENGINE_VTC_PROMPT / task->weight;
            life->prompt_paid = prompt;
        }
        if (plan->chunks[i].wants_output)
            w->got[task->tenant] += (double)ENGINE_VTC_OUTPUT / task->weight;
    }
    w->work += plan->rows;
    for (size_t i = 0; i < TASKS; i++) {
        const struct life *life = &w->lives[i];
        if (life->task.state != ENGINE_TASK_OUT && w->work - life->still_since > w->worst_still)
            w->worst_still = w->work - life->still_since;
    }
}

/* The paper's bound: of two tenants that both wait all the while, over any span of it. */
static void check_fairness(struct world *w)
{
    bool waits[TENANTS] = {0};
    uint32_t least_weight = UINT32_MAX;
    for (size_t i = 0; i < TASKS; i++)
        if (w->lives[i].task.state == ENGINE_TASK_WAITING && !w->lives[i].task.paused &&
            !w->lives[i].task.held)
            waits[w->lives[i].task.tenant] = true;
    for (size_t t = 0; t < TENANTS; t++)
        least_weight = w->weights[t] < least_weight ? w->weights[t] : least_weight;
    double bound = 2.0 * ENGINE_VTC_OUTPUT * (double)w->options.cache_tokens / least_weight;
    for (size_t a = 0; a < TENANTS; a++)
        for (size_t b = 0; b < a; b++) {
            double difference = w->got[a] - w->got[b];
            bool were = w->both[a][b];
            w->both[a][b] = waits[a] && waits[b];
            if (!w->both[a][b])
                continue;
            if (!were)
                w->least[a][b] = w->most[a][b] = difference;
            if (difference < w->least[a][b])
                w->least[a][b] = difference;
            if (difference > w->most[a][b])
                w->most[a][b] = difference;
            double gap = (w->most[a][b] - w->least[a][b]) / bound;
            w->worst_gap = gap > w->worst_gap ? gap : w->worst_gap;
            assert_true(gap <= 1);
        }
}

static void one_step(struct world *w, uint32_t number)
{
    struct engine_plan plan;
    people_come_and_go(w, number);
    make_room(w);
    admit(w);
    move_down(w);
    struct engine_demand demand = engine_sched_demand(w->sched);
    uint32_t budget = demand.prompts_next ? engine_pace_budget(&w->pace, &demand) : 0;
    assert_true(budget > 0 || demand.writers > 0 || demand.prompts == 0);
    engine_sched_plan(w->sched, budget, &plan);
    check_plan(w, &plan, budget);
    w->prompted[plan.group] = budget > 0;
    engine_sched_advance(w->sched, &plan);
    tally(w, &plan);
    int64_t took_us = STEP_US + plan.rows * (budget > 0 ? PROMPT_US : WRITER_US);
    if (plan.rows > 0)
        engine_pace_measured(&w->pace, budget > 0 ? 0 : plan.rows, budget > 0 ? plan.rows : 0,
                             took_us);
    w->bursts += demand.writers > 0 && took_us > TARGET_US + TARGET_US / 2;
    for (uint32_t i = 0; i < plan.count; i++) {
        struct engine_task *task = plan.chunks[i].task;
        if (!plan.chunks[i].wants_output)
            continue;
        bool more = engine_sched_output(w->sched, task);
        if (more && draw(w, 300) > 0)
            continue;
        drop(w, life_of(task)); /* its longest answer, or the model said that it is done */
        w->finished++;
    }
    check_account(w);
    check_fairness(w);
}

static void run(const char *name, struct engine_sched_options options, const uint32_t *weights,
                uint32_t groups)
{
    static struct world w;
    const char *seed = getenv("WEIR_TEST_SEED"), *many = getenv("WEIR_TEST_LONG");
    uint32_t steps = many != NULL && many[0] == '1' ? STEPS_LONG : STEPS;
    w = (struct world){.name = name, .options = options, .groups = groups};
    w.random = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    print_message("%s: WEIR_TEST_SEED=%llu, %u steps\n", name, (unsigned long long)w.random, steps);
    memcpy(w.weights, weights, sizeof w.weights);
    w.sched = engine_sched_new(&options);
    engine_pace_open(&w.pace, options.batch, options.sequences, TARGET_US, 0);
    engine_pace_calibrate_decode(&w.pace, 1, STEP_US + WRITER_US);
    engine_pace_calibrate_decode(&w.pace, 8, STEP_US + 8 * WRITER_US);
    engine_pace_calibrate_prompt(&w.pace, 64, STEP_US + 64 * PROMPT_US);
    for (size_t i = 0; i < TASKS; i++)
        w.lives[i].task.state = ENGINE_TASK_OUT;
    for (uint32_t step = 0; step < steps; step++)
        one_step(&w, step);
    for (size_t i = 0; i < TASKS; i++)
        if (w.lives[i].task.state != ENGINE_TASK_OUT)
            drop(&w, &w.lives[i]);
    struct engine_sched_counts counts = engine_sched_counts(w.sched);
    print_message("%s: %llu finished, %llu cancelled, %llu preempted; worst gap %.0f %% of the "
                  "bound; worst standstill %llu rows; %llu long steps; %.2f parts\n",
                  name, (unsigned long long)w.finished, (unsigned long long)w.cancelled,
                  (unsigned long long)w.preempted, 100 * w.worst_gap,
                  (unsigned long long)w.worst_still, (unsigned long long)w.bursts,
                  (double)w.parts / (double)w.plans);
    assert_int_equal(counts.cache_held, 0);
    assert_int_equal(counts.waiting + counts.prompting + counts.writing, 0);
    assert_int_equal(counts.sequences_free, options.sequences);
    assert_int_equal(counts.preempted, w.preempted);
    assert_true(w.finished > steps / 200);
    /* All others at their longest, of which the least tenant's share is computed beside it. */
    assert_true(w.worst_still < (uint64_t)TASKS * CONTEXT * 8);
    engine_sched_free(w.sched);
}

static const uint32_t alike[TENANTS] = {100, 100, 100, 100, 100, 100};
static const uint32_t unlike[TENANTS] = {100, 50, 400, 100, 200, 100};
static const struct engine_sched_options usual = {.sequences = SEQUENCES_MAX,
                                                  .context = CONTEXT,
                                                  .cache_tokens = SEQUENCES_MAX * CONTEXT,
                                                  .batch = BATCH,
                                                  .lag_tokens = 256};

static void a_cache_for_all(void **state)
{
    (void)state;
    run("a cache for all", usual, alike, 1);
}

static void weights(void **state)
{
    (void)state;
    run("weights", usual, unlike, 1);
}

static void a_third_of_the_cache(void **state)
{
    (void)state;
    struct engine_sched_options options = usual;
    options.cache_tokens = usual.cache_tokens / 3;
    run("a third of the cache", options, unlike, 1);
}

static void as_little_as_can_be(void **state)
{
    (void)state;
    struct engine_sched_options options = usual;
    options.cache_tokens = CONTEXT;
    options.batch = SEQUENCES_MAX;
    run("as little as can be", options, alike, 1);
}

static void one_sequence(void **state)
{
    (void)state;
    struct engine_sched_options options = usual;
    options.sequences = 1;
    options.cache_tokens = CONTEXT;
    run("one sequence", options, unlike, 1);
}

static void nobody_gives_way(void **state)
{
    (void)state;
    struct engine_sched_options options = usual;
    options.cache_tokens = usual.cache_tokens / 2;
    options.lag_tokens = 0;
    run("nobody gives way", options, alike, 1);
}

static void two_groups(void **state)
{
    (void)state;
    run("two groups", usual, unlike, 2);
}

static void four_groups_and_little_cache(void **state)
{
    (void)state;
    struct engine_sched_options options = usual;
    options.cache_tokens = usual.cache_tokens / 3;
    run("four groups and little cache", options, alike, GROUPS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cache_for_all),      cmocka_unit_test(weights),
        cmocka_unit_test(a_third_of_the_cache), cmocka_unit_test(as_little_as_can_be),
        cmocka_unit_test(one_sequence),         cmocka_unit_test(nobody_gives_way),
        cmocka_unit_test(two_groups),           cmocka_unit_test(four_groups_and_little_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
