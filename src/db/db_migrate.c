/* db_migrate: the schema's numbered steps. A migration is src/db/migrations/NNNN_name.sql, embedded
 * in the program, and where a database needs its own words beside it, NNNN_name.<driver>.sql, run
 * after it. What was applied stands in schema_migration with its digest: an applied file must never
 * change. The numbers run from 1 without a gap. */
#include <sodium.h>
#include <string.h>
#include "clock.h"
#include "db_internal.h"

enum { MIGRATIONS_MAX = 1000, SHA256_HEX_BYTES = 64 };

struct step {
    int64_t version;
    struct text name;             /* "0001_account" */
    const char *common, *special; /* SQL; special may be NULL */
    char sha256[SHA256_HEX_BYTES + 1];
};

static const char create_sql[] =
    "CREATE TABLE schema_migration (version BIGINT PRIMARY KEY, name TEXT NOT NULL, "
    "sha256 TEXT NOT NULL, at_us BIGINT NOT NULL)";
static const char applied_sql[] =
    "SELECT version, name, sha256 FROM schema_migration ORDER BY version LIMIT 1000";
static const char insert_sql[] =
    "INSERT INTO schema_migration (version, name, sha256, at_us) VALUES ($1, $2, $3, $4)";

static struct step *steps_of(const struct db *db, struct arena *arena, size_t *count);
static bool applied_count(struct db_tx *tx, const struct step *steps, size_t steps_count,
                          struct arena *arena, enum db_schema_state *state, size_t *applied,
                          struct status *st);
static bool step_apply(struct db_tx *tx, const struct step *step, struct status *st);

bool db_migrate(struct db *db, int *applied, struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(4 * MIB);
    size_t count, done;
    enum db_schema_state state;
    const struct step *steps = steps_of(db, arena, &count);
    {
        AUTO(db_tx)
        struct db_tx *tx = db_begin(db, DB_SCOPE_SYSTEM(DB_SYSTEM_SCHEMA), DB_WRITE);
        if (!db->driver->schema_lock(tx, st) ||
            !applied_count(tx, steps, count, arena, &state, &done, st))
            return false;
        if (state == DB_SCHEMA_EMPTY && !db_run_script(tx, create_sql, st))
            return status_wrap(st, "could not begin the schema");
        for (size_t i = done; i < count; i++)
            if (!step_apply(tx, &steps[i], st))
                return status_wrap(st, "could not apply migration %.*s", TEXT_ARG(steps[i].name));
        if (!db_commit(tx, st))
            return status_wrap(st, "could not bring the schema up to date");
    }
    if (!db->driver->schema_read(db, st))
        return status_wrap(st, "could not read the schema");
    db->ready = true;
    if (applied != NULL)
        *applied = (int)(count - done);
    return true;
}

bool db_schema_check(struct db *db, int *pending, struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(4 * MIB);
    size_t count, done;
    enum db_schema_state state;
    const struct step *steps = steps_of(db, arena, &count);
    {
        AUTO(db_tx)
        struct db_tx *tx = db_begin(db, DB_SCOPE_SYSTEM(DB_SYSTEM_SCHEMA), DB_READ);
        if (!applied_count(tx, steps, count, arena, &state, &done, st))
            return false;
    }
    if (done == count) {
        if (!db->driver->schema_read(db, st))
            return status_wrap(st, "could not read the schema");
        db->ready = true;
    }
    *pending = (int)(count - done);
    return true;
}

/* The program's own files as a list; what is wrong with them is our bug. */
static struct step *steps_of(const struct db *db, struct arena *arena, size_t *count)
{
    struct step *steps = ARENA_ARRAY(arena, MIGRATIONS_MAX, struct step);
    struct text special_end = arena_format(arena, ".%s.sql", db->driver->name);
    *count = 0;
    for (const struct embed_file *file = db->migrations; file->name != NULL; file++) {
        struct text name = text_of(file->name);
        struct text stem = text_take(name, text_find_byte(name, '.'));
        struct text end = text_skip(name, stem.len);
        int64_t version = 0;
        WEIR_ASSERT(stem.len > 5 && stem.at[4] == '_' && text_to_i64(text_take(stem, 4), &version));
        struct step *last = *count > 0 ? &steps[*count - 1] : NULL;
        if (text_equal(end, TEXT(".sql"))) {
            WEIR_ASSERT(version == (int64_t)*count + 1 && *count < MIGRATIONS_MAX);
            steps[*count] =
                (struct step){.version = version, .name = stem, .common = (const char *)file->data};
            (*count)++;
        } else if (text_equal(end, special_end)) {
            WEIR_ASSERT(last != NULL && text_equal(last->name, stem));
            last->special = (const char *)file->data;
        }
    }
    for (size_t i = 0; i < *count; i++) {
        unsigned char digest[crypto_hash_sha256_BYTES];
        struct text_buf all = text_buf_in(arena, 1 * MIB);
        text_buf_add(&all, text_of(steps[i].common));
        text_buf_add(&all, text_of(steps[i].special));
        WEIR_ASSERT(!all.cut);
        crypto_hash_sha256(digest, (const unsigned char *)all.at, all.len);
        sodium_bin2hex(steps[i].sha256, sizeof(steps[i].sha256), digest, sizeof(digest));
    }
    return steps;
}

/* How many of `steps` the database has; fails unless they are the first of ours, word for word. */
static bool applied_count(struct db_tx *tx, const struct step *steps, size_t steps_count,
                          struct arena *arena, enum db_schema_state *state, size_t *applied,
                          struct status *st)
{
    struct db_rows rows = {0};
    if (!tx->db->driver->schema_state(tx, state, st))
        return status_wrap(st, "could not read the schema");
    if (*state == DB_SCHEMA_FOREIGN)
        return status_fail(
            st, STATUS_CONFLICT,
            "the database holds tables of another program: give weir one of its own");
    if (*state == DB_SCHEMA_OURS && !db_query(tx, arena, &rows, st, applied_sql))
        return status_wrap(st, "could not read which migrations were applied");
    for (size_t i = 0; i < rows.count; i++) {
        int64_t version = db_row_int(&rows.row[i], 0);
        struct text name = db_row_text(&rows.row[i], 1);
        if (i >= steps_count)
            return status_fail(st, STATUS_CONFLICT,
                               "the database is newer than this program: it has migration %.*s, "
                               "this program knows %zu: use the newer program",
                               TEXT_ARG(name), steps_count);
        if (version != steps[i].version || !text_equal(name, steps[i].name) ||
            !text_equal(db_row_text(&rows.row[i], 2), text_of(steps[i].sha256)))
            return status_fail(st, STATUS_CONFLICT,
                               "the database was made with another migration %.*s than this "
                               "program's %.*s: use the program that made it, or restore a backup",
                               TEXT_ARG(name), TEXT_ARG(steps[i].name));
    }
    *applied = rows.count;
    return true;
}

static bool step_apply(struct db_tx *tx, const struct step *step, struct status *st)
{
    return db_run_script(tx, step->common, st) &&
           (step->special == NULL || db_run_script(tx, step->special, st)) &&
           db_exec(tx, NULL, st, insert_sql, db_int(step->version), db_text(step->name),
                   db_text(text_of(step->sha256)), db_int(clock_wall_us()));
}
