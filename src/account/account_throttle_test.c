/* Who may guess how often, on a clock of the test's own. */
#include "account_internal.h"
#include "account_test_world.h"
#include "check.h"
#include "clock.h"
#include "fiber.h"
#include "loop.h"

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

/* An attempt that fails; false when it may not be made. */
static bool attempt(const char *account, const char *address)
{
    struct status st = {0};
    struct throttle_turn turn;
    bool ok = throttle_begin(throttle, text_of(account), text_of(address), &turn, &st);
    if (ok) {
        throttle_end(throttle, &turn, THROTTLE_FAILED);
    } else {
        assert_int_equal(st.code, STATUS_RATE_LIMITED);
        assert_true(st.retry_after_ms > 0);
    }
    return ok;
}

static void succeed(const char *account, const char *address)
{
    struct status st = {0};
    struct throttle_turn turn;
    assert_true(throttle_begin(throttle, text_of(account), text_of(address), &turn, &st));
    throttle_end(throttle, &turn, THROTTLE_PASSED);
}

static void pass(int64_t seconds)
{
    now_us += seconds * 1000000;
}

/* How many seconds until the next attempt may be made. */
static int64_t shut_for(const char *account, const char *address)
{
    struct throttle_turn turn;
    int64_t wait_us;
    if (throttle_try(throttle, text_of(account), text_of(address), &turn, &wait_us) == THROTTLE_GO)
        throttle_end(throttle, &turn, THROTTLE_UNKNOWN);
    return (wait_us + 999999) / 1000000;
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
        succeed("a", "10.0.0.1");
        pass(40);
    }
}

/* 20 guesses at the same moment: no more begin than may fail. */
static void many_at_once(void **state)
{
    (void)state;
    struct throttle_turn turns[20];
    int64_t wait_us;
    size_t going = 0;
    for (size_t i = 0; i < ARRAY_LEN(turns); i++) {
        char address[20];
        snprintf(address, sizeof(address), "10.0.0.%zu", i);
        enum throttle_answer answer =
            throttle_try(throttle, TEXT("a"), text_of(address), &turns[going], &wait_us);
        assert_int_equal(answer, i < 3 ? THROTTLE_GO : THROTTLE_WAIT);
        going += answer == THROTTLE_GO;
    }
    throttle_end(throttle, &turns[0], THROTTLE_FAILED);
    throttle_end(throttle, &turns[1], THROTTLE_UNKNOWN); /* counts as nothing */
    assert_int_equal(shut_for("a", "10.1.0.1"), 0);
    throttle_end(throttle, &turns[2], THROTTLE_FAILED);
    assert_true(attempt("a", "10.1.0.1")); /* the third that has failed */
    assert_false(attempt("a", "10.1.0.1"));
}

/* However many do: who knows the password is never counted. */
static void right_ones_at_once(void **state)
{
    (void)state;
    struct throttle_turn turns[12];
    char accounts[12][20];
    int64_t wait_us;
    for (int round = 0; round < 10; round++) {
        size_t going = 0;
        for (size_t i = 0; i < ARRAY_LEN(turns); i++) { /* different people in one house */
            snprintf(accounts[i], sizeof(accounts[i]), "user%zu", i);
            going += throttle_try(throttle, text_of(accounts[i]), TEXT("10.0.0.1"), &turns[going],
                                  &wait_us) == THROTTLE_GO;
            assert_int_equal(wait_us, 0);
        }
        assert_int_equal(going, 10);
        for (size_t i = 0; i < going; i++)
            throttle_end(throttle, &turns[i], THROTTLE_PASSED);
    }
    assert_true(attempt("user1", "10.0.0.1"));
    /* A success does not take back what somebody else has guessed meanwhile. */
    for (int i = 0; i < 8; i++) {
        char account[20];
        snprintf(account, sizeof(account), "guess%d", i);
        assert_true(attempt(account, "10.0.0.1"));
        succeed("user2", "10.0.0.1");
    }
    assert_true(attempt("guess9", "10.0.0.1"));
    assert_false(attempt("guess10", "10.0.0.1"));
}

struct crowd {
    int passed, waited;
};

static void one_of_crowd(void *arg)
{
    struct crowd *crowd = arg;
    struct status st = {0};
    struct throttle_turn turn;
    int64_t begin_us = clock_mono_us();
    if (!throttle_begin(throttle, TEXT("a"), TEXT("10.0.0.1"), &turn, &st))
        return;
    crowd->waited += clock_mono_us() - begin_us > 1000;
    assert_true(loop_sleep(clock_deadline_ms(5), &st));
    throttle_end(throttle, &turn, THROTTLE_PASSED);
    crowd->passed++;
}

static void crowd_main(void *arg)
{
    struct status st;
    struct fiber *fibers[12];
    for (size_t i = 0; i < ARRAY_LEN(fibers); i++)
        assert_true(
            fiber_start_joinable(loop_current(), "sign-in", one_of_crowd, arg, &fibers[i], &st));
    for (size_t i = 0; i < ARRAY_LEN(fibers); i++)
        fiber_join(fibers[i]);
}

/* Each has its turn. */
static void a_crowd_of_one_person(void **state)
{
    (void)state;
    struct crowd crowd = {0};
    world_on_loop(crowd_main, &crowd);
    assert_int_equal(crowd.passed, 12);
    assert_true(crowd.waited >= 9);
    assert_true(attempt("a", "10.0.0.9"));
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
    succeed("a", "10.0.0.1");
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
        snprintf(account, sizeof(account), "user%d", i);
        if (!attempt(account, ""))
            now_us += 500;
    }
    now_us = 1000000 + 200 * 1000000LL;
    assert_false(attempt("a", "10.0.0.1"));
}

/* Nor does it move those under way: 20,000 accounts while one attempt waits for its hash. */
static void a_flood_moves_nothing_under_way(void **state)
{
    (void)state;
    struct throttle_turn turn;
    int64_t wait_us;
    assert_int_equal(throttle_try(throttle, TEXT("a"), TEXT("10.0.0.1"), &turn, &wait_us),
                     THROTTLE_GO);
    for (int i = 0; i < 20000; i++) {
        char account[20];
        snprintf(account, sizeof(account), "user%d", i);
        (void)attempt(account, "");
        now_us += 20000;
    }
    throttle_end(throttle, &turn, THROTTLE_FAILED);
    pass(6); /* all together had too many */
    assert_true(attempt("a", "10.0.0.1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(three_then_shut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slow_guesses_are_not_shut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(doubles_to_an_hour, set_up, tear_down),
        cmocka_unit_test_setup_teardown(success_takes_it_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(right_ones_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_crowd_of_one_person, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_address_many_accounts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_network, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_known_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_flood_forgets_nothing_that_is_shut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_flood_moves_nothing_under_way, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
