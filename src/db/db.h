/* db: SQL. One interface, written once for SQLite and PostgreSQL; which one is behind it is seen
 * only by a driver (db_driver.h).
 *
 *     AUTO(db_tx) struct db_tx *tx = db_begin(db, DB_SCOPE_ORG(org_id), DB_WRITE);
 *     if (!db_exec(tx, &changed, st, rename_sql, db_text(id), db_text(name)))
 *         return status_wrap(st, "could not rename key %.*s", TEXT_ARG(id));
 *     return db_commit(tx, st);           // not committed: rolled back when `tx` leaves its scope
 *
 * SQL is a constant of the file that owns the table, never put together at run time. Parameters are
 * $1, $2, … in the order in which they are passed; each may stand anywhere and more than once.
 * `$org` is the organisation of the transaction's scope and is bound by the transaction itself.
 *
 * Tenants. A table with a column org_id belongs to tenants (so does `organisation`, by its id). In
 * the scope of an organisation every statement on such a table must name `$org`, as condition
 * (`WHERE org_id = $org AND …`) or as value (`INSERT … VALUES ($1, $org, …)`): one that does not is
 * refused when it is first prepared, with STATUS_INTERNAL, so every test of it fails. There is no
 * way to pass another organisation in its place. In PostgreSQL the scope also sets what row-level
 * security checks. A system scope has no `$org`; each use of it is one of enum db_system.
 *
 * Waits: db_query, db_one, db_exec and db_commit suspend the calling fiber; db_begin never does
 * (the connection is taken by the first statement, so a read with one query is one hand-over to a
 * thread). Outside a fiber, on a thread without a loop (commands, start-up, tests), they block it.
 * A transaction belongs to the fiber that began it. Between the statements of a write transaction
 * wait for nothing but the database: it holds the only writer.
 * Any thread may use a `struct db`. */
#pragma once
#include "arena.h"
#include "base.h"
#include "status.h"
#include "text.h"

struct db;
struct db_tx;
struct db_lock;
struct embed_file;

struct db_options {
    struct text url; /* "sqlite:/path/weir.db" or a plain path; postgres:// is another driver */
    struct db_lock *lock; /* the data folder's, already taken by the caller; NULL: db takes it */
    bool read_only;       /* takes no lock, cannot write; the file must exist */
    int readers;          /* connections for reading; 0: 4 */
    int64_t
        statement_ms;  /* longest time for one statement, with its wait for a connection; 0: 10 s */
    int64_t queue_max; /* transactions that may wait for a connection; 0: 10,000 */
    int64_t size_max;  /* bytes that the file may have; 0: as the disk allows. SQLite only */
    const struct embed_file *migrations; /* NULL: those of this program; tests bring their own */
};

/* Opens the database; makes the file (0600) when there is none. Does not touch the schema: call
 * db_migrate or db_schema_check next, before anything else.
 * Owns: the caller closes it, after every transaction has ended.
 * Fails: STATUS_INVALID for a URL that no driver knows; STATUS_CONFLICT when another process holds
 * the data folder; STATUS_SYSTEM for a file that cannot be opened, is read-only or is no database.
 */
MUST_CHECK bool db_open(const struct db_options *options, struct db **out, struct status *st);
void db_close(struct db *db);
AUTO_DEFINE(db, db_close)

/* Brings the schema to what this program knows: all missing migrations in one transaction. Safe to
 * run by several processes at once (PostgreSQL). `*applied` may be NULL.
 * Fails: STATUS_CONFLICT for a schema that is newer than this program, or whose migrations are not
 * the ones that this program has; STATUS_SYSTEM, STATUS_UNAVAILABLE. Nothing is changed then. */
MUST_CHECK bool db_migrate(struct db *db, int *applied, struct status *st);
/* The same checks without a change. `*pending` is how many migrations are missing. */
MUST_CHECK bool db_schema_check(struct db *db, int *pending, struct status *st);
/* Whether the database answers: for /readyz. Waits up to `deadline_us`. */
MUST_CHECK bool db_ping(struct db *db, int64_t deadline_us, struct status *st);

/* The lock of a data folder (the file `lock` in it): one process at a time writes there.
 * Gone with the process, however it ends. Owns: the caller releases it.
 * Fails: STATUS_CONFLICT, the text naming the process that holds it; STATUS_SYSTEM. */
