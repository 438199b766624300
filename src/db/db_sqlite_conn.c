/* db_sqlite_conn: what a thread does with its connection.
 *
 * The authorizer, which SQLite asks while it prepares a statement, is how tenants are kept apart:
 * it sees every table and column of the statement however it is written. In the scope of an
 * organisation a statement that touches a table of tenants must have $org, and must look at the
 * org_id of each such table that it reads, changes or deletes from. (An INSERT gives org_id as a
 * value: the column has no default, and the composite foreign keys do the rest.) */
#include <stdlib.h>
#include <string.h>
#include "clock.h"
#include "db_sqlite_internal.h"

enum { PROGRESS_OPS = 2000, BUSY_MS = 5000 };

static bool exec_trusted(struct sqlite_conn *conn, const char *sql, struct status *st);
static bool run_statement(struct sqlite_conn *conn, struct sqlite_job *job);
static void roll_back(struct sqlite_conn *conn);
static int on_progress(void *arg);
static int on_authorize(void *arg, int action, const char *one, const char *two, const char *schema,
                        const char *inner);
static struct sqlite_stmt *stmt_get(struct sqlite_conn *conn, const char *sql, struct status *st);
static bool stmt_prepare(struct sqlite_conn *conn, struct sqlite_stmt *stmt, const char *sql,
                         struct status *st);
static bool stmt_number(struct sqlite_stmt *stmt, struct status *st);
static bool stmt_allowed(const struct sqlite_stmt *stmt, const struct db_tx *tx,
                         const struct db_call *call, struct status *st);
static bool stmt_bind(struct sqlite_conn *conn, const struct sqlite_stmt *stmt,
                      const struct db_tx *tx, const struct db_call *call, struct status *st);
static bool stmt_step(struct sqlite_conn *conn, sqlite3_stmt *handle, struct db_call *call,
                      struct status *st);
static struct db_value *row_copy(sqlite3_stmt *handle, int columns, struct arena *arena);

