#include "engine_leaders.h"
#include "check.h"
#include "engine_radix.h"
#include <stdlib.h>

enum { BLOCK = ENGINE_RADIX_BLOCK, LENGTH = 32 * BLOCK };

static int32_t tokens[LENGTH];

/* Of a text that is the usual one but for token `other`. */
static struct engine_beginnings beginnings(uint64_t scope, uint32_t count, uint32_t other)
{
    for (uint32_t i = 0; i < count; i++)
        tokens[i] = (int32_t)(i * 7919 % 30000 + (i == other));
    return engine_beginnings_of(scope, tokens, count);
}

static void the_longest_that_is_alike(void **state)
{
    (void)state;
    struct engine_leaders *leaders = engine_leaders_new();
    struct engine_beginnings a = beginnings(1, 5 * BLOCK + 3, LENGTH),
                             b = beginnings(1, 9 * BLOCK, 4 * BLOCK + 1),
                             c = beginnings(1, 9 * BLOCK, 6 * BLOCK),
                             other = beginnings(2, 9 * BLOCK, LENGTH),
                             brief = beginnings(1, BLOCK - 1, LENGTH);
    assert_int_equal(a.count, 5);
    assert_int_equal(brief.count, 0);
    int one, two;
    assert_null(engine_leaders_find(leaders, &a));
    engine_leaders_add(leaders, &a, 0, &one);
    engine_leaders_add(leaders, &b, 0, &two);
    assert_ptr_equal(engine_leaders_find(leaders, &a), &one); /* who was first stands for it */
    assert_ptr_equal(engine_leaders_find(leaders, &b), &two);
    assert_ptr_equal(engine_leaders_find(leaders, &c), &one); /* five blocks, not four */
    assert_null(engine_leaders_find(leaders, &other));
    assert_null(engine_leaders_find(leaders, &brief));
    engine_leaders_clear(leaders);
    assert_null(engine_leaders_find(leaders, &a));
    engine_leaders_add(leaders, &a, 2 * BLOCK, &one); /* what it has done is to be had elsewhere */
    struct engine_beginnings two_blocks = {a.at, 2}, three = {a.at, 3};
    assert_null(engine_leaders_find(leaders, &two_blocks));
    assert_ptr_equal(engine_leaders_find(leaders, &three), &one);
    free(a.at);
    free(b.at);
    free(c.at);
    free(other.at);
    free(brief.at);
    engine_leaders_free(leaders);
    engine_leaders_free(NULL);
}

/* A full queue, alike for long or not at all: as many looks as there are blocks, not their square.
 */
static void a_full_queue(void **state)
{
    (void)state;
    enum { MANY = 256 };
    static const uint32_t others[] = {0, LENGTH - BLOCK};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct engine_leaders *leaders = engine_leaders_new();
        struct engine_beginnings all[MANY];
        for (uint32_t k = 0; k < MANY; k++) {
            all[k] = beginnings(1, LENGTH, LENGTH);
            free(all[k].at);
            tokens[others[i]] = (int32_t)k;
            all[k] = engine_beginnings_of(1, tokens, LENGTH);
        }
        for (uint32_t step = 0; step < 3; step++) {
            uint64_t before = engine_leaders_looks(leaders);
            engine_leaders_clear(leaders);
            for (uint32_t k = 0; k < MANY; k++) {
                const void *found = engine_leaders_find(leaders, &all[k]);
                assert_ptr_equal(found, i == 0 || k == 0 ? NULL : (void *)&all[0]);
                engine_leaders_add(leaders, &all[k], 0, &all[k]);
            }
            uint64_t looks = engine_leaders_looks(leaders) - before;
            assert_true(looks < (uint64_t)MANY * LENGTH / BLOCK * 8);
        }
        for (uint32_t k = 0; k < MANY; k++)
            free(all[k].at);
        engine_leaders_free(leaders);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_that_is_alike),
        cmocka_unit_test(a_full_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
