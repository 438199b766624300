#include "fiber.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "arena.h"
#include "clock.h"
#include "log.h"
#include "loop_check.h"
#include "sanitize.h"

static struct fiber *start(void (*run)(void *arg), const void *arg)
{
    struct status st;
    struct fiber *fiber;
    assert_true(fiber_start_joinable(loop, "child", run, (void *)(uintptr_t)arg, &fiber, &st));
    return fiber;
}

/* A letter per event, in order. */
static char trace[64];
static void trace_add(char letter)
{
    size_t len = strlen(trace);
    assert_true(len + 1 < sizeof(trace));
    trace[len] = letter;
    trace[len + 1] = '\0';
}

static void letters(void *arg)
{
    const char *pair = arg;
    trace_add(pair[0]);
    fiber_yield();
    trace_add(pair[1]);
}

static void order_main(void)
{
    struct fiber *a = start(letters, "ad"), *b = start(letters, "be");
    trace_add('.');
    fiber_yield();
    trace_add('c');
    fiber_join(b);
    fiber_join(a);
}

static void first_come_first_served(void **state)
{
    (void)state;
    trace[0] = '\0';
    on_loop(order_main);
    assert_string_equal(trace, ".abcde");
}

static void kept_wake_main(void)
{
    struct status st;
    fiber_wake(fiber_current());
    fiber_wake(fiber_current()); /* one is kept */
    assert_true(fiber_wait(CLOCK_NEVER, &st));
    assert_false(fiber_wait(clock_deadline_ms(5), &st));
    assert_int_equal(st.code, STATUS_TIMEOUT);
    assert_false(fiber_wait(0, &st)); /* long past */
    assert_int_equal(st.code, STATUS_TIMEOUT);
    fiber_wake(fiber_current());
    assert_true(fiber_wait(clock_deadline_ms(5), &st));
}

static void a_wake_before_the_wait_is_kept(void **state)
{
    (void)state;
    on_loop(kept_wake_main);
}

static void deadline_main(void)
{
    struct status st;
    int64_t start_us = clock_mono_us();
    assert_true(loop_sleep(start_us + 20000, &st));
    assert_true(clock_mono_us() >= start_us + 20000);
    /* The bound of the fiber is earlier than that of the wait. */
    int64_t bound_us = clock_deadline_ms(10);
    assert_int_equal(fiber_set_deadline(bound_us), CLOCK_NEVER);
    assert_false(fiber_wait(CLOCK_NEVER, &st));
    assert_int_equal(st.code, STATUS_TIMEOUT);
    assert_true(clock_mono_us() >= bound_us);
    assert_false(loop_sleep(clock_deadline_ms(60000), &st));
    assert_int_equal(st.code, STATUS_TIMEOUT);
    assert_int_equal(fiber_set_deadline(CLOCK_NEVER), bound_us);
    /* A later, an earlier and again a later deadline of one fiber, which share a place. */
    static const int ms[] = {40, 3, 30, 1};
    for (size_t i = 0; i < ARRAY_LEN(ms); i++) {
        int64_t due_us = clock_deadline_ms(ms[i]);
        assert_false(fiber_wait(due_us, &st));
        assert_int_equal(st.code, STATUS_TIMEOUT);
        assert_true(clock_mono_us() >= due_us);
        assert_true(clock_mono_us() < due_us + 5000000);
    }
}

static void deadlines(void **state)
{
    (void)state;
    on_loop(deadline_main);
}

static int sleepers_done;
static int64_t sleeper_last_us;
static void sleeper(void *arg)
{
    int64_t due_us = *(const int64_t *)arg;
    struct status st;
    assert_true(loop_sleep(due_us, &st));
    assert_true(clock_mono_us() >= due_us);
    assert_true(due_us / 1000 >= sleeper_last_us / 1000); /* the timer's grain is 1 ms */
    sleeper_last_us = due_us;
    sleepers_done++;
}

static void many_deadlines_main(void)
{
    static int64_t due_us[1000];
    struct status st;
    sleepers_done = 0;
    sleeper_last_us = 0;
    for (size_t i = 0; i < ARRAY_LEN(due_us); i++)
        assert_true(fiber_start(loop, "sleeper", sleeper, &due_us[i], &st));
    int64_t from_us = clock_deadline_ms(200); /* none has run yet */
    for (size_t i = 0; i < ARRAY_LEN(due_us); i++)
        due_us[i] = from_us + (int64_t)(i * 7919 % ARRAY_LEN(due_us)) * 50;
    assert_true(loop_sleep(from_us + 60000, &st));
    while (sleepers_done < (int)ARRAY_LEN(due_us))
        fiber_yield();
}

static void deadlines_come_in_order(void **state)
{
    (void)state;
    on_loop(many_deadlines_main);
}

