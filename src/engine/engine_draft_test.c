#include "engine_draft.h"
#include "check.h"

static void what_follows(void **state)
{
    (void)state;
    struct engine_draft draft = {0};
    int32_t tokens[200];
    for (int32_t i = 0; i < 200; i++)
        tokens[i] = i < 100 ? i : i - 60; /* from 100 on: 40, 41, ... */
    engine_draft_find(&draft, tokens, 107);
    assert_int_equal(draft.count, 0); /* seven are the same */
    engine_draft_find(&draft, tokens, 108);
    assert_int_equal(draft.count, ENGINE_DRAFT_TOKENS);
    for (int32_t i = 0; i < ENGINE_DRAFT_TOKENS; i++)
        assert_int_equal(draft.tokens[i], 48 + i);
    /* Beyond what is known it goes on as it began. */
    for (int32_t i = 0; i < 200; i++)
        tokens[i] = i % 3;
    engine_draft_find(&draft, tokens, 100);
    assert_int_equal(draft.count, ENGINE_DRAFT_TOKENS);
    for (int32_t i = 0; i < ENGINE_DRAFT_TOKENS; i++)
        assert_int_equal(draft.tokens[i], (100 + i) % 3);
    engine_draft_find(&draft, tokens, 1);
    assert_int_equal(draft.count, 0);
}

static void who_is_wrong_needs_more(void **state)
{
    (void)state;
    struct engine_draft draft = {0};
    int32_t tokens[400];
    for (int32_t i = 0; i < 400; i++)
        tokens[i] = i < 200 ? i : i - 200;
    engine_draft_find(&draft, tokens, 210);
    assert_int_equal(draft.count, ENGINE_DRAFT_TOKENS);
    engine_draft_was_right(&draft, 1);
    engine_draft_find(&draft, tokens, 215);
    assert_int_equal(draft.count, 0);
    engine_draft_find(&draft, tokens, 216);
    assert_int_equal(draft.count, ENGINE_DRAFT_TOKENS);
    engine_draft_was_right(&draft, ENGINE_DRAFT_TOKENS);
    engine_draft_find(&draft, tokens, 208);
    assert_int_equal(draft.count, ENGINE_DRAFT_TOKENS);
    for (int i = 0; i < 20; i++) {
        draft.count = ENGINE_DRAFT_TOKENS;
        engine_draft_was_right(&draft, 0);
    }
    engine_draft_find(&draft, tokens, 327);
    assert_int_equal(draft.count, 0);
    engine_draft_find(&draft, tokens, 328); /* but not more than can be had */
    assert_int_equal(draft.count, ENGINE_DRAFT_TOKENS);
}

static void whether_it_pays(void **state)
{
    (void)state;
    assert_true(engine_draft_pays(4.8, 1));
    assert_false(engine_draft_pays(6.5, 1));
    assert_false(engine_draft_pays(0, 1));
    assert_false(engine_draft_pays(1, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_follows),
        cmocka_unit_test(who_is_wrong_needs_more),
        cmocka_unit_test(whether_it_pays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
