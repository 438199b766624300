/* Signing in, sessions, passwords. */
#include "account_test_world.h"
#include "check.h"
#include "clock.h"
#include "db.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

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

static bool sign_in(struct text email, struct text password, struct account_token *token,
                    struct account_caller *caller, struct status *st)
{
    struct account_sign_in in = {.email = email,
                                 .password = password,
                                 .address = TEXT("192.0.2.7"),
                                 .user_agent = TEXT("Firefox/140")};
    return account_sign_in(world.account, &in, token, caller, st);
}

static struct account_token signed_in(struct account_caller *caller)
{
    struct status st = {0};
    struct account_token token;
    bool ok = sign_in(WORLD_EMAIL, WORLD_PASSWORD, &token, caller, &st);
    if (!ok)
        print_error("%s\n", st.text);
    assert_true(ok);
    return token;
}

static bool alive(const struct account_token *token)
{
    struct status st = {0};
    struct account_caller caller;
    bool is = account_session_check(world.account, text_of(token->bytes), TEXT("192.0.2.8"),
                                    &caller, &st);
    assert_true(is || st.code == STATUS_UNAUTHENTICATED);
    return is;
}

static void in_and_out(void **state)
{
    (void)state;
    struct status st = {0};
    struct account_caller caller, checked;
    struct account_token token = signed_in(&caller), other = signed_in(&caller);
    assert_string_not_equal(token.bytes, other.bytes);
    assert_true(
        account_session_check(world.account, text_of(other.bytes), TEXT_NONE, &checked, &st));
    assert_true(world_same(&checked, &caller));
    assert_memory_equal(&checked.org, &world.owner.org, sizeof(checked.org));
    assert_memory_equal(&checked.project, &world.owner.project, sizeof(checked.project));
    assert_int_equal(checked.role, ACCOUNT_ROLE_OWNER);
    assert_true(account_session_end(world.account, ids_text(&caller.org), ids_text(&caller.user),
                                    ids_text(&caller.session), &st));
    assert_false(alive(&other));
    assert_true(alive(&token));
    assert_false(account_session_end(world.account, ids_text(&caller.org), ids_text(&caller.user),
                                     ids_text(&caller.session), &st));
    assert_int_equal(st.code, STATUS_NOT_FOUND);
}

static void tokens_that_are_none(void **state)
{
    (void)state;
    struct account_caller caller;
    struct account_token token = signed_in(&caller), other = token;
    for (size_t i = 0; i < ACCOUNT_TOKEN_BYTES; i++) {
        other.bytes[i] = other.bytes[i] == 'A' ? 'B' : 'A';
        assert_false(alive(&other));
        other = token;
    }
    for (size_t len = 0; len < ACCOUNT_TOKEN_BYTES; len++) {
        struct status st = {0};
        assert_false(account_session_check(world.account, (struct text){token.bytes, len},
                                           TEXT_NONE, &caller, &st));
    }
    assert_true(alive(&token));
}

static const struct {
    const char *name;
    struct text email, password;
} wrong[] = {
    {"a wrong password", {"owner@example.com", 17}, {"a long sentence of yours", 24}},
    {"nobody's address", {"nobody@example.com", 18}, {"a long sentence of mine", 23}},
    {"nothing", {NULL, 0}, {NULL, 0}},
    {"no address at all", {"\xff\0;", 3}, {"\xff", 1}},
    {"SQL", {"' OR 1=1 --", 11}, {"' OR 1=1 --", 11}},
};

static void wrong_ones_sound_alike(void **state)
{
    (void)state;
    char text[STATUS_TEXT_BYTES_MAX] = "";
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct status st = {0};
        struct account_token token;
        struct account_caller caller;
        check_case(wrong[i].name);
        assert_false(sign_in(wrong[i].email, wrong[i].password, &token, &caller, &st));
        assert_int_equal(st.code, STATUS_UNAUTHENTICATED);
        assert_true(i == 0 || strcmp(text, st.text) == 0);
        snprintf(text, sizeof(text), "%s", st.text);
    }
    struct account_caller caller;
    (void)signed_in(&caller); /* the address is compared without case; one failure does no harm */
}

/* Of this thread's own work, so that a busy machine does not matter. */
static int64_t worked_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

