/* db_sqlite_internal: the parts of the SQLite driver.
 *   db_sqlite.c       opening, closing, the table of functions
 *   db_sqlite_pool.c  threads, each with its connection; who waits for which
 *   db_sqlite_conn.c  what one thread does with its connection: statements, rows, errors
 * Every connection belongs to a thread of its own and is used by no other. The writer's thread is
 * the only one that writes and that checkpoints (SQLite before 3.51.3 can damage the WAL when two
 * connections reset it at once). A transaction keeps its connection from its first statement on. */
#pragma once
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include "db_internal.h"

struct fiber;
struct loop;

enum sqlite_job_kind {
    SQLITE_JOB_STATEMENT,
    SQLITE_JOB_SCRIPT,
    SQLITE_JOB_COMMIT,
    SQLITE_JOB_DISCARD /* nobody waits for it; it owns `tx` */
};

/* What a fiber hands to a thread; lives on the fiber's stack (a discard: on the heap). */
struct sqlite_job {
    enum sqlite_job_kind kind;
    struct db_tx *tx;
    struct db_call *call; /* statement */
    const char *script;
    int64_t deadline_us;
    atomic_bool cancelled; /* asks the thread to stop at its next look */
    struct status *st;     /* written by the thread */
    bool ok;               /* the same */
    bool done;             /* set on the waiter's loop, or under the pool's mutex when it blocks */
    struct loop *loop;     /* of the fiber that waits; NULL: a thread is blocked */
    struct fiber *fiber;
    struct sqlite_job *next; /* in the queue of those that wait for a connection */
};

struct sqlite_stmt {
    sqlite3_stmt *handle;
    char *sql;
    uint64_t hash;
    uint64_t used_at; /* for throwing out the one that was not used for longest */
    int params_max;   /* the highest $n */
    int org_index;    /* SQLite's number of $org, 0 for none */
    uint8_t param_of[DB_PARAMS_MAX + 2]; /* SQLite's index → our n, 0 for $org */
    int indexes;
    bool tenant;   /* touches a table of tenants */
    bool unscoped; /* reads one without looking at its organisation */
};

enum { SQLITE_STMTS_MAX = 256, SQLITE_TABLES_MAX = 128, SQLITE_TABLE_BYTES_MAX = 48 };

struct sqlite_conn {
    struct sqlite_pool *pool;
    pthread_t thread;
    pthread_cond_t cond;
    sqlite3 *handle;
    struct sqlite_job *job; /* to do next; under the pool's mutex */
    /* From here on the thread's alone. */
    struct sqlite_stmt stmts[SQLITE_STMTS_MAX];
    size_t stmts_count;
    uint64_t tick;
    struct sqlite_job *running; /* whom the progress handler asks */
    bool trusted;               /* our own BEGIN, COMMIT, PRAGMA, migrations: anything goes */
    /* What the authorizer has seen of the statement being prepared, by number of tenant table. */
    bool saw_tenant[SQLITE_TABLES_MAX], saw_org[SQLITE_TABLES_MAX], saw_insert[SQLITE_TABLES_MAX];
    struct sqlite_conn *next_free;
};

/* The connections of one kind. */
struct sqlite_pool {
    struct sqlite_db *db;
    bool writer;
    pthread_mutex_t mutex;
    pthread_cond_t blocked; /* threads without a loop wait here */
    struct sqlite_conn *conns;
    int conns_count, threads_count;
    struct sqlite_conn *free;
    struct sqlite_job *first, *last; /* waiting for a connection */
    int64_t waiting, waiting_max;
    bool stop;
};

struct sqlite_db {
    char *path;
    struct db_lock *lock; /* ours to release, or NULL */
    bool read_only;
    int64_t statement_ms, size_max;
    struct sqlite_pool readers, writer;
    /* The tables with an org_id, from schema_read; written by the writer's thread before any other
     * statement runs, read by all. */
    char tenant_tables[SQLITE_TABLES_MAX][SQLITE_TABLE_BYTES_MAX];
    _Atomic int tenant_tables_count;
};

/* pool: each waits for its job. `deadline_us` of the job is set by them. */
bool sqlite_pool_open(struct sqlite_db *db, struct sqlite_pool *pool, bool writer, int conns,
                      int64_t waiting_max, struct status *st);
void sqlite_pool_close(struct sqlite_pool *pool);
bool sqlite_pool_run(struct sqlite_pool *pool, struct sqlite_job *job, int64_t deadline_us,
                     struct status *st);
/* Does not wait. Takes `tx`. */
void sqlite_pool_discard(struct sqlite_pool *pool, struct db_tx *tx);

/* conn: on the connection's thread, but for open. */
bool sqlite_conn_open(struct sqlite_conn *conn, struct status *st);
void sqlite_conn_close(struct sqlite_conn *conn);
/* Does the job. True: its transaction has ended and the connection is free again. */
bool sqlite_conn_do(struct sqlite_conn *conn, struct sqlite_job *job);
/* Fills `st` from the connection's last error; returns false. */
bool sqlite_conn_fail(const struct sqlite_conn *conn, struct status *st);
