/* API keys: making, listing, revoking, and the check of every request. */
#include "account_test_world.h"
#include "check.h"
#include "clock.h"
#include "db.h"
#include "fiber.h"
#include "loop.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct world world;

static int set_up(void **state)
{
    (void)state;
    world_open(&world, &(struct account_options){.key_fresh_ms = 400});
    world_owner(&world);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_close(&world);
    return 0;
}

#define ORG ids_text(&world.owner.org)
#define PROJECT ids_text(&world.owner.project)
#define USER ids_text(&world.owner.user)
#define REACH(org, project, user) (&(struct account_key_reach){org, project, user})
#define ALL REACH(ORG, PROJECT, TEXT_NONE)
#define OTHER_ORG REACH(TEXT("org_x"), PROJECT, TEXT_NONE)

static struct text make(const char *name, int64_t expires_us, struct account_key *key)
{
    struct status st = {0};
    struct text secret = TEXT_NONE;
    bool ok = account_key_create(world.account, ORG, PROJECT, USER, text_of(name), expires_us,
                                 world.arena, key, &secret, &st);
    if (!ok)
        print_error("%s\n", st.text);
    assert_true(ok);
    return secret;
}

static bool works_on(struct account *account, struct text secret)
{
    struct status st = {0};
    struct account_caller caller;
    bool ok = account_key_check(account, secret, TEXT_NONE, &caller, &st);
    assert_true(ok || st.code == STATUS_UNAUTHENTICATED);
    return ok;
}

static bool works(struct text secret)
{
    return works_on(world.account, secret);
}

static void made_and_used(void **state)
{
    (void)state;
    struct status st = {0};
    struct account_key key;
    struct account_caller caller;
    struct text secret = make("first", 0, &key);
    assert_true(account_key_formed(secret));
    assert_true(account_key_check(world.account, secret, TEXT_NONE, &caller, &st));
    assert_true(text_equal(ids_text(&caller.key), key.id));
    assert_memory_equal(&caller.org, &world.owner.org, sizeof(caller.org));
    assert_memory_equal(&caller.project, &world.owner.project, sizeof(caller.project));
    assert_memory_equal(&caller.user, &world.owner.user, sizeof(caller.user));
    assert_int_equal(caller.role, ACCOUNT_ROLE_MEMBER);
    char hint[40];
    snprintf(hint, sizeof(hint), "weir_sk_%.4s…%.4s", secret.at + 8, secret.at + 40);
    check_text(key.hint, hint);
    assert_true(key.created_us > 0 && key.expires_us == 0 && key.used_us == 0);
    /* the secret is nowhere in the database */
    struct db_row row;
    assert_true(
        db_read_one(world.scratch.db, DB_SCOPE_SYSTEM(DB_SYSTEM_JOB), world.arena, &row, &st,
                    "SELECT count(*) FROM api_key WHERE instr(digest, $1) > 0 OR "
                    "instr(hint || name || id, $2) > 0",
                    db_blob(secret.at + 8, 8), db_text(text_take(text_skip(secret, 12), 8))));
    assert_int_equal(db_row_int(&row, 0), 0);
    assert_int_equal(world_number(&world, "SELECT length(digest) FROM api_key"), 32);
}

static void every_change_is_refused(void **state)
{
    (void)state;
    struct account_key key;
    struct text secret = make("k", 0, &key), other = make("other", 0, &key);
    char copy[ACCOUNT_KEY_BYTES];
    memcpy(copy, secret.at, sizeof(copy));
    for (size_t i = 0; i < sizeof(copy); i++)
        for (int bit = 0; bit < 8; bit++) {
            copy[i] = (char)(copy[i] ^ 1 << bit);
            assert_false(works((struct text){copy, sizeof(copy)}));
            copy[i] = (char)(copy[i] ^ 1 << bit);
        }
    for (size_t len = 0; len < sizeof(copy); len++)
        assert_false(works(text_take(secret, len)));
    for (int i = 0; i < 100; i++) { /* a good form, of nobody */
        char made[ACCOUNT_KEY_BYTES + 1];
        key_make(made);
        assert_false(works(text_of(made)));
    }
    assert_false(works(TEXT_NONE));
    assert_true(works(secret) && works(other));
}

