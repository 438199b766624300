/* What every database has to do, tried on SQLite: parameters, rows, transactions, errors. Run on a
 * thread without a loop, where calls block; db_fiber_test.c has the rest. */
#include "db.h"
#include "check.h"
#include "clock.h"
#include "db_internal.h"
#include "db_scratch.h"

#include <stdio.h>
#include <string.h>

#define SYSTEM DB_SCOPE_SYSTEM(DB_SYSTEM_JOB)

static struct db_scratch scratch;
static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    db_scratch_open(&scratch);
    db_scratch_script(&scratch,
                      "CREATE TABLE thing (id TEXT PRIMARY KEY NOT NULL, n BIGINT, "
                      "t TEXT, b BYTEA, yes BOOLEAN);"
                      "CREATE TABLE part (thing_id TEXT NOT NULL REFERENCES thing (id));");
    arena = arena_open(8 * MIB);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_close(TAKE(arena));
    db_scratch_close(&scratch);
    return 0;
}

static void put(const char *id, int64_t n)
{
    struct status st = {0};
    AUTO(db_tx) struct db_tx *tx = db_begin(scratch.db, SYSTEM, DB_WRITE);
    bool ok = db_exec(tx, NULL, &st, "INSERT INTO thing (id, n) VALUES ($1, $2)",
                      db_text(text_of(id)), db_int(n)) &&
              db_commit(tx, &st);
    if (!ok)
        print_error("%s\n", st.text);
    assert_true(ok);
}

static int64_t count_things(void)
{
    struct status st = {0};
    struct db_row row;
    bool ok = db_read_one(scratch.db, SYSTEM, arena, &row, &st, "SELECT count(*) FROM thing");
    assert_true(ok);
    return db_row_int(&row, 0);
}

static void kinds_come_back(void **state)
{
    (void)state;
    struct status st = {0};
    static const unsigned char blob[] = {0, 1, 0, 255};
    int64_t changed = 0;
    {
        AUTO(db_tx) struct db_tx *tx = db_begin(scratch.db, SYSTEM, DB_WRITE);
        assert_true(db_exec(tx, &changed, &st,
                            "INSERT INTO thing (id, n, t, b, yes) VALUES ($1, $2, $3, $4, $5)",
                            db_text(TEXT("a")), db_int(INT64_MIN), db_text(TEXT("größe \"';--")),
                            db_blob(blob, sizeof(blob)), db_bool(true)));
        assert_int_equal(changed, 1);
        assert_true(db_exec(tx, &changed, &st,
                            "INSERT INTO thing (id, n, t, b, yes) VALUES ($1, $2, $3, $4, $5)",
                            db_text(TEXT("b")), db_null(), db_text_or_null(TEXT_NONE),
                            db_blob(NULL, 0), db_int_or_null(0)));
        assert_true(db_commit(tx, &st));
    }
    struct db_rows rows;
    assert_true(db_read(scratch.db, SYSTEM, arena, &rows, &st,
                        "SELECT id, n, t, b, yes FROM thing ORDER BY id LIMIT 10"));
    assert_int_equal(rows.count, 2);
    const struct db_row *a = &rows.row[0], *b = &rows.row[1];
    check_text(db_row_text(a, 0), "a");
    assert_true(db_row_int(a, 1) == INT64_MIN);
    check_text(db_row_text(a, 2), "größe \"';--");
    assert_int_equal(db_row_blob(a, 3).len, sizeof(blob));
    assert_memory_equal(db_row_blob(a, 3).at, blob, sizeof(blob));
    assert_true(db_row_bool(a, 4));
    assert_true(db_row_null(b, 1) && db_row_null(b, 2) && db_row_null(b, 4));
    assert_int_equal(db_row_int(b, 1), 0);
    check_text(db_row_text(b, 2), "");
    assert_false(db_row_null(b, 3)); /* an empty blob is not NULL */
    assert_int_equal(db_row_blob(b, 3).len, 0);
}

static void parameters_go_by_name(void **state)
{
    (void)state;
    struct status st = {0};
    struct db_row row;
    assert_true(db_read_one(scratch.db, SYSTEM, arena, &row, &st,
                            "SELECT $2 || '-' || $1 || '-' || $2", db_text(TEXT("one")),
                            db_text(TEXT("two"))));
    check_text(db_row_text(&row, 0), "two-one-two");
}

