#include "clock.h"
#include "check.h"

static const struct {
    int64_t us;
    const char *want;
} times[] = {
    {0, "1970-01-01T00:00:00.000Z"},
    {-1, "1969-12-31T23:59:59.999Z"},
    {1795575845678999, "2026-11-25T03:04:05.678Z"},
    {951782400000000, "2000-02-29T00:00:00.000Z"},
    {253402300799999999, "9999-12-31T23:59:59.999Z"},
    {253402300800000000, "9999-12-31T23:59:59.000Z"},
    {INT64_MAX, "9999-12-31T23:59:59.000Z"},
    {-62167219200000000, "0000-01-01T00:00:00.000Z"},
    {INT64_MIN, "0000-01-01T00:00:00.000Z"},
};
static void rfc3339(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        char got[CLOCK_RFC3339_BYTES];
        clock_rfc3339(times[i].us, got);
        assert_string_equal(got, times[i].want);
    }
}

static void moving(void **state)
{
    (void)state;
    int64_t before = clock_mono_us();
    int64_t deadline = clock_deadline_ms(1000);
    int64_t after = clock_mono_us();
    assert_true(before > 0 && after >= before);
    assert_true(deadline >= before + 1000000 && deadline <= after + 1000000);
    assert_true(clock_wall_us() > 1700000000000000);
}

static void deadlines(void **state)
{
    (void)state;
    assert_true(clock_deadline_ms(INT64_MAX) == CLOCK_NEVER);
    assert_true(clock_deadline_ms(INT64_MAX / 1000) == CLOCK_NEVER);
    assert_true(clock_deadline_ms(0) <= clock_mono_us());
    assert_true(clock_deadline_ms(-5) <= clock_mono_us());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc3339),
        cmocka_unit_test(moving),
        cmocka_unit_test(deadlines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