static void revoked_at_once(void **state)
{
    (void)state;
    struct status st = {0};
    struct account_key key;
    struct text secret = make("k", 0, &key), other = make("other", 0, &(struct account_key){0});
    assert_true(works(secret) && works(other));
    assert_false(account_key_revoke(world.account, OTHER_ORG, key.id, &st));
    assert_int_equal(st.code, STATUS_NOT_FOUND);
    assert_false(
        account_key_revoke(world.account, REACH(ORG, TEXT("prj_x"), TEXT_NONE), key.id, &st));
    assert_true(works(secret));
    assert_true(account_key_revoke(world.account, ALL, key.id, &st));
    assert_false(works(secret));
    assert_true(works(other));
    assert_false(account_key_revoke(world.account, ALL, key.id, &st));
    assert_int_equal(st.code, STATUS_NOT_FOUND);
}

/* Another replica: the same database, a memory of its own. */
static void revoked_elsewhere(void **state)
{
    (void)state;
    struct status st = {0};
    struct account_key key;
    struct account *replica = NULL;
    struct account_options options = {
        .db = world.scratch.db, .vault = world.vault, .key_fresh_ms = 400};
    struct text secret = make("k", 0, &key);
    assert_true(account_open(&options, &replica, &st));
    assert_true(works_on(replica, secret));
    assert_true(account_key_revoke(world.account, ALL, key.id, &st));
    usleep(450 * 1000);
    assert_false(works_on(replica, secret));
    account_close(replica);
}

static void expires(void **state)
{
    (void)state;
    struct status st = {0};
    struct account_key key;
    struct text secret;
    assert_false(account_key_create(world.account, ORG, PROJECT, USER, TEXT("k"),
                                    clock_wall_us() - 1, world.arena, &key, &secret, &st));
    assert_string_equal(st.field, "expires_us");
    int64_t end_us = clock_wall_us() + 2000 * 1000;
    secret = make("k", end_us, &key);
    assert_true(works(secret));
    while (clock_wall_us() < end_us)
        (void)works(secret); /* so that its verdict is still fresh */
    assert_false(works(secret));
    usleep(450 * 1000);
    assert_false(works(secret));
}

static void maker_disabled(void **state)
{
    (void)state;
    struct status st = {0};
    struct id member;
    struct account_key key;
    struct text secret;
    assert_true(account_user_add(world.account, ORG, TEXT("m@x"), TEXT("M"), WORLD_PASSWORD,
                                 ACCOUNT_ROLE_MEMBER, &member, &st));
    assert_true(account_key_create(world.account, ORG, PROJECT, ids_text(&member), TEXT("k"), 0,
                                   world.arena, &key, &secret, &st));
    assert_true(works(secret));
    assert_true(account_user_disable(world.account, ids_text(&member), true, &st));
    assert_false(works(secret));
    assert_true(account_user_disable(world.account, ids_text(&member), false, &st));
    assert_true(works(secret));
}

/* A new pepper: old keys work, and are stored under the new one after their next use. */
static void pepper_rotated(void **state)
{
    (void)state;
    struct status st = {0};
    struct account_key key;
    struct text secret = make("k", 0, &key), idle = make("idle", 0, &key);
    for (int i = 0; i < 3; i++) {
        assert_true(works(secret));
        assert_true(vault_rotate(world.vault, VAULT_RING_PEPPER, &st));
        assert_true(works(secret));
        assert_true(account_flush(world.account, &st));
    }
    assert_int_equal(world_number(&world, "SELECT count(DISTINCT pepper_id) FROM api_key"), 2);
    world_again(&world);
    assert_true(works(secret) && works(idle));
    assert_true(account_flush(world.account, &st));
    assert_int_equal(world_number(&world, "SELECT count(DISTINCT pepper_id) FROM api_key"), 1);
    struct text fresh = make("fresh", 0, &key);
    assert_true(works(secret) && works(idle) && works(fresh));
}

