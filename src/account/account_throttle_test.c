/* Who may guess how often, on a clock of the test's own. */
#include "account_internal.h"
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

static int64_t now_us;
static int64_t test_clock(void)
{
    return now_us;
}

static struct throttle *throttle;

static int set_up(void **state)
{
    (void)state;
    throttle = calloc(1, sizeof(*throttle));
    throttle_open(throttle);
    throttle->now_us = test_clock;
    now_us = 1000000;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    throttle_close(throttle);
    free(throttle);
    return 0;
}

static bool attempt(const char *account, const char *address)
{
    struct status st = {0};
    bool ok = throttle_attempt(throttle, text_of(account), text_of(address), &st);
    if (!ok) {
        assert_int_equal(st.code, STATUS_RATE_LIMITED);
        assert_true(st.retry_after_ms > 0);
    }
    return ok;
}

static void pass(int64_t seconds)
{
    now_us += seconds * 1000000;
}

/* How many seconds until the next attempt may be made. */
static int64_t shut_for(const char *account, const char *address)
{
    struct status st = {0};
    if (throttle_attempt(throttle, text_of(account), text_of(address), &st))
        return 0;
    return (st.retry_after_ms + 999) / 1000;
}

static void three_then_shut(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(attempt("a", "10.0.0.1"));
    assert_false(attempt("a", "10.0.0.1"));
    assert_false(attempt("a", "10.0.0.2")); /* from anywhere */
    assert_true(attempt("b", "10.0.0.2"));  /* others are not concerned */
    pass(299);
    assert_false(attempt("a", "10.0.0.1"));
    pass(2);
    assert_true(attempt("a", "10.0.0.1"));
}

static void slow_guesses_are_not_shut(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_true(attempt("a", "10.0.0.1"));
        pass(61);
    }
}

static void doubles_to_an_hour(void **state)
{
    (void)state;
    static const int64_t want[] = {300, 600, 1200, 2400, 3600, 3600};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        char address[20];
        for (int j = 0; j < 3; j++) { /* from many places, so that no place is shut */
            snprintf(address, sizeof(address), "10.0.%zu.%d", i, j);
            assert_true(attempt("a", address));
        }
        int64_t wait = shut_for("a", "10.1.1.1");
        assert_true(wait >= want[i] && wait <= want[i] + 1);
        pass(want[i] + 1);
    }
    pass(25 * 3600); /* and is forgotten in a day */
    for (int j = 0; j < 3; j++)
        assert_true(attempt("a", "10.3.0.1"));
    assert_true(shut_for("a", "10.3.0.2") <= 301);
}

static void success_takes_it_back(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        assert_true(attempt("a", "10.0.0.1"));
        assert_true(attempt("a", "10.0.0.1"));
        throttle_success(throttle, TEXT("a"), TEXT("10.0.0.1"));
        pass(30);
    }
}

/* 20 guesses at the same moment: they are counted before they are made. */
static void many_at_once(void **state)
{
    (void)state;
    int made = 0;
    for (int i = 0; i < 20; i++) {
        char address[20];
        snprintf(address, sizeof(address), "10.0.0.%d", i);
        made += attempt("a", address);
    }
    assert_int_equal(made, 3);
}

static void one_address_many_accounts(void **state)
{
    (void)state;
    int made = 0;
    for (int i = 0; i < 30; i++) {
        char account[20];
        snprintf(account, sizeof(account), "user%d", i);
        made += attempt(account, "10.0.0.1");
    }
    assert_int_equal(made, 10);
    assert_true(attempt("user99", "10.0.0.2"));
}

/* A network of version 6 is one place. */
static void one_network(void **state)
{
    (void)state;
    int made = 0;
    for (int i = 0; i < 30; i++) {
        char account[20], address[60];
        snprintf(account, sizeof(account), "user%d", i);
        snprintf(address, sizeof(address), "2001:db8:1:2:%x:%x:3:4", i, i);
        made += attempt(account, address);
    }
    assert_int_equal(made, 10);
    assert_true(attempt("user99", "2001:db8:1:3::1"));
    assert_true(attempt("user98", ":::not an address:::"));
}

/* A stranger shuts the account; the owner's own place stays open. */
static void a_known_place(void **state)
{
    (void)state;
    assert_true(attempt("a", "10.0.0.1"));
    throttle_success(throttle, TEXT("a"), TEXT("10.0.0.1"));
    while (attempt("a", "10.66.0.1"))
        continue;
    assert_false(attempt("a", "10.0.0.9"));
    assert_true(attempt("a", "10.0.0.1"));
    assert_true(attempt("a", "10.0.0.1"));
    assert_true(attempt("a", "10.0.0.1"));
    assert_false(attempt("a", "10.0.0.1")); /* it too may not guess without end */
}

static void all_together(void **state)
{
    (void)state;
    int made = 0;
    for (int i = 0; i < 1000; i++) {
        char account[20], address[20];
        snprintf(account, sizeof(account), "user%d", i);
        snprintf(address, sizeof(address), "10.%d.%d.1", i / 200, i % 200);
        made += attempt(account, address);
    }
    assert_int_equal(made, 300);
    pass(6);
    assert_true(attempt("x", "10.9.9.9"));
}

/* More accounts than there are places do not open one that is shut. */
static void a_flood_forgets_nothing_that_is_shut(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(attempt("a", ""));
    for (int i = 0; i < 20000; i++) {
        char account[20];
        struct status st;
        snprintf(account, sizeof(account), "user%d", i);
        if (!throttle_attempt(throttle, text_of(account), TEXT_NONE, &st))
            now_us += 500;
    }
    now_us = 1000000 + 200 * 1000000LL;
    assert_false(attempt("a", "10.0.0.1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(three_then_shut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slow_guesses_are_not_shut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(doubles_to_an_hour, set_up, tear_down),
        cmocka_unit_test_setup_teardown(success_takes_it_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_address_many_accounts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_network, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_known_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_flood_forgets_nothing_that_is_shut, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
