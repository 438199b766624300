/* db_sqlite: the driver for one file on this machine. See db_sqlite_internal.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "clock.h"
#include "db_sqlite_internal.h"

enum { READERS_DEFAULT = 4, READERS_MAX = 64, STATEMENT_MS_DEFAULT = 10000 };
static const int64_t queue_max_default = 10000;

static bool driver_takes(struct text url);
static bool driver_open(const struct db_options *options, void **driver_db, struct status *st);
static void driver_close(void *driver_db);
static bool driver_run(struct db_tx *tx, struct db_call *call, struct status *st);
static bool driver_script(struct db_tx *tx, const char *sql, struct status *st);
static bool driver_commit(struct db_tx *tx, struct status *st);
static void driver_discard(struct db_tx *tx);
static bool driver_ping(struct db *db, int64_t deadline_us, struct status *st);
static bool driver_schema_lock(struct db_tx *tx, struct status *st);
static bool driver_schema_state(struct db_tx *tx, enum db_schema_state *out, struct status *st);
static bool driver_schema_read(struct db *db, struct status *st);
static bool file_ready(struct sqlite_db *db, const struct db_options *options, struct status *st);

const struct db_driver db_sqlite_driver = {
    .name = "sqlite",
    .takes = driver_takes,
    .open = driver_open,
    .close = driver_close,
    .run = driver_run,
    .script = driver_script,
    .commit = driver_commit,
    .discard = driver_discard,
    .ping = driver_ping,
    .schema_lock = driver_schema_lock,
    .schema_state = driver_schema_state,
    .schema_read = driver_schema_read,
};

static struct text url_path(struct text url)
{
    struct text prefix = TEXT("sqlite:");
    return text_starts(url, prefix) ? text_skip(url, prefix.len) : url;
}

/* "sqlite:" and a path, or a path that could be no address of another kind. */
static bool driver_takes(struct text url)
{
    struct text path = url_path(url);
    return path.len > 0 && path.len < PATH_MAX - 16 && memchr(path.at, '\0', path.len) == NULL &&
           (path.len < url.len || text_find_byte(url, ':') == url.len);
}

static bool driver_open(const struct db_options *options, void **driver_db, struct status *st)
{
    WEIR_ASSERT(sqlite3_threadsafe() != 0 && options->readers <= READERS_MAX);
    struct sqlite_db *db = calloc(1, sizeof(*db));
    WEIR_ASSERT(db != NULL);
    struct text path = url_path(options->url);
    db->path = strndup(path.at, path.len);
    WEIR_ASSERT(db->path != NULL);
    db->read_only = options->read_only;
    db->size_max = options->size_max;
    db->statement_ms = options->statement_ms > 0 ? options->statement_ms : STATEMENT_MS_DEFAULT;
    int64_t queue_max = options->queue_max > 0 ? options->queue_max : queue_max_default;
    int readers = options->readers > 0 ? options->readers : READERS_DEFAULT;
    if (!file_ready(db, options, st) ||
        (!db->read_only && !sqlite_pool_open(db, &db->writer, true, 1, queue_max, st)) ||
        !sqlite_pool_open(db, &db->readers, false, readers, queue_max, st)) {
        driver_close(db);
        return false;
    }
    *driver_db = db;
    return true;
}

