/* db: what is the same for every database. Transactions are small records made by malloc: they may
 * outlive the caller's arena for the moment in which a thread rolls them back. */
#include "db.h"
#include <stdlib.h>
#include "db_internal.h"

static const struct db_driver *const drivers[] = {&db_sqlite_driver};

static bool tx_run(struct db_tx *tx, struct db_call *call, struct status *st);
static const struct db_value *value_at(const struct db_row *row, int column);

bool db_open(const struct db_options *options, struct db **out, struct status *st)
{
    const struct db_driver *driver = NULL;
    for (size_t i = 0; i < ARRAY_LEN(drivers) && driver == NULL; i++)
        if (drivers[i]->takes(options->url))
            driver = drivers[i];
    if (driver == NULL) { /* not shown: it may hold a password */
        size_t colon = text_find_byte(options->url, ':');
        return status_fail(st, STATUS_INVALID, "no database driver for a \"%.*s:\" address",
                           TEXT_ARG(text_take(options->url, colon)));
    }
    struct db *db = calloc(1, sizeof(*db));
    WEIR_ASSERT(db != NULL);
    db->driver = driver;
    db->migrations = options->migrations != NULL ? options->migrations : db_migration_files;
    if (!driver->open(options, &db->driver_db, st)) {
        free(db);
        return status_wrap(st, "could not open the database");
    }
    *out = db;
    return true;
}

void db_close(struct db *db)
{
    if (db == NULL)
        return;
    db->driver->close(db->driver_db);
    free(db);
}

bool db_ping(struct db *db, int64_t deadline_us, struct status *st)
{
    return db->driver->ping(db, deadline_us, st);
}

struct db_tx *db_begin(struct db *db, struct db_scope scope, enum db_mode mode)
{
    bool system = scope.system != DB_SYSTEM_NONE;
    WEIR_ASSERT(scope.system >= DB_SYSTEM_NONE && scope.system < DB_SYSTEM_COUNT);
    WEIR_ASSERT(system ? scope.org_id.len == 0 : scope.org_id.len > 0);
    WEIR_ASSERT(db->ready || scope.system == DB_SYSTEM_SCHEMA);
    struct db_tx *tx = calloc(1, sizeof(*tx));
    WEIR_ASSERT(tx != NULL);
    tx->db = db;
    tx->scope = scope;
    tx->mode = mode;
    return tx;
}

bool db_commit(struct db_tx *tx, struct status *st)
{
    WEIR_ASSERT(!tx->ended);
    if (tx->failed)
        return status_fail(st, STATUS_CONFLICT,
                           "could not commit: a statement of the transaction had failed");
    if (tx->conn == NULL) { /* nothing was ever asked */
        tx->ended = true;
        return true;
    }
    if (!tx->db->driver->commit(tx, st)) {
        tx->failed = true;
        return status_wrap(st, "could not commit");
    }
    return true;
}

struct db_scope db_tx_scope(const struct db_tx *tx)
{
    return tx->scope;
}

void db_rollback(struct db_tx *tx)
{
    if (tx == NULL)
        return;
    if (tx->ended || tx->conn == NULL)
        free(tx);
    else
        tx->db->driver->discard(tx);
}

bool db_query_params(struct db_tx *tx, struct arena *arena, struct db_rows *rows, struct status *st,
                     const char *sql, const struct db_param *params, size_t params_count)
{
    WEIR_ASSERT(arena != NULL);
    struct db_call call = {sql, params, params_count, arena, {0}, 0};
    if (!tx_run(tx, &call, st))
        return false;
    *rows = call.rows;
    return true;
}

bool db_one_params(struct db_tx *tx, struct arena *arena, struct db_row *row, struct status *st,
                   const char *sql, const struct db_param *params, size_t params_count)
{
    struct db_rows rows;
    if (!db_query_params(tx, arena, &rows, st, sql, params, params_count))
        return false;
    if (rows.count == 0)
        return status_fail(st, STATUS_NOT_FOUND, "no such row");
    if (rows.count > 1) {
        tx->failed = true;
        return status_fail(st, STATUS_INTERNAL, "%zu rows where one was expected", rows.count);
    }
    *row = rows.row[0];
    return true;
}

bool db_exec_params(struct db_tx *tx, int64_t *changed, struct status *st, const char *sql,
                    const struct db_param *params, size_t params_count)
{
    struct db_call call = {sql, params, params_count, NULL, {0}, 0};
    if (!tx_run(tx, &call, st))
        return false;
    if (changed != NULL)
        *changed = call.changed;
    return true;
}

bool db_read_params(struct db *db, struct db_scope scope, struct arena *arena, struct db_rows *rows,
                    struct status *st, const char *sql, const struct db_param *params,
                    size_t params_count)
{
    AUTO(db_tx) struct db_tx *tx = db_begin(db, scope, DB_READ);
    tx->single = true;
    return db_query_params(tx, arena, rows, st, sql, params, params_count);
}

bool db_read_one_params(struct db *db, struct db_scope scope, struct arena *arena,
                        struct db_row *row, struct status *st, const char *sql,
                        const struct db_param *params, size_t params_count)
{
    AUTO(db_tx) struct db_tx *tx = db_begin(db, scope, DB_READ);
    tx->single = true;
    return db_one_params(tx, arena, row, st, sql, params, params_count);
}

bool db_run_script(struct db_tx *tx, const char *sql, struct status *st)
{
    WEIR_ASSERT(tx->mode == DB_WRITE && tx->scope.system == DB_SYSTEM_SCHEMA && !tx->ended);
    if (tx->failed || !tx->db->driver->script(tx, sql, st)) {
        tx->failed = true;
        return false;
    }
    return true;
}

static bool tx_run(struct db_tx *tx, struct db_call *call, struct status *st)
{
    WEIR_ASSERT(!tx->ended && call->params_count <= DB_PARAMS_MAX);
    if (tx->failed)
        return status_fail(st, STATUS_CONFLICT, "a statement of the transaction had failed");
    if (!tx->db->driver->run(tx, call, st)) {
        tx->failed = true;
        return false;
    }
    return true;
}

struct text db_row_text(const struct db_row *row, int column)
{
    const struct db_value *value = value_at(row, column);
    WEIR_ASSERT(value->kind == DB_VALUE_TEXT || value->kind == DB_VALUE_NULL);
    return value->bytes;
}

struct text db_row_blob(const struct db_row *row, int column)
{
    const struct db_value *value = value_at(row, column);
    WEIR_ASSERT(value->kind != DB_VALUE_INT); /* a text is bytes too */
    return value->bytes;
}

int64_t db_row_int(const struct db_row *row, int column)
{
    const struct db_value *value = value_at(row, column);
    WEIR_ASSERT(value->kind == DB_VALUE_INT || value->kind == DB_VALUE_NULL);
    return value->integer;
}

bool db_row_bool(const struct db_row *row, int column)
{
    return db_row_int(row, column) != 0;
}

bool db_row_null(const struct db_row *row, int column)
{
    return value_at(row, column)->kind == DB_VALUE_NULL;
}

static const struct db_value *value_at(const struct db_row *row, int column)
{
    WEIR_ASSERT(column >= 0 && column < row->columns);
    return &row->values[column];
}

struct text db_path_folder(struct text path)
{
    for (size_t i = path.len; i > 0; i--)
        if (path.at[i - 1] == '/')
            return i == 1 ? TEXT("/") : text_take(path, i - 1);
    return TEXT(".");
}