MUST_CHECK bool db_lock_take(struct text folder, struct db_lock **out, struct status *st);
void db_lock_release(struct db_lock *lock);
AUTO_DEFINE(db_lock, db_lock_release)

/* Who may read or write across organisations, and why. The list is meant to stay short. */
enum db_system {
    DB_SYSTEM_NONE,    /* not a system scope */
    DB_SYSTEM_SCHEMA,  /* migrations, checks of the database itself */
    DB_SYSTEM_SETUP,   /* the first organisation and its owner */
    DB_SYSTEM_SIGN_IN, /* users and sessions, before the organisation is known */
    DB_SYSTEM_KEY,     /* an API key by its digest; last use, written in batches */
    DB_SYSTEM_CATALOG, /* models and upstreams that the operator shares with all */
    DB_SYSTEM_ADMIN,   /* the operator's commands: list users, organisations */
    DB_SYSTEM_JOB,     /* background work over all organisations: sweeps, retention, journal */
    DB_SYSTEM_COUNT
};

struct db_scope {
    enum db_system system; /* DB_SYSTEM_NONE: the organisation's */
    struct text org_id;    /* must stay until the transaction ends */
};
#define DB_SCOPE_ORG(org_id_) ((struct db_scope){DB_SYSTEM_NONE, (org_id_)})
#define DB_SCOPE_SYSTEM(why_) ((struct db_scope){(why_), TEXT_NONE})

enum db_mode {
    DB_READ, /* sees one state of the database, from its first statement to its end */
    DB_WRITE /* one at a time; sees its own changes */
};

/* Never fails and never waits: what goes wrong is told by the first statement.
 * Owns: the caller gives it to db_rollback, committed or not; hold it with AUTO(db_tx). */
struct db_tx *db_begin(struct db *db, struct db_scope scope, enum db_mode mode);
/* The transaction is ended whether it works or not; db_rollback then only frees it.
 * Waits until what was written is on the disk, also in a fiber that was cancelled: the answer tells
 * what happened.
 * Fails: STATUS_CONFLICT when a statement of it had failed (all is rolled back);
 * STATUS_UNAVAILABLE: disk full, database away. When PostgreSQL's connection is lost in the commit,
 * nobody knows whether it happened: look it up by a key, do not repeat blindly. */
MUST_CHECK bool db_commit(struct db_tx *tx, struct status *st);
struct db_scope db_tx_scope(const struct db_tx *tx);
void db_rollback(struct db_tx *tx); /* NULL and the committed are fine. Does not wait. */
AUTO_DEFINE(db_tx, db_rollback)

/* A parameter. Texts and blobs must stay until the call returns. */
struct db_param {
    enum { DB_PARAM_NULL, DB_PARAM_INT, DB_PARAM_TEXT, DB_PARAM_BLOB, DB_PARAM_BOOL } kind;
    int64_t integer;
    struct text bytes;
};
static inline struct db_param db_text(struct text text) /* UTF-8 without zero bytes */
{
    return (struct db_param){.kind = DB_PARAM_TEXT, .bytes = text};
}
static inline struct db_param db_text_or_null(struct text text) /* NULL when it is empty */
{
    return (struct db_param){.kind = text.len > 0 ? DB_PARAM_TEXT : DB_PARAM_NULL, .bytes = text};
}
static inline struct db_param db_int(int64_t integer)
{
    return (struct db_param){.kind = DB_PARAM_INT, .integer = integer};
}
static inline struct db_param db_int_or_null(int64_t integer) /* NULL when it is 0 */
{
    return (struct db_param){.kind = integer != 0 ? DB_PARAM_INT : DB_PARAM_NULL,
                             .integer = integer};
}
static inline struct db_param db_bool(bool yes)
{
    return (struct db_param){.kind = DB_PARAM_BOOL, .integer = yes};
}
static inline struct db_param db_blob(const void *at, size_t len)
{
    return (struct db_param){.kind = DB_PARAM_BLOB, .bytes = {(const char *)at, len}};
}
static inline struct db_param db_null(void)
{
    return (struct db_param){.kind = DB_PARAM_NULL};
}

enum {
    DB_PARAMS_MAX = 32,
    DB_COLUMNS_MAX = 64,
    DB_ROWS_MAX = 10000 /* a query says LIMIT; one that passes this fails with STATUS_LIMIT */
};

