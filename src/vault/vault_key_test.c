/* Keys of organisations and people: made, taken, erased, rotated; and rows that were meddled with.
 */
#include "vault_internal.h"
#include "check.h"
#include "db.h"
#include "db_scratch.h"

#include <stdio.h>
#include <string.h>

static struct db_scratch scratch;
static struct vault *vault;
static struct arena *arena;

#define ORG_A TEXT("org_a")
#define ORG_B TEXT("org_b")
#define ONE TEXT("usr_1")
#define TWO TEXT("usr_2")

static void vault_again(void)
{
    struct status st = {0};
    char folder[200];
    snprintf(folder, sizeof(folder), "%s/secrets", scratch.folder);
    vault_close(TAKE(vault));
    struct vault_options options = {.folder = text_of(folder), .create = true};
    assert_true(vault_open(&options, &vault, &st));
}

static void make_keys(struct text org, struct text user)
{
    struct status st = {0};
    AUTO(db_tx) struct db_tx *tx = db_begin(scratch.db, DB_SCOPE_ORG(org), DB_WRITE);
    bool ok = (user.len > 0 ? vault_user_key_make(vault, tx, org, user, &st)
                            : vault_org_key_make(vault, tx, org, &st)) &&
              db_commit(tx, &st);
    if (!ok)
        print_error("%s\n", st.text);
    assert_true(ok);
}