/* A key that nobody used while the ring filled up. */
static void idle_over_a_whole_ring(void **state)
{
    (void)state;
    struct status st = {0};
    struct account_key key;
    struct vault_ring_facts facts;
    struct text idle = make("idle", 0, &key);
    int64_t count = 0;
    do {
        assert_true(vault_rotate(world.vault, VAULT_RING_PEPPER, &st));
        vault_ring_facts(world.vault, VAULT_RING_PEPPER, &facts);
    } while (facts.count < facts.max);
    assert_false(vault_rotate(world.vault, VAULT_RING_PEPPER, &st));
    assert_int_equal(st.code, STATUS_LIMIT);
    assert_true(account_key_count_under(world.account, text_of(facts.oldest_id), &count, &st));
    assert_int_equal(count, 1);
    assert_true(works(idle));
    assert_true(account_flush(world.account, &st));
    assert_true(account_key_count_under(world.account, text_of(facts.oldest_id), &count, &st));
    assert_int_equal(count, 0);
    assert_true(account_key_count_under(world.account, text_of(facts.newest_id), &count, &st));
    assert_int_equal(count, 1);
}

static void last_use_is_noted(void **state)
{
    (void)state;
    struct status st = {0};
    struct account_key key;
    struct text secret = make("k", 0, &key);
    assert_true(works(secret) && works(secret));
    assert_int_equal(world_number(&world, "SELECT count(used_us) FROM api_key"), 0);
    assert_true(account_flush(world.account, &st));
    assert_true(world_number(&world, "SELECT used_us FROM api_key") >= key.created_us);
}

static void listed(void **state)
{
    (void)state;
    struct status st = {0};
    struct account_key key, *page;
    size_t count, seen = 0;
    bool more = true;
    struct text after = TEXT_NONE;
    int64_t after_us = 0;
    for (int i = 0; i < 8; i++)
        (void)make("k", 0, &key);
    assert_true(account_key_revoke(world.account, ALL, key.id, &st));
    db_scratch_script(&world.scratch, "UPDATE api_key SET created_us = 5"); /* the id decides */
    while (more) {
        assert_true(account_key_list(world.account, ALL, after_us, after, 3, world.arena, &page,
                                     &count, &more, &st));
        for (size_t i = 0; i < count; i++, seen++) {
            assert_true(seen == 0 || text_compare(page[i].id, after) < 0);
            assert_int_equal(page[i].revoked_us, 0);
            after = page[i].id;
            after_us = page[i].created_us;
        }
    }
    assert_int_equal(seen, 7);
    assert_true(account_key_rename(world.account, ALL, after, TEXT("new"), world.arena, &key, &st));
    check_text(key.name, "new");
    assert_true(account_key_get(world.account, ALL, after, world.arena, &key, &st));
    check_text(key.name, "new");
    assert_false(account_key_get(world.account, OTHER_ORG, after, world.arena, &key, &st));
    assert_int_equal(st.code, STATUS_NOT_FOUND);
    assert_false(
        account_key_rename(world.account, ALL, after, TEXT("new\n"), world.arena, &key, &st));
    assert_string_equal(st.field, "name");
    assert_false(
        account_key_rename(world.account, OTHER_ORG, after, TEXT("new"), world.arena, &key, &st));
    assert_int_equal(st.code, STATUS_NOT_FOUND);
}

