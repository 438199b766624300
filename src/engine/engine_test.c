/* The engine against a backend of our own: no model, known behaviour. It writes the token that
 * follows the one it was given (modulo a count), so each answer says which rows it was made from,
 * and it checks the batches it gets as the real one would. */
#include "check.h"
#include "clock.h"
#include "fiber.h"
#include "engine_backend.h"
#include "engine.h"
#include "loop.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { VOCAB = 1000, END_TOKEN = 999, SEQUENCES = 4, CONTEXT = 256, BATCH = 64, ROWS_MAX = BATCH };

struct fake {
    struct engine_backend base;
    int32_t next[SEQUENCES]; /* position that must come next in each sequence */
    float rows[ROWS_MAX][VOCAB];
    int32_t given[ROWS_MAX];
    _Atomic int step_ms, decodes, break_at; /* break_at: the number of the decode that breaks */
    _Atomic bool refuse_load, hold;         /* hold: decode waits until it is false */
    _Atomic bool nan_once;
    enum engine_decode break_with;
};
static struct fake *fake;
static _Atomic int freed;

static bool fake_load(struct engine_backend *b, void (*progress)(void *, int), void *arg,
                      struct engine_facts *facts, struct status *st)
{
    struct fake *f = (void *)b;
    progress(arg, 50);
    if (f->refuse_load)
        return status_fail(st, STATUS_INVALID, "no model today");
    *facts = (struct engine_facts){.context = CONTEXT,
                                   .parallel = SEQUENCES,
                                   .batch = BATCH,
                                   .vocab = VOCAB,
                                   .ends = {END_TOKEN},
                                   .ends_count = 1};
    return true;
}