struct db_row {
    const struct db_value *values;
    int columns;
};
struct db_rows {
    const struct db_row *row; /* row[0] to row[count - 1], in the caller's arena */
    size_t count;
};

/* Columns are numbered from 0, in the order of the SELECT or RETURNING list. A column of another
 * kind than asked for, or past the last, is our own bug and an assert; NULL reads as 0, false and
 * an empty text. The bytes are in the arena of the query. */
struct text db_row_text(const struct db_row *row, int column);
struct text db_row_blob(const struct db_row *row, int column);
int64_t db_row_int(const struct db_row *row, int column);
bool db_row_bool(const struct db_row *row, int column);
bool db_row_null(const struct db_row *row, int column);

/* Each may wait. Fails: STATUS_CONFLICT for a unique or foreign key that does not allow it;
 * STATUS_TIMEOUT after statement_ms; STATUS_CANCELLED; STATUS_LIMIT for too many rows or an arena
 * that is full; STATUS_UNAVAILABLE (disk full, queue full, database away); STATUS_INTERNAL for SQL
 * that is wrong. After any failure the transaction can only be rolled back. */
#define db_query(tx, arena, rows, st, sql, ...)                                                    \
    db_query_params((tx), (arena), (rows), (st), (sql), DB_PARAMS(__VA_ARGS__),                    \
                    DB_PARAMS_COUNT(__VA_ARGS__))
/* Exactly one row: STATUS_NOT_FOUND when there is none (the transaction goes on in that case),
 * STATUS_INTERNAL when there are more. */
#define db_one(tx, arena, row, st, sql, ...)                                                       \
    db_one_params((tx), (arena), (row), (st), (sql), DB_PARAMS(__VA_ARGS__),                       \
                  DB_PARAMS_COUNT(__VA_ARGS__))
/* A statement without rows. `*changed` (may be NULL) is how many rows it inserted, changed or
 * deleted. */
#define db_exec(tx, changed, st, sql, ...)                                                         \
    db_exec_params((tx), (changed), (st), (sql), DB_PARAMS(__VA_ARGS__),                           \
                   DB_PARAMS_COUNT(__VA_ARGS__))

/* A read of one query, with its own transaction, at the lowest cost. */
#define db_read(db, scope, arena, rows, st, sql, ...)                                              \
    db_read_params((db), (scope), (arena), (rows), (st), (sql), DB_PARAMS(__VA_ARGS__),            \
                   DB_PARAMS_COUNT(__VA_ARGS__))
#define db_read_one(db, scope, arena, row, st, sql, ...)                                           \
    db_read_one_params((db), (scope), (arena), (row), (st), (sql), DB_PARAMS(__VA_ARGS__),         \
                       DB_PARAMS_COUNT(__VA_ARGS__))

/* The functions behind the macros, for parameters whose number varies. */
MUST_CHECK bool db_query_params(struct db_tx *tx, struct arena *arena, struct db_rows *rows,
                                struct status *st, const char *sql, const struct db_param *params,
                                size_t params_count);
MUST_CHECK bool db_one_params(struct db_tx *tx, struct arena *arena, struct db_row *row,
                              struct status *st, const char *sql, const struct db_param *params,
                              size_t params_count);
MUST_CHECK bool db_exec_params(struct db_tx *tx, int64_t *changed, struct status *st,
                               const char *sql, const struct db_param *params, size_t params_count);
MUST_CHECK bool db_read_params(struct db *db, struct db_scope scope, struct arena *arena,
                               struct db_rows *rows, struct status *st, const char *sql,
                               const struct db_param *params, size_t params_count);
MUST_CHECK bool db_read_one_params(struct db *db, struct db_scope scope, struct arena *arena,
                                   struct db_row *row, struct status *st, const char *sql,
                                   const struct db_param *params, size_t params_count);

#define DB_PARAMS(...) ((const struct db_param[]){{0}, ##__VA_ARGS__} + 1)
#define DB_PARAMS_COUNT(...) (ARRAY_LEN(((const struct db_param[]){{0}, ##__VA_ARGS__})) - 1)

/* Internal to db and its drivers; read it through db_row_*. */
struct db_value {
    enum { DB_VALUE_NULL, DB_VALUE_INT, DB_VALUE_TEXT, DB_VALUE_BLOB } kind;
    int64_t integer;
    struct text bytes;
};