static const struct {
    const char *name, *sql;
    size_t params;
    enum status_code want;
} refused[] = {
    {"not SQL", "SELEC 1", 0, STATUS_INTERNAL},
    {"nothing", "", 0, STATUS_INTERNAL},
    {"two statements", "SELECT 1; SELECT 2", 0, STATUS_INTERNAL},
    {"too few parameters", "SELECT $1, $2", 1, STATUS_INTERNAL},
    {"too many parameters", "SELECT $1", 2, STATUS_INTERNAL},
    {"a gap in the parameters", "SELECT $2", 2, STATUS_INTERNAL},
    {"a parameter by place", "SELECT ?", 1, STATUS_INTERNAL},
    {"a parameter of another name", "SELECT $name", 1, STATUS_INTERNAL},
    {"parameter 0", "SELECT $0", 0, STATUS_INTERNAL},
    {"a parameter past the last", "SELECT $33", 0, STATUS_INTERNAL},
    {"the organisation in a system scope", "SELECT $org", 0, STATUS_INTERNAL},
    {"a pragma", "PRAGMA foreign_keys = OFF", 0, STATUS_INTERNAL},
    {"another file", "ATTACH '/tmp/x' AS x", 0, STATUS_INTERNAL},
    {"a table made", "CREATE TABLE x (a)", 0, STATUS_INTERNAL},
    {"a commit of its own", "COMMIT", 0, STATUS_INTERNAL},
    {"no such table", "SELECT * FROM nowhere", 0, STATUS_INTERNAL},
    {"a string in double quotes", "SELECT * FROM thing WHERE id = \"a\"", 0, STATUS_INTERNAL},
    {"a unique key", "INSERT INTO thing (id) VALUES ('taken')", 0, STATUS_CONFLICT},
    {"a foreign key", "INSERT INTO part (thing_id) VALUES ('none')", 0, STATUS_CONFLICT},
    {"no value", "INSERT INTO thing (id) VALUES (NULL)", 0, STATUS_INTERNAL},
};

static void bad_statements(void **state)
{
    (void)state;
    put("taken", 1);
    const struct db_param params[2] = {db_int(1), db_int(2)};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct status st = {0};
        struct db_rows rows;
        check_case(refused[i].name);
        AUTO(db_tx) struct db_tx *tx = db_begin(scratch.db, SYSTEM, DB_WRITE);
        assert_true(db_exec(tx, NULL, &st, "INSERT INTO thing (id) VALUES ('before')"));
        assert_false(
            db_query_params(tx, arena, &rows, &st, refused[i].sql, params, refused[i].params));
        assert_int_equal(st.code, refused[i].want);
        assert_true(st.text[0] != '\0');
        /* nothing goes any more, and nothing stays */
        assert_false(db_exec(tx, NULL, &st, "INSERT INTO thing (id) VALUES ('after')"));
        assert_int_equal(st.code, STATUS_CONFLICT);
        assert_false(db_commit(tx, &st));
        assert_int_equal(st.code, STATUS_CONFLICT);
    }
    assert_int_equal(count_things(), 1);
}

static void bad_texts(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct text text;
    } texts[] = {
        {"a zero byte", {"a\0b", 3}},
        {"not UTF-8", {"\xff\xfe", 2}},
        {"an overlong form", {"\xc0\xaf", 2}},
        {"a surrogate", {"\xed\xa0\x80", 3}},
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct status st = {0};
        struct db_rows rows;
        check_case(texts[i].name);
        assert_false(
            db_read(scratch.db, SYSTEM, arena, &rows, &st, "SELECT $1", db_text(texts[i].text)));
        assert_int_equal(st.code, STATUS_INVALID);
    }
}

static void one_row(void **state)
{
    (void)state;
    struct status st = {0};
    struct db_row row;
    put("a", 1);
    put("b", 2);
    AUTO(db_tx) struct db_tx *tx = db_begin(scratch.db, SYSTEM, DB_READ);
    assert_false(
        db_one(tx, arena, &row, &st, "SELECT n FROM thing WHERE id = $1", db_text(TEXT("none"))));
    assert_int_equal(st.code, STATUS_NOT_FOUND);
    assert_true(db_one(tx, arena, &row, &st, "SELECT n FROM thing WHERE id = $1",
                       db_text(TEXT("b")))); /* goes on after "not found" */
    assert_int_equal(db_row_int(&row, 0), 2);
    assert_false(db_one(tx, arena, &row, &st, "SELECT n FROM thing"));
    assert_int_equal(st.code, STATUS_INTERNAL);
}