static void nap(int ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

static enum engine_decode fake_decode(struct engine_backend *b, const struct engine_batch *batch)
{
    struct fake *f = (void *)b;
    while (f->hold && !f->base.abort)
        nap(1);
    if (f->step_ms > 0)
        nap(f->step_ms);
    if (++f->decodes == f->break_at)
        return f->break_with;
    for (uint32_t i = 0; i < batch->rows; i++) {
        int32_t sequence = batch->sequence[i];
        WEIR_ASSERT(sequence >= 0 && sequence < SEQUENCES);
        WEIR_ASSERT(batch->position[i] == f->next[sequence] && batch->position[i] < CONTEXT);
        f->next[sequence]++;
        f->given[i] = batch->token[i];
    }
    return ENGINE_DECODE_OK;
}

static float *fake_logits(struct engine_backend *b, uint32_t row)
{
    struct fake *f = (void *)b;
    bool broken = atomic_exchange(&f->nan_once, false);
    for (int i = 0; i < VOCAB; i++)
        f->rows[row][i] = broken ? (float)(0.0 / (double)(i - i)) : 0;
    f->rows[row][(f->given[row] + 1) % VOCAB] += 10;
    f->rows[row][(f->given[row] + 2) % VOCAB] += 5;
    return f->rows[row];
}

static void fake_clear(struct engine_backend *b, int32_t sequence)
{
    ((struct fake *)(void *)b)->next[sequence] = 0;
}

static bool fake_move(struct engine_backend *b, int32_t from, int32_t to)
{
    struct fake *f = (void *)b;
    WEIR_ASSERT(f->next[to] == 0);
    f->next[to] = f->next[from];
    f->next[from] = 0;
    return true;
}

/* Nothing that can be saved: engine_prefix_test.c has that. */
static size_t fake_state_size(struct engine_backend *b, int32_t sequence)
{
    (void)b;
    (void)sequence;
    return 0;
}

static void fake_free(struct engine_backend *b)
{
    freed++;
    free(b);
}

static const struct engine_backend_ops fake_ops = {
    .load = fake_load,
    .decode = fake_decode,
    .logits = fake_logits,
    .clear = fake_clear,
    .move = fake_move,
    .state_size = fake_state_size,
    .free = fake_free,
};

static struct engine_backend *fake_new(void)
{
    fake = calloc(1, sizeof *fake);
    assert_non_null(fake);
    fake->base.ops = &fake_ops;
    return &fake->base;
}

/* Runs `body` in a fiber of a fresh loop, with an engine open unless it opens one itself. */
static struct loop *loop;
static struct engine *engine;
static struct engine_options options;
static void (*body)(void);

static void wait_ready(void)
{
    struct status st = {0};
    while (engine_state(engine, NULL, NULL) == ENGINE_LOADING)
        assert_true(loop_sleep(clock_deadline_ms(1), &st));
}

static void run_body(void *arg)
{
    (void)arg;
    struct status st = {0};
    assert_true(engine_open(loop, fake_new(), &options, &engine, &st));
    body();
    engine_close(engine);
    loop_stop(loop);
}

static void with_engine(void (*run)(void), struct engine_options with)
{
    struct status st = {0};
    options = with;
    body = run;
    freed = 0;
    assert_true(loop_open(&(struct loop_options){.name = "test", .cpu = -1}, &loop, &st));
    assert_true(fiber_start(loop, "test", run_body, NULL, &st));
    loop_run(loop);
    loop_close(loop);
    assert_int_equal(freed, 1);
}

static struct engine_request *ask(int32_t first, uint32_t prompt_count, uint32_t output_max)
{
    int32_t prompt[CONTEXT];
    struct engine_request *request = NULL;
    struct status st = {0};
    assert_true(prompt_count <= CONTEXT);
    for (uint32_t i = 0; i < prompt_count; i++)
        prompt[i] = 500;
    prompt[prompt_count - 1] = first;
    struct engine_job job = {.prompt = prompt,
                             .prompt_count = prompt_count,
                             .output_max = output_max,
                             .sampling = engine_sampling_default()};
    job.sampling.temperature = 0;
    if (!engine_submit(engine, &job, &request, &st))
        fail_msg("%s", st.text);
    return request;
}

/* Reads to the end; the tokens must count upwards from `first`. Returns how many came. */
static uint32_t read_all(struct engine_request *request, int32_t first, enum engine_ending *ending)
{
    struct engine_event event;
    struct status st = {0};
    uint32_t count = 0;
    for (;;) {
        if (!engine_request_next(request, clock_deadline_ms(20000), &event, &st))
            fail_msg("%s", st.text);
        if (event.ending != ENGINE_ENDING_NONE)
            break;
        assert_int_equal(event.token, first + 1 + (int32_t)count++);
    }
    *ending = event.ending;
    return count;
}

static void expect_idle(void)
{
    struct engine_stats stats;
    struct status st = {0};
    for (int i = 0; i < 2000; i++) {
        engine_stats(engine, &stats);
        if (stats.sequences_free == SEQUENCES && stats.queued == 0)
            break;
        assert_true(loop_sleep(clock_deadline_ms(1), &st));
    }
    assert_int_equal(stats.sequences_free, SEQUENCES);
    assert_int_equal(stats.kv_tokens_held, 0);
    assert_int_equal(stats.queued, 0);
    assert_int_equal(stats.queued_tokens, 0);
    assert_int_equal(stats.prefilling + stats.decoding, 0);
}

static void lengths_and_ends(void)
{
    wait_ready();
    enum engine_ending ending;
    struct engine_request *r = ask(10, 1, 5);
    assert_int_equal(read_all(r, 10, &ending), 5);
    assert_int_equal(ending, ENGINE_ENDING_LENGTH);
    assert_int_equal(engine_request_outputs(r), 5);
    struct engine_timing timing = engine_request_timing(r);
    assert_true(timing.queue_us >= 0 && timing.prefill_us >= 0 && timing.decode_us >= 0);
    struct engine_event event;
    assert_true(engine_request_poll(r, &event)); /* the end is said again */
    assert_int_equal(event.ending, ENGINE_ENDING_LENGTH);
    engine_request_release(r);

    r = ask(END_TOKEN - 4, 100, 0); /* over several chunks, to the model's own end */
    assert_int_equal(read_all(r, END_TOKEN - 4, &ending), 3);
    assert_int_equal(ending, ENGINE_ENDING_STOP);
    assert_int_equal(engine_request_outputs(r), 4);
    engine_request_release(r);

    r = ask(10, CONTEXT - 3, 0); /* to the end of the context */
    assert_int_equal(read_all(r, 10, &ending), 3);
    assert_int_equal(ending, ENGINE_ENDING_LENGTH);
    engine_request_release(r);
    expect_idle();
    struct engine_stats stats;
    engine_stats(engine, &stats);
    assert_int_equal(stats.output_tokens, 5 + 4 + 3);
    assert_int_equal(stats.prompt_tokens, 1 + 100 + CONTEXT - 3);
}

static void ignored_end(void)
{
    wait_ready();
    struct status st = {0};
    int32_t prompt = END_TOKEN - 2;
    struct engine_job job = {.prompt = &prompt,
                             .prompt_count = 1,
                             .output_max = 3,
                             .ignore_end = true,
                             .sampling = engine_sampling_default()};
    job.sampling.temperature = 0;
    struct engine_request *r;
    assert_true(engine_submit(engine, &job, &r, &st));
    static const int32_t want[] = {END_TOKEN - 1, 0, 1}; /* the second choice instead of the end */
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        struct engine_event event;
        assert_true(engine_request_next(r, CLOCK_NEVER, &event, &st));
        assert_int_equal(event.token, want[i]);
    }
    engine_request_release(r);
}