/* Every kind of wait, to be cancelled. */
static struct wait_list list;
static struct notify *bell;
static bool cut_wait(struct status *st)
{
    return fiber_wait(CLOCK_NEVER, st);
}
static bool cut_wait_deadline(struct status *st)
{
    return fiber_wait(clock_deadline_ms(60000), st);
}
static bool cut_sleep(struct status *st)
{
    return loop_sleep(clock_deadline_ms(60000), st);
}
static bool cut_list(struct status *st)
{
    return wait_list_wait(&list, CLOCK_NEVER, st);
}
static bool cut_notify(struct status *st)
{
    return notify_wait(bell, CLOCK_NEVER, st);
}
static void wait_for_ever(void *arg)
{
    struct status st, *out = arg;
    assert_false(fiber_wait(CLOCK_NEVER, &st));
    assert_int_equal(st.code, STATUS_CANCELLED);
    *out = st;
}
static bool cut_join(struct status *st)
{
    fiber_join(start(wait_for_ever, st)); /* the child is cancelled with us */
    return false;
}

struct cut {
    const char *name;
    bool (*wait)(struct status *st);
    bool ended;
};
static void cut_fiber(void *arg)
{
    struct cut *cut = arg;
    struct status st;
    assert_false(cut->wait(&st));
    assert_int_equal(st.code, STATUS_CANCELLED);
    assert_true(fiber_cancelled());
    assert_false(cut->wait(&st)); /* and so does every later one */
    assert_int_equal(st.code, STATUS_CANCELLED);
    assert_false(fiber_check(CLOCK_NEVER, &st));
    assert_int_equal(st.code, STATUS_CANCELLED);
    cut->ended = true;
}

static void cut_main(void)
{
    static struct cut cuts[] = {
        {"wait", cut_wait, false},     {"wait with a deadline", cut_wait_deadline, false},
        {"sleep", cut_sleep, false},   {"wait_list", cut_list, false},
        {"notify", cut_notify, false}, {"join", cut_join, false},
    };
    bell = notify_new(loop);
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        check_case(cuts[i].name);
        cuts[i].ended = false;
        struct fiber *fiber = start(cut_fiber, &cuts[i]);
        fiber_yield();
        fiber_yield();
        assert_false(cuts[i].ended);
        fiber_cancel(fiber);
        fiber_join(fiber);
        assert_true(cuts[i].ended);
    }
    assert_null(list.first);
    assert_null(list.last);
    notify_free(bell);
}

static void cancellation_cuts_every_wait(void **state)
{
    (void)state;
    on_loop(cut_main);
}

static void shielded(void *arg)
{
    (void)arg;
    struct status st;
    fiber_shield();
    fiber_shield();
    assert_true(loop_sleep(clock_deadline_ms(10), &st));
    assert_true(fiber_cancelled());
    fiber_unshield();
    assert_false(fiber_wait(clock_deadline_ms(1), &st));
    assert_int_equal(st.code, STATUS_TIMEOUT);
    fiber_unshield();
    assert_false(fiber_wait(clock_deadline_ms(1), &st));
    assert_int_equal(st.code, STATUS_CANCELLED);
}

static void shield_main(void)
{
    struct fiber *fiber = start(shielded, NULL);
    fiber_yield();
    fiber_cancel(fiber);
    fiber_join(fiber);
}

static void a_shield_lets_cleanups_wait(void **state)
{
    (void)state;
    on_loop(shield_main);
}

static void list_waiter(void *arg)
{
    struct status st;
    assert_true(wait_list_wait(&list, CLOCK_NEVER, &st));
    trace_add(*(const char *)arg);
}

static void list_cut(void *arg)
{
    (void)arg;
    struct status st;
    assert_false(wait_list_wait(&list, clock_deadline_ms(5), &st));
    assert_int_equal(st.code, STATUS_TIMEOUT);
    trace_add('-');
}

/* Woken and cancelled in the same moment: the wake was given to it, and it must not be lost. */
static void list_woken_and_cancelled(void *arg)
{
    (void)arg;
    struct status st;
    assert_true(wait_list_wait(&list, CLOCK_NEVER, &st));
    trace_add('w');
}

static void list_main(void)
{
    struct fiber *a = start(list_waiter, "a"), *cut = start(list_cut, NULL);
    struct fiber *b = start(list_waiter, "b"), *c = start(list_waiter, "c");
    fiber_yield();
    fiber_join(cut);
    assert_true(wait_list_wake_one(&list));
    fiber_join(a);
    wait_list_wake_all(&list);
    fiber_join(b);
    fiber_join(c);
    assert_false(wait_list_wake_one(&list));
    struct fiber *both = start(list_woken_and_cancelled, NULL);
    fiber_yield();
    assert_true(wait_list_wake_one(&list));
    fiber_cancel(both);
    fiber_join(both);
}

static void a_wait_list_wakes_in_order(void **state)
{
    (void)state;
    trace[0] = '\0';
    on_loop(list_main);
    assert_string_equal(trace, "-abcw");
}

