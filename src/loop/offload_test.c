#include <pthread.h>
#include <stdlib.h>
#include <stdatomic.h>
#include <unistd.h>
#include "clock.h"
#include "log.h"
#include "loop_check.h"

static void pause_ms(unsigned ms)
{
    (void)usleep(ms * 1000);
}

struct sum {
    int from, to, sum;
    pthread_t thread;
    const struct log_scope *scope;
};
static void add_up(void *arg)
{
    struct sum *sum = arg;
    for (int i = sum->from; i <= sum->to; i++)
        sum->sum += i;
    sum->thread = pthread_self();
    sum->scope = log_scope_get();
}

static const struct log_scope scope = {{"req_1", 5}};
static void work_main(void)
{
    struct status st;
    fiber_set_log_scope(&scope);
    for (int i = 0; i < 200; i++) {
        struct sum sum = {.from = 1, .to = i};
        assert_true(offload(add_up, &sum, &st));
        assert_int_equal(sum.sum, i * (i + 1) / 2);
        assert_false(pthread_equal(sum.thread, pthread_self()));
        assert_ptr_equal(sum.scope, &scope);
    }
}

static void work_runs_on_another_thread(void **state)
{
    (void)state;
    on_loop(work_main);
}

/* Holds a thread of the pool until `gate_open`. */
static atomic_bool gate_open;
static atomic_int gate_waiting, begun;
static void hold(void *arg)
{
    (void)arg;
    atomic_fetch_add(&gate_waiting, 1);
    while (!atomic_load(&gate_open))
        pause_ms(1);
    atomic_fetch_sub(&gate_waiting, 1);
}

static void count(void *arg)
{
    (void)arg;
    atomic_fetch_add(&begun, 1);
}

static int ended;
static void holder(void *arg)
{
    (void)arg;
    struct status st;
    assert_true(offload(hold, NULL, &st)); /* though cancelled: the thread has its memory */
    assert_int_equal(atomic_load(&gate_waiting), 0);
    assert_true(fiber_cancelled());
    assert_false(fiber_wait(CLOCK_NEVER, &st));
    assert_int_equal(st.code, STATUS_CANCELLED);
    ended++;
}

static void withdrawn(void *arg)
{
    (void)arg;
    struct status st;
    assert_false(offload(count, NULL, &st));
    assert_int_equal(st.code, STATUS_CANCELLED);
    assert_false(offload(count, NULL, &st));
    ended++;
}

static void cancel_begun_main(void)
{
    struct status st;
    struct fiber *fiber;
    ended = 0;
    atomic_store(&gate_open, false);
    assert_true(fiber_start_joinable(loop, "holder", holder, NULL, &fiber, &st));
    while (atomic_load(&gate_waiting) == 0)
        assert_true(loop_sleep(clock_deadline_ms(1), &st));
    fiber_cancel(fiber);
    assert_true(loop_sleep(clock_deadline_ms(20), &st));
    assert_int_equal(ended, 0);
    atomic_store(&gate_open, true);
    fiber_join(fiber);
    assert_int_equal(ended, 1);
}

static void begun_work_is_waited_for(void **state)
{
    (void)state;
    on_loop(cancel_begun_main);
}

static void cancel_queued_main(void)
{
    struct status st;
    struct fiber *first, *second;
    ended = 0;
    atomic_store(&gate_open, false);
    atomic_store(&begun, 0);
    assert_true(fiber_start_joinable(loop, "holder", holder, NULL, &first, &st));
    while (atomic_load(&gate_waiting) == 0)
        assert_true(loop_sleep(clock_deadline_ms(1), &st));
    assert_true(fiber_start_joinable(loop, "withdrawn", withdrawn, NULL, &second, &st));
    fiber_yield();
    fiber_yield();
    fiber_cancel(second);
    fiber_join(second); /* at once, while the only thread is still held */
    assert_int_equal(ended, 1);
    fiber_cancel(first);
    atomic_store(&gate_open, true);
    fiber_join(first);
    assert_int_equal(atomic_load(&begun), 0);
}

static void queued_work_is_withdrawn(void **state)
{
    (void)state;
    on_loop(cancel_queued_main);
}

/* No wake-up is lost: a thread signals once per item, and may run far ahead. */
enum { ITEMS = 20000 };
static atomic_int produced;
static void *produce(void *arg)
{
    struct notify *bell = arg;
    for (int i = 0; i < ITEMS; i++) {
        atomic_fetch_add(&produced, 1);
        notify_signal(bell);
        if (i % 64 == 0)
            pause_ms(0);
    }
    return NULL;
}