static void refusals(void)
{
    struct status st = {0};
    int32_t prompt[CONTEXT + 1] = {0};
    struct engine_request *r = NULL;
    struct engine_job job = {
        .prompt = prompt, .prompt_count = 1, .sampling = engine_sampling_default()};
    wait_ready();
    job.prompt_count = CONTEXT;
    assert_false(engine_submit(engine, &job, &r, &st));
    assert_int_equal(st.code, STATUS_INVALID);
    assert_string_equal(st.text, "this model's context is 256 tokens; the prompt has 256");
    job.prompt_count = 2;
    prompt[1] = VOCAB;
    assert_false(engine_submit(engine, &job, &r, &st));
    assert_int_equal(st.code, STATUS_INVALID);

    atomic_store(&fake->hold, true);
    struct engine_request *held[3];
    for (int i = 0; i < 3; i++)
        held[i] = ask(1, 1, 1);
    prompt[1] = 0;
    while (engine_submit(engine, &job, &r, &st)) /* queue_requests_max is 2 */
        engine_request_release(r);
    assert_int_equal(st.code, STATUS_RATE_LIMITED);
    assert_true(st.retry_after_ms >= 1000);
    atomic_store(&fake->hold, false);
    for (int i = 0; i < 3; i++) {
        enum engine_ending ending;
        read_all(held[i], 1, &ending);
        engine_request_release(held[i]);
    }
    expect_idle();
    engine_request_release(NULL);
}

static void many_at_once(void)
{
    wait_ready();
    enum { MANY = 40 };
    struct engine_request *r[MANY];
    enum engine_ending ending;
    for (int i = 0; i < MANY; i++)
        r[i] = ask(i * 10, 1 + (uint32_t)i * 3, 20 + (uint32_t)i);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(read_all(r[i], i * 10, &ending), 20 + i);
        engine_request_release(r[i]);
    }
    expect_idle();
}

static void cancelled(void)
{
    wait_ready();
    atomic_store(&fake->step_ms, 5);
    struct engine_request *busy = ask(1, 1, 200), *gone = ask(300, 1, 200), *kept = ask(2, 1, 30);
    struct engine_event event;
    struct status st = {0};
    assert_true(engine_request_next(gone, CLOCK_NEVER, &event, &st));
    engine_request_cancel(gone);
    int decodes = atomic_load(&fake->decodes);
    while (event.ending == ENGINE_ENDING_NONE)
        assert_true(engine_request_next(gone, CLOCK_NEVER, &event, &st));
    assert_int_equal(event.ending, ENGINE_ENDING_CANCELLED);
    assert_true(atomic_load(&fake->decodes) <= decodes + 2); /* the running step and no other */
    engine_request_release(gone);
    engine_request_release(busy); /* never read: gone all the same */
    enum engine_ending ending;
    assert_int_equal(read_all(kept, 2, &ending), 30);
    engine_request_release(kept);
    expect_idle();
    struct engine_stats stats;
    engine_stats(engine, &stats);
    assert_int_equal(stats.cancelled, 2);
    assert_true(stats.output_tokens < 100);
}

static void finished_by_reader(void)
{
    wait_ready();
    atomic_store(&fake->step_ms, 2);
    struct engine_request *r = ask(1, 1, 200);
    struct engine_event event;
    struct status st = {0};
    assert_true(engine_request_next(r, CLOCK_NEVER, &event, &st));
    engine_request_finish(r);
    while (event.ending == ENGINE_ENDING_NONE)
        assert_true(engine_request_next(r, CLOCK_NEVER, &event, &st));
    assert_int_equal(event.ending, ENGINE_ENDING_STOP);
    engine_request_release(r);
    struct engine_stats stats;
    engine_stats(engine, &stats);
    assert_int_equal(stats.cancelled, 0);
}

static void slow_reader(void)
{
    wait_ready();
    struct engine_request *slow = ask(1, 1, 100), *other = ask(2, 1, 100);
    enum engine_ending ending;
    struct engine_stats stats;
    struct status st = {0};
    assert_int_equal(read_all(other, 2, &ending), 100); /* a full ring holds up nobody else */
    do {
        engine_stats(engine, &stats);
        assert_true(loop_sleep(clock_deadline_ms(1), &st));
    } while (stats.paused == 0);
    assert_true(stats.output_tokens <= 100 + 8);
    assert_int_equal(read_all(slow, 1, &ending), 100); /* and nothing of it is lost */
    assert_int_equal(ending, ENGINE_ENDING_LENGTH);
    engine_request_release(slow);
    engine_request_release(other);
    expect_idle();
}

static void stalled_reader(void)
{
    wait_ready();
    struct engine_request *stalled = ask(1, 1, 100);
    struct engine_stats stats;
    struct status st = {0};
    do {
        assert_true(loop_sleep(clock_deadline_ms(20), &st));
        engine_stats(engine, &stats);
    } while (stats.stalled == 0);
    expect_idle();
    enum engine_ending ending;
    read_all(stalled, 1, &ending);
    assert_int_equal(ending, ENGINE_ENDING_STALLED);
    engine_request_release(stalled);
}