/* The lock first, then the file, so that of two first starts only one makes it. */
static bool file_ready(struct sqlite_db *db, const struct db_options *options, struct status *st)
{
    if (db->read_only)
        return true;
    if (options->lock == NULL && !db_lock_take(db_path_folder(text_of(db->path)), &db->lock, st))
        return false;
    int fd = open(db->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return status_fail_errno(st, errno, "could not open %s", db->path);
    close(fd); /* SQLite gives its -wal and -shm files the same owner and mode */
    return true;
}

static void driver_close(void *driver_db)
{
    struct sqlite_db *db = driver_db;
    sqlite_pool_close(&db->readers);
    sqlite_pool_close(&db->writer); /* last: its close checkpoints */
    db_lock_release(db->lock);
    free(db->path);
    free(db);
}

static struct sqlite_pool *pool_of(const struct db_tx *tx)
{
    struct sqlite_db *db = tx->db->driver_db;
    return tx->mode == DB_WRITE ? &db->writer : &db->readers;
}

static bool run_job(struct sqlite_job *job, struct status *st)
{
    struct sqlite_db *db = job->tx->db->driver_db;
    if (job->tx->mode == DB_WRITE && db->read_only)
        return status_fail(st, STATUS_SYSTEM, "the database was opened for reading only");
    int64_t deadline_us =
        job->kind == SQLITE_JOB_STATEMENT ? clock_deadline_ms(db->statement_ms) : CLOCK_NEVER;
    return sqlite_pool_run(pool_of(job->tx), job, deadline_us, st);
}

static bool driver_run(struct db_tx *tx, struct db_call *call, struct status *st)
{
    struct sqlite_job job = {.kind = SQLITE_JOB_STATEMENT, .tx = tx, .call = call};
    return run_job(&job, st);
}

static bool driver_script(struct db_tx *tx, const char *sql, struct status *st)
{
    struct sqlite_job job = {.kind = SQLITE_JOB_SCRIPT, .tx = tx, .script = sql};
    return run_job(&job, st);
}

static bool driver_commit(struct db_tx *tx, struct status *st)
{
    struct sqlite_job job = {.kind = SQLITE_JOB_COMMIT, .tx = tx};
    return run_job(&job, st);
}

static void driver_discard(struct db_tx *tx)
{
    sqlite_pool_discard(pool_of(tx), tx);
}

static bool driver_ping(struct db *db, int64_t deadline_us, struct status *st)
{
    struct db_call call = {.sql = "SELECT 1"};
    AUTO(db_tx) struct db_tx *tx = db_begin(db, DB_SCOPE_SYSTEM(DB_SYSTEM_SCHEMA), DB_READ);
    tx->single = true;
    struct sqlite_job job = {.kind = SQLITE_JOB_STATEMENT, .tx = tx, .call = &call};
    return sqlite_pool_run(pool_of(tx), &job, deadline_us, st);
}

/* BEGIN IMMEDIATE, which the first statement says, is the lock. */
static bool driver_schema_lock(struct db_tx *tx, struct status *st)
{
    return driver_script(tx, "SELECT 1", st);
}

static bool driver_schema_state(struct db_tx *tx, enum db_schema_state *out, struct status *st)
{
    static const char sql[] =
        "SELECT count(*), coalesce(sum(name = 'schema_migration'), 0) FROM sqlite_schema";
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    struct db_row row;
    if (!db_one(tx, arena, &row, st, sql))
        return false;
    *out = db_row_int(&row, 1) > 0   ? DB_SCHEMA_OURS
           : db_row_int(&row, 0) > 0 ? DB_SCHEMA_FOREIGN
                                     : DB_SCHEMA_EMPTY;
    return true;
}

static bool driver_schema_read(struct db *db, struct status *st)
{
    static const char sql[] =
        "SELECT m.name FROM pragma_table_list m WHERE m.schema = 'main' AND m.type = 'table' AND "
        "(m.name = 'organisation' OR EXISTS (SELECT 1 FROM pragma_table_info(m.name) c WHERE "
        "c.name = 'org_id')) ORDER BY m.name";
    struct sqlite_db *own = db->driver_db;
    AUTO(arena) struct arena *arena = arena_open(1 * MIB);
    struct db_rows rows;
    if (!db_read(db, DB_SCOPE_SYSTEM(DB_SYSTEM_SCHEMA), arena, &rows, st, sql))
        return false;
    WEIR_ASSERT(rows.count <= SQLITE_TABLES_MAX);
    for (size_t i = 0; i < rows.count; i++) {
        struct text name = db_row_text(&rows.row[i], 0);
        WEIR_ASSERT(name.len < SQLITE_TABLE_BYTES_MAX);
        memcpy(own->tenant_tables[i], name.at, name.len);
        own->tenant_tables[i][name.len] = '\0';
    }
    own->tenant_tables_count = (int)rows.count;
    return true;
}
