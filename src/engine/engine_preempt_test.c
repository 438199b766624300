/* Requests that have to go back into the queue: the engine against a backend whose next token
 * depends on every token that is in the sequence, so that an answer is the same as without
 * interruption only when exactly the right cache came back. */
#include "check.h"
#include "clock.h"
#include "fiber.h"
#include "engine_backend.h"
#include "engine.h"
#include "loop.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { VOCAB = 500, SEQUENCES = 4, CONTEXT = 256, BATCH = 64, REQUESTS = 12, ANSWER_MAX = 150 };

struct fake {
    struct engine_backend base;
    uint32_t count[SEQUENCES]; /* tokens in the cache of each */
    int32_t cache[SEQUENCES][CONTEXT];
    uint64_t seen[BATCH]; /* by row: a hash of all that it has seen */
    float row[VOCAB];
    _Atomic int step_ms, saves, loads, refuse_loads;
    _Atomic bool hold; /* decode waits until it is false */
};
static struct fake *fake;

static bool fake_load(struct engine_backend *b, void (*progress)(void *, int), void *arg,
                      struct engine_facts *facts, struct status *st)
{
    (void)b;
    (void)st;
    progress(arg, 100);
    *facts = (struct engine_facts){
        .context = CONTEXT, .parallel = SEQUENCES, .batch = BATCH, .vocab = VOCAB};
    return true;
}

static enum engine_decode fake_decode(struct engine_backend *b, const struct engine_batch *batch)
{
    struct fake *f = (void *)b;
    if (f->step_ms > 0)
        nanosleep(&(struct timespec){.tv_nsec = f->step_ms * 1000000L}, NULL);
    while (f->hold && !f->base.abort)
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    for (uint32_t i = 0; i < batch->rows; i++) {
        uint32_t sequence = (uint32_t)batch->sequence[i], at = f->count[sequence]++;
        WEIR_ASSERT(sequence < SEQUENCES && at < CONTEXT && (uint32_t)batch->position[i] == at);
        f->cache[sequence][at] = batch->token[i];
        uint64_t hash = 14695981039346656037U;
        for (uint32_t k = 0; k <= at; k++)
            hash = (hash ^ (uint64_t)f->cache[sequence][k]) * 1099511628211U;
        f->seen[i] = hash;
    }
    return ENGINE_DECODE_OK;
}

/* Several tokens are likely, so that the sampler's random numbers count as well. */
static float *fake_logits(struct engine_backend *b, uint32_t row)
{
    struct fake *f = (void *)b;
    for (uint32_t i = 0; i < VOCAB; i++)
        f->row[i] = 0;
    for (uint32_t i = 0; i < 5; i++)
        f->row[(f->seen[row] >> (8 * i)) % VOCAB] = 9 + (float)i / 4;
    return f->row;
}

static void fake_clear(struct engine_backend *b, int32_t sequence)
{
    ((struct fake *)(void *)b)->count[sequence] = 0;
}

static bool fake_move(struct engine_backend *b, int32_t from, int32_t to)
{
    struct fake *f = (void *)b;
    WEIR_ASSERT(f->count[to] == 0);
    memcpy(f->cache[to], f->cache[from], sizeof f->cache[to]);
    f->count[to] = f->count[from];
    f->count[from] = 0;
    return true;
}

static size_t fake_state_size(struct engine_backend *b, int32_t sequence)
{
    return ((struct fake *)(void *)b)->count[sequence] * sizeof(int32_t);
}

static size_t fake_state_save(struct engine_backend *b, int32_t sequence, void *out, size_t size)
{
    struct fake *f = (void *)b;
    WEIR_ASSERT(size == fake_state_size(b, sequence));
    memcpy(out, f->cache[sequence], size);
    f->saves++;
    return size;
}

static bool fake_state_load(struct engine_backend *b, int32_t sequence, const void *blob,
                            size_t size)
{
    struct fake *f = (void *)b;
    WEIR_ASSERT(f->count[sequence] == 0);
    if (f->refuse_loads > 0) {
        f->refuse_loads--;
        f->count[sequence] = 1; /* half done */
        return false;
    }
    memcpy(f->cache[sequence], blob, size);
    f->count[sequence] = (uint32_t)(size / sizeof(int32_t));
    f->loads++;
    return true;
}

