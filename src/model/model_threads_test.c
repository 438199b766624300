#include "model_threads.h"
#include "check.h"
#include "clock.h"
#include <math.h>
#include <stdio.h>

static void rule(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int max;
        double own, idle;
        int want;
    } cases[] = {
        {"alone on two", 2, 2.0, 0, 2},
        {"a little is lost", 2, 1.8, 0, 2},
        {"one other keeps a core busy", 2, 1.33, 0, 1},
        {"crowd", 2, 0.4, 0, 1},
        {"the other has gone", 2, 1, 0.9, 2},
        {"the other is still there", 2, 1, 0.05, 1},
        {"more cores than threads", 4, 4, 12, 4},
        {"half of eight", 8, 4.1, 0.1, 4},
        {"nothing known", 2, 0, 0, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check_case(cases[i].name);
        assert_int_equal(model_threads_choose(cases[i].max, cases[i].own, cases[i].idle),
                         cases[i].want);
    }
}

/* What a further thread would get is tried: soon at first, then ever more seldom, and again soon
 * once it has worked. */
static void tries(void **state)
{
    (void)state;
    struct model_threads threads;
    model_threads_open(&threads, 2);
    int tried[3] = {0};
    for (int i = 0; i < 300; i++) /* another has the second core, try or no try */
        tried[i / 100] += model_threads_next(&threads, 1) == 2;
    assert_in_range(tried[0], 4, 8);
    assert_in_range(tried[2], 1, 2);
    while (model_threads_next(&threads, 1) != 2)
        ;
    assert_int_equal(model_threads_next(&threads, 2), 2); /* it has gone: the try holds */
    assert_int_equal(model_threads_next(&threads, 1), 1);
    assert_int_equal(model_threads_next(&threads, 1), 1);
    assert_int_equal(model_threads_next(&threads, 1), 2);
    model_threads_open(&threads, 8);
    assert_int_equal(model_threads_next(&threads, 3), 3);
    assert_int_equal(model_threads_next(&threads, 3), 3);
    assert_int_equal(model_threads_next(&threads, 3), 4);
    assert_int_equal(model_threads_next(&threads, 4), 4);
}

static void burn_ms(int64_t ms)
{
    int64_t until = clock_deadline_ms(ms);
    while (clock_mono_us() < until)
        ;
}

/* One thread burns where four were counted on: what it gets and what is idle decide. */
static void windows(void **state)
{
    (void)state;
    struct model_threads threads;
    model_threads_open(&threads, 1000);
    int now = 1000;
    for (int i = 0; i < 10; i++) {
        now = model_threads_before(&threads, 8);
        burn_ms(50);
        model_threads_after(&threads);
    }
    assert_in_range(now, 1, 999); /* no machine has that many idle cores */
    assert_int_equal(model_threads_before(&threads, 64), 1000);
    model_threads_open(&threads, 1);
    assert_int_equal(model_threads_before(&threads, 8), 1);
    model_threads_after(&threads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rule), cmocka_unit_test(tries),
                                       cmocka_unit_test(windows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
