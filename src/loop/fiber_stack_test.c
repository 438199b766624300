#include "fiber_stack.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "check.h"

static size_t resident_pages(struct fiber_stack stack)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = stack.size / page, count = 0;
    unsigned char *resident = calloc(pages, 1);
    assert_non_null(resident);
    assert_int_equal(mincore(stack.low, stack.size, resident), 0);
    for (size_t i = 0; i < pages; i++)
        count += resident[i] & 1;
    free(resident);
    return count;
}

static void stacks_are_reused(void **state)
{
    (void)state;
    static struct fiber_stack_pool pool;
    struct fiber_stack a, b, again;
    fiber_stack_pool_open(&pool, 0);
    assert_true(fiber_stack_take(&pool, &a));
    assert_true(fiber_stack_take(&pool, &b));
    assert_true(a.size >= 200 * KIB);
    assert_ptr_not_equal(a.low, b.low);
    memset(a.low, 1, a.size); /* all of it is writable */
    fiber_stack_release(&pool, b);
    fiber_stack_release(&pool, a);
    assert_true(fiber_stack_take(&pool, &again)); /* the warmest */
    assert_ptr_equal(again.low, a.low);
    assert_int_equal(pool.mapped, 2);
    fiber_stack_release(&pool, again);
    fiber_stack_pool_close(&pool);
    assert_int_equal(pool.mapped, 0);
}

static void what_is_released_gives_its_memory_back(void **state)
{
    (void)state;
    static struct fiber_stack_pool pool;
    static struct fiber_stack stacks[FIBER_STACK_POOL_MAX + 10];
    fiber_stack_pool_open(&pool, 64 * KIB);
    for (size_t i = 0; i < ARRAY_LEN(stacks); i++) {
        assert_true(fiber_stack_take(&pool, &stacks[i]));
        memset(stacks[i].low + stacks[i].size - 9000, 1, 9000);
    }
    assert_true(resident_pages(stacks[0]) >= 3);
    for (size_t i = 0; i < ARRAY_LEN(stacks); i++)
        fiber_stack_release(&pool, stacks[i]);
    assert_int_equal(pool.mapped, FIBER_STACK_POOL_MAX); /* the rest is unmapped */
    size_t hot = 0;
    for (size_t i = 0; i < FIBER_STACK_POOL_MAX; i++)
        hot += resident_pages(stacks[i]) > 0;
    assert_int_equal(hot, FIBER_STACK_HOT_MAX);
    fiber_stack_pool_close(&pool);
}

static void a_burst_does_not_cool_the_hot(void **state)
{
    (void)state;
    static struct fiber_stack_pool pool;
    static struct fiber_stack stacks[FIBER_STACK_HOT_MAX * 2];
    fiber_stack_pool_open(&pool, 64 * KIB);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < ARRAY_LEN(stacks); i++)
            assert_true(fiber_stack_take(&pool, &stacks[i]));
        for (size_t i = 0; i < ARRAY_LEN(stacks); i++) {
            stacks[i].low[stacks[i].size - 1] = 1;
            fiber_stack_release(&pool, stacks[i]);
        }
        assert_int_equal(pool.cold_count, FIBER_STACK_HOT_MAX);
        assert_int_equal(pool.mapped, ARRAY_LEN(stacks));
    }
    fiber_stack_pool_close(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stacks_are_reused),
        cmocka_unit_test(what_is_released_gives_its_memory_back),
        cmocka_unit_test(a_burst_does_not_cool_the_hot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