static void over_limit_main(void)
{
    struct status st;
    AUTO(arena) struct arena *arena = arena_open(1024);
    fiber_set_arena(arena);
    assert_false(fiber_wait(clock_deadline_ms(1), &st));
    assert_int_equal(st.code, STATUS_TIMEOUT);
    (void)arena_alloc(arena, 4096);
    assert_false(fiber_wait(clock_deadline_ms(1), &st));
    assert_int_equal(st.code, STATUS_LIMIT);
    assert_false(loop_sleep(clock_deadline_ms(1), &st));
    assert_int_equal(st.code, STATUS_LIMIT);
    fiber_set_arena(NULL);
}

static void an_arena_over_its_limit_ends_the_fiber(void **state)
{
    (void)state;
    on_loop(over_limit_main);
}

static const struct log_scope scope_a = {{"a", 1}}, scope_b = {{"b", 1}};
static void scoped(void *arg)
{
    const struct log_scope *scope = arg;
    assert_null(log_scope_get());
    fiber_set_log_scope(scope);
    fiber_yield();
    assert_ptr_equal(log_scope_get(), scope);
}

static void scope_main(void)
{
    struct fiber *a = start(scoped, &scope_a);
    struct fiber *b = start(scoped, &scope_b);
    fiber_join(a);
    fiber_join(b);
    assert_null(log_scope_get());
}

static void each_fiber_has_its_log_scope(void **state)
{
    (void)state;
    on_loop(scope_main);
}

static int many_running;
static void one_of_many(void *arg)
{
    (void)arg;
    struct status st;
    char page[3000]; /* so that each has a stack of its own to spoil */
    memset(page, 7, sizeof(page));
    many_running++;
    assert_false(fiber_wait(clock_deadline_ms(600000), &st));
    assert_int_equal(st.code, STATUS_CANCELLED);
    for (size_t i = 0; i < sizeof(page); i++)
        assert_int_equal(page[i], 7);
    many_running--;
}

/* The thread sanitizer allows for 8,128 fibers and threads. */
#define MANY (SANITIZE_THREAD ? 2000 : 10000)
static void many_main(void)
{
    struct status st;
    for (int i = 0; i < MANY; i++)
        assert_true(fiber_start(loop, "one of many", one_of_many, NULL, &st));
    assert_false(fiber_start(loop, "one too many", one_of_many, NULL, &st));
    assert_int_equal(st.code, STATUS_UNAVAILABLE);
    fiber_yield();
    assert_int_equal(many_running, MANY);
    assert_int_equal(loop_fibers(loop), MANY + 1);
    assert_int_equal(loop_fibers_all(), MANY + 1);
}

static void ten_thousand_fibers_are_cancelled_by_stop(void **state)
{
    (void)state;
    on_loop_of((struct loop_options){.cpu = -1, .fibers_max = MANY + 1}, many_main);
    assert_int_equal(many_running, 0);
    assert_int_equal(loop_fibers_all(), 0);
}

/* Neither optimised into a loop nor into a bigger frame. */
static int __attribute__((noinline)) recurse(volatile char *above)
{
    volatile char frame[512];
    frame[0] = *above;
    return *above == 1 ? 0 : recurse(frame) + frame[0];
}

static void overflow_main(void)
{
    char first = 0;
    (void)recurse(&first);
}

static void a_stack_overflow_hits_the_guard(void **state)
{
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)close(2);
        (void)signal(SIGSEGV, SIG_DFL);
        on_loop(overflow_main);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
}

/* Whether the page of `at` is in memory. */
static bool is_resident(const char *at)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    unsigned char resident = 0;
    void *start = (void *)((uintptr_t)at / page * page);
    assert_int_equal(mincore(start, page, &resident), 0);
    return (resident & 1) != 0;
}

__attribute__((noinline)) static const char *use_stack(void)
{
    volatile char used[32768];
    used[0] = 'x';
    used[sizeof(used) - 1] = 'x';
    volatile uintptr_t at = (uintptr_t)used; /* for its place, which is looked at later */
    return (const char *)at;
}

static void trim_main(void)
{
    struct status st;
    volatile int64_t local = 7;
    const char *deep = use_stack();
    assert_true(is_resident(deep));
    fiber_trim_stack();
    assert_false(is_resident(deep));
    assert_true(loop_sleep(clock_deadline_ms(1), &st)); /* and the fiber lives on */
    assert_int_equal(local, 7);
}

static void a_trimmed_stack_holds_less(void **state)
{
    (void)state;
    on_loop(trim_main);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stack_overflow_hits_the_guard),
        cmocka_unit_test(a_trimmed_stack_holds_less),
        cmocka_unit_test(first_come_first_served),
        cmocka_unit_test(a_wake_before_the_wait_is_kept),
        cmocka_unit_test(deadlines),
        cmocka_unit_test(deadlines_come_in_order),
        cmocka_unit_test(cancellation_cuts_every_wait),
        cmocka_unit_test(a_shield_lets_cleanups_wait),
        cmocka_unit_test(a_wait_list_wakes_in_order),
        cmocka_unit_test(an_arena_over_its_limit_ends_the_fiber),
        cmocka_unit_test(each_fiber_has_its_log_scope),
        cmocka_unit_test(ten_thousand_fibers_are_cancelled_by_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