/* A member reaches what they made themselves; the others' keys are as if there were none. */
static void ones_own(void **state)
{
    (void)state;
    struct status st = {0};
    struct id member;
    struct account_key theirs, mine, found, *page;
    struct text secret;
    size_t count;
    bool more;
    (void)make("theirs", 0, &theirs);
    assert_true(account_user_add(world.account, ORG, TEXT("m@x"), TEXT("Mona"), WORLD_PASSWORD,
                                 ACCOUNT_ROLE_MEMBER, &member, &st));
    assert_true(account_key_create(world.account, ORG, PROJECT, ids_text(&member), TEXT("mine"), 0,
                                   world.arena, &mine, &secret, &st));
    check_text(mine.user_name, "Mona");
    assert_true(text_equal(mine.user_id, ids_text(&member)));
    const struct account_key_reach *own = REACH(ORG, PROJECT, ids_text(&member));
    assert_true(account_key_list(world.account, own, 0, TEXT_NONE, 9, world.arena, &page, &count,
                                 &more, &st));
    assert_int_equal(count, 1);
    check_text(page[0].name, "mine");
    assert_false(account_key_get(world.account, own, theirs.id, world.arena, &found, &st));
    assert_int_equal(st.code, STATUS_NOT_FOUND);
    assert_false(
        account_key_rename(world.account, own, theirs.id, TEXT("x"), world.arena, &found, &st));
    assert_int_equal(st.code, STATUS_NOT_FOUND);
    assert_false(account_key_revoke(world.account, own, theirs.id, &st));
    assert_int_equal(st.code, STATUS_NOT_FOUND);
    assert_true(account_key_get(world.account, ALL, theirs.id, world.arena, &found, &st));
    check_text(found.name, "theirs");
    assert_true(account_key_list(world.account, ALL, 0, TEXT_NONE, 9, world.arena, &page, &count,
                                 &more, &st));
    assert_int_equal(count, 2);
    assert_true(
        account_key_rename(world.account, ALL, mine.id, TEXT("y"), world.arena, &found, &st));
    check_text(found.user_name, "Mona");
    assert_true(account_key_revoke(world.account, own, mine.id, &st));
}

static void as_many_as_set(void **state)
{
    (void)state;
    struct status st = {0};
    struct account_key key;
    struct text secret;
    world_close(&world);
    world_open(&world, &(struct account_options){.keys_max = 2});
    world_owner(&world);
    (void)make("first", 0, &key);
    (void)make("second", 0, &key);
    assert_false(account_key_create(world.account, ids_text(&world.owner.org),
                                    ids_text(&world.owner.project), ids_text(&world.owner.user),
                                    TEXT("third"), 0, world.arena, &key, &secret, &st));
    assert_int_equal(st.code, STATUS_CONFLICT);
    check_text(status_text(&st), "the project has 2 API keys: revoke some first");
}

/* A verdict in memory costs no database: it works on while the database cannot be asked. */
static void from_memory(void **state)
{
    (void)state;
    struct status st = {0};
    struct account_key key;
    struct account_caller caller;
    world_close(&world);
    world_open(&world, &(struct account_options){.key_fresh_ms = 600 * 1000});
    world_owner(&world);
    struct text secret = make("k", 0, &key);
    assert_true(works(secret));
    db_scratch_script(&world.scratch, "ALTER TABLE api_key RENAME TO hidden");
    assert_true(works(secret));
    world_again(&world);
    assert_false(account_key_check(world.account, secret, TEXT_NONE, &caller, &st));
    assert_int_equal(st.code, STATUS_INTERNAL); /* and never lets in what could not be asked */
    db_scratch_script(&world.scratch, "ALTER TABLE hidden RENAME TO api_key");
    assert_true(works(secret));
}

/* Well-formed keys of nobody: one address asks the database only so often. Who was known before is
 * not held up by it, and other addresses are not concerned. */
static void guesses_are_bounded(void **state)
{
    (void)state;
    struct status st = {0};
    struct account_key key;
    struct account_caller caller;
    int asked = 0;
    world_close(&world);
    world_open(&world, &(struct account_options){.key_fresh_ms = 50});
    world_owner(&world);
    struct text known = make("known", 0, &key), late = make("late", 0, &key);
    assert_true(account_key_check(world.account, known, TEXT("192.0.2.1"), &caller, &st));
    for (int i = 0; i < 300; i++) {
        char guess[ACCOUNT_KEY_BYTES + 1];
        key_make(guess);
        assert_false(
            account_key_check(world.account, text_of(guess), TEXT("192.0.2.1"), &caller, &st));
        asked += st.code == STATUS_UNAUTHENTICATED;
        if (st.code != STATUS_UNAUTHENTICATED)
            assert_true(st.code == STATUS_RATE_LIMITED && st.retry_after_ms > 0);
    }
    assert_true(asked >= 100 && asked < 200);
    usleep(60 * 1000);
    assert_true(account_key_check(world.account, known, TEXT("192.0.2.1"), &caller, &st));
    assert_true(account_key_check(world.account, late, TEXT("192.0.2.2"), &caller, &st));
}

