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

static struct engine_demand demand_of(uint32_t writers, uint32_t prompts, uint64_t prompt_tokens)
{
    return (struct engine_demand){
        .writers = writers, .prompts = prompts, .prompt_tokens = prompt_tokens};
}

static void budgets(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t writers, prompts, prompt_tokens, waiting, first_tokens;
        bool shared;
        uint32_t want;
    } rows[] = {
        {"nobody writes", 0, 1, 4000, 0, 0, false, BATCH},
        {"nobody writes, but others may come", 0, 1, 4000, 0, 0, true, 200},
        {"one long prompt", 8, 1, 4000, 0, 0, false, 161},
        {"it fits", 1, 1, 100, 0, 0, false, 182},
        {"seven short ones beside one writer: at once", 1, 7, 480, 0, 0, false, 480},
        {"more than a batch: most of them", 1, 7, 560, 0, 0, false, BATCH},
        {"others may come", 1, 7, 480, 0, 0, true, 164},
        {"too long to be done by it", 1, 1, 1000, 0, 0, false, 182},
        {"two longer ones, of which one is done", 2, 2, 1000, 0, 0, false, BATCH},
        {"more suffer than gain", 4, 2, 300, 1, 0, false, 170},
        {"as many gain as suffer", 4, 2, 300, 2, 0, false, 300},
        {"one long prompt, alone beside one writer", 1, 1, 500, 0, 0, false, 500},
        {"writing alone takes more than half the target", 40, 1, 4000, 0, 0, false, 135},
        {"somebody's first one", 8, 2, 4000, 0, 300, true, 300},
        {"it fits anyway", 8, 2, 4000, 0, 100, true, 158},
        {"it takes longer than two targets", 8, 2, 4000, 0, 400, true, 158},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct engine_pace pace = open_pace(0);
        struct engine_demand demand =
            demand_of(rows[i].writers, rows[i].prompts, rows[i].prompt_tokens);
        demand.waiting = rows[i].waiting;
        demand.first_tokens = rows[i].first_tokens;
        demand.shared = rows[i].shared;
        check_case(rows[i].name);
        assert_int_equal(engine_pace_budget(&pace, &demand), rows[i].want);
    }
    struct engine_demand alone = demand_of(0, 1, 4000), long_one = demand_of(8, 1, 4000),
                         short_ones = demand_of(1, 7, 480);
    struct engine_pace pace = open_pace(96);
    assert_int_equal(engine_pace_budget(&pace, &alone), BATCH);
    assert_int_equal(engine_pace_budget(&pace, &short_ones), 96);
    /* A burst is no longer than six targets. */
    pace = open_pace(0);
    pace.prompt_us = 4000;
    assert_int_equal(engine_pace_prompts(&pace, &short_ones), (6 * 200 - 36) / 4);
    assert_int_equal(engine_pace_budget(&pace, &short_ones), (6 * 200 - 36) / 4);
    pace.credit = 0.5;
    assert_int_equal(engine_pace_prompts(&pace, &short_ones), (200 - 36) / 4);
    /* However slow it has become, prompts go on. */
    pace = open_pace(0);
    engine_pace_calibrate_decode(&pace, 8, 600000);
    assert_int_equal(engine_pace_budget(&pace, &long_one), BATCH);
    pace.prompt_us = 100000;
    assert_int_equal(engine_pace_budget(&pace, &long_one), ENGINE_PACE_TOKENS_MIN);
    pace.prompt_us = 10000; /* nobody writes, but a batch would take five seconds */
    assert_int_equal(engine_pace_budget(&pace, &alone), 120);
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
    assert_int_equal(engine_pace_budget(&pace, &demand), 39); /* half of a step, however many */
    pace = open_pace(96);
    assert_int_equal(engine_pace_budget(&pace, &demand), 96);
}

/* Of the gaps between the tokens of those who write, few are long ones, however many prompts come.
 */
static void bursts_are_rare(void **state)
{
    (void)state;
    struct engine_pace pace = open_pace(0);
    struct engine_demand demand = demand_of(2, 4, 400);
    uint32_t longer = 0, steps = 2000;
    for (uint32_t i = 0; i < steps; i++) {
        longer += engine_pace_budget(&pace, &demand) == 400;
        engine_pace_measured(&pace, 2, 0, 18000);
    }
    assert_in_range(longer, steps / ENGINE_PACE_RARELY, steps / ENGINE_PACE_RARELY + SEQUENCES);
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
    struct engine_demand demand = demand_of(8, 1, 4000);
    assert_int_equal(engine_pace_budget(&pace, &demand), 140);
    for (int i = 0; i < 100; i++)
        engine_pace_measured(&pace, 0, 16, 36000);
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
        engine_pace_measured(&pace, 0, 100, 200000);
    }
    assert_float_equal(engine_pace_estimate_us(&pace, 8, 0), 72000, 100);
    assert_float_equal(engine_pace_estimate_us(&pace, 0, 100), 200000, 500);
    double before = engine_pace_estimate_us(&pace, 4, 0);
    engine_pace_measured(&pace, 4, 0, 60000000); /* it was asleep */
    assert_true(engine_pace_estimate_us(&pace, 4, 0) < 1.5 * before);
    engine_pace_measured(&pace, 0, 0, 1000);
    engine_pace_measured(&pace, 0, 2, 1); /* quicker than possible: says nothing */
    assert_float_equal(engine_pace_estimate_us(&pace, 0, 100), 200000, 500);
}

/* A backend whose steps take no time that a clock can see. */
static void no_time_at_all(void **state)
{
    (void)state;
    struct engine_pace pace;
    engine_pace_open(&pace, BATCH, SEQUENCES, TARGET_US, 0);
    struct engine_demand demand = demand_of(8, 1, 4000);
    assert_int_equal(engine_pace_budget(&pace, &demand), BATCH);
    engine_pace_calibrate_decode(&pace, 1, 0);
    engine_pace_calibrate_decode(&pace, 8, 0);
    engine_pace_calibrate_prompt(&pace, 64, 0);
    engine_pace_measured(&pace, 8, 0, 0);
    engine_pace_measured(&pace, 0, 64, 0);
    assert_int_equal(engine_pace_budget(&pace, &demand), BATCH);
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
