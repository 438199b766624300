#include "relay_target.h"
#include <pthread.h>
#include "check.h"
#include "clock.h"
#include <unistd.h>

static struct relay_target *upstream_target(void)
{
    return relay_target_new(TEXT("k"), TEXT("http://127.0.0.1:1"), TEXT("Bearer x"), false);
}

static enum relay_phase phase_of(struct relay_target *target)
{
    char reason[RELAY_TARGET_REASON_BYTES];
    int percent;
    return relay_target_phase(target, &percent, reason);
}

static void fail_times(struct relay_target *target, int times)
{
    struct status st = {0};
    for (int i = 0; i < times; i++) {
        assert_true(relay_target_admit(target, &st));
        relay_target_failed(target, TEXT("nobody there"));
    }
}

static void opens_after_failures(void **state)
{
    (void)state;
    AUTO(relay_target) struct relay_target *target = upstream_target();
    struct status st = {0};
    fail_times(target, RELAY_TARGET_FAILURES - 1);
    assert_int_equal(phase_of(target), RELAY_PHASE_READY);
    fail_times(target, 1);
    assert_int_equal(phase_of(target), RELAY_PHASE_FAILED);
    assert_false(relay_target_admit(target, &st));
    assert_int_equal(st.code, STATUS_UNAVAILABLE);
    assert_in_range(st.retry_after_ms, 1, 1000);
    assert_int_equal(relay_target_outstanding(target), 0);
}

static void one_call_tries_again(void **state)
{
    (void)state;
    AUTO(relay_target) struct relay_target *target = upstream_target();
    struct status st = {0};
    fail_times(target, RELAY_TARGET_FAILURES);
    (void)usleep(1050 * 1000); /* the first open time is one second */
    assert_true(relay_target_admit(target, &st));
    assert_false(relay_target_admit(target, &st)); /* the others wait for its outcome */
    relay_target_succeeded(target);
    assert_int_equal(phase_of(target), RELAY_PHASE_READY);
    assert_true(relay_target_admit(target, &st));
    relay_target_succeeded(target);
}

static void a_success_between_counts_anew(void **state)
{
    (void)state;
    AUTO(relay_target) struct relay_target *target = upstream_target();
    struct status st = {0};
    fail_times(target, RELAY_TARGET_FAILURES - 1);
    assert_true(relay_target_admit(target, &st));
    relay_target_succeeded(target);
    fail_times(target, RELAY_TARGET_FAILURES - 1);
    assert_int_equal(phase_of(target), RELAY_PHASE_READY);
}

static void a_client_that_leaves_says_nothing(void **state)
{
    (void)state;
    AUTO(relay_target) struct relay_target *target = upstream_target();
    struct status st = {0};
    for (int i = 0; i < 3 * RELAY_TARGET_FAILURES; i++) {
        assert_true(relay_target_admit(target, &st));
        relay_target_left(target);
    }
    assert_int_equal(phase_of(target), RELAY_PHASE_READY);
}

static void local_models_have_a_supervisor(void **state)
{
    (void)state;
    AUTO(relay_target)
    struct relay_target *target = relay_target_new(TEXT("k"), TEXT("unix:/x"), TEXT(""), true);
    char reason[RELAY_TARGET_REASON_BYTES];
    int percent;
    assert_int_equal(phase_of(target), RELAY_PHASE_LOADING);
    relay_target_set_phase(target, RELAY_PHASE_LOADING, 40, TEXT(""));
    (void)relay_target_phase(target, &percent, reason);
    assert_int_equal(percent, 40);
    relay_target_set_phase(target, RELAY_PHASE_READY, -1, TEXT(""));
    fail_times(target, 3 * RELAY_TARGET_FAILURES);
    assert_int_equal(phase_of(target), RELAY_PHASE_READY);
    relay_target_set_phase(target, RELAY_PHASE_FAILED, -1, TEXT("no such file"));
    assert_int_equal(relay_target_phase(target, &percent, reason), RELAY_PHASE_FAILED);
    assert_string_equal(reason, "no such file");
}