/* A password that is hashed costs the same whether the address exists or not. */
static void wrong_ones_take_as_long(void **state)
{
    (void)state;
    enum { ROUNDS = 12 };
    world_close(&world);
    world_open(&world, &(struct account_options){.hash_passes = 3, .hash_memory_kib = 8 * 1024});
    world_owner(&world);
    int64_t best[2] = {INT64_MAX, INT64_MAX};
    for (int i = 0; i < ROUNDS; i++)
        for (size_t j = 0; j < 2; j++) {
            struct status st = {0};
            struct account_token token;
            struct account_caller caller;
            world_again(&world); /* without a memory of failures */
            int64_t begin = worked_us();
            assert_false(sign_in(wrong[j].email, TEXT("not the password"), &token, &caller, &st));
            int64_t took = worked_us() - begin;
            best[j] = took < best[j] ? took : best[j];
        }
    print_message("known %lld us, unknown %lld us\n", (long long)best[0], (long long)best[1]);
    assert_true(best[1] * 2 > best[0] && best[0] * 2 > best[1]);
}

static void throttled(void **state)
{
    (void)state;
    struct status st = {0};
    struct account_token token;
    struct account_caller caller;
    for (int i = 0; i < 3; i++)
        assert_false(sign_in(WORLD_EMAIL, TEXT("not the password"), &token, &caller, &st));
    assert_false(sign_in(WORLD_EMAIL, WORLD_PASSWORD, &token, &caller, &st)); /* be it right */
    assert_int_equal(st.code, STATUS_RATE_LIMITED);
    assert_true(st.retry_after_ms > 200 * 1000);
    for (int i = 0; i < 3; i++) /* nobody's account is shut just so */
        assert_false(sign_in(TEXT("n@x"), TEXT("not the password"), &token, &caller, &st));
    assert_false(sign_in(TEXT("N@x"), TEXT("not the password"), &token, &caller, &st));
    assert_int_equal(st.code, STATUS_RATE_LIMITED);
}

static void ends_by_itself(void **state)
{
    (void)state;
    struct status st = {0};
    struct account_caller caller;
    struct account_token token = signed_in(&caller);
    char sql[200];
    int64_t now_us = clock_wall_us();
    snprintf(sql, sizeof(sql), "UPDATE session SET seen_us = %lld",
             (long long)(now_us - account_session_idle_us + 60 * 1000000LL));
    db_scratch_script(&world.scratch, sql);
    assert_true(alive(&token)); /* a minute before */
    assert_true(account_flush(world.account, &st));
    assert_true(alive(&token)); /* and used by that: fresh again */
    snprintf(sql, sizeof(sql), "UPDATE session SET seen_us = %lld",
             (long long)(now_us - account_session_idle_us - 1000000));
    db_scratch_script(&world.scratch, sql);
    assert_false(alive(&token));
    token = signed_in(&caller);
    snprintf(sql, sizeof(sql), "UPDATE session SET created_us = %lld",
             (long long)(now_us - account_session_life_us - 1000000));
    db_scratch_script(&world.scratch, sql);
    assert_false(alive(&token)); /* however much it was used */
    assert_true(sessions_purge(world.account, &st));
    assert_int_equal(world_number(&world, "SELECT count(*) FROM session"), 0);
}

/* As the settings say, not as the defaults do. */
static void other_limits(void **state)
{
    (void)state;
    struct account_caller caller;
    world_close(&world);
    world_open(&world, &(struct account_options){.session_idle_ms = 60 * 1000,
                                                 .session_life_ms = 120 * 1000,
                                                 .sessions_max = 2});
    world_owner(&world);
    assert_int_equal(account_session_life_s(world.account), 120);
    struct account_token token = signed_in(&caller);
    db_scratch_script(&world.scratch, "UPDATE session SET seen_us = seen_us - 55000000");
    assert_true(alive(&token));
    db_scratch_script(&world.scratch, "UPDATE session SET seen_us = seen_us - 6000000");
    assert_false(alive(&token));
    token = signed_in(&caller);
    db_scratch_script(&world.scratch, "UPDATE session SET created_us = created_us - 119000000");
    assert_true(alive(&token));
    db_scratch_script(&world.scratch, "UPDATE session SET created_us = created_us - 2000000");
    assert_false(alive(&token));
    for (int i = 0; i < 4; i++)
        (void)signed_in(&caller);
    assert_int_equal(world_number(&world, "SELECT count(*) FROM session"), 2);
}

