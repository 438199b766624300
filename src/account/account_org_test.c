/* Organisations: the weight that comes with whoever calls. */
#include "account_org.h"
#include "account_key.h"
#include "account_session.h"
#include "account_test_world.h"
#include "check.h"

static struct world world;

static int set_up(void **state)
{
    (void)state;
    world_open(&world, NULL);
    world_owner(&world);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_close(&world);
    return 0;
}

static void everybody_has_weight(struct text secret, struct text token, uint32_t want)
{
    struct status st = {0};
    struct account_caller caller;
    struct account_org *orgs;
    size_t count;
    assert_true(account_key_check(world.account, secret, TEXT_NONE, &caller, &st));
    assert_int_equal(caller.weight, want);
    assert_true(account_session_check(world.account, token, TEXT_NONE, &caller, &st));
    assert_int_equal(caller.weight, want);
    assert_true(account_first_owner(world.account, &caller, &st));
    assert_int_equal(caller.weight, want);
    assert_true(account_org_list(world.account, 0, world.arena, &orgs, &count, &st));
    assert_int_equal(count, 1);
    check_text(orgs[0].id, ids_text(&world.owner.org).at);
    assert_int_equal(orgs[0].weight, want);
}

static void weights(void **state)
{
    (void)state;
    static const int64_t bad[] = {0, -1, ACCOUNT_WEIGHT_MAX + 1, INT64_MAX};
    struct status st = {0};
    struct account_key key;
    struct account_token token;
    struct account_caller caller;
    struct text secret, org = ids_text(&world.owner.org);
    assert_true(account_key_create(world.account, org, ids_text(&world.owner.project),
                                   ids_text(&world.owner.user), TEXT("one"), 0, world.arena, &key,
                                   &secret, &st));
    struct account_sign_in sign_in = {.email = WORLD_EMAIL, .password = WORLD_PASSWORD};
    assert_true(account_sign_in(world.account, &sign_in, &token, &caller, &st));
    assert_int_equal(caller.weight, ACCOUNT_WEIGHT_USUAL);
    everybody_has_weight(secret, text_of(token.bytes), ACCOUNT_WEIGHT_USUAL);
    assert_true(account_org_set_weight(world.account, org, 250, &st));
    everybody_has_weight(secret, text_of(token.bytes), 250); /* at once: nothing old is kept */
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(account_org_set_weight(world.account, org, bad[i], &st));
        assert_int_equal(st.code, STATUS_INVALID);
        assert_string_equal(st.field, "weight");
    }
    assert_false(account_org_set_weight(world.account, TEXT("org_x"), 5, &st));
    assert_int_equal(st.code, STATUS_NOT_FOUND);
    world_again(&world);
    everybody_has_weight(secret, text_of(token.bytes), 250);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(weights, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
