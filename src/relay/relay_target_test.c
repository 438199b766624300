#include "relay_target.h"
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
    fail_times(target, 3 * RELAY_TARGET_FAILURES);
    assert_int_equal(phase_of(target), RELAY_PHASE_LOADING);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_after_failures),
        cmocka_unit_test(one_call_tries_again),
        cmocka_unit_test(a_success_between_counts_anew),
        cmocka_unit_test(a_client_that_leaves_says_nothing),
        cmocka_unit_test(local_models_have_a_supervisor),
        cmocka_unit_test(long_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