static void last_use_is_noted(void **state)
{
    (void)state;
    struct status st = {0};
    struct account_caller caller;
    struct account_token token = signed_in(&caller);
    db_scratch_script(&world.scratch, "UPDATE session SET seen_us = seen_us - 90000000");
    int64_t before = world_number(&world, "SELECT seen_us FROM session");
    assert_true(alive(&token));
    assert_int_equal(world_number(&world, "SELECT seen_us FROM session"), before); /* not yet */
    assert_true(account_flush(world.account, &st));
    assert_true(world_number(&world, "SELECT seen_us FROM session") >= before + 90000000);
    assert_int_equal(
        world_number(&world, "SELECT count(*) FROM session WHERE address = '192.0.2.8'"), 1);
    assert_true(account_flush(world.account, &st)); /* nothing to do */
}

static void listed(void **state)
{
    (void)state;
    enum { COUNT = 7 };
    struct status st = {0};
    struct account_caller caller;
    for (int i = 0; i < COUNT; i++)
        (void)signed_in(&caller);
    /* two at the same time, so that the id has to decide */
    db_scratch_script(&world.scratch,
                      "UPDATE session SET seen_us = (SELECT max(seen_us) FROM session)");
    struct account_session *page;
    size_t count, seen = 0;
    bool more = true;
    struct text after = TEXT_NONE;
    int64_t after_us = 0;
    while (more) {
        assert_true(account_session_list(world.account, ids_text(&caller.org),
                                         ids_text(&caller.user), after_us, after, 3, world.arena,
                                         &page, &count, &more, &st));
        for (size_t i = 0; i < count; i++) {
            assert_true(seen == 0 || text_compare(page[i].id, after) < 0);
            after = page[i].id;
            after_us = page[i].seen_us;
            check_text(page[i].user_agent, "Firefox/140");
            seen++;
        }
    }
    assert_int_equal(seen, COUNT);
    assert_true(account_session_end_others(world.account, ids_text(&caller.org),
                                           ids_text(&caller.user), ids_text(&caller.session), &st));
    assert_true(account_session_list(world.account, ids_text(&caller.org), ids_text(&caller.user),
                                     0, TEXT_NONE, 3, world.arena, &page, &count, &more, &st));
    assert_int_equal(count, 1);
    assert_true(text_equal(page[0].id, ids_text(&caller.session)));
    assert_true(account_session_list(world.account, TEXT("org_x"), ids_text(&caller.user), 0,
                                     TEXT_NONE, 3, world.arena, &page, &count, &more, &st));
    assert_int_equal(count, 0);
}

static void not_without_end(void **state)
{
    (void)state;
    struct account_caller caller;
    struct account_token first = signed_in(&caller);
    for (int i = 0; i < 50; i++)
        (void)signed_in(&caller);
    assert_false(alive(&first));
    assert_int_equal(world_number(&world, "SELECT count(*) FROM session"), 50);
}

static void strange_browsers(void **state)
{
    (void)state;
    struct status st = {0};
    struct account_token token;
    struct account_caller caller;
    char agent[2000];
    memset(agent, 'x', sizeof(agent));
    memcpy(agent + ACCOUNT_SESSION_AGENT_BYTES_MAX - 1, "\xc3\xbc", 2); /* cut in the middle */
    struct account_sign_in in = {
        .email = WORLD_EMAIL, .password = WORLD_PASSWORD, .user_agent = {agent, sizeof(agent)}};
    assert_true(account_sign_in(world.account, &in, &token, &caller, &st));
    assert_int_equal(world_number(&world, "SELECT length(user_agent) FROM session"),
                     ACCOUNT_SESSION_AGENT_BYTES_MAX - 1);
    in.user_agent = (struct text){"\xff\0", 2};
    assert_true(account_sign_in(world.account, &in, &token, &caller, &st));
}

static void password_changed(void **state)
{
    (void)state;
    struct status st = {0};
    struct account_caller caller, other;
    struct account_token elsewhere = signed_in(&other), here = signed_in(&caller), token;
    struct text user = ids_text(&caller.user), keep = ids_text(&caller.session);
    struct text fresh = TEXT("an even longer sentence");
    assert_false(account_user_change_password(world.account, user, TEXT("not the password"), fresh,
                                              keep, TEXT_NONE, &st));
    assert_int_equal(st.code, STATUS_INVALID);
    assert_string_equal(st.field, "current_password");
    assert_false(account_user_change_password(world.account, user, WORLD_PASSWORD, TEXT("short"),
                                              keep, TEXT_NONE, &st));
    assert_string_equal(st.field, "new_password");
    assert_true(alive(&elsewhere));
    assert_true(account_user_change_password(world.account, user, WORLD_PASSWORD, fresh, keep,
                                             TEXT_NONE, &st));
    assert_false(alive(&elsewhere));
    assert_true(alive(&here));
    assert_false(sign_in(WORLD_EMAIL, WORLD_PASSWORD, &token, &caller, &st));
    assert_true(sign_in(WORLD_EMAIL, fresh, &token, &caller, &st));
    assert_true(account_user_set_password(world.account, user, WORLD_PASSWORD, &st));
    assert_false(alive(&here)); /* by the operator: every session */
    assert_true(sign_in(WORLD_EMAIL, WORLD_PASSWORD, &token, &caller, &st));
}

