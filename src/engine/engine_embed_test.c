/* The batcher over a backend that sums tokens, and can be held, told to fail or to be slow. */
#include "engine_embed.h"
#include "clock.h"
#include "loop_check.h"
#include <stdlib.h>
#include <unistd.h>

struct fake {
    struct engine_embed_backend base; /* first */
    _Atomic bool load_fails, held, fails;
    _Atomic int batches, rows_last, computing;
};
static struct fake *fake;
static struct engine_embed *embed;
static struct engine_embed_options options;
static int freed, changes;

static bool fake_load(struct engine_embed_backend *b, void (*progress)(void *, int), void *arg,
                      struct engine_embed_facts *facts, struct status *st)
{
    struct fake *f = (void *)b;
    progress(arg, 50);
    *facts = (struct engine_embed_facts){.context = 64,
                                         .dimensions = 2,
                                         .vocab = 100,
                                         .batch_tokens = 128,
                                         .batch_texts = 8,
                                         .pads = true};
    return atomic_load(&f->load_fails) ? status_fail(st, STATUS_INVALID, "it is broken") : true;
}

static bool fake_compute(struct engine_embed_backend *b, const struct engine_embed_batch *batch,
                         struct status *st)
{
    struct fake *f = (void *)b;
    atomic_store(&f->computing, 1);
    while (atomic_load(&f->held) && !atomic_load(&b->abort))
        usleep(500);
    atomic_store(&f->computing, 0);
    atomic_fetch_add(&f->batches, 1);
    atomic_store(&f->rows_last, (int)batch->count);
    for (uint32_t r = 0; r < batch->count; r++) {
        WEIR_ASSERT(batch->rows[r].count <= batch->length);
        for (uint32_t i = 0; i < batch->rows[r].count; i++)
            batch->rows[r].out[0] += (float)batch->rows[r].tokens[i];
        batch->rows[r].out[1] = (float)batch->rows[r].count;
    }
    return atomic_load(&f->fails) ? status_fail(st, STATUS_INVALID, "no luck") : true;
}

static void fake_free(struct engine_embed_backend *b)
{
    freed++;
    free(b);
}

static const struct engine_embed_ops ops = {
    .load = fake_load, .compute = fake_compute, .free = fake_free};

static void on_changed(void *arg)
{
    (void)arg;
    changes++;
}

static void open_embed(bool load_fails)
{
    struct status st = {0};
    fake = base_alloc(sizeof *fake);
    fake->base.ops = &ops;
    fake->load_fails = load_fails;
    freed = changes = 0;
    options.changed = on_changed;
    assert_true(engine_embed_open(loop, &fake->base, &options, &embed, &st));
    while (changes == 0)
        assert_true(loop_sleep(clock_deadline_ms(1), &st));
}

/* A delivery may be on its way: what it needs is freed when it has come. */
static void close_embed(void)
{
    struct status st = {0};
    engine_embed_close(embed);
    options = (struct engine_embed_options){0};
    while (freed == 0)
        assert_true(loop_sleep(clock_deadline_ms(1), &st));
    assert_int_equal(freed, 1);
}

/* A caller in a fiber of its own: `count` texts of `tokens` tokens. */
struct caller {
    struct fiber *fiber;
    const char *tenant;
    uint32_t count, tokens;
    bool ok, ended;
    struct status st;
    float out[64][2];
};

static void run_caller(void *arg)
{
    struct caller *c = arg;
    int32_t tokens[64];
    struct engine_embed_row rows[64];
    for (int i = 0; i < 64; i++)
        tokens[i] = i % 10;
    for (uint32_t i = 0; i < c->count; i++)
        rows[i] = (struct engine_embed_row){tokens, c->tokens, c->tokens, c->out[i]};
    engine_embed_expect(embed);
    c->ok =
        engine_embed_run(embed, rows, c->count, text_of(c->tenant), 0, CLOCK_NEVER, NULL, &c->st);
    c->ended = true;
}

static void start(struct caller *c, const char *tenant, uint32_t count, uint32_t tokens)
{
    struct status st = {0};
    *c = (struct caller){.tenant = tenant, .count = count, .tokens = tokens};
    assert_true(fiber_start_joinable(loop, "caller", run_caller, c, &c->fiber, &st));
}

static void until(_Atomic int *what, int value)
{
    struct status st = {0};
    while (atomic_load(what) != value)
        assert_true(loop_sleep(clock_deadline_ms(1), &st));
}

static void answers(void)
{
    struct caller a, b;
    open_embed(false);
    assert_int_equal(engine_embed_state(embed, NULL, NULL), ENGINE_READY);
    start(&a, "a", 20, 4);
    start(&b, "b", 1, 40);
    fiber_join(a.fiber);
    fiber_join(b.fiber);
    assert_true(a.ok && b.ok);
    for (int i = 0; i < 20; i++)
        assert_true(a.out[i][0] == 6 && a.out[i][1] == 4);
    assert_true(b.out[0][1] == 40);
    struct engine_embed_stats stats;
    engine_embed_stats(embed, &stats);
    assert_int_equal(stats.texts, 21);
    assert_int_equal(stats.tokens, 120);
    assert_int_equal(stats.padded_tokens, 20 * 16 + 64);
    assert_int_equal(stats.requests, 2);
    assert_int_equal(stats.queued + stats.queued_tokens, 0);
    close_embed();
}

