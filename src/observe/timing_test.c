#include "timing.h"
#include "check.h"

static void adding(void **state)
{
    (void)state;
    struct timing timing = {0};
    check_text(timing_text(&timing), "");
    timing_add(&timing, "queue", 1250);
    timing_add(&timing, "cache", -1); /* not known */
    timing_add(&timing, "prefill", 80000);
    timing_add(&timing, "decode", 0);
    check_text(timing_text(&timing), "queue;dur=1.2, prefill;dur=80.0, decode;dur=0.0");
}

static void full(void **state)
{
    (void)state;
    struct timing timing = {0};
    for (int i = 0; i < 50; i++)
        timing_add(&timing, "a_name_of_thirty_characters_xx", 1000);
    assert_true(timing.len <= TIMING_BYTES_MAX && timing.len > TIMING_BYTES_MAX - 40);
    assert_true(text_ends(timing_text(&timing), TEXT("_xx;dur=1.0"))); /* whole ones only */
    size_t before = timing.len;
    timing_add(&timing, "x", 1); /* would fit, but would be taken for what comes next */
    assert_int_equal(timing.len, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adding),
        cmocka_unit_test(full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
