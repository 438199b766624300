/* db_internal: what db.c and the drivers agree on. A driver is one table of functions; no type of a
 * database's own library stands outside its db_<name>*.c files. */
#pragma once
#include <stdatomic.h>
#include "db.h"
#include "embed.h"

extern const struct embed_file db_migration_files[];

/* One statement on its way to the database and back. */
struct db_call {
    const char *sql;
    const struct db_param *params;
    size_t params_count;
    struct arena *arena; /* for the rows; NULL when the statement gives none */
    struct db_rows rows; /* out */
    int64_t changed;     /* out */
};

struct db {
    const struct db_driver *driver;
    void *driver_db; /* the driver's own */
    const struct embed_file *migrations;
    atomic_bool
        ready; /* db_migrate or db_schema_check has said yes: the tenants' tables are known */
};

struct db_tx {
    struct db *db;
    struct db_scope scope;
    enum db_mode mode;
    bool single; /* read: the first statement is the only one, and gives the connection back */
    bool failed; /* a statement failed: only rollback is left */
    bool ended;  /* committed, rolled back, or single and done: holds no connection */
    void *conn;  /* the driver's own; NULL before the first statement */
};

enum db_schema_state { DB_SCHEMA_EMPTY, DB_SCHEMA_OURS, DB_SCHEMA_FOREIGN };

struct db_driver {
    const char *name; /* "sqlite": also the name of its part of a migration, NNNN_name.sqlite.sql */
    bool (*takes)(struct text url);
    bool (*open)(const struct db_options *options, void **driver_db, struct status *st);
    void (*close)(void *driver_db);
    /* Each waits. `run` begins the transaction when tx->conn is NULL. */
    bool (*run)(struct db_tx *tx, struct db_call *call, struct status *st);
    /* Several statements in one text, not prepared: for migrations only. */
    bool (*script)(struct db_tx *tx, const char *sql, struct status *st);
    bool (*commit)(struct db_tx *tx, struct status *st);
    /* Ends the transaction without waiting and frees `tx`, now or when its thread is done with it.
     */
    void (*discard)(struct db_tx *tx);
    bool (*ping)(struct db *db, int64_t deadline_us, struct status *st);
    /* Waits for the lock under which a schema is changed; it ends with the transaction. */
    bool (*schema_lock)(struct db_tx *tx, struct status *st);
    /* What is there: nothing, a schema of ours (with schema_migration), or something else. */
    bool (*schema_state)(struct db_tx *tx, enum db_schema_state *out, struct status *st);
    /* The schema is now in place: learn which tables belong to tenants. */
    bool (*schema_read)(struct db *db, struct status *st);
};
extern const struct db_driver db_sqlite_driver;

/* The folder of a path: a part of `path`, or ".". */
struct text db_path_folder(struct text path);
/* For migrations: a write transaction of DB_SYSTEM_SCHEMA. Waits. */
bool db_run_script(struct db_tx *tx, const char *sql, struct status *st);
