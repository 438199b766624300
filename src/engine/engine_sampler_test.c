#include "engine_sampler.h"
#include "status.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

enum { VOCAB = 1000, DRAWS = 20000 };

/* A row with known chances: token 10 has 1/2, 20 has 1/4, 30 and 40 have 1/8, all others none. */
static void known_row(float *row)
{
    for (int i = 0; i < VOCAB; i++)
        row[i] = -100;
    row[10] = logf(0.5F);
    row[20] = logf(0.25F);
    row[30] = logf(0.125F);
    row[40] = logf(0.125F);
}

static void draw_many(const struct engine_sampling *want, int counts[VOCAB])
{
    float row[VOCAB];
    struct engine_sampler *sampler = engine_sampler_new(want, VOCAB);
    memset(counts, 0, VOCAB * sizeof *counts);
    for (int i = 0; i < DRAWS; i++) {
        known_row(row);
        int32_t token = engine_sampler_pick(sampler, row);
        assert_in_range(token, 0, VOCAB - 1);
        counts[token]++;
    }
    engine_sampler_free(sampler);
}

static void about(int count, double share)
{
    double got = (double)count / DRAWS;
    if (fabs(got - share) > 0.015)
        fail_msg("share %.3f, wanted %.3f", got, share);
}

static void draws_follow_the_chances(void **state)
{
    (void)state;
    static int counts[VOCAB];
    struct engine_sampling want = engine_sampling_default();
    draw_many(&want, counts);
    about(counts[10], 0.5);
    about(counts[20], 0.25);
    about(counts[30], 0.125);
    about(counts[40], 0.125);
    want.temperature = 2; /* chances go with the square root: .7071 : .5 : .3536 : .3536 */
    draw_many(&want, counts);
    about(counts[10], 0.7071 / 1.9142);
    about(counts[40], 0.3536 / 1.9142);
}

static void cuts(void **state)
{
    (void)state;
    static int counts[VOCAB];
    struct engine_sampling want = engine_sampling_default();
    want.top_k = 2;
    draw_many(&want, counts);
    about(counts[10], 2.0 / 3);
    about(counts[20], 1.0 / 3);
    want.top_k = 3; /* 30 and 40 are equal: the lower token stays */
    draw_many(&want, counts);
    about(counts[30], 1.0 / 7);
    assert_int_equal(counts[40], 0);
    want.top_k = 0;
    want.top_p = 0.6F; /* 10 alone has 0.5: it takes 20 as well */
    draw_many(&want, counts);
    about(counts[10], 2.0 / 3);
    assert_int_equal(counts[30] + counts[40], 0);
    want.top_p = 0;
    draw_many(&want, counts);
    assert_int_equal(counts[10], DRAWS);
    want.top_p = 1;
    want.min_p = 0.4F; /* of the greatest: 20 has half of it, 30 a quarter */
    draw_many(&want, counts);
    about(counts[20], 1.0 / 3);
    assert_int_equal(counts[30] + counts[40], 0);
    want.top_p = 0.9F;
    want.top_k = 3;
    want.min_p = 0.2F;
    draw_many(&want, counts);
    about(counts[10], 4.0 / 7);
}

static void flat_rows_keep_every_token(void **state)
{
    (void)state;
    struct engine_sampling want = engine_sampling_default();
    want.top_p = 0.999F;
    struct engine_sampler *sampler = engine_sampler_new(&want, VOCAB);
    float row[VOCAB];
    uint64_t sum = 0;
    for (int i = 0; i < DRAWS; i++) {
        for (int j = 0; j < VOCAB; j++)
            row[j] = 3;
        sum += (uint64_t)engine_sampler_pick(sampler, row);
    }
    double mean = (double)sum / DRAWS;
    assert_true(mean > 480 && mean < 520);
    engine_sampler_free(sampler);
}

static void greedy_and_seeds(void **state)
{
    (void)state;
    float row[VOCAB];
    struct engine_sampling want = engine_sampling_default();
    want.temperature = 0;
    struct engine_sampler *greedy = engine_sampler_new(&want, VOCAB);
    known_row(row);
    row[VOCAB - 1] = 7; /* in the part after the last whole group of lanes */
    assert_int_equal(engine_sampler_pick(greedy, row), VOCAB - 1);
    engine_sampler_free(greedy);

    want.temperature = 1;
    int32_t first[50];
    for (uint64_t seed = 1; seed <= 3; seed++) {
        want.seed = seed == 3 ? 1 : seed;
        struct engine_sampler *sampler = engine_sampler_new(&want, VOCAB);
        int same = 0;
        for (int i = 0; i < 50; i++) {
            known_row(row);
            int32_t token = engine_sampler_pick(sampler, row);
            same += seed > 1 && token == first[i];
            if (seed == 1)
                first[i] = token;
        }
        if (seed == 2)
            assert_true(same < 50);
        if (seed == 3)
            assert_int_equal(same, 50);
        engine_sampler_free(sampler);
    }
}