/* A reason that is cut is cut between characters. */
static void long_reasons(void **state)
{
    (void)state;
    AUTO(relay_target)
    struct relay_target *target = relay_target_new(TEXT("k"), TEXT("unix:/x"), TEXT(""), true);
    char reason[RELAY_TARGET_REASON_BYTES], text[400];
    int percent;
    for (size_t i = 0; i < sizeof(text); i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    relay_target_set_phase(target, RELAY_PHASE_FAILED, -1, (struct text){text, sizeof(text)});
    (void)relay_target_phase(target, &percent, reason);
    assert_int_equal(strlen(reason), RELAY_TARGET_REASON_BYTES - 2);
    assert_true(text_utf8_valid(text_of(reason)));
}

static struct relay_target *ready_model(void)
{
    struct relay_target *target =
        relay_target_new(TEXT("k"), TEXT("unix:/x"), TEXT("Bearer x"), true);
    relay_target_set_phase(target, RELAY_PHASE_READY, -1, TEXT(""));
    return target;
}

static void sleep_waits_for_calls(void **state)
{
    (void)state;
    AUTO(relay_target) struct relay_target *target = ready_model();
    struct status st = {0};
    assert_true(relay_target_admit(target, &st));
    assert_false(relay_target_sleep(target));
    assert_int_equal(phase_of(target), RELAY_PHASE_READY);
    relay_target_succeeded(target);
    assert_true(relay_target_demand(target).used_us > 0);
    relay_target_hold(target, true);
    assert_false(relay_target_admit(target, &st));
    relay_target_hold(target, false);
    assert_true(relay_target_sleep(target));
    assert_int_equal(phase_of(target), RELAY_PHASE_ASLEEP);
    assert_false(relay_target_admit(target, &st));
    assert_int_equal(relay_target_demand(target).calls, 0);
    assert_false(relay_target_sleep(target));
}

static void who_waits(void **state)
{
    (void)state;
    AUTO(relay_target) struct relay_target *target = ready_model();
    int64_t before_us = clock_mono_us();
    relay_target_wait_begin(target);
    int64_t first_us = relay_target_demand(target).waited_us;
    assert_true(first_us >= before_us);
    (void)usleep(2000);
    relay_target_wait_begin(target);
    relay_target_wait_end(target);
    assert_int_equal(relay_target_demand(target).waited_us, first_us); /* the first still does */
    assert_int_equal(relay_target_demand(target).waiting, 1);
    relay_target_wait_end(target);
    assert_int_equal(relay_target_demand(target).waiting, 0);
}

/* Calls on one thread while another puts it to sleep and wakes it: no call may be under way while
 * it sleeps. */
struct calls {
    struct relay_target *target;
    _Atomic bool over, inside;
    _Atomic int64_t made;
};

static void *make_calls(void *arg)
{
    struct calls *calls = arg;
    struct status st = {0};
    while (!atomic_load(&calls->over)) {
        if (!relay_target_admit(calls->target, &st))
            continue;
        atomic_store(&calls->inside, true);
        atomic_fetch_add(&calls->made, 1);
        atomic_store(&calls->inside, false);
        relay_target_succeeded(calls->target);
    }
    return NULL;
}

static void no_call_while_it_sleeps(void **state)
{
    (void)state;
    AUTO(relay_target) struct relay_target *target = ready_model();
    struct calls calls = {.target = target};
    pthread_t thread;
    int slept = 0;
    assert_int_equal(pthread_create(&thread, NULL, make_calls, &calls), 0);
    int64_t until_us = clock_deadline_ms(20000);
    while ((slept < 2000 || atomic_load(&calls.made) < 2000) && clock_mono_us() < until_us) {
        if (!relay_target_sleep(target))
            continue;
        slept++;
        for (int i = 0; i < 50; i++)
            assert_false(atomic_load(&calls.inside));
        relay_target_set_phase(target, RELAY_PHASE_READY, -1, TEXT(""));
    }
    atomic_store(&calls.over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(slept >= 2000);
    assert_true(atomic_load(&calls.made) >= 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_after_failures),
        cmocka_unit_test(one_call_tries_again),
        cmocka_unit_test(a_success_between_counts_anew),
        cmocka_unit_test(a_client_that_leaves_says_nothing),
        cmocka_unit_test(local_models_have_a_supervisor),
        cmocka_unit_test(long_reasons),
        cmocka_unit_test(sleep_waits_for_calls),
        cmocka_unit_test(who_waits),
        cmocka_unit_test(no_call_while_it_sleeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