static bool fake_trim(struct engine_backend *b, int32_t sequence, uint32_t tokens)
{
    struct fake *f = (void *)b;
    WEIR_ASSERT(f->count[sequence] >= tokens);
    f->count[sequence] = tokens;
    return true;
}

static void fake_free(struct engine_backend *b)
{
    free(b);
}

static const struct engine_backend_ops fake_ops = {
    .load = fake_load,
    .decode = fake_decode,
    .logits = fake_logits,
    .clear = fake_clear,
    .move = fake_move,
    .state_size = fake_state_size,
    .state_save = fake_state_save,
    .state_load = fake_state_load,
    .trim = fake_trim,
    .free = fake_free,
};

static struct loop *loop;
static struct engine *engine;
static struct engine_options options;
static void (*body)(void);

static void run_body(void *arg)
{
    (void)arg;
    struct status st = {0};
    fake = calloc(1, sizeof *fake);
    assert_non_null(fake);
    fake->base.ops = &fake_ops;
    assert_true(engine_open(loop, &fake->base, &options, &engine, &st));
    while (engine_state(engine, NULL, NULL) == ENGINE_LOADING)
        assert_true(loop_sleep(clock_deadline_ms(1), &st));
    body();
    engine_close(engine);
    loop_stop(loop);
}

static void with_engine(void (*run)(void), struct engine_options with)
{
    struct status st = {0};
    options = with;
    body = run;
    assert_true(loop_open(&(struct loop_options){.name = "test", .cpu = -1}, &loop, &st));
    assert_true(fiber_start(loop, "test", run_body, NULL, &st));
    loop_run(loop);
    loop_close(loop);
}

static struct engine_request *ask(int number, const char *tenant, uint32_t prompt_count,
                                  uint32_t output_max)
{
    int32_t prompt[CONTEXT];
    struct engine_request *request = NULL;
    struct status st = {0};
    for (uint32_t i = 0; i < prompt_count; i++)
        prompt[i] = (number * 31 + (int32_t)i) % VOCAB;
    struct engine_job job = {.prompt = prompt,
                             .prompt_count = prompt_count,
                             .output_max = output_max,
                             .tenant = text_of(tenant),
                             .sampling = engine_sampling_default()};
    job.sampling.seed = (uint64_t)number;
    if (!engine_submit(engine, &job, &request, &st))
        fail_msg("%s", st.text);
    return request;
}

static uint32_t read_all(struct engine_request *request, int32_t *out)
{
    struct engine_event event;
    struct status st = {0};
    uint32_t count = 0;
    for (;;) {
        if (!engine_request_next(request, clock_deadline_ms(60000), &event, &st))
            fail_msg("%s", st.text);
        if (event.ending != ENGINE_ENDING_NONE)
            break;
        assert_true(count < ANSWER_MAX);
        out[count++] = event.token;
    }
    assert_int_equal(event.ending, ENGINE_ENDING_LENGTH);
    return count;
}

/* What each request answers when it has the engine for itself. */
static int32_t alone[REQUESTS][ANSWER_MAX], together[REQUESTS][ANSWER_MAX];
static struct engine_stats stats;

static const char *tenant_of(int number)
{
    static const char *const names[] = {"a", "a", "b", "a", "c", "a"};
    return names[number % 6];
}

static uint32_t prompt_of(int number)
{
    return 20 + (uint32_t)number * 7;
}

static void one_by_one(void)
{
    for (int i = 0; i < REQUESTS; i++) {
        AUTO(engine_request)
        struct engine_request *r = ask(i, tenant_of(i), prompt_of(i), ANSWER_MAX);
        assert_int_equal(read_all(r, alone[i]), ANSWER_MAX);
    }
    engine_stats(engine, &stats);
    assert_int_equal(stats.preempted, 0);
}