/* Many keys, from several threads, some being revoked: never a wrong caller, never a late one. */
enum { CROWD_KEYS = 40, CROWD_THREADS = 3 };
static struct text crowd[CROWD_KEYS];
static struct account_key crowd_keys[CROWD_KEYS];
static _Atomic bool crowd_gone[CROWD_KEYS];

static void *crowd_thread(void *arg)
{
    (void)arg;
    for (int i = 0; i < 4000; i++) {
        struct status st = {0};
        struct account_caller caller;
        size_t n = (size_t)i * 7 % CROWD_KEYS;
        bool gone = atomic_load(&crowd_gone[n]); /* before the question */
        bool ok = account_key_check(world.account, crowd[n], TEXT_NONE, &caller, &st);
        assert_false(ok && gone);
        assert_true(!ok || text_equal(ids_text(&caller.key), crowd_keys[n].id));
        if (i % 64 == 0)
            usleep(100);
    }
    return NULL;
}

static void crowded(void **state)
{
    (void)state;
    struct status st = {0};
    pthread_t threads[CROWD_THREADS];
    for (size_t i = 0; i < CROWD_KEYS; i++)
        crowd[i] = make("k", 0, &crowd_keys[i]);
    for (size_t i = 0; i < CROWD_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_thread, NULL), 0);
    for (size_t i = 0; i < CROWD_KEYS; i += 2) {
        assert_true(account_key_revoke(world.account, ALL, crowd_keys[i].id, &st));
        atomic_store(&crowd_gone[i], true);
    }
    for (size_t i = 0; i < CROWD_THREADS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < CROWD_KEYS; i++)
        assert_int_equal(works(crowd[i]), i % 2 == 1);
}

/* More keys than are kept: all work, each with its own caller. */
static void more_than_kept(void **state)
{
    (void)state;
    enum { COUNT = 600 };
    struct text secrets[COUNT];
    struct account_key keys[COUNT];
    world_close(&world);
    world_open(&world, &(struct account_options){.keys_cached_max = 128});
    world_owner(&world);
    for (size_t i = 0; i < COUNT; i++)
        secrets[i] = make("k", 0, &keys[i]);
    for (size_t i = 0; i < 2 * COUNT; i++) {
        struct status st = {0};
        struct account_caller caller;
        assert_true(account_key_check(world.account, secrets[i % COUNT], TEXT_NONE, &caller, &st));
        assert_true(text_equal(ids_text(&caller.key), keys[i % COUNT].id));
    }
}

static void not_without_end(void **state)
{
    (void)state;
    struct status st = {0};
    struct account_key key;
    struct text secret;
    (void)make("k", 0, &key);
    db_scratch_script(
        &world.scratch,
        "WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 999) "
        "INSERT INTO api_key SELECT org_id, project_id, 'k' || i, user_id, name, hint, "
        "pepper_id, CAST('d' || i AS BLOB), created_us, NULL, NULL, NULL FROM api_key, c");
    assert_false(account_key_create(world.account, ORG, PROJECT, USER, TEXT("k"), 0, world.arena,
                                    &key, &secret, &st));
    assert_int_equal(st.code, STATUS_CONFLICT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(made_and_used, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_change_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(revoked_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(revoked_elsewhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(expires, set_up, tear_down),
        cmocka_unit_test_setup_teardown(maker_disabled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pepper_rotated, set_up, tear_down),
        cmocka_unit_test_setup_teardown(idle_over_a_whole_ring, set_up, tear_down),
        cmocka_unit_test_setup_teardown(last_use_is_noted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(listed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ones_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(as_many_as_set, set_up, tear_down),
        cmocka_unit_test_setup_teardown(from_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(guesses_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(crowded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_than_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(not_without_end, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