static void consumer(void *arg)
{
    struct status st;
    pthread_t thread;
    struct notify *bell = notify_new(loop);
    (void)arg;
    int before = atomic_load(&produced);
    assert_int_equal(pthread_create(&thread, NULL, produce, bell), 0);
    for (int seen = 0; seen - before < ITEMS; seen = atomic_load(&produced)) {
        if (!notify_wait(bell, clock_deadline_ms(30000), &st))
            fail_msg("a signal was lost after %d: %s", seen, st.text);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    notify_free(bell); /* with a signal that nobody has taken */
    ended++;
}

static void notify_main(void)
{
    ended = 0;
    atomic_store(&produced, 0);
    for (int i = 0; i < 10; i++)
        consumer(NULL);
    assert_int_equal(ended, 10);
}

static void no_signal_is_lost(void **state)
{
    (void)state;
    on_loop(notify_main);
}

/* Two loops hand a token to and fro by signals alone: each waits for ever for the other. */
enum { VOLLEYS = 5000 };
struct side {
    struct loop *loop;
    struct notify *mine, *theirs;
};
static void play(void *arg)
{
    struct side *side = arg;
    struct status st;
    for (int i = 0; i < VOLLEYS; i++) {
        if (!notify_wait(side->mine, clock_deadline_ms(30000), &st))
            fail_msg("lost at %d", i);
        notify_signal(side->theirs);
    }
    loop_stop(side->loop);
}

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static void two_loops_play_ball(void **state)
{
    (void)state;
    struct status st;
    struct loop_options options = {.name = "test", .cpu = -1};
    struct side sides[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        assert_true(loop_open(&options, &sides[i].loop, &st));
        sides[i].mine = notify_new(sides[i].loop);
    }
    sides[0].theirs = sides[1].mine;
    sides[1].theirs = sides[0].mine;
    for (int i = 0; i < 2; i++)
        assert_true(fiber_start(sides[i].loop, "side", play, &sides[i], &st));
    notify_signal(sides[0].mine);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_loop, sides[i].loop), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 2; i++) {
        notify_free(sides[i].mine);
        loop_close(sides[i].loop);
    }
}

/* Posts from several threads arrive once each, on the loop's thread, outside fibers, until the
 * loop has stopped. */
static int posts_seen;
static void posted(void *arg)
{
    assert_ptr_equal(loop_current(), arg);
    assert_null(fiber_current());
    posts_seen++;
}

static void *post_many(void *arg)
{
    for (int i = 0; i < 1000; i++)
        assert_true(loop_post(arg, posted, arg));
    return NULL;
}

static void post_main(void)
{
    pthread_t threads[3];
    struct status st;
    posts_seen = 0;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, loop), 0);
    while (posts_seen < 1000 * (int)ARRAY_LEN(threads))
        assert_true(loop_sleep(clock_deadline_ms(1), &st));
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void posts_arrive_once(void **state)
{
    (void)state;
    on_loop(post_main);
    assert_int_equal(posts_seen, 3000);
}

static void sleep_until_stopped(void *arg)
{
    struct status st;
    assert_false(fiber_wait(CLOCK_NEVER, &st));
    assert_int_equal(st.code, STATUS_CANCELLED);
    (void)arg;
    assert_true(fiber_start(loop_current(), "late", count, NULL, &st)); /* born cancelled, runs */
}

static void stop_from_another_thread(void **state)
{
    (void)state;
    struct status st;
    struct loop_options options = {.name = "a name too long for the kernel", .cpu = -1};
    pthread_t thread;
    atomic_store(&begun, 0);
    assert_true(loop_open(&options, &loop, &st));
    assert_true(fiber_start(loop, "sleeper", sleep_until_stopped, NULL, &st));
    assert_int_equal(pthread_create(&thread, NULL, run_loop, loop), 0);
    pause_ms(20);
    loop_stop(loop);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(atomic_load(&begun), 1);
    assert_false(loop_post(loop, posted, NULL)); /* too late */
    loop_close(loop);
}

static void a_core_that_is_not_there(void **state)
{
    (void)state;
    struct status st;
    struct loop_options options = {.name = "test", .cpu = 100000};
    assert_false(loop_open(&options, &loop, &st));
    assert_int_equal(st.code, STATUS_SYSTEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_runs_on_another_thread), cmocka_unit_test(begun_work_is_waited_for),
        cmocka_unit_test(queued_work_is_withdrawn),    cmocka_unit_test(no_signal_is_lost),
        cmocka_unit_test(two_loops_play_ball),         cmocka_unit_test(posts_arrive_once),
        cmocka_unit_test(stop_from_another_thread),    cmocka_unit_test(a_core_that_is_not_there),
    };
    (void)setenv("UV_THREADPOOL_SIZE", "1", 1); /* so that a second job must wait its turn */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