static void changes_are_counted(void **state)
{
    (void)state;
    struct status st = {0};
    struct db_row row;
    int64_t changed = -1;
    put("a", 1);
    put("b", 2);
    AUTO(db_tx) struct db_tx *tx = db_begin(scratch.db, SYSTEM, DB_WRITE);
    assert_true(db_exec(tx, &changed, &st, "UPDATE thing SET n = n + $1", db_int(1)));
    assert_int_equal(changed, 2);
    assert_true(db_exec(tx, &changed, &st, "UPDATE thing SET n = 0 WHERE id = 'none'"));
    assert_int_equal(changed, 0);
    assert_true(db_exec(tx, &changed, &st,
                        "INSERT INTO thing (id) VALUES ('a') ON CONFLICT DO "
                        "NOTHING"));
    assert_int_equal(changed, 0);
    assert_true(db_one(tx, arena, &row, &st,
                       "UPDATE thing SET n = n * 10 WHERE id = $1 RETURNING n",
                       db_text(TEXT("a"))));
    assert_int_equal(db_row_int(&row, 0), 20);
    assert_true(db_commit(tx, &st));
}

static void a_read_sees_one_state(void **state)
{
    (void)state;
    struct status st = {0};
    struct db_row row;
    put("a", 1);
    AUTO(db_tx) struct db_tx *tx = db_begin(scratch.db, SYSTEM, DB_READ);
    assert_true(db_one(tx, arena, &row, &st, "SELECT count(*) FROM thing"));
    put("b", 2);
    assert_true(db_one(tx, arena, &row, &st, "SELECT count(*) FROM thing"));
    assert_int_equal(db_row_int(&row, 0), 1);
    assert_true(db_commit(tx, &st));
    assert_int_equal(count_things(), 2);
}

static void a_read_does_not_write(void **state)
{
    (void)state;
    struct status st = {0};
    AUTO(db_tx) struct db_tx *tx = db_begin(scratch.db, SYSTEM, DB_READ);
    assert_false(db_exec(tx, NULL, &st, "DELETE FROM thing"));
    assert_int_equal(st.code, STATUS_INTERNAL);
}

static void left_open_is_rolled_back(void **state)
{
    (void)state;
    struct status st = {0};
    {
        AUTO(db_tx) struct db_tx *tx = db_begin(scratch.db, SYSTEM, DB_WRITE);
        assert_true(db_exec(tx, NULL, &st, "INSERT INTO thing (id) VALUES ('x')"));
    }
    {
        AUTO(db_tx) struct db_tx *nothing = db_begin(scratch.db, SYSTEM, DB_WRITE);
        assert_true(db_commit(nothing, &st)); /* asked nothing: nothing to commit */
    }
    put("y", 1); /* the writer is free again */
    assert_int_equal(count_things(), 1);
}

static void too_many_rows(void **state)
{
    (void)state;
    struct status st = {0};
    struct db_rows rows;
    static const char sql[] =
        "WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE "
        "i < $1) SELECT i FROM c";
    assert_true(db_read(scratch.db, SYSTEM, arena, &rows, &st, sql, db_int(DB_ROWS_MAX)));
    assert_int_equal(rows.count, DB_ROWS_MAX);
    assert_int_equal(db_row_int(&rows.row[DB_ROWS_MAX - 1], 0), DB_ROWS_MAX);
    assert_false(db_read(scratch.db, SYSTEM, arena, &rows, &st, sql, db_int(DB_ROWS_MAX + 1)));
    assert_int_equal(st.code, STATUS_LIMIT);
    AUTO(arena) struct arena *small = arena_open(4 * KIB);
    assert_false(db_read(scratch.db, SYSTEM, small, &rows, &st, sql, db_int(1000)));
    assert_int_equal(st.code, STATUS_LIMIT);
}

/* More statements than a connection keeps prepared: the oldest makes room. */
static void many_statements(void **state)
{
    (void)state;
    struct status st = {0};
    struct db_row row;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 300; i++) {
            char sql[64];
            snprintf(sql, sizeof(sql), "SELECT %d + $1", i);
            assert_true(db_read_one(scratch.db, SYSTEM, arena, &row, &st, sql, db_int(round)));
            assert_int_equal(db_row_int(&row, 0), i + round);
        }
}

static void ping(void **state)
{
    (void)state;
    struct status st = {0};
    assert_true(db_ping(scratch.db, clock_deadline_ms(1000), &st));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(kinds_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parameters_go_by_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_statements, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_texts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_row, set_up, tear_down),
        cmocka_unit_test_setup_teardown(changes_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_read_sees_one_state, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_read_does_not_write, set_up, tear_down),
        cmocka_unit_test_setup_teardown(left_open_is_rolled_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_many_rows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_statements, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ping, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
