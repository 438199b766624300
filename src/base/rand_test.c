#include "rand.h"
#include "check.h"

static void bytes(void **state)
{
    (void)state;
    unsigned char seen[100] = {0}, buffer[102];
    for (int round = 0; round < 64; round++) {
        memset(buffer, 0, sizeof(buffer));
        rand_bytes(buffer + 1, sizeof(buffer) - 2);
        assert_int_equal(buffer[0], 0);
        assert_int_equal(buffer[sizeof(buffer) - 1], 0);
        for (size_t i = 0; i < sizeof(seen); i++)
            seen[i] |= buffer[i + 1];
    }
    for (size_t i = 0; i < sizeof(seen); i++)
        assert_int_equal(seen[i], 255); /* each bit was set once: misses with 2^-54 */
    rand_bytes(buffer, 0);
    assert_true(rand_u64() != rand_u64());
}

static void below(void **state)
{
    (void)state;
    unsigned counts[3] = {0};
    for (int i = 0; i < 30000; i++)
        counts[rand_below(3)]++;
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        assert_in_range(counts[i], 9300, 10700); /* more than eight sigma */
    assert_int_equal(rand_below(1), 0);
    for (int i = 0; i < 100; i++)
        assert_true(rand_below(UINT64_MAX) < UINT64_MAX);
    /* Three quarters of 2^64: without drawing again the lowest third would come half of the time.
     */
    int low = 0;
    for (int i = 0; i < 6000; i++)
        low += rand_below(UINT64_C(3) << 62) < UINT64_C(1) << 62;
    assert_in_range(low, 1700, 2300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes),
        cmocka_unit_test(below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
