/* The first owner: once, with a token or from the shell. */
#include "account_test_world.h"
#include "check.h"
#include "db.h"
#include "fiber.h"
#include "loop.h"

#include <string.h>

static struct world world;

static int set_up(void **state)
{
    (void)state;
    world_open(&world, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_close(&world);
    return 0;
}

static struct account_setup good_setup(struct text token)
{
    return (struct account_setup){.token = token,
                                  .email = WORLD_EMAIL,
                                  .password = WORLD_PASSWORD,
                                  .name = TEXT("The Owner"),
                                  .organisation = TEXT("Acme"),
                                  .address = TEXT("10.0.0.1")};
}

static bool needed(void)
{
    struct status st = {0};
    bool is = false;
    assert_true(account_setup_needed(world.account, &is, &st));
    return is;
}

static void once(void **state)
{
    (void)state;
    struct status st = {0};
    struct text token, second;
    struct account_caller owner, first;
    assert_true(needed());
    assert_true(account_setup_token(world.account, world.arena, &token, &st));
    assert_int_equal(token.len, ACCOUNT_TOKEN_BYTES);
    world_again(&world);
    assert_true(account_setup_token(world.account, world.arena, &second, &st));
    struct account_setup setup = good_setup(token); /* the link of the first start still works */
    assert_true(account_setup(world.account, &setup, &owner, &st));
    assert_false(needed());
    assert_true(ids_valid(ids_text(&owner.org), "org_"));
    assert_true(ids_valid(ids_text(&owner.project), "prj_"));
    assert_true(ids_valid(ids_text(&owner.user), "usr_"));
    assert_int_equal(owner.role, ACCOUNT_ROLE_OWNER);
    assert_true(account_first_owner(world.account, &first, &st));
    assert_true(world_same(&first, &owner));
    setup.token = second;
    assert_false(account_setup(world.account, &setup, &owner, &st));
    assert_int_equal(st.code, STATUS_CONFLICT);
    assert_false(account_setup_token(world.account, world.arena, &token, &st));
    assert_int_equal(st.code, STATUS_CONFLICT);
    world_again(&world);
    assert_false(needed());
    assert_int_equal(world_number(&world, "SELECT count(*) FROM setup_token"), 0);
    assert_int_equal(world_number(&world, "SELECT count(*) FROM organisation"), 1);
    /* the keys of the organisation and of the owner are there */
    struct vault_key *key = NULL;
    assert_true(vault_key_take(world.vault, world.scratch.db, ids_text(&first.org),
                               ids_text(&first.user), &key, &st));
    vault_key_release(key);
}

static void token_is_not_stored(void **state)
{
    (void)state;
    struct status st = {0};
    struct text token;
    struct db_rows rows;
    assert_true(account_setup_token(world.account, world.arena, &token, &st));
    assert_true(db_read(world.scratch.db, DB_SCOPE_SYSTEM(DB_SYSTEM_SETUP), world.arena, &rows, &st,
                        "SELECT token_sha256 FROM setup_token WHERE instr(token_sha256, $1) > 0",
                        db_text(text_take(token, 8))));
    assert_int_equal(rows.count, 0);
}

static const struct {
    const char *name;
    struct account_setup setup;
    enum status_code want;
    const char *field;
} bad[] = {
    {"no address",
     {.email = {"", 0},
      .password = {"a long sentence of mine", 23},
      .name = {"N", 1},
      .organisation = {"O", 1}},
     STATUS_INVALID,
     "email"},
    {"a short password",
     {.email = {"a@b", 3}, .password = {"short", 5}, .name = {"N", 1}, .organisation = {"O", 1}},
     STATUS_INVALID,
     "password"},
    {"no name",
     {.email = {"a@b", 3}, .password = {"a long sentence of mine", 23}, .organisation = {"O", 1}},
     STATUS_INVALID,
     "name"},
    {"no organisation",
     {.email = {"a@b", 3}, .password = {"a long sentence of mine", 23}, .name = {"N", 1}},
     STATUS_INVALID,
     "organisation"},
    {"a wrong token",
     {.token = {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 43},
      .email = {"a@b", 3},
      .password = {"a long sentence of mine", 23},
      .name = {"N", 1},
      .organisation = {"O", 1}},
     STATUS_FORBIDDEN,
     ""},
    {"a token of another form",
     {.token = {"'; DROP TABLE session; --", 25},
      .email = {"a@b", 3},
      .password = {"a long sentence of mine", 23},
      .name = {"N", 1},
      .organisation = {"O", 1}},
     STATUS_FORBIDDEN,
     ""},
};

static void bad_input(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct status st = {0};
        struct account_caller owner;
        check_case(bad[i].name);
        assert_false(account_setup(world.account, &bad[i].setup, &owner, &st));
        assert_int_equal(st.code, bad[i].want);
        assert_string_equal(st.field, bad[i].field);
    }
    assert_true(needed());
    assert_int_equal(world_number(&world, "SELECT count(*) FROM organisation"), 0);
}

static void guessing_the_token(void **state)
{
    (void)state;
    struct status st = {0};
    struct account_caller owner;
    struct account_setup setup = good_setup(TEXT("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    for (int i = 0; i < 3; i++) {
        assert_false(account_setup(world.account, &setup, &owner, &st));
        assert_int_equal(st.code, STATUS_FORBIDDEN);
    }
    assert_false(account_setup(world.account, &setup, &owner, &st));
    assert_int_equal(st.code, STATUS_RATE_LIMITED);
    setup.token = TEXT_NONE; /* the shell is not concerned */
    assert_true(account_setup(world.account, &setup, &owner, &st));
}

/* Several at once, with a token and from the shell: one organisation comes of it. */
static int made, refused;
static void one_setup(void *arg)
{
    struct status st = {0};
    struct account_caller owner;
    if (account_setup(world.account, arg, &owner, &st)) {
        made++;
        return;
    }
    assert_int_equal(st.code, STATUS_CONFLICT);
    refused++;
}

static void race_main(void *arg)
{
    struct status st;
    struct fiber *fibers[6];
    struct account_setup with_token = good_setup(*(struct text *)arg);
    struct account_setup from_shell = good_setup(TEXT_NONE);
    with_token.address = TEXT_NONE;
    for (size_t i = 0; i < ARRAY_LEN(fibers); i++)
        assert_true(fiber_start_joinable(loop_current(), "setup", one_setup,
                                         i < 2 ? &with_token : &from_shell, &fibers[i], &st));
    for (size_t i = 0; i < ARRAY_LEN(fibers); i++)
        fiber_join(fibers[i]);
}

static void at_once(void **state)
{
    (void)state;
    struct status st = {0};
    struct text token;
    made = refused = 0;
    assert_true(account_setup_token(world.account, world.arena, &token, &st));
    world_on_loop(race_main, &token);
    assert_int_equal(made, 1);
    assert_int_equal(refused, 5);
    assert_int_equal(world_number(&world, "SELECT count(*) FROM organisation"), 1);
    assert_int_equal(world_number(&world, "SELECT count(*) FROM app_user"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(token_is_not_stored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_input, set_up, tear_down),
        cmocka_unit_test_setup_teardown(guessing_the_token, set_up, tear_down),
        cmocka_unit_test_setup_teardown(at_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
