/* Migrations forward, again, and the schemas that are refused. */
#include "db.h"
#include "check.h"
#include "db_internal.h"
#include "db_scratch.h"

#include <stdio.h>
#include <string.h>

#define FILE_OF(name_, sql_) {(name_), (const unsigned char *)(sql_), sizeof(sql_) - 1}

static const struct embed_file first[] = {FILE_OF("0001_one.sql", "CREATE TABLE one (a TEXT);"),
                                          {0}};
static const struct embed_file second[] = {
    FILE_OF("0001_one.sql", "CREATE TABLE one (a TEXT);"),
    FILE_OF("0002_two.postgres.sql", "this is for another database"),
    FILE_OF("0002_two.sql", "CREATE TABLE two (a TEXT); INSERT INTO one (a) VALUES ('by two');"),
    FILE_OF("0002_two.sqlite.sql", "INSERT INTO one (a) VALUES ('by its part');"),
    {0}};
static const struct embed_file changed[] = {
    FILE_OF("0001_one.sql", "CREATE TABLE one (a TEXT, b TEXT);"), {0}};
static const struct embed_file renamed[] = {FILE_OF("0001_eins.sql", "CREATE TABLE one (a TEXT);"),
                                            {0}};
static const struct embed_file broken[] = {
    FILE_OF("0001_one.sql", "CREATE TABLE one (a TEXT);"),
    FILE_OF("0002_two.sql", "CREATE TABLE two (a TEXT); INSERT INTO nowhere (a) VALUES (1);"),
    {0}};

static struct db_scratch scratch;

static int set_up(void **state)
{
    (void)state;
    db_scratch_folder(&scratch);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    db_scratch_close(&scratch);
    return 0;
}

/* Opens with these migrations; `*applied` counts. */
static bool migrate(const struct embed_file *migrations, int *applied, struct status *st)
{
    char url[200];
    snprintf(url, sizeof(url), "sqlite:%s/weir.db", scratch.folder);
    db_close(TAKE(scratch.db));
    struct db_options options = {.url = text_of(url), .migrations = migrations};
    bool ok = db_open(&options, &scratch.db, st);
    assert_true(ok);
    return db_migrate(scratch.db, applied, st);
}

static int64_t number(const char *sql)
{
    struct status st = {0};
    struct db_row row;
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    bool ok = db_read_one(scratch.db, DB_SCOPE_SYSTEM(DB_SYSTEM_SCHEMA), arena, &row, &st, sql);
    if (!ok)
        print_error("%s\n", st.text);
    assert_true(ok);
    return db_row_int(&row, 0);
}

static void forward_and_again(void **state)
{
    (void)state;
    struct status st = {0};
    int applied = -1;
    assert_true(migrate(first, &applied, &st));
    assert_int_equal(applied, 1);
    assert_true(migrate(first, &applied, &st));
    assert_int_equal(applied, 0);
    assert_true(migrate(second, &applied, &st));
    assert_int_equal(applied, 1);
    assert_int_equal(number("SELECT count(*) FROM one"), 2);
    assert_int_equal(number("SELECT max(version) FROM schema_migration"), 2);
    assert_int_equal(number("SELECT count(*) FROM schema_migration WHERE length(sha256) = 64"), 2);
}

static void checking_changes_nothing(void **state)
{
    (void)state;
    struct status st = {0};
    int pending = -1;
    assert_true(migrate(first, NULL, &st));
    db_close(TAKE(scratch.db));
    char url[200];
    snprintf(url, sizeof(url), "%s/weir.db", scratch.folder); /* a plain path will do */
    assert_true(
        db_open(&(struct db_options){.url = text_of(url), .migrations = second}, &scratch.db, &st));
    assert_true(db_schema_check(scratch.db, &pending, &st));
    assert_int_equal(pending, 1);
    assert_int_equal(number("SELECT count(*) FROM schema_migration"), 1);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const struct embed_file *before, *after;
        const char *text;
    } cases[] = {
        {"newer than the program", second, first, "newer"},
        {"another text", first, changed, "another migration"},
        {"another name", first, renamed, "another migration"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct status st = {0};
        int pending;
        check_case(cases[i].name);
        assert_true(migrate(cases[i].before, NULL, &st));
        assert_false(migrate(cases[i].after, NULL, &st));
        assert_int_equal(st.code, STATUS_CONFLICT);
        assert_non_null(strstr(st.text, cases[i].text));
        assert_false(db_schema_check(scratch.db, &pending, &st));
        tear_down(NULL);
        set_up(NULL);
    }
}

static void a_failed_one_leaves_nothing(void **state)
{
    (void)state;
    struct status st = {0};
    int applied;
    assert_true(migrate(first, NULL, &st));
    assert_false(migrate(broken, NULL, &st));
    assert_non_null(strstr(st.text, "0002_two"));
    assert_int_equal(number("SELECT count(*) FROM sqlite_schema WHERE name = 'two'"), 0);
    assert_true(migrate(second, &applied, &st)); /* and a good one goes on from there */
    assert_int_equal(applied, 1);
}

static void of_another_program(void **state)
{
    (void)state;
    struct status st = {0};
    char url[200];
    snprintf(url, sizeof(url), "sqlite:%s/weir.db", scratch.folder);
    assert_true(db_open(&(struct db_options){.url = text_of(url)}, &scratch.db, &st));
    db_scratch_script(&scratch, "CREATE TABLE theirs (a TEXT)");
    assert_false(db_migrate(scratch.db, NULL, &st));
    assert_int_equal(st.code, STATUS_CONFLICT);
    assert_non_null(strstr(st.text, "another program"));
    assert_int_equal(number("SELECT count(*) FROM sqlite_schema"), 1);
}

/* Every tenant table has the tenant in its primary key and in each foreign key, and in each unique
 * rule but those over digests. */
static void tenants_are_in_every_key(void **state)
{
    (void)state;
    struct status st = {0};
    assert_true(migrate(NULL, NULL, &st));
    AUTO(arena) struct arena *arena = arena_open(1 * MIB);
    struct db_rows rows;
    static const char tables[] =
        "SELECT m.name, (SELECT count(*) FROM pragma_table_info(m.name) c WHERE c.name = 'org_id' "
        "AND c.pk > 0), (SELECT count(*) FROM (SELECT id FROM pragma_foreign_key_list(m.name) "
        "GROUP BY id HAVING sum(\"from\" = 'org_id') = 0 AND max(\"table\") <> 'app_user')), "
        "(SELECT count(*) FROM pragma_index_list(m.name) i WHERE i.\"unique\" AND NOT EXISTS "
        "(SELECT 1 FROM pragma_index_info(i.name) x WHERE x.name IN ('org_id', 'digest', "
        "'token_sha256'))) FROM sqlite_schema m WHERE m.type = 'table' AND EXISTS (SELECT 1 FROM "
        "pragma_table_info(m.name) c WHERE c.name = 'org_id')";
    bool ok = db_read(scratch.db, DB_SCOPE_SYSTEM(DB_SYSTEM_SCHEMA), arena, &rows, &st, tables);
    if (!ok)
        print_error("%s\n", st.text);
    assert_true(ok);
    assert_true(rows.count >= 6);
    for (size_t i = 0; i < rows.count; i++) {
        struct text name = db_row_text(&rows.row[i], 0);
        check_case(arena_cstr(arena, name));
        assert_int_equal(db_row_int(&rows.row[i], 1), 1);
        assert_int_equal(db_row_int(&rows.row[i], 2), 0);
        assert_int_equal(db_row_int(&rows.row[i], 3), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(forward_and_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(checking_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_one_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_another_program, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tenants_are_in_every_key, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
