#include "engine_pace.h"
#include "check.h"
#include "engine_sched.h"

enum { BATCH = 512, SEQUENCES = 8, TARGET_US = 200000 };

/* A machine on which a writer alone takes 15 ms, each further one 3 ms, a prompt token 1 ms. */
static struct engine_pace open_pace(uint32_t fixed)
{
    struct engine_pace pace;
    engine_pace_open(&pace, BATCH, SEQUENCES, TARGET_US, fixed);
    engine_pace_calibrate_decode(&pace, 1, 15000);
    engine_pace_calibrate_decode(&pace, 4, 24000);
    engine_pace_calibrate_decode(&pace, 8, 36000);
    engine_pace_calibrate_prompt(&pace, 64, 64000);
    return pace;
}

static void estimates(void **state)
{
    (void)state;
    struct engine_pace pace = open_pace(0);
    static const struct {
        uint32_t writers, tokens;
        double us;
    } rows[] = {{0, 0, 0},      {1, 0, 15000},     {2, 0, 18000},    {4, 0, 24000},  {8, 0, 36000},
                {16, 0, 60000}, {1000, 0, 780000}, {0, 100, 100000}, {8, 64, 100000}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_float_equal(engine_pace_estimate_us(&pace, rows[i].writers, rows[i].tokens),
                           rows[i].us, 1);
}

static void budgets(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct engine_demand demand;
        uint32_t want;
    } rows[] = {
        {"nobody writes", {0, 1, 4000, 0, 0}, BATCH},
        {"one long prompt", {8, 1, 4000, 0, 0}, 164},
        {"it fits", {1, 1, 100, 0, 0}, 185},
        {"seven short ones beside one writer: at once", {1, 7, 480, 0, 0}, 480},
        {"more than a batch: most of them", {1, 7, 560, 0, 0}, BATCH - 1},
        {"too long to be done by it", {1, 1, 1000, 0, 0}, 185},
        {"two longer ones, of which one would be done", {2, 2, 1000, 0, 0}, 182},
        {"more suffer than gain", {4, 2, 300, 0, 0}, 176},
        {"one long prompt, alone beside one writer", {1, 1, 500, 0, 0}, 500},
        {"writing alone takes more than half the target", {40, 1, 4000, 0, 0}, 132},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct engine_pace pace = open_pace(0);
        check_case(rows[i].name);
        assert_int_equal(engine_pace_budget(&pace, &rows[i].demand), rows[i].want);
    }
    struct engine_pace pace = open_pace(96);
    assert_int_equal(engine_pace_budget(&pace, &rows[0].demand), BATCH);
    assert_int_equal(engine_pace_budget(&pace, &rows[3].demand), 96);
    /* A burst is no longer than four targets. */
    struct engine_demand many = {SEQUENCES, SEQUENCES, 480, 0, 0};
    pace = open_pace(0);
    assert_int_equal(engine_pace_budget(&pace, &many), 480);
    pace = open_pace(0);
    pace.prompt_us = 2000;
    uint32_t fit = engine_pace_budget(&pace, &many);
    assert_true(fit < 100 && engine_pace_estimate_us(&pace, SEQUENCES, fit + 1) > TARGET_US);
    /* However slow it has become, prompts go on; and a batch full of writers has no room. */
    pace = open_pace(0);
    engine_pace_calibrate_decode(&pace, 8, 600000);
    assert_int_equal(engine_pace_budget(&pace, &rows[1].demand), BATCH - 8);
    pace.prompt_us = 100000;
    assert_int_equal(engine_pace_budget(&pace, &rows[1].demand), ENGINE_PACE_TOKENS_MIN);
    pace.prompt_us = 10000; /* nobody writes, but a batch would take five seconds */
    assert_int_equal(engine_pace_budget(&pace, &rows[0].demand), 80);
    struct engine_demand full = {BATCH, 1, 10, 0, 0};
    assert_int_equal(engine_pace_budget(&pace, &full), 1);
}

/* Who writes in another group waits for this step and for its own: each has its part of the target,
 * and nobody's prompts take all of a step because nobody of their group writes. */
