#include "loop_files.h"
#include <sys/resource.h>
#include "base.h"
#include "check.h"

static rlim_t soft(void)
{
    struct rlimit files;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    return files.rlim_cur;
}

static void raised_up_to_the_hard_limit(void **state)
{
    (void)state;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){64, 200}), 0);
    assert_int_equal(loop_files_raise(100), 100);
    assert_int_equal(soft(), 100);
    assert_int_equal(loop_files_raise(50), 100);
    assert_int_equal(soft(), 100);
    assert_int_equal(loop_files_raise(1000), 200);
    assert_int_equal(soft(), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(raised_up_to_the_hard_limit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