static void broken_backend(void)
{
    wait_ready();
    enum engine_ending ending;
    atomic_store(&fake->nan_once, true);
    struct engine_request *r = ask(1, 1, 10), *fine;
    read_all(r, 1, &ending);
    assert_int_equal(ending, ENGINE_ENDING_FAILED); /* this one alone */
    engine_request_release(r);
    fake->break_with = ENGINE_DECODE_FULL;
    atomic_store(&fake->break_at, atomic_load(&fake->decodes) + 2);
    r = ask(1, 1, 10);
    read_all(r, 1, &ending);
    assert_int_equal(ending, ENGINE_ENDING_FAILED);
    engine_request_release(r);
    expect_idle();
    fine = ask(1, 1, 10);
    assert_int_equal(read_all(fine, 1, &ending), 10);
    engine_request_release(fine);

    fake->break_with = ENGINE_DECODE_BROKEN;
    atomic_store(&fake->break_at, atomic_load(&fake->decodes) + 2);
    r = ask(1, 1, 10);
    read_all(r, 1, &ending);
    assert_int_equal(ending, ENGINE_ENDING_FAILED);
    engine_request_release(r);
    struct status st = {0};
    struct status why = {0};
    while (engine_state(engine, NULL, &why) != ENGINE_FAILED)
        assert_true(loop_sleep(clock_deadline_ms(1), &st));
    assert_true(why.text[0] != 0);
    assert_false(engine_admits(engine, TEXT(""), 1, 1, &st));
    assert_int_equal(st.code, STATUS_UNAVAILABLE);
}

static void closed_while_running(void)
{
    wait_ready();
    atomic_store(&fake->hold, true);
    struct engine_request *r = ask(1, 1, 10);
    struct status st = {0};
    assert_true(loop_sleep(clock_deadline_ms(20), &st));
    engine_request_release(r);
}

static int changes;
static void on_change(void *arg)
{
    (void)arg;
    changes++;
}
static void told_of_changes(void)
{
    wait_ready();
    struct status st = {0};
    for (int i = 0; i < 1000 && changes == 0; i++)
        assert_true(loop_sleep(clock_deadline_ms(1), &st));
    assert_int_equal(changes, 1);
}

static void wait_any_of(void)
{
    wait_ready();
    atomic_store(&fake->step_ms, 1);
    struct engine_request *r[3] = {ask(10, 1, 7), ask(100, 50, 9), ask(200, 200, 11)};
    uint32_t got[3] = {0}, ended = 0;
    struct status st = {0};
    while (ended < 3) {
        assert_true(engine_request_wait_any(r, 3, clock_deadline_ms(20000), &st));
        ended = 0;
        for (int i = 0; i < 3; i++) {
            struct engine_event event = {.ending = ENGINE_ENDING_NONE, .token = -1};
            while (engine_request_poll(r[i], &event) && event.ending == ENGINE_ENDING_NONE)
                got[i]++;
            ended += event.ending != ENGINE_ENDING_NONE;
        }
    }
    assert_int_equal(got[0] + got[1] + got[2], 27);
    for (int i = 0; i < 3; i++)
        engine_request_release(r[i]);
}

#define ENGINE_TEST(name, ...)                                                                     \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        with_engine(name, (struct engine_options){.prompt_budget = 16, ##__VA_ARGS__});            \
    }
ENGINE_TEST(lengths_and_ends, .ring_tokens = 1024)
ENGINE_TEST(ignored_end)
ENGINE_TEST(refusals, .queue_requests_max = 6)
ENGINE_TEST(many_at_once, .ring_tokens = 256)
ENGINE_TEST(cancelled, .ring_tokens = 256)
ENGINE_TEST(finished_by_reader)
ENGINE_TEST(slow_reader, .ring_tokens = 8)
ENGINE_TEST(stalled_reader, .ring_tokens = 4, .stall_ms_max = 50)
ENGINE_TEST(broken_backend)
ENGINE_TEST(closed_while_running)
ENGINE_TEST(told_of_changes, .changed = on_change)
ENGINE_TEST(wait_any_of)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths_and_ends), cmocka_unit_test(test_ignored_end),
        cmocka_unit_test(test_refusals),         cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_cancelled),        cmocka_unit_test(test_finished_by_reader),
        cmocka_unit_test(test_slow_reader),      cmocka_unit_test(test_stalled_reader),
        cmocka_unit_test(test_broken_backend),   cmocka_unit_test(test_closed_while_running),
        cmocka_unit_test(test_told_of_changes),  cmocka_unit_test(test_wait_any_of),
    };
    setenv("CMOCKA_TEST_ABORT", "1", 1); /* a failed check cannot jump out of a fiber */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