static int set_up(void **state)
{
    (void)state;
    db_scratch_open(&scratch);
    db_scratch_script(&scratch,
                      "INSERT INTO organisation (id, name, created_us) VALUES ('org_a', 'A', 1), "
                      "('org_b', 'B', 1);"
                      "INSERT INTO app_user (id, email, email_key, name, created_us) VALUES "
                      "('usr_1', '1', '1', '1', 1), ('usr_2', '2', '2', '2', 1);"
                      "INSERT INTO membership (org_id, user_id, role, created_us) VALUES "
                      "('org_a', 'usr_1', 'owner', 1), ('org_a', 'usr_2', 'member', 1), "
                      "('org_b', 'usr_1', 'owner', 1)");
    arena = arena_open(1 * MIB);
    vault_again();
    make_keys(ORG_A, TEXT_NONE);
    make_keys(ORG_B, TEXT_NONE);
    make_keys(ORG_A, ONE);
    make_keys(ORG_A, TWO);
    make_keys(ORG_B, ONE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vault_close(TAKE(vault));
    arena_close(TAKE(arena));
    db_scratch_close(&scratch);
    return 0;
}

static struct vault_place place(struct text org)
{
    return (struct vault_place){TEXT("message"), TEXT("body"), org, TEXT("msg_1")};
}

static struct text seal_for(struct text org, struct text user, const char *plain)
{
    struct status st = {0};
    AUTO(vault_key) struct vault_key *key = NULL;
    assert_true(vault_key_take(vault, scratch.db, org, user, &key, &st));
    return vault_seal(key, place(org), text_of(plain), arena);
}

static bool open_as(struct text org, struct text user, struct text blob, struct text *plain,
                    struct status *st)
{
    AUTO(vault_key) struct vault_key *key = NULL;
    return vault_key_take(vault, scratch.db, org, user, &key, st) &&
           vault_open_sealed(key, place(org), blob, arena, plain, st);
}

static void each_has_its_own(void **state)
{
    (void)state;
    struct status st = {0};
    struct text plain, blob = seal_for(ORG_A, ONE, "hello");
    assert_true(open_as(ORG_A, ONE, blob, &plain, &st));
    check_text(plain, "hello");
    assert_false(
        open_as(ORG_A, TWO, blob, &plain, &st)); /* the place is the same: the key is not */
    assert_int_equal(st.code, STATUS_SYSTEM);
    assert_false(open_as(ORG_B, ONE, blob, &plain, &st));
    assert_false(open_as(ORG_A, TEXT_NONE, blob, &plain, &st));
    assert_false(open_as(TEXT_NONE, TEXT_NONE, blob, &plain, &st));
    assert_int_equal(st.code, STATUS_NOT_FOUND); /* keys of the ring have other ids */
    vault_again();                               /* after a restart */
    assert_true(open_as(ORG_A, ONE, blob, &plain, &st));
    struct text ours = seal_for(TEXT_NONE, TEXT_NONE, "the operator's");
    assert_true(open_as(TEXT_NONE, TEXT_NONE, ours, &plain, &st));
    check_text(plain, "the operator's");
}

static void erased(void **state)
{
    (void)state;
    struct status st = {0};
    struct text plain, one = seal_for(ORG_A, ONE, "one"), two = seal_for(ORG_A, TWO, "two");
    db_scratch_script(&scratch, "DELETE FROM user_key WHERE user_id = 'usr_1'");
    vault_key_forget(vault, ORG_A, ONE);
    assert_false(open_as(ORG_A, ONE, one, &plain, &st));
    assert_int_equal(st.code, STATUS_NOT_FOUND);
    assert_true(open_as(ORG_A, TWO, two, &plain, &st));
    db_scratch_script(&scratch, "DELETE FROM org_key WHERE org_id = 'org_a'");
    vault_key_forget(vault, ORG_A, TEXT_NONE); /* and everybody's in it */
    assert_false(open_as(ORG_A, TWO, two, &plain, &st));
    assert_true(open_as(ORG_B, TEXT_NONE, seal_for(ORG_B, TEXT_NONE, "b"), &plain, &st));
}

/* Taken before it is forgotten: stays usable until it is given back. */
static void forgotten_in_use(void **state)
{
    (void)state;
    struct status st = {0};
    struct text plain;
    struct vault_key *key = NULL;
    assert_true(vault_key_take(vault, scratch.db, ORG_A, ONE, &key, &st));
    vault_key_forget(vault, ORG_A, TEXT_NONE);
    struct text blob = vault_seal(key, place(ORG_A), TEXT("x"), arena);
    assert_true(vault_open_sealed(key, place(ORG_A), blob, arena, &plain, &st));
    vault_key_release(key);
    vault_key_release(NULL);
}

static void master_rotated(void **state)
{
    (void)state;
    struct status st = {0};
    struct text plain, blob = seal_for(ORG_A, ONE, "old"),
                       ours = seal_for(TEXT_NONE, TEXT_NONE, "o");
    assert_true(vault_rotate(vault, VAULT_RING_MASTER, &st));
    vault_again();
    assert_true(open_as(ORG_A, ONE, blob, &plain, &st));
    assert_true(open_as(TEXT_NONE, TEXT_NONE, ours, &plain, &st));
}

static const struct {
    const char *name, *sql;
    enum status_code want;
} meddling[] = {
    {"keys of two people swapped",
     "UPDATE user_key SET wrapped = (SELECT wrapped FROM user_key o WHERE o.org_id = 'org_a' AND "
     "o.user_id = 'usr_2') WHERE org_id = 'org_a' AND user_id = 'usr_1'",
     STATUS_SYSTEM},
    {"the key of another organisation",
     "UPDATE org_key SET wrapped = (SELECT wrapped FROM org_key o WHERE o.org_id = 'org_b') "
     "WHERE org_id = 'org_a'",
     STATUS_SYSTEM},
    {"a version changed", "UPDATE user_key SET version = 2", STATUS_SYSTEM},
    {"cut short", "UPDATE user_key SET wrapped = substr(wrapped, 1, 40)", STATUS_SYSTEM},
    {"empty", "UPDATE org_key SET wrapped = x''", STATUS_SYSTEM},
    {"wrapped by a key that is not in the ring",
     "UPDATE org_key SET wrapped = x'01ffffffff' || substr(wrapped, 6)", STATUS_SYSTEM},
    {"gone", "DELETE FROM user_key", STATUS_NOT_FOUND},
};

static void rows_meddled_with(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(meddling); i++) {
        struct status st = {0};
        struct vault_key *key = NULL;
        check_case(meddling[i].name);
        db_scratch_script(&scratch, meddling[i].sql);
        vault_key_forget(vault, ORG_A, TEXT_NONE);
        assert_false(vault_key_take(vault, scratch.db, ORG_A, ONE, &key, &st));
        assert_true(st.code == meddling[i].want || st.code == STATUS_NOT_FOUND);
        tear_down(NULL);
        set_up(NULL);
    }
}

static void made_twice(void **state)
{
    (void)state;
    struct status st = {0};
    AUTO(db_tx) struct db_tx *tx = db_begin(scratch.db, DB_SCOPE_ORG(ORG_A), DB_WRITE);
    assert_false(vault_user_key_make(vault, tx, ORG_A, ONE, &st));
    assert_int_equal(st.code, STATUS_CONFLICT);
    AUTO(db_tx)
    struct db_tx *other = db_begin(scratch.db, DB_SCOPE_SYSTEM(DB_SYSTEM_SETUP), DB_WRITE);
    db_rollback(TAKE(tx));
    assert_false(vault_org_key_make(vault, other, ORG_B, &st)); /* the other scope's statement */
    assert_int_equal(st.code, STATUS_CONFLICT);
}

