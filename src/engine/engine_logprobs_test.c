#include "engine_logprobs.h"
#include "check.h"
#include <math.h>
#include <stdlib.h>

/* Against the textbook, in double. */
static void the_textbook(void **state)
{
    (void)state;
    enum { N = 5000 };
    static float row[N];
    srand(7);
    for (int turn = 0; turn < 20; turn++) {
        double sum = 0;
        for (int i = 0; i < N; i++)
            row[i] = (float)(rand() % 40000) / 1000 - 20;
        for (int i = 0; i < N; i++)
            sum += exp((double)row[i]);
        struct engine_logprobs got;
        int32_t token = rand() % N;
        engine_logprobs_of(row, N, token, 20, &got);
        assert_true(fabs((double)got.chosen - ((double)row[token] - log(sum))) < 1e-5);
        assert_int_equal(got.count, 20);
        for (uint32_t i = 0; i < got.count; i++) {
            int32_t t = got.at[i].token;
            assert_true(fabs((double)got.at[i].logprob - ((double)row[t] - log(sum))) < 1e-5);
            if (i > 0)
                assert_true(row[t] < row[got.at[i - 1].token] ||
                            (row[t] <= row[got.at[i - 1].token] && t > got.at[i - 1].token));
        }
        int over = 0;
        for (int i = 0; i < N; i++)
            over += row[i] > row[got.at[19].token];
        assert_true(over <= 19);
    }
}

static void edges(void **state)
{
    (void)state;
    struct engine_logprobs got;
    float row[3] = {0, -INFINITY, 0};
    engine_logprobs_of(row, 3, 1, 5, &got);
    assert_true(got.chosen <= INFER_LOGPROB_MIN && got.chosen >= INFER_LOGPROB_MIN);
    assert_int_equal(got.count, 3);
    assert_int_equal(got.at[0].token, 0);
    assert_int_equal(got.at[1].token, 2);
    assert_true(fabs((double)got.at[0].logprob + log(2)) < 1e-6);
    engine_logprobs_of(row, 3, 0, 0, &got);
    assert_int_equal(got.count, 0);
    float one[1] = {1000};
    engine_logprobs_of(one, 1, 0, 1, &got);
    assert_true(got.chosen >= 0 && got.chosen <= 0); /* certain */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_textbook), cmocka_unit_test(edges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