/* While one more is known to come, the first waits for it; and not for ever. */
static void those_on_their_way_are_awaited(void)
{
    struct caller a, b;
    struct status st = {0};
    options.window_us = 300000;
    open_embed(false);
    engine_embed_expect(embed); /* somebody else's */
    start(&a, "a", 1, 4);
    assert_true(loop_sleep(clock_deadline_ms(60), &st));
    assert_int_equal(atomic_load(&fake->batches), 0);
    start(&b, "b", 1, 4);
    assert_true(loop_sleep(clock_deadline_ms(20), &st));
    engine_embed_unexpect(embed);
    fiber_join(a.fiber);
    fiber_join(b.fiber);
    assert_true(a.ok && b.ok);
    assert_int_equal(atomic_load(&fake->batches), 1);
    assert_int_equal(atomic_load(&fake->rows_last), 2);
    engine_embed_expect(embed);
    int64_t from_us = clock_mono_us();
    start(&a, "a", 1, 4);
    fiber_join(a.fiber);
    assert_in_range(clock_mono_us() - from_us, 250000, 5000000);
    engine_embed_unexpect(embed);
    close_embed();
}

static void a_full_queue_refuses(void)
{
    struct caller held, waiting[4], more;
    struct status st = {0};
    options.queue_requests_max = 4;
    options.queue_tokens_max = 100;
    open_embed(false);
    atomic_store(&fake->held, true);
    start(&held, "a", 1, 4);
    until(&fake->computing, 1);
    for (int i = 0; i < 4; i++)
        start(&waiting[i], "a", 1, 4);
    assert_true(loop_sleep(clock_deadline_ms(1), &st));
    assert_false(engine_embed_admits(embed, 0, &st));
    assert_int_equal(st.code, STATUS_RATE_LIMITED);
    assert_true(st.retry_after_ms >= 1000);
    start(&more, "b", 1, 4);
    fiber_join(more.fiber);
    assert_true(!more.ok && more.st.code == STATUS_RATE_LIMITED);
    fiber_cancel(waiting[3].fiber);
    fiber_join(waiting[3].fiber);
    assert_true(!waiting[3].ok && waiting[3].st.code == STATUS_CANCELLED);
    st = (struct status){0};
    assert_true(engine_embed_admits(embed, 52, &st)); /* 3 of 16 wait */
    assert_false(engine_embed_admits(embed, 53, &st));
    atomic_store(&fake->held, false);
    fiber_join(held.fiber);
    for (int i = 0; i < 3; i++) {
        fiber_join(waiting[i].fiber);
        assert_true(waiting[i].ok);
    }
    close_embed();
}

/* A caller that goes away in the midst of its batch: what it lent is not touched any more. */
static void callers_go_away(void)
{
    struct caller a, b;
    struct engine_embed_stats stats;
    open_embed(false);
    atomic_store(&fake->held, true);
    start(&a, "a", 20, 4);
    until(&fake->computing, 1);
    start(&b, "b", 1, 4);
    struct status st = {0};
    assert_true(loop_sleep(clock_deadline_ms(1), &st));
    fiber_cancel(a.fiber);
    fiber_join(a.fiber);
    assert_true(a.ended && !a.ok);
    engine_embed_stats(embed, &stats);
    assert_int_equal(stats.queued_tokens, 16); /* of b alone */
    assert_int_equal(stats.cancelled, 1);
    atomic_store(&fake->held, false);
    fiber_join(b.fiber);
    assert_true(b.ok);
    assert_int_equal(atomic_load(&fake->batches), 2);
    close_embed();
}

static void what_cannot_be_computed_fails(void)
{
    struct caller a;
    open_embed(false);
    atomic_store(&fake->fails, true);
    start(&a, "a", 20, 4);
    fiber_join(a.fiber);
    assert_false(a.ok);
    assert_int_equal(a.st.code, STATUS_INTERNAL);
    check_text(status_text(&a.st), "no luck");
    atomic_store(&fake->fails, false);
    start(&a, "a", 20, 4);
    fiber_join(a.fiber);
    assert_true(a.ok);
    close_embed();
}

static void a_broken_model_is_said_to_be(void)
{
    struct status st = {0};
    open_embed(true);
    assert_int_equal(engine_embed_state(embed, NULL, &st), ENGINE_FAILED);
    check_text(status_text(&st), "it is broken");
    assert_false(engine_embed_admits(embed, 1, &st));
    assert_int_equal(st.code, STATUS_UNAVAILABLE);
    close_embed();
}

static void closing_does_not_wait_long(void)
{
    struct caller a;
    open_embed(false);
    atomic_store(&fake->held, true);
    start(&a, "a", 20, 4);
    until(&fake->computing, 1);
    fiber_cancel(a.fiber);
    fiber_join(a.fiber);
    close_embed();
}

#define TEST(name)                                                                                 \
    static void name##_test(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        on_loop(name);                                                                             \
    }
TEST(answers)
TEST(those_on_their_way_are_awaited)
TEST(a_full_queue_refuses)
TEST(callers_go_away)
TEST(what_cannot_be_computed_fails)
TEST(a_broken_model_is_said_to_be)
TEST(closing_does_not_wait_long)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_test),
        cmocka_unit_test(those_on_their_way_are_awaited_test),
        cmocka_unit_test(a_full_queue_refuses_test),
        cmocka_unit_test(callers_go_away_test),
        cmocka_unit_test(what_cannot_be_computed_fails_test),
        cmocka_unit_test(a_broken_model_is_said_to_be_test),
        cmocka_unit_test(closing_does_not_wait_long_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