/* More people than the table holds: the oldest are thrown out, and come back. */
static void more_than_fit(void **state)
{
    (void)state;
    enum { PEOPLE = KEYS_CACHED_MAX + 50 };
    struct status st = {0};
    char sql[400];
    snprintf(
        sql, sizeof(sql),
        "WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d) "
        "INSERT INTO app_user (id, email, email_key, name, created_us) SELECT 'p_' || i, 'p' || "
        "i, 'p' || i, 'p', 1 FROM c; INSERT INTO membership (org_id, user_id, role, created_us) "
        "SELECT 'org_a', id, 'member', 1 FROM app_user WHERE id LIKE 'p!_%%' ESCAPE '!'",
        PEOPLE);
    db_scratch_script(&scratch, sql);
    {
        AUTO(db_tx) struct db_tx *tx = db_begin(scratch.db, DB_SCOPE_ORG(ORG_A), DB_WRITE);
        for (int i = 1; i <= PEOPLE; i++) {
            char id[20];
            snprintf(id, sizeof(id), "p_%d", i);
            assert_true(vault_user_key_make(vault, tx, ORG_A, text_of(id), &st));
        }
        assert_true(db_commit(tx, &st));
    }
    for (int i = 1; i <= PEOPLE + 2; i++) {
        char id[20];
        snprintf(id, sizeof(id), "p_%d", i > PEOPLE ? i - PEOPLE : i);
        AUTO(vault_key) struct vault_key *key = NULL;
        assert_true(vault_key_take(vault, scratch.db, ORG_A, text_of(id), &key, &st));
        assert_int_equal(key->count, 1);
    }
    assert_int_equal(vault->cached, KEYS_CACHED_MAX);
}

/* A ring filled to its end opens all; sealed anew, the newest key alone is enough. */
static void sealed_anew_with_the_newest(void **state)
{
    (void)state;
    struct status st = {0};
    struct vault_ring_facts facts;
    int64_t changed = -1;
    do {
        assert_true(vault_rotate(vault, VAULT_RING_MASTER, &st));
        vault_ring_facts(vault, VAULT_RING_MASTER, &facts);
    } while (facts.count < facts.max);
    assert_false(vault_rotate(vault, VAULT_RING_MASTER, &st));
    assert_int_equal(st.code, STATUS_LIMIT);
    vault_again();
    struct vault_key *key = NULL;
    assert_true(vault_key_take(vault, scratch.db, ORG_A, ONE, &key, &st));
    vault_key_release(key);
    assert_true(vault_org_keys_rewrap(vault, scratch.db, &changed, &st));
    assert_int_equal(changed, 2);
    assert_true(vault_org_keys_rewrap(vault, scratch.db, &changed, &st));
    assert_int_equal(changed, 0);
    assert_false(vault_rotate_out(vault, VAULT_RING_MASTER, TEXT("00000000"), &st));
    assert_int_equal(st.code, STATUS_CONFLICT);
    for (size_t i = 1; i < facts.max; i++) {
        vault_ring_facts(vault, VAULT_RING_MASTER, &facts);
        assert_true(vault_rotate_out(vault, VAULT_RING_MASTER, text_of(facts.oldest_id), &st));
    }
    vault_again();
    assert_true(vault_key_take(vault, scratch.db, ORG_A, ONE, &key, &st));
    vault_key_release(key);
    vault_ring_facts(vault, VAULT_RING_MASTER, &facts);
    assert_true(vault_rotate_out(vault, VAULT_RING_MASTER, text_of(facts.oldest_id), &st));
    vault_again();
    assert_false(vault_key_take(vault, scratch.db, ORG_A, ONE, &key, &st));
    assert_int_equal(st.code, STATUS_NOT_FOUND);
    assert_false(vault_org_keys_rewrap(vault, scratch.db, &changed, &st));
    assert_int_equal(st.code, STATUS_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_has_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(erased, set_up, tear_down),
        cmocka_unit_test_setup_teardown(forgotten_in_use, set_up, tear_down),
        cmocka_unit_test_setup_teardown(master_rotated, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rows_meddled_with, set_up, tear_down),
        cmocka_unit_test_setup_teardown(made_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_than_fit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sealed_anew_with_the_newest, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