/* One over such a number is no float any more. */
static void next_to_no_temperature(void **state)
{
    (void)state;
    static const float temperatures[] = {1e-5F, 1e-7F, 1e-30F, 1e-38F, 1e-40F, 1e-45F};
    float row[VOCAB];
    for (size_t i = 0; i < sizeof temperatures / sizeof *temperatures; i++)
        for (int cut = 0; cut < 4; cut++) {
            struct engine_sampling want = engine_sampling_default();
            want.temperature = temperatures[i];
            want.top_p = cut & 1 ? 0.95F : 1;
            want.top_k = cut & 2 ? 40 : 0;
            struct engine_sampler *sampler = engine_sampler_new(&want, VOCAB);
            known_row(row);
            assert_int_equal(engine_sampler_pick(sampler, row), 10);
            engine_sampler_free(sampler);
        }
}

static void biases_and_penalties(void **state)
{
    (void)state;
    float row[VOCAB];
    const struct engine_bias bias[] = {{10, -100}, {30, 5}, {-1, 3}, {VOCAB, 3}};
    struct engine_sampling want = engine_sampling_default();
    want.temperature = 0;
    want.bias = bias;
    want.bias_count = 4;
    want.frequency_penalty = 2;
    want.presence_penalty = 1;
    struct engine_sampler *sampler = engine_sampler_new(&want, VOCAB);
    /* 30 leads by 5 - log 2 = 4.3: the first time costs it 3, the second 2 more. */
    static const int32_t expected[] = {30, 30, 20, 30, 40};
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        known_row(row);
        assert_int_equal(engine_sampler_pick(sampler, row), expected[i]);
    }
    engine_sampler_free(sampler);

    want = engine_sampling_default();
    want.temperature = 0;
    want.repeat_penalty = 3;
    want.repeat_last = 2;
    sampler = engine_sampler_new(&want, VOCAB);
    static const int32_t prompt[] = {20, 30, 10, 10};
    engine_sampler_prompt(sampler, prompt, ARRAY_LEN(prompt));
    static const int32_t repeated[] = {20, 30, 10, 20}; /* the window forgets after two */
    for (size_t i = 0; i < ARRAY_LEN(repeated); i++) {
        known_row(row);
        row[30] += 0.1F;
        assert_int_equal(engine_sampler_pick(sampler, row), repeated[i]);
    }
    engine_sampler_free(sampler);
}

/* The time of a step grows with the window, not with its square: it is the engine's, and so that of
 * everybody who is answered at the same time. */
static void a_long_window(void **state)
{
    (void)state;
    enum { WINDOW = 32768, STEPS = 20 };
    float *row = calloc(WINDOW, sizeof *row);
    int32_t *prompt = calloc(WINDOW, sizeof *prompt);
    assert_true(row != NULL && prompt != NULL);
    struct engine_sampling want = engine_sampling_default();
    want.temperature = 0;
    want.repeat_penalty = 2;
    want.repeat_last = WINDOW;
    struct engine_sampler *sampler = engine_sampler_new(&want, WINDOW);
    for (int32_t i = 0; i < WINDOW; i++)
        prompt[i] = i;
    engine_sampler_prompt(sampler, prompt, WINDOW);
    clock_t begin = clock();
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < WINDOW; i++)
            row[i] = 1;
        row[7] = 4;
        assert_int_equal(engine_sampler_pick(sampler, row), 7);
        assert_true(row[100] > 0.4F && row[100] < 0.6F); /* once */
    }
    assert_true(clock() - begin < 2 * CLOCKS_PER_SEC);
    engine_sampler_free(sampler);
    free(prompt);
    free(row);
}

static void broken_rows(void **state)
{
    (void)state;
    float row[VOCAB];
    struct engine_sampling want = engine_sampling_default();
    struct engine_sampler *sampler = engine_sampler_new(&want, VOCAB);
    for (int i = 0; i < VOCAB; i++)
        row[i] = NAN;
    assert_int_equal(engine_sampler_pick(sampler, row), -1);
    for (int i = 0; i < VOCAB; i++)
        row[i] = -INFINITY;
    assert_int_equal(engine_sampler_pick(sampler, row), -1);
    row[3] = INFINITY;
    assert_int_equal(engine_sampler_pick(sampler, row), -1);
    for (int i = 0; i < VOCAB; i++)
        row[i] = NAN;
    row[5] = -3;
    assert_int_equal(engine_sampler_pick(sampler, row), 5);
    engine_sampler_free(sampler);
    engine_sampler_free(NULL);
}

/* Tokens of one byte each, and one that ends. */
enum { BYTES = 257, END_TOKEN = 256 };

