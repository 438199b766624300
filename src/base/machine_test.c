#include "machine.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "check.h"

static void numbers_of_the_kernel(void **state)
{
    (void)state;
    static const char info[] = "MemTotal:       16000 kB\nMemAvailable:    8000 kB\n";
    assert_int_equal(machine_kib_of(info, "MemAvailable:"), 8000 * 1024);
    assert_int_equal(machine_kib_of(info, "MemFree:"), 0);
    assert_int_equal(machine_kib_of("MemAvailable: much", "MemAvailable:"), 0);
}

static const struct {
    const char *name, *max, *current, *stat;
    uint64_t want;
} groups[] = {
    {"no limit", "max\n", "5000\n", "", UINT64_MAX},
    {"half used", "8000\n", "4000\n", "", 4000},
    {"files are free", "8000\n", "4000\n", "anon 1\ninactive_file 500\nactive_file 1000\n", 5500},
    {"over the limit", "8000\n", "9000\n", "anon 9000\n", 0},
    {"more files than are charged", "8000\n", "10\n", "anon 1\nactive_file 900\n", 8000},
};

static void what_a_control_group_leaves(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        check_case(groups[i].name);
        assert_int_equal(machine_cgroup_left(groups[i].max, groups[i].current, groups[i].stat),
                         groups[i].want);
    }
}

static void this_machine_and_this_process(void **state)
{
    (void)state;
    struct machine_process before, after;
    enum { BYTES = 32 * 1024 * 1024 };
    assert_true(machine_memory_free() > MIB);
    assert_true(machine_process_memory((int)getpid(), &before));
    char *memory = malloc(BYTES);
    assert_non_null(memory);
    memset(memory, 1, BYTES);
    assert_true(machine_process_memory((int)getpid(), &after));
    assert_true(after.resident_bytes >= before.resident_bytes + BYTES / 2);
    assert_true(after.mapped_bytes < after.resident_bytes);
    free(memory);
    assert_false(machine_process_memory(-1, &after));
}

static void cores(void **state)
{
    (void)state;
    assert_in_range(machine_cores(), 1, 4096);
    assert_int_equal(machine_quota_cores("max 100000\n"), 0);
    assert_int_equal(machine_quota_cores("150000 100000\n"), 1);
    assert_int_equal(machine_quota_cores("400000 100000\n"), 4);
    assert_int_equal(machine_quota_cores("50000 100000\n"), 1);
    assert_int_equal(machine_quota_cores("-5 100000"), 0);
    assert_int_equal(machine_quota_cores("5 0"), 0);
    assert_int_equal(machine_quota_cores(""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_of_the_kernel),
        cmocka_unit_test(what_a_control_group_leaves),
        cmocka_unit_test(this_machine_and_this_process),
        cmocka_unit_test(cores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
