/* That a statement in the scope of an organisation cannot look past it. */
#include "db.h"
#include "check.h"
#include "db_scratch.h"

static struct db_scratch scratch;
static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    db_scratch_open(&scratch);
    db_scratch_script(&scratch,
                      "INSERT INTO organisation (id, name, created_us) VALUES ('org_a', 'A', 1), "
                      "('org_b', 'B', 1);"
                      "INSERT INTO project (org_id, id, name, is_default, created_us) VALUES "
                      "('org_a', 'prj_1', 'of a', TRUE, 1), ('org_b', 'prj_1', 'of b', TRUE, 1);"
                      "INSERT INTO app_user (id, email, email_key, name, created_us) VALUES "
                      "('usr_1', 'x@y', 'x@y', 'X', 1);"
                      "INSERT INTO membership (org_id, user_id, role, created_us) VALUES "
                      "('org_a', 'usr_1', 'owner', 1)");
    arena = arena_open(1 * MIB);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_close(TAKE(arena));
    db_scratch_close(&scratch);
    return 0;
}

static const struct {
    const char *name, *sql;
    bool allowed;
} statements[] = {
    {"a condition", "SELECT name FROM project WHERE org_id = $org AND id = 'prj_1'", true},
    {"none", "SELECT name FROM project WHERE id = 'prj_1'", false},
    {"all of them", "SELECT name FROM project", false},
    {"the organisation named, the column not looked at",
     "SELECT name FROM project WHERE id = 'prj_1' AND $org <> ''", false},
    {"the column looked at, the organisation not named",
     "SELECT name FROM project WHERE org_id = 'org_b'", false},
    {"one table of a join held to it, the other not",
     "SELECT p.name FROM membership m JOIN project p ON p.id = 'prj_1' WHERE m.org_id = $org",
     false},
    {"a join through the organisation",
     "SELECT p.name FROM membership m JOIN project p ON p.org_id = m.org_id WHERE m.org_id = $org",
     true},
    {"inside of a subquery", "SELECT (SELECT name FROM project LIMIT 1), $org", false},
    {"in a common table", "WITH x AS (SELECT name FROM project) SELECT name, $org FROM x", false},
    {"the organisation itself, by id", "SELECT name FROM organisation WHERE id = $org", true},
    {"any organisation", "SELECT name, $org FROM organisation", false},
    {"an update of its own", "UPDATE project SET name = 'z' WHERE org_id = $org", true},
    {"an update of all", "UPDATE project SET name = 'z'", false},
    {"a delete of all", "DELETE FROM project", false},
    {"a delete with the organisation beside it", "DELETE FROM project WHERE $org <> ''", false},
    {"an insert",
     "INSERT INTO project (org_id, id, name, is_default, created_us) VALUES "
     "($org, 'prj_2', 'n', FALSE, 1)",
     true},
    {"an insert elsewhere",
     "INSERT INTO project (org_id, id, name, is_default, created_us) VALUES "
     "('org_b', 'prj_2', 'n', FALSE, 1)",
     false},
    {"a table of nobody", "SELECT name FROM app_user", true},
    {"no table", "SELECT 1", true},
};

static void held_to_the_organisation(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(statements); i++) {
        struct status st = {0};
        struct db_rows rows;
        check_case(statements[i].name);
        AUTO(db_tx) struct db_tx *tx = db_begin(scratch.db, DB_SCOPE_ORG(TEXT("org_a")), DB_WRITE);
        bool ok = db_query(tx, arena, &rows, &st, statements[i].sql);
        if (ok != statements[i].allowed)
            print_error("%s\n", st.text);
        assert_int_equal(ok, statements[i].allowed);
        if (!ok)
            assert_int_equal(st.code, STATUS_INTERNAL);
    }
}

static void each_sees_its_own(void **state)
{
    (void)state;
    static const char sql[] = "SELECT name FROM project WHERE org_id = $org AND id = $1";
    static const char *const orgs[] = {"org_a", "org_b"}, *const names[] = {"of a", "of b"};
    for (size_t i = 0; i < ARRAY_LEN(orgs); i++) {
        struct status st = {0};
        struct db_row row;
        assert_true(db_read_one(scratch.db, DB_SCOPE_ORG(text_of(orgs[i])), arena, &row, &st, sql,
                                db_text(TEXT("prj_1"))));
        check_text(db_row_text(&row, 0), names[i]);
    }
    struct status st = {0};
    struct db_row row;
    assert_false(db_read_one(scratch.db, DB_SCOPE_ORG(TEXT("org_c")), arena, &row, &st, sql,
                             db_text(TEXT("prj_1"))));
    assert_int_equal(st.code, STATUS_NOT_FOUND);
}

/* A row cannot hang on another organisation's: the keys are of both columns. */
static void keys_hold_the_tenant(void **state)
{
    (void)state;
    struct status st = {0};
    AUTO(db_tx) struct db_tx *tx = db_begin(scratch.db, DB_SCOPE_ORG(TEXT("org_b")), DB_WRITE);
    assert_false(db_exec(tx, NULL, &st,
                         "INSERT INTO session (org_id, id, user_id, token_sha256, created_us, "
                         "seen_us) VALUES ($org, 'ses_1', 'usr_1', x'00', 1, 1)"));
    assert_int_equal(st.code, STATUS_CONFLICT); /* usr_1 is no member of org_b */
}

static void the_system_sees_all(void **state)
{
    (void)state;
    struct status st = {0};
    struct db_row row;
    assert_true(db_read_one(scratch.db, DB_SCOPE_SYSTEM(DB_SYSTEM_JOB), arena, &row, &st,
                            "SELECT count(*) FROM project"));
    assert_int_equal(db_row_int(&row, 0), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(held_to_the_organisation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_sees_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keys_hold_the_tenant, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_system_sees_all, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