bool sqlite_conn_open(struct sqlite_conn *conn, struct status *st)
{
    const struct sqlite_db *db = conn->pool->db;
    bool writes = conn->pool->writer;
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE |
                (writes ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
    conn->trusted = true;
    int rc = sqlite3_open_v2(db->path, &conn->handle, flags, NULL);
    if (rc != SQLITE_OK)
        return sqlite_conn_fail(conn, st) || status_wrap(st, "could not open %s", db->path);
    sqlite3_busy_timeout(conn->handle, BUSY_MS);
    sqlite3_db_config(conn->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(conn->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(conn->handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(conn->handle, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_db_config(conn->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !writes, NULL);
    sqlite3_set_authorizer(conn->handle, on_authorize, conn);
    sqlite3_progress_handler(conn->handle, PROGRESS_OPS, on_progress, conn);
    if (writes && sqlite3_db_readonly(conn->handle, "main") == 1)
        return status_fail(st, STATUS_SYSTEM, "%s cannot be written: it is read-only", db->path);
    static const char common[] = "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;"
                                 "PRAGMA cell_size_check = ON;";
    static const char writer[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                                 "PRAGMA wal_autocheckpoint = 1000; PRAGMA secure_delete = FAST;"
                                 "PRAGMA journal_size_limit = 67108864;";
    static const char probe[] = "SELECT count(*) FROM sqlite_schema";
    if (!exec_trusted(conn, common, st) || (writes && !exec_trusted(conn, writer, st)) ||
        !exec_trusted(conn, probe, st))
        return status_wrap(st, "could not open %s", db->path);
    if (writes && db->size_max > 0) {
        char sql[64];
        sqlite3_snprintf(sizeof(sql), sql, "PRAGMA max_page_count = %lld", db->size_max / 4096);
        if (!exec_trusted(conn, sql, st))
            return status_wrap(st, "could not limit the size of %s", db->path);
    }
    conn->trusted = false;
    return true;
}

void sqlite_conn_close(struct sqlite_conn *conn)
{
    for (size_t i = 0; i < conn->stmts_count; i++) {
        sqlite3_finalize(conn->stmts[i].handle);
        free(conn->stmts[i].sql);
    }
    conn->stmts_count = 0;
    conn->trusted = true; /* the last one to close checkpoints */
    sqlite3_close(conn->handle);
    conn->handle = NULL;
}

bool sqlite_conn_do(struct sqlite_conn *conn, struct sqlite_job *job)
{
    struct db_tx *tx = job->tx;
    bool ends = job->kind == SQLITE_JOB_COMMIT || job->kind == SQLITE_JOB_DISCARD;
    conn->running = ends ? NULL : job;
    switch (job->kind) {
    case SQLITE_JOB_STATEMENT:
        job->ok = run_statement(conn, job);
        ends = tx->single;
        break;
    case SQLITE_JOB_SCRIPT:
        job->ok = (!sqlite3_get_autocommit(conn->handle) ||
                   exec_trusted(conn, "BEGIN IMMEDIATE", job->st)) &&
                  exec_trusted(conn, job->script, job->st);
        break;
    case SQLITE_JOB_COMMIT:
        job->ok = exec_trusted(conn, "COMMIT", job->st);
        break;
    case SQLITE_JOB_DISCARD:
        break;
    }
    conn->running = NULL;
    if (ends) {
        roll_back(conn); /* nothing is left to roll back after a commit that went well */
        tx->ended = true;
        tx->conn = NULL;
    }
    return ends;
}

static void roll_back(struct sqlite_conn *conn)
{
    struct status unheard; /* SQLite rolls back by itself on the errors that matter here */
    if (!sqlite3_get_autocommit(conn->handle))
        (void)!exec_trusted(conn, "ROLLBACK", &unheard);
}

static bool exec_trusted(struct sqlite_conn *conn, const char *sql, struct status *st)
{
    conn->trusted = true;
    int rc = sqlite3_exec(conn->handle, sql, NULL, NULL, NULL);
    conn->trusted = false;
    return rc == SQLITE_OK || sqlite_conn_fail(conn, st);
}

static bool run_statement(struct sqlite_conn *conn, struct sqlite_job *job)
{
    struct db_tx *tx = job->tx;
    struct status *st = job->st;
    if (!tx->single && sqlite3_get_autocommit(conn->handle) &&
        !exec_trusted(conn, tx->mode == DB_WRITE ? "BEGIN IMMEDIATE" : "BEGIN", st))
        return false;
    conn->trusted = tx->scope.system == DB_SYSTEM_SCHEMA;
    struct sqlite_stmt *stmt = stmt_get(conn, job->call->sql, st);
    bool ok = stmt != NULL && stmt_allowed(stmt, tx, job->call, st) &&
              stmt_bind(conn, stmt, tx, job->call, st) &&
              stmt_step(conn, stmt->handle, job->call, st);
    if (stmt != NULL) {
        sqlite3_reset(stmt->handle);
        sqlite3_clear_bindings(stmt->handle);
    }
    conn->trusted = false;
    return ok;
}

static int on_progress(void *arg)
{
    const struct sqlite_conn *conn = arg;
    struct sqlite_job *job = conn->running;
    return job != NULL && (atomic_load(&job->cancelled) || clock_mono_us() > job->deadline_us);
}

static int tenant_table(const struct sqlite_db *db, const char *name)
{
    for (int i = 0; i < db->tenant_tables_count; i++)
        if (strcmp(db->tenant_tables[i], name) == 0)
            return i;
    return -1;
}

/* Statements of the program may read and change rows, and nothing else: no schema, no PRAGMA, no
 * ATTACH, no BEGIN of their own. */
static int on_authorize(void *arg, int action, const char *one, const char *two, const char *schema,
                        const char *inner)
{
    (void)schema, (void)inner;
    struct sqlite_conn *conn = arg;
    if (conn->trusted || action == SQLITE_SELECT || action == SQLITE_RECURSIVE)
        return SQLITE_OK;
    if (action == SQLITE_FUNCTION)
        return strcmp(two, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
    if (action != SQLITE_READ && action != SQLITE_INSERT && action != SQLITE_UPDATE &&
        action != SQLITE_DELETE)
        return SQLITE_DENY;
    int table = one != NULL ? tenant_table(conn->pool->db, one) : -1;
    if (table < 0)
        return SQLITE_OK;
    conn->saw_tenant[table] = true;
    conn->saw_insert[table] |= action == SQLITE_INSERT;
    bool is_organisation = strcmp(one, "organisation") == 0;
    if (action == SQLITE_READ && strcmp(two, is_organisation ? "id" : "org_id") == 0)
        conn->saw_org[table] = true;
    return SQLITE_OK;
}

/* The prepared statement of `sql`, from the connection's own or made now. */
static struct sqlite_stmt *stmt_get(struct sqlite_conn *conn, const char *sql, struct status *st)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (const char *at = sql; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * 1099511628211u;
    struct sqlite_stmt *oldest = &conn->stmts[0];
    for (size_t i = 0; i < conn->stmts_count; i++) {
        struct sqlite_stmt *stmt = &conn->stmts[i];
        if (stmt->hash == hash && strcmp(stmt->sql, sql) == 0) {
            stmt->used_at = ++conn->tick;
            return stmt;
        }
        if (stmt->used_at < oldest->used_at)
            oldest = stmt;
    }
    struct sqlite_stmt fresh = {.hash = hash, .used_at = ++conn->tick};
    if (!stmt_prepare(conn, &fresh, sql, st)) {
        sqlite3_finalize(fresh.handle);
        return NULL;
    }
    fresh.sql = strdup(sql);
    WEIR_ASSERT(fresh.sql != NULL);
    if (conn->stmts_count < SQLITE_STMTS_MAX) {
        oldest = &conn->stmts[conn->stmts_count++];
    } else {
        sqlite3_finalize(oldest->handle);
        free(oldest->sql);
    }
    *oldest = fresh;
    return oldest;
}

static bool stmt_prepare(struct sqlite_conn *conn, struct sqlite_stmt *stmt, const char *sql,
                         struct status *st)
{
    memset(conn->saw_tenant, 0, sizeof(conn->saw_tenant));
    memset(conn->saw_org, 0, sizeof(conn->saw_org));
    memset(conn->saw_insert, 0, sizeof(conn->saw_insert));
    const char *rest = NULL;
    int rc =
        sqlite3_prepare_v3(conn->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt->handle, &rest);
    if (rc != SQLITE_OK)
        return sqlite_conn_fail(conn, st);
    if (stmt->handle == NULL || text_trim(text_of(rest)).len > 0)
        return status_fail(st, STATUS_INTERNAL, "not exactly one SQL statement: %s", sql);
    for (int i = 0; i < conn->pool->db->tenant_tables_count; i++) {
        stmt->tenant |= conn->saw_tenant[i];
        stmt->unscoped |= conn->saw_tenant[i] && !conn->saw_org[i] && !conn->saw_insert[i];
    }
    return stmt_number(stmt, st);
}

/* SQLite numbers "$2" before "$1" when it comes first: so by name. */
static bool stmt_number(struct sqlite_stmt *stmt, struct status *st)
{
    bool used[DB_PARAMS_MAX + 1] = {false};
    stmt->indexes = sqlite3_bind_parameter_count(stmt->handle);
    if (stmt->indexes >= (int)ARRAY_LEN(stmt->param_of))
        return status_fail(st, STATUS_INTERNAL, "too many parameters in SQL");
    for (int i = 1; i <= stmt->indexes; i++) {
        const char *name = sqlite3_bind_parameter_name(stmt->handle, i);
        int64_t number = 0;
        if (name != NULL && strcmp(name, "$org") == 0)
            stmt->org_index = i;
        else if (name == NULL || name[0] != '$' || !text_to_i64(text_of(name + 1), &number) ||
                 number < 1 || number > DB_PARAMS_MAX)
            return status_fail(st, STATUS_INTERNAL, "SQL parameter \"%s\" is not $1 to $%d or $org",
                               name != NULL ? name : "?", DB_PARAMS_MAX);
        stmt->param_of[i] = (uint8_t)number;
        used[number] = true;
        stmt->params_max = number > stmt->params_max ? (int)number : stmt->params_max;
    }
    for (int n = 1; n <= stmt->params_max; n++)
        if (!used[n])
            return status_fail(st, STATUS_INTERNAL, "SQL does not use parameter $%d", n);
    return true;
}

static bool stmt_allowed(const struct sqlite_stmt *stmt, const struct db_tx *tx,
                         const struct db_call *call, struct status *st)
{
    bool system = tx->scope.system != DB_SYSTEM_NONE;
    if ((size_t)stmt->params_max != call->params_count)
        return status_fail(st, STATUS_INTERNAL, "SQL takes %d parameters, %zu were given: %s",
                           stmt->params_max, call->params_count, call->sql);
    if (tx->mode == DB_READ && !sqlite3_stmt_readonly(stmt->handle))
        return status_fail(st, STATUS_INTERNAL, "SQL writes in a transaction that reads: %s",
                           call->sql);
    if (system && stmt->org_index > 0)
        return status_fail(st, STATUS_INTERNAL, "SQL names $org in a system scope: %s", call->sql);
    if (!system && stmt->tenant && (stmt->org_index == 0 || stmt->unscoped))
        return status_fail(st, STATUS_INTERNAL,
                           "SQL does not hold to the organisation in each tenant table: %s",
                           call->sql);
    return true;
}

static bool stmt_bind(struct sqlite_conn *conn, const struct sqlite_stmt *stmt,
                      const struct db_tx *tx, const struct db_call *call, struct status *st)
{
    for (int i = 1; i <= stmt->indexes; i++) {
        int n = stmt->param_of[i];
        struct db_param param = n == 0 ? db_text(tx->scope.org_id) : call->params[n - 1];
        const char *at = param.bytes.len > 0 ? param.bytes.at : "";
        int rc = SQLITE_OK;
        switch (param.kind) {
        case DB_PARAM_NULL:
            rc = sqlite3_bind_null(stmt->handle, i);
            break;
        case DB_PARAM_INT:
        case DB_PARAM_BOOL:
            rc = sqlite3_bind_int64(stmt->handle, i, param.integer);
            break;
        case DB_PARAM_TEXT:
            if (memchr(at, '\0', param.bytes.len) != NULL || !text_utf8_valid(param.bytes))
                return status_fail(st, STATUS_INVALID, "text for the database is not UTF-8");
            rc = sqlite3_bind_text64(stmt->handle, i, at, param.bytes.len, SQLITE_STATIC,
                                     SQLITE_UTF8);
            break;
        case DB_PARAM_BLOB:
            rc = sqlite3_bind_blob64(stmt->handle, i, at, param.bytes.len, SQLITE_STATIC);
            break;
        }
        if (rc != SQLITE_OK)
            return sqlite_conn_fail(conn, st);
    }
    return true;
}

static bool stmt_step(struct sqlite_conn *conn, sqlite3_stmt *handle, struct db_call *call,
                      struct status *st)
{
    int columns = sqlite3_column_count(handle), rc;
    WEIR_ASSERT(columns <= DB_COLUMNS_MAX);
    struct db_row *rows = NULL;
    size_t count = 0, room = 0;
    while ((rc = sqlite3_step(handle)) == SQLITE_ROW) {
        if (call->arena == NULL)
            continue;
        if (count == DB_ROWS_MAX || arena_over_limit(call->arena))
            return status_fail(st, STATUS_LIMIT,
                               "the database has more rows than a query may read");
        if (count == room) {
            room = room == 0 ? 4 : room * 4;
            struct db_row *more = ARENA_ARRAY(call->arena, room, struct db_row);
            if (count > 0)
                memcpy(more, rows, count * sizeof(*rows));
            rows = more;
        }
        rows[count].values = row_copy(handle, columns, call->arena);
        rows[count++].columns = columns;
    }
    if (rc != SQLITE_DONE)
        return sqlite_conn_fail(conn, st);
    call->rows = (struct db_rows){rows, count};
    call->changed = sqlite3_stmt_readonly(handle) ? 0 : sqlite3_changes64(conn->handle);
    return true;
}

static struct db_value *row_copy(sqlite3_stmt *handle, int columns, struct arena *arena)
{
    struct db_value *values = ARENA_ARRAY(arena, (size_t)columns, struct db_value);
    for (int i = 0; i < columns; i++) {
        struct text bytes = TEXT_NONE;
        switch (sqlite3_column_type(handle, i)) {
        case SQLITE_INTEGER:
            values[i].kind = DB_VALUE_INT;
            values[i].integer = sqlite3_column_int64(handle, i);
            break;
        case SQLITE_NULL:
            values[i].kind = DB_VALUE_NULL;
            break;
        case SQLITE_TEXT:
            values[i].kind = DB_VALUE_TEXT;
            bytes.at = (const char *)sqlite3_column_text(handle, i);
            bytes.len = (size_t)sqlite3_column_bytes(handle, i);
            values[i].bytes = arena_text(arena, bytes);
            break;
        case SQLITE_BLOB:
            values[i].kind = DB_VALUE_BLOB;
            bytes.at = sqlite3_column_blob(handle, i);
            bytes.len = (size_t)sqlite3_column_bytes(handle, i);
            values[i].bytes = arena_text(arena, bytes);
            break;
        default: /* SQLITE_FLOAT: there is no floating point in our tables */
            WEIR_ASSERT(sqlite3_column_type(handle, i) != SQLITE_FLOAT);
        }
    }
    return values;
}

bool sqlite_conn_fail(const struct sqlite_conn *conn, struct status *st)
{
    int rc = conn->handle != NULL ? sqlite3_extended_errcode(conn->handle) : SQLITE_NOMEM;
    const char *text = conn->handle != NULL ? sqlite3_errmsg(conn->handle) : "out of memory";
    enum status_code code = STATUS_INTERNAL;
    switch (rc & 0xff) {
    case SQLITE_CONSTRAINT:
        if (rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY ||
            rc == SQLITE_CONSTRAINT_ROWID || rc == SQLITE_CONSTRAINT_FOREIGNKEY)
            code = STATUS_CONFLICT;
        break;
    case SQLITE_FULL:
        return status_fail(st, STATUS_UNAVAILABLE, "the disk is full");
    case SQLITE_INTERRUPT:
        return status_fail(st, STATUS_TIMEOUT, "the database took too long");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
        code = STATUS_UNAVAILABLE;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return status_fail(st, STATUS_SYSTEM, "the database file is damaged or is no database (%s)",
                           text);
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        code = STATUS_SYSTEM;
        break;
    case SQLITE_TOOBIG:
        code = STATUS_TOO_LARGE;
        break;
    default:
        break;
    }
    return status_fail(st, code, "database: %s", text);
}