/* A hash that was made with less is made anew when the password is there to do it. */
static void rehashed(void **state)
{
    (void)state;
    struct account_caller caller;
    assert_int_equal(
        world_number(&world, "SELECT count(*) FROM app_user WHERE password LIKE '%m=64,%'"), 1);
    account_close(TAKE(world.account));
    struct status st = {0};
    struct account_options options = {
        .db = world.scratch.db, .vault = world.vault, .hash_passes = 2, .hash_memory_kib = 128};
    assert_true(account_open(&options, &world.account, &st));
    (void)signed_in(&caller);
    assert_int_equal(
        world_number(&world, "SELECT count(*) FROM app_user WHERE password LIKE '%m=128,t=2%'"), 1);
    (void)signed_in(&caller);
}

static void people(void **state)
{
    (void)state;
    struct status st = {0};
    struct id member;
    struct account_token token;
    struct account_caller caller;
    struct account_user *users, user;
    struct account_me me;
    size_t count;
    struct text org = ids_text(&world.owner.org), owner = ids_text(&world.owner.user);
    assert_true(account_user_add(world.account, org, TEXT("m@x"), TEXT("Member"), WORLD_PASSWORD,
                                 ACCOUNT_ROLE_MEMBER, &member, &st));
    assert_false(account_user_add(world.account, org, TEXT("M@X"), TEXT("Member"), WORLD_PASSWORD,
                                  ACCOUNT_ROLE_MEMBER, &member, &st));
    assert_int_equal(st.code, STATUS_CONFLICT);
    assert_string_equal(st.field, "email");
    assert_true(account_user_list(world.account, org, 0, world.arena, &users, &count, &st));
    assert_int_equal(count, 2);
    check_text(users[0].email, "Owner@Example.com");
    assert_int_equal(users[1].role, ACCOUNT_ROLE_MEMBER);
    assert_true(account_user_by_email(world.account, org, TEXT("M@x"), world.arena, &user, &st));
    assert_true(text_equal(user.id, ids_text(&member))); /* a failure writes no output */
    assert_true(account_me_get(world.account, org, owner, world.arena, &me, &st));
    check_text(me.org_name, "Acme");
    check_text(me.project_name, "Default");
    assert_false(account_me_get(world.account, TEXT("org_x"), owner, world.arena, &me, &st));
    assert_int_equal(st.code, STATUS_NOT_FOUND);
    assert_true(account_user_rename(world.account, owner, TEXT("New Name"), &st));
    assert_false(account_user_rename(world.account, owner, TEXT(""), &st));
    assert_false(account_user_rename(world.account, TEXT("usr_x"), TEXT("N"), &st));
    /* disabling */
    assert_false(account_user_disable(world.account, owner, true, &st));
    assert_int_equal(st.code, STATUS_CONFLICT);
    assert_true(sign_in(TEXT("m@x"), WORLD_PASSWORD, &token, &caller, &st));
    assert_true(account_user_disable(world.account, user.id, true, &st));
    assert_false(alive(&token));
    assert_false(sign_in(TEXT("m@x"), WORLD_PASSWORD, &token, &caller, &st));
    assert_int_equal(st.code, STATUS_UNAUTHENTICATED);
    assert_true(account_user_disable(world.account, user.id, false, &st));
    assert_true(sign_in(TEXT("m@x"), WORLD_PASSWORD, &token, &caller, &st));
    assert_false(account_user_disable(world.account, TEXT("usr_x"), true, &st));
    assert_int_equal(st.code, STATUS_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(in_and_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tokens_that_are_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_ones_sound_alike, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_ones_take_as_long, set_up, tear_down),
        cmocka_unit_test_setup_teardown(throttled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ends_by_itself, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(last_use_is_noted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(listed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(not_without_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strange_browsers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(password_changed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rehashed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(people, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