static size_t byte_of(void *arg, int32_t token, char *out)
{
    (void)arg;
    *out = (char)token;
    return token == END_TOKEN ? 0 : 1;
}

static struct engine_sampler *with_grammar(const char *gbnf, struct engine_sampling want,
                                           const struct grammar_pieces *pieces)
{
    AUTO(grammar) struct grammar *grammar = NULL;
    struct status st = {0};
    if (!grammar_compile(text_of(gbnf), &grammar, &st))
        fail_msg("%s", st.text);
    want.grammar = grammar;
    want.pieces = pieces;
    return engine_sampler_new(&want, BYTES);
}

/* The share of each token is its share among those that the grammar allows: drawing again comes to
 * the same as leaving out the others first. */
static void a_grammar_only_leaves_out(void **state)
{
    (void)state;
    int32_t end = END_TOKEN;
    AUTO(grammar_pieces)
    struct grammar_pieces *pieces = grammar_pieces_new(BYTES, byte_of, NULL, &end, 1);
    struct engine_sampling want = engine_sampling_default();
    int counts[BYTES] = {0};
    enum { TURNS = 4000 };
    for (int i = 0; i < TURNS; i++) {
        float row[BYTES];
        want.seed = (uint64_t)i;
        AUTO(engine_sampler) struct engine_sampler *s = with_grammar("root ::= [ac]", want, pieces);
        for (int k = 0; k < BYTES; k++)
            row[k] = -2;
        row['a'] = 1;
        row['b'] = 3; /* the likeliest, and not allowed */
        row['c'] = 2;
        counts[engine_sampler_pick(s, row)]++;
    }
    assert_int_equal(counts['a'] + counts['c'], TURNS);
    double share = (double)counts['c'] / TURNS, expected = exp(1) / (1 + exp(1));
    assert_true(fabs(share - expected) < 0.03);
}

static void a_grammar_far_from_the_model(void **state)
{
    (void)state;
    int32_t end = END_TOKEN;
    AUTO(grammar_pieces)
    struct grammar_pieces *pieces = grammar_pieces_new(BYTES, byte_of, NULL, &end, 1);
    static const struct {
        float temperature, top_p, min_p;
        int32_t top_k;
    } ways[] = {{0, 1, 0, 0}, {1, 1, 0, 0}, {0.8F, 0.95F, 0.05F, 40}, {1, 0.1F, 0, 1}};
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct engine_sampling want = engine_sampling_default();
        want.temperature = ways[i].temperature;
        want.top_p = ways[i].top_p;
        want.min_p = ways[i].min_p;
        want.top_k = ways[i].top_k;
        AUTO(engine_sampler)
        struct engine_sampler *s = with_grammar("root ::= \"{}\"", want, pieces);
        const char *text = "{}";
        for (int k = 0; k < 2; k++) {
            float row[BYTES];
            for (int token = 0; token < BYTES; token++)
                row[token] = (float)(token % 50); /* hundreds before what is allowed */
            row['{'] = row['}'] = -30;
            assert_false(engine_sampler_done(s));
            assert_int_equal(engine_sampler_pick(s, row), text[k]);
        }
        assert_true(engine_sampler_done(s));
    }
}

static void a_grammar_that_cannot_go_on(void **state)
{
    (void)state;
    int32_t end = END_TOKEN;
    AUTO(grammar_pieces)
    struct grammar_pieces *pieces = grammar_pieces_new(BYTES, byte_of, NULL, &end, 1);
    AUTO(engine_sampler)
    struct engine_sampler *s =
        with_grammar("root ::= \"a\" [b]", engine_sampling_default(), pieces);
    float row[BYTES];
    for (int i = 0; i < BYTES; i++)
        row[i] = i == 'a' ? 1 : -INFINITY;
    assert_int_equal(engine_sampler_pick(s, row), 'a');
    for (int i = 0; i < BYTES; i++)
        row[i] = i == 'b' ? -INFINITY : 0;
    assert_int_equal(engine_sampler_pick(s, row), ENGINE_SAMPLER_STUCK);
    for (int i = 0; i < BYTES; i++)
        row[i] = NAN;
    assert_int_equal(engine_sampler_pick(s, row), ENGINE_SAMPLER_BROKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_follow_the_chances),
        cmocka_unit_test(cuts),
        cmocka_unit_test(flat_rows_keep_every_token),
        cmocka_unit_test(greedy_and_seeds),
        cmocka_unit_test(next_to_no_temperature),
        cmocka_unit_test(biases_and_penalties),
        cmocka_unit_test(a_long_window),
        cmocka_unit_test(broken_rows),
        cmocka_unit_test(a_grammar_only_leaves_out),
        cmocka_unit_test(a_grammar_far_from_the_model),
        cmocka_unit_test(a_grammar_that_cannot_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