/* After many short answers longer ones are not expected, and outgrow what they were given. */
static void short_answers(void)
{
    for (int i = 0; i < 40; i++) {
        int32_t out[ANSWER_MAX];
        AUTO(engine_request) struct engine_request *r = ask(i, "a", 4, 1);
        assert_int_equal(read_all(r, out), 1);
    }
}

static void all_at_once(void)
{
    struct engine_request *r[REQUESTS];
    short_answers();
    atomic_store(&fake->hold, true); /* the first runs when the others come, all together */
    for (int i = 0; i < REQUESTS; i++)
        r[i] = ask(i, tenant_of(i), prompt_of(i), ANSWER_MAX);
    atomic_store(&fake->hold, false);
    for (int i = 0; i < REQUESTS; i++) {
        assert_int_equal(read_all(r[i], together[i]), ANSWER_MAX);
        assert_memory_equal(together[i], alone[i], sizeof alone[i]);
        engine_stats(engine, &stats);
        assert_true(options.kept_bytes_max == 0 || stats.kept_bytes <= options.kept_bytes_max);
        engine_request_release(r[i]);
    }
    struct status st = {0};
    do {
        engine_stats(engine, &stats);
        assert_true(loop_sleep(clock_deadline_ms(1), &st));
    } while (stats.sequences_free < SEQUENCES);
    assert_int_equal(stats.kv_tokens_held + stats.kept_bytes + stats.queued, 0);
    assert_int_equal(stats.failed, 0);
}

static void kept(void)
{
    all_at_once();
    assert_true(stats.preempted > 0);
    assert_true(fake->loads > 0 && fake->loads == fake->saves);
}

static void computed_again(void)
{
    all_at_once();
    assert_true(stats.preempted > 0);
    assert_int_equal(fake->saves, 0);
}

static void some_kept(void)
{
    all_at_once();
    assert_true(fake->loads > 0 && (uint64_t)fake->saves <= stats.preempted);
}

static void not_to_be_loaded(void)
{
    atomic_store(&fake->refuse_loads, 3);
    all_at_once();
    assert_int_equal(fake->refuse_loads, 0);
}