static void groups_share_the_target(void **state)
{
    (void)state;
    struct engine_pace pace = open_pace(0);
    struct engine_demand demand = {.prompts = 1, .prompt_tokens = 4000, .other_groups = 1};
    assert_int_equal(engine_pace_budget(&pace, &demand), BATCH); /* nobody waits for it */
    demand.other_writers = 3;
    assert_int_equal(engine_pace_budget(&pace, &demand), 100);
    demand.other_groups = 3;
    assert_int_equal(engine_pace_budget(&pace, &demand), 50);
    demand.writers = 8;
    assert_int_equal(engine_pace_budget(&pace, &demand), 36); /* half of a step, however many */
    pace = open_pace(96);
    assert_int_equal(engine_pace_budget(&pace, &demand), 96);
}

/* Of the gaps between the tokens of those who write, few are long ones, however many prompts come.
 */
static void bursts_are_rare(void **state)
{
    (void)state;
    struct engine_pace pace = open_pace(0);
    struct engine_demand demand = {2, 4, 400, 0, 0};
    uint32_t longer = 0, steps = 2000;
    for (uint32_t i = 0; i < steps; i++)
        longer += engine_pace_budget(&pace, &demand) == 400;
    assert_in_range(longer, steps / ENGINE_PACE_RARELY, steps / ENGINE_PACE_RARELY + SEQUENCES / 2);
}

/* A step with prompts reads the weights once more, however few tokens they have: few do not make
 * one seem dear, or there would be fewer and fewer. */
static void what_is_the_same_for_any_number(void **state)
{
    (void)state;
    struct engine_pace pace;
    engine_pace_open(&pace, BATCH, SEQUENCES, TARGET_US, 0);
    engine_pace_calibrate_decode(&pace, 8, 40000);
    engine_pace_calibrate_prompt(&pace, 8, 28000); /* 20 ms, and 1 ms each */
    engine_pace_calibrate_prompt(&pace, 64, 84000);
    assert_float_equal(engine_pace_estimate_us(&pace, 0, 100), 120000, 1);
    struct engine_demand demand = {8, 1, 4000, 0, 0};
    assert_int_equal(engine_pace_budget(&pace, &demand), 140);
    for (int i = 0; i < 100; i++)
        engine_pace_measured(&pace, 8, 16, 40000 + 36000);
    assert_int_equal(engine_pace_budget(&pace, &demand), 140);
    engine_pace_calibrate_prompt(&pace, 512, 84000); /* quicker than it can be */
    assert_true(engine_pace_estimate_us(&pace, 0, 1) >= 0);
}

static void it_learns(void **state)
{
    (void)state;
    struct engine_pace pace = open_pace(0);
    for (int i = 0; i < 100; i++) { /* the machine has become half as fast */
        engine_pace_measured(&pace, 4, 0, 48000);
        engine_pace_measured(&pace, 4, 100, 248000);
    }
    assert_float_equal(engine_pace_estimate_us(&pace, 8, 0), 72000, 100);
    assert_float_equal(engine_pace_estimate_us(&pace, 0, 100), 200000, 500);
    double before = engine_pace_estimate_us(&pace, 4, 0);
    engine_pace_measured(&pace, 4, 0, 60000000); /* it was asleep */
    assert_true(engine_pace_estimate_us(&pace, 4, 0) < 1.5 * before);
    engine_pace_measured(&pace, 0, 0, 1000);
    engine_pace_measured(&pace, 4, 2, 1); /* quicker than possible: says nothing */
    assert_float_equal(engine_pace_estimate_us(&pace, 0, 100), 200000, 500);
}

/* A backend whose steps take no time that a clock can see. */
static void no_time_at_all(void **state)
{
    (void)state;
    struct engine_pace pace;
    engine_pace_open(&pace, BATCH, SEQUENCES, TARGET_US, 0);
    struct engine_demand demand = {8, 1, 4000, 0, 0};
    assert_int_equal(engine_pace_budget(&pace, &demand), BATCH - 8);
    engine_pace_calibrate_decode(&pace, 1, 0);
    engine_pace_calibrate_decode(&pace, 8, 0);
    engine_pace_calibrate_prompt(&pace, 64, 0);
    engine_pace_measured(&pace, 8, 0, 0);
    engine_pace_measured(&pace, 8, 64, 0);
    assert_int_equal(engine_pace_budget(&pace, &demand), BATCH - 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(estimates),
        cmocka_unit_test(budgets),
        cmocka_unit_test(groups_share_the_target),
        cmocka_unit_test(bursts_are_rare),
        cmocka_unit_test(what_is_the_same_for_any_number),
        cmocka_unit_test(it_learns),
        cmocka_unit_test(no_time_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