/* The same answers, whatever happens to those who write them. */
static void answers_are_the_same(void **state)
{
    (void)state;
    with_engine(one_by_one, (struct engine_options){0});
    static const struct {
        const char *name;
        void (*run)(void);
        struct engine_options options;
    } rows[] = {
        {"room for all", all_at_once, {0}},
        {"beside a cache of prompts", all_at_once, {.cache_tokens = SEQUENCES * CONTEXT / 3}},
        {"a third of the cache, kept", kept, {.cache_tokens = SEQUENCES * CONTEXT / 3}},
        {"computed again",
         computed_again,
         {.cache_tokens = SEQUENCES * CONTEXT / 3, .kept_bytes_max = 1}},
        {"memory for one",
         some_kept,
         {.cache_tokens = SEQUENCES * CONTEXT / 3, .kept_bytes_max = 800}},
        {"not to be loaded", not_to_be_loaded, {.cache_tokens = SEQUENCES * CONTEXT / 3}},
        {"tenants take turns", kept, {.lag_tokens = 20}},
        {"one cache", kept, {.cache_tokens = CONTEXT, .lag_tokens = 20}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        check_case(rows[i].name);
        struct engine_options with = rows[i].options;
        with.ring_tokens = 256;
        with.prompt_budget = 16; /* not by what steps take: the same each time */
        with.prefix_off = rows[i].run != all_at_once; /* so that only what gave way is counted */
        with_engine(rows[i].run, with);
    }
}

/* Cancelled while it waits for the second time: nothing of it stays. */
static void cancel_what_went_back(void)
{
    struct engine_request *r[REQUESTS];
    struct status st = {0};
    short_answers();
    atomic_store(&fake->step_ms, 2);
    for (int i = 0; i < REQUESTS; i++)
        r[i] = ask(i, tenant_of(i), prompt_of(i), ANSWER_MAX);
    for (int i = 0; i < 5000 && stats.kept_bytes == 0; i++) {
        assert_true(loop_sleep(clock_deadline_ms(1), &st));
        engine_stats(engine, &stats);
    }
    assert_true(stats.kept_bytes > 0);
    for (int i = 0; i < REQUESTS; i++)
        engine_request_release(r[i]);
    for (int i = 0; i < 2000 && stats.cancelled < REQUESTS; i++) {
        assert_true(loop_sleep(clock_deadline_ms(1), &st));
        engine_stats(engine, &stats);
    }
    assert_int_equal(stats.kept_bytes + stats.kv_tokens_held, 0);
    assert_int_equal(stats.sequences_free, SEQUENCES);
}

static void cancelled(void **state)
{
    (void)state;
    with_engine(cancel_what_went_back,
                (struct engine_options){.lag_tokens = 20, .prefix_off = true});
}

/* One who has twelve running and waiting does not keep out another for longer than some steps. */
static void light_beside_heavy(void)
{
    struct engine_request *heavy[REQUESTS];
    struct status st = {0};
    struct engine_event event;
    atomic_store(&fake->step_ms, 2);
    for (int i = 0; i < REQUESTS; i++)
        heavy[i] = ask(i, "heavy", 20, 200);
    assert_true(engine_request_next(heavy[0], CLOCK_NEVER, &event, &st));
    engine_stats(engine, &stats);
    uint64_t before = stats.steps;
    AUTO(engine_request) struct engine_request *light = ask(100, "light", 20, 20);
    assert_true(engine_request_next(light, clock_deadline_ms(20000), &event, &st));
    engine_stats(engine, &stats);
    assert_true(stats.steps - before <= 4);
    assert_true(stats.preempted >= 1);
    for (int i = 0; i < REQUESTS; i++)
        engine_request_release(heavy[i]);
}

static void light(void **state)
{
    (void)state;
    with_engine(light_beside_heavy, (struct engine_options){.ring_tokens = 256});
}

/* Each tenant has its own limit, all have one together, and who is refused is told how long. */
static void refuse(void)
{
    struct engine_request *r[20];
    struct status st = {0};
    int32_t prompt[2] = {1, 2};
    size_t count = 0;
    struct engine_job job = {.prompt = prompt,
                             .prompt_count = 2,
                             .output_max = 200,
                             .sampling = engine_sampling_default()};
    static const struct {
        const char *tenant;
        enum status_code code;
    } steps[] = {{"a", STATUS_RATE_LIMITED}, {"b", STATUS_UNAVAILABLE}, {"c", STATUS_UNAVAILABLE}};
    atomic_store(&fake->step_ms, 5);
    for (int i = 0; i < SEQUENCES; i++)
        r[count++] = ask(i, "a", 10, 200);
    do {
        engine_stats(engine, &stats);
        assert_true(loop_sleep(clock_deadline_ms(1), &st));
    } while (stats.queued > 0);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        job.tenant = text_of(steps[i].tenant);
        check_case(steps[i].tenant);
        while (count < ARRAY_LEN(r) && engine_submit(engine, &job, &r[count], &st))
            count++;
        assert_int_equal(st.code, steps[i].code);
        assert_in_range(st.retry_after_ms, 1000, 600000);
        assert_false(engine_admits(engine, job.tenant, 1, 0, &st));
        assert_int_equal(st.code, steps[i].code);
    }
    assert_in_range(count, SEQUENCES + 4, SEQUENCES + 6);
    engine_stats(engine, &stats);
    assert_int_equal(stats.refused, 2 * ARRAY_LEN(steps));
    for (size_t i = 0; i < count; i++)
        engine_request_release(r[i]);
    assert_false(engine_admits(engine, TEXT("d"), 9, 18, &st)); /* all n or none */
}

static void refusals(void **state)
{
    (void)state;
    with_engine(refuse, (struct engine_options){
                            .queue_requests_max = 6, .tenant_requests_max = 4, .ring_tokens = 256});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_the_same),
        cmocka_unit_test(cancelled),
        cmocka_unit_test(light),
        cmocka_unit_test(refusals),
    };
    setenv("CMOCKA_TEST_ABORT", "1", 1); /* a failed check cannot jump out of a fiber */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
