#include "relay_store.h"
#include "clock.h"
#include "ids.h"
#include "relay_rules.h"
#include "relay_tasks.h"

static const char version_sql[] = "SELECT version FROM relay_version WHERE only_one = 1";
static const char changed_sql[] =
    "UPDATE relay_version SET version = version + 1 WHERE only_one = 1";

#define UPSTREAM_COLUMNS "id, name, base_url, api_key, enabled, managed, created_us"
static const char upstreams_sql[] = "SELECT " UPSTREAM_COLUMNS " FROM upstream WHERE org_id = '' "
                                    "ORDER BY created_us, id LIMIT 1000";
static const char upstream_sql[] =
    "SELECT " UPSTREAM_COLUMNS " FROM upstream WHERE org_id = '' AND id = $1";
static const char upstream_named_sql[] =
    "SELECT id FROM upstream WHERE org_id = '' AND name = $1 AND id <> $2";
static const char upstream_add_sql[] =
    "INSERT INTO upstream (org_id, id, name, base_url, api_key, enabled, managed, created_us) "
    "VALUES ('', $1, $2, $3, $4, $5, $6, $7)";
static const char upstream_change_sql[] =
    "UPDATE upstream SET name = $2, base_url = $3, api_key = $4, enabled = $5, managed = $6 "
    "WHERE org_id = '' AND id = $1";
static const char upstream_reseal_sql[] =
    "UPDATE upstream SET api_key = $2 WHERE org_id = '' AND id = $1 AND api_key = $3";
static const char upstream_count_sql[] = "SELECT COUNT(*) FROM upstream WHERE org_id = ''";
static const char upstream_used_sql[] =
    "SELECT COUNT(*) FROM model WHERE org_id = '' AND upstream_id = $1";
static const char upstream_remove_sql[] = "DELETE FROM upstream WHERE org_id = '' AND id = $1";
static const char upstream_by_name_sql[] =
    "SELECT " UPSTREAM_COLUMNS " FROM upstream WHERE org_id = '' AND name = $1";
static const char upstreams_unmanage_sql[] =
    "UPDATE upstream SET managed = $1 WHERE org_id = '' AND managed = $2";

#define MODEL_COLUMNS                                                                              \
    "id, name, kind, path, upstream_id, upstream_model, context_tokens, enabled, managed, "        \
    "created_us, tasks, pinned"
static const char models_sql[] = "SELECT " MODEL_COLUMNS " FROM model WHERE org_id = '' AND "
                                 "project_id = '' ORDER BY created_us, id LIMIT 5000";
static const char model_sql[] =
    "SELECT " MODEL_COLUMNS " FROM model WHERE org_id = '' AND project_id = '' AND id = $1";
static const char model_add_sql[] =
    "INSERT INTO model (org_id, project_id, id, name, kind, path, upstream_id, upstream_model, "
    "context_tokens, enabled, managed, created_us, tasks, pinned) "
    "VALUES ('', '', $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
static const char model_change_sql[] =
    "UPDATE model SET name = $2, kind = $3, path = $4, upstream_id = $5, upstream_model = $6, "
    "context_tokens = $7, enabled = $8, managed = $9, tasks = $10, pinned = $11 "
    "WHERE org_id = '' AND project_id = '' AND id = $1";
static const char model_count_sql[] = "SELECT COUNT(*) FROM model WHERE org_id = ''";
static const char model_remove_sql[] =
    "DELETE FROM model WHERE org_id = '' AND project_id = '' AND id = $1";
static const char models_unmanage_sql[] =
    "UPDATE model SET managed = $1 WHERE org_id = '' AND managed = $2";

static struct db_tx *begin(struct relay_store *store, enum db_mode mode);
static bool finish(struct db_tx *tx, struct status *st);
static bool room(struct db_tx *tx, struct arena *arena, const char *sql, int64_t max,
                 struct status *st);
static struct relay_upstream_row upstream_from_row(const struct db_row *row);
static struct relay_model_row model_from_row(const struct db_row *row);
static struct db_param theirs_of(const struct relay_model_row *row);
static bool upstream_get(struct db_tx *tx, struct text id, struct arena *arena,
                         struct relay_upstream_row *out, struct status *st);
static bool upstream_insert(struct db_tx *tx, const struct relay_upstream_row *row,
                            struct arena *arena, struct status *st);
static bool upstream_update(struct db_tx *tx, const struct relay_upstream_row *row,
                            struct arena *arena, struct status *st);
static bool model_insert(struct db_tx *tx, const struct relay_model_row *row, struct arena *arena,
                         struct status *st);
static bool model_update(struct db_tx *tx, const struct relay_model_row *row, struct arena *arena,
                         struct status *st);
static bool seal(struct relay_store *store, struct text id, struct text api_key,
                 struct arena *arena, struct text *out, struct status *st);
static bool seed_upstream(struct db_tx *tx, struct relay_upstream_row *row, struct arena *arena,
                          struct status *st);
static bool seed_model(struct db_tx *tx, struct relay_model_row *row, bool pinned_said,
                       struct arena *arena, struct status *st);

bool relay_store_version(struct relay_store *store, int64_t *version, struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(4 * KIB);
    struct db_row row;
    if (!db_read_one(store->db, DB_SCOPE_SYSTEM(DB_SYSTEM_CATALOG), arena, &row, st, version_sql))
        return status_wrap(st, "could not read the version of the models");
    *version = db_row_int(&row, 0);
    return true;
}

bool relay_store_load(struct relay_store *store, struct arena *arena, struct relay_rows *out,
                      struct status *st)
{
    AUTO(db_tx) struct db_tx *tx = begin(store, DB_READ);
    struct db_rows upstreams, models;
    struct db_row version;
    if (!db_one(tx, arena, &version, st, version_sql) ||
        !db_query(tx, arena, &upstreams, st, upstreams_sql) ||
        !db_query(tx, arena, &models, st, models_sql))
        return status_wrap(st, "could not read models and upstreams");
    struct relay_rows rows = {
        .version = db_row_int(&version, 0),
        .upstreams = ARENA_ARRAY(arena, upstreams.count, struct relay_upstream_row),
        .models = ARENA_ARRAY(arena, models.count, struct relay_model_row),
        .upstreams_count = upstreams.count,
        .models_count = models.count,
    };
    for (size_t i = 0; i < upstreams.count; i++)
        rows.upstreams[i] = upstream_from_row(&upstreams.row[i]);
    for (size_t i = 0; i < models.count; i++)
        rows.models[i] = model_from_row(&models.row[i]);
    *out = rows;
    return true;
}

bool relay_store_upstream_add(struct relay_store *store, struct relay_upstream_row *row,
                              struct text api_key, struct arena *arena, struct status *st)
{
    struct id id = ids_new("ups_");
    if (!relay_rules_name(row->name, "name", st) ||
        !relay_rules_base_url(row->base_url, store->plain_anywhere, st) ||
        !relay_rules_api_key(api_key, st))
        return false;
    row->id = arena_text(arena, ids_text(&id));
    row->created_us = clock_wall_us();
    if (!seal(store, row->id, api_key, arena, &row->api_key_sealed, st))
        return false;
    AUTO(db_tx) struct db_tx *tx = begin(store, DB_WRITE);
    return room(tx, arena, upstream_count_sql, RELAY_UPSTREAMS_MAX, st) &&
           upstream_insert(tx, row, arena, st) && finish(tx, st);
}

bool relay_store_model_add(struct relay_store *store, struct relay_model_row *row,
                           struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    if (!relay_rules_model(row, st))
        return false;
    row->created_us = clock_wall_us();
    AUTO(db_tx) struct db_tx *tx = begin(store, DB_WRITE);
    return room(tx, arena, model_count_sql, RELAY_MODELS_MAX, st) &&
           model_insert(tx, row, arena, st) && finish(tx, st);
}

bool relay_store_upstream_change(struct relay_store *store, struct text id,
                                 const struct relay_upstream_change *change, struct arena *arena,
                                 struct relay_upstream_row *out, struct status *st)
{
    struct text sealed = TEXT_NONE;
    if ((change->name != NULL && !relay_rules_name(*change->name, "name", st)) ||
        (change->base_url != NULL &&
         !relay_rules_base_url(*change->base_url, store->plain_anywhere, st)) ||
        (change->api_key != NULL && (!relay_rules_api_key(*change->api_key, st) ||
                                     !seal(store, id, *change->api_key, arena, &sealed, st))))
        return false;
    AUTO(db_tx) struct db_tx *tx = begin(store, DB_WRITE);
    struct relay_upstream_row row;
    if (!upstream_get(tx, id, arena, &row, st))
        return false;
    if (row.managed &&
        (change->name != NULL || change->base_url != NULL || change->api_key != NULL))
        return status_fail_field(st, STATUS_CONFLICT, "managed",
                                 "upstream %.*s comes from the configuration: change it there",
                                 TEXT_ARG(row.name));
    if (change->base_url != NULL && !text_equal(*change->base_url, row.base_url))
        row.api_key_sealed = TEXT_NONE;
    if (change->api_key != NULL)
        row.api_key_sealed = sealed;
    row.name = change->name != NULL ? *change->name : row.name;
    row.base_url = change->base_url != NULL ? *change->base_url : row.base_url;
    row.enabled = change->enabled != NULL ? *change->enabled : row.enabled;
    if (!upstream_update(tx, &row, arena, st) || !finish(tx, st))
        return false;
    *out = row;
    return true;
}

bool relay_store_model_change(struct relay_store *store, struct text id,
                              const struct relay_model_change *change, struct arena *arena,
                              struct relay_model_row *out, struct status *st)
{
    if (change->name != NULL && !relay_rules_name(*change->name, "name", st))
        return false;
    AUTO(db_tx) struct db_tx *tx = begin(store, DB_WRITE);
    struct db_row found;
    if (!db_one(tx, arena, &found, st, model_sql, db_text(id)))
        return status_wrap(st, "no model %.*s", TEXT_ARG(id));
    struct relay_model_row row = model_from_row(&found);
    if (row.managed && (change->name != NULL || change->tasks != NULL))
        return status_fail_field(st, STATUS_CONFLICT, "managed",
                                 "model %.*s comes from the configuration: change it there",
                                 TEXT_ARG(id));
    row.name = change->name != NULL ? *change->name : row.name;
    row.enabled = change->enabled != NULL ? *change->enabled : row.enabled;
    row.pinned = change->pinned != NULL ? *change->pinned : row.pinned;
    row.tasks = change->tasks != NULL ? *change->tasks : row.tasks;
    if (!relay_rules_model(&row, st) || !model_update(tx, &row, arena, st) || !finish(tx, st))
        return false;
    *out = row;
    return true;
}

bool relay_store_upstream_remove(struct relay_store *store, struct text id, struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    AUTO(db_tx) struct db_tx *tx = begin(store, DB_WRITE);
    struct relay_upstream_row row;
    struct db_row used;
    if (!upstream_get(tx, id, arena, &row, st))
        return false;
    if (row.managed)
        return status_fail_field(st, STATUS_CONFLICT, "managed",
                                 "upstream %.*s comes from the configuration: remove it there",
                                 TEXT_ARG(row.name));
    if (!db_one(tx, arena, &used, st, upstream_used_sql, db_text(id)))
        return false;
    if (db_row_int(&used, 0) > 0)
        return status_fail_field(st, STATUS_CONFLICT, "models",
                                 "upstream %.*s still has %lld models", TEXT_ARG(row.name),
                                 (long long)db_row_int(&used, 0));
    return db_exec(tx, NULL, st, upstream_remove_sql, db_text(id)) && finish(tx, st);
}

bool relay_store_model_remove(struct relay_store *store, struct text id, struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    AUTO(db_tx) struct db_tx *tx = begin(store, DB_WRITE);
    struct db_row found;
    if (!db_one(tx, arena, &found, st, model_sql, db_text(id)))
        return status_wrap(st, "no model %.*s", TEXT_ARG(id));
    if (model_from_row(&found).managed)
        return status_fail_field(st, STATUS_CONFLICT, "managed",
                                 "model %.*s comes from the configuration: remove it there",
                                 TEXT_ARG(id));
    return db_exec(tx, NULL, st, model_remove_sql, db_text(id)) && finish(tx, st);
}

bool relay_store_seed(struct relay_store *store, const struct relay_seed *seed, struct arena *arena,
                      struct status *st)
{
    /* Keys are sealed first: that may read the database, which a write transaction must not do.
     * A seal names its row, so an upstream that is there already must be found before. */
    for (size_t i = 0; i < seed->upstreams_count; i++) {
        struct relay_upstream_row *row = &seed->upstreams[i];
        struct db_row found;
        struct id fresh = ids_new("ups_");
        row->id = arena_text(arena, ids_text(&fresh));
        if (db_read_one(store->db, DB_SCOPE_SYSTEM(DB_SYSTEM_CATALOG), arena, &found, st,
                        upstream_by_name_sql, db_text(row->name)))
            row->id = upstream_from_row(&found).id;
        else if (st->code != STATUS_NOT_FOUND)
            return status_wrap(st, "could not look up upstream %.*s", TEXT_ARG(row->name));
        if (!relay_rules_name(row->name, "name", st) ||
            !relay_rules_base_url(row->base_url, store->plain_anywhere, st) ||
            !relay_rules_api_key(seed->api_keys[i], st) ||
            !seal(store, row->id, seed->api_keys[i], arena, &row->api_key_sealed, st))
            return status_wrap(st, "upstream %.*s of the configuration", TEXT_ARG(row->name));
    }
    AUTO(db_tx) struct db_tx *tx = begin(store, DB_WRITE);
    if (!db_exec(tx, NULL, st, models_unmanage_sql, db_bool(false), db_bool(true)) ||
        !db_exec(tx, NULL, st, upstreams_unmanage_sql, db_bool(false), db_bool(true)))
        return false;
    for (size_t i = 0; i < seed->upstreams_count; i++)
        if (!seed_upstream(tx, &seed->upstreams[i], arena, st))
            return status_wrap(st, "upstream %.*s of the configuration",
                               TEXT_ARG(seed->upstreams[i].name));
    for (size_t i = 0; i < seed->models_count; i++)
        if (!seed_model(tx, &seed->models[i], seed->pinned_said[i], arena, st))
            return status_wrap(st, "model %.*s of the configuration", TEXT_ARG(seed->models[i].id));
    return finish(tx, st);
}

bool relay_store_open_key(struct relay_store *store, const struct relay_upstream_row *row,
                          struct arena *arena, struct text *out, struct status *st)
{
    struct vault_place place = {TEXT("upstream"), TEXT("api_key"), TEXT(""), row->id};
    AUTO(vault_key) struct vault_key *key = NULL;
    *out = TEXT("");
    if (row->api_key_sealed.len == 0)
        return true;
    if (!vault_key_take(store->vault, store->db, TEXT(""), TEXT(""), &key, st) ||
        !vault_open_sealed(key, place, row->api_key_sealed, arena, out, st))
        return status_wrap(st, "could not open the key of upstream %.*s", TEXT_ARG(row->name));
    return true;
}

bool relay_store_reseal(struct relay_store *store, struct arena *arena, int64_t *changed,
                        struct status *st)
{
    struct relay_rows rows;
    AUTO(vault_key) struct vault_key *key = NULL;
    *changed = 0;
    if (!relay_store_load(store, arena, &rows, st) ||
        !vault_key_take(store->vault, store->db, TEXT(""), TEXT(""), &key, st))
        return false;
    for (size_t i = 0; i < rows.upstreams_count; i++) {
        const struct relay_upstream_row *row = &rows.upstreams[i];
        struct text sealed = row->api_key_sealed, plain, anew;
        int64_t done;
        if (sealed.len == 0 || vault_sealed_newest(key, sealed))
            continue;
        if (!relay_store_open_key(store, row, arena, &plain, st) ||
            !seal(store, row->id, plain, arena, &anew, st))
            return false;
        /* Nothing that is loaded changes by it; a key that was changed meanwhile is the newer. */
        AUTO(db_tx) struct db_tx *tx = begin(store, DB_WRITE);
        if (!db_exec(tx, &done, st, upstream_reseal_sql, db_text(row->id),
                     db_blob(anew.at, anew.len), db_blob(sealed.at, sealed.len)) ||
            !db_commit(tx, st))
            return status_wrap(st, "could not seal the key of upstream %.*s anew",
                               TEXT_ARG(row->name));
        *changed += done;
    }
    return true;
}

/* --- transactions ----------------------------------------------------------------------------- */

static struct db_tx *begin(struct relay_store *store, enum db_mode mode)
{
    return db_begin(store->db, DB_SCOPE_SYSTEM(DB_SYSTEM_CATALOG), mode);
}

static bool finish(struct db_tx *tx, struct status *st)
{
    if (!db_exec(tx, NULL, st, changed_sql) || !db_commit(tx, st))
        return status_wrap(st, "could not store models and upstreams");
    return true;
}

static bool room(struct db_tx *tx, struct arena *arena, const char *sql, int64_t max,
                 struct status *st)
{
    struct db_row count;
    if (!db_one(tx, arena, &count, st, sql))
        return false;
    if (db_row_int(&count, 0) >= max)
        return status_fail(st, STATUS_CONFLICT, "there are %lld already, the most allowed",
                           (long long)max);
    return true;
}

/* --- rows ------------------------------------------------------------------------------------- */

static struct relay_upstream_row upstream_from_row(const struct db_row *row)
{
    return (struct relay_upstream_row){
        .id = db_row_text(row, 0),
        .name = db_row_text(row, 1),
        .base_url = db_row_text(row, 2),
        .api_key_sealed = db_row_blob(row, 3),
        .enabled = db_row_bool(row, 4),
        .managed = db_row_bool(row, 5),
        .created_us = db_row_int(row, 6),
    };
}

static struct relay_model_row model_from_row(const struct db_row *row)
{
    bool local = text_equal(db_row_text(row, 2), TEXT("local"));
    struct status ignored;
    unsigned tasks;
    if (!relay_tasks_read(db_row_text(row, 10), &tasks, &ignored)) /* of a later version */
        tasks = 0;
    return (struct relay_model_row){
        .id = db_row_text(row, 0),
        .name = db_row_text(row, 1),
        .local = local,
        .path = db_row_text(row, 3),
        .upstream_id = db_row_text(row, 4),
        .base = local ? db_row_text(row, 5) : TEXT_NONE,
        .upstream_model = local ? TEXT_NONE : db_row_text(row, 5),
        .context_tokens = db_row_int(row, 6),
        .enabled = db_row_bool(row, 7),
        .managed = db_row_bool(row, 8),
        .created_us = db_row_int(row, 9),
        .tasks = tasks,
        .pinned = db_row_bool(row, 11),
    };
}

/* The column upstream_model: by what the one who serves it knows it, or what it is an adapter of.
 */
static struct db_param theirs_of(const struct relay_model_row *row)
{
    return db_text_or_null(row->local ? row->base : row->upstream_model);
}

static bool upstream_get(struct db_tx *tx, struct text id, struct arena *arena,
                         struct relay_upstream_row *out, struct status *st)
{
    struct db_row row;
    if (!db_one(tx, arena, &row, st, upstream_sql, db_text(id)))
        return status_wrap(st, "no upstream %.*s", TEXT_ARG(id));
    *out = upstream_from_row(&row);
    return true;
}

/* Names are unique; asked for before, so that the answer can name the field. */
static bool upstream_name_free(struct db_tx *tx, const struct relay_upstream_row *row,
                               struct arena *arena, struct status *st)
{
    struct db_rows taken;
    if (!db_query(tx, arena, &taken, st, upstream_named_sql, db_text(row->name), db_text(row->id)))
        return false;
    if (taken.count > 0)
        return status_fail_field(st, STATUS_CONFLICT, "name",
                                 "there is another upstream named %.*s", TEXT_ARG(row->name));
    return true;
}

static struct db_param sealed_param(struct text sealed)
{
    return sealed.len > 0 ? db_blob(sealed.at, sealed.len) : db_null();
}

static bool upstream_insert(struct db_tx *tx, const struct relay_upstream_row *row,
                            struct arena *arena, struct status *st)
{
    return upstream_name_free(tx, row, arena, st) &&
           db_exec(tx, NULL, st, upstream_add_sql, db_text(row->id), db_text(row->name),
                   db_text(row->base_url), sealed_param(row->api_key_sealed), db_bool(row->enabled),
                   db_bool(row->managed), db_int(row->created_us));
}

static bool upstream_update(struct db_tx *tx, const struct relay_upstream_row *row,
                            struct arena *arena, struct status *st)
{
    return upstream_name_free(tx, row, arena, st) &&
           db_exec(tx, NULL, st, upstream_change_sql, db_text(row->id), db_text(row->name),
                   db_text(row->base_url), sealed_param(row->api_key_sealed), db_bool(row->enabled),
                   db_bool(row->managed));
}

static bool model_insert(struct db_tx *tx, const struct relay_model_row *row, struct arena *arena,
                         struct status *st)
{
    struct db_rows taken;
    struct relay_upstream_row upstream;
    if (!db_query(tx, arena, &taken, st, model_sql, db_text(row->id)))
        return false;
    if (taken.count > 0)
        return status_fail_field(st, STATUS_CONFLICT, "id", "there is a model %.*s already",
                                 TEXT_ARG(row->id));
    if (!row->local && !upstream_get(tx, row->upstream_id, arena, &upstream, st))
        return status_fail_field(st, STATUS_NOT_FOUND, "upstream_id", "no upstream %.*s",
                                 TEXT_ARG(row->upstream_id));
    return db_exec(tx, NULL, st, model_add_sql, db_text(row->id), db_text(row->name),
                   db_text(row->local ? TEXT("local") : TEXT("upstream")),
                   db_text_or_null(row->path), db_text_or_null(row->upstream_id), theirs_of(row),
                   db_int_or_null(row->context_tokens), db_bool(row->enabled),
                   db_bool(row->managed), db_int(row->created_us),
                   db_text(relay_tasks_text(row->tasks, arena)), db_bool(row->pinned));
}

static bool model_update(struct db_tx *tx, const struct relay_model_row *row, struct arena *arena,
                         struct status *st)
{
    return db_exec(tx, NULL, st, model_change_sql, db_text(row->id), db_text(row->name),
                   db_text(row->local ? TEXT("local") : TEXT("upstream")),
                   db_text_or_null(row->path), db_text_or_null(row->upstream_id), theirs_of(row),
                   db_int_or_null(row->context_tokens), db_bool(row->enabled),
                   db_bool(row->managed), db_text(relay_tasks_text(row->tasks, arena)),
                   db_bool(row->pinned));
}

static bool seal(struct relay_store *store, struct text id, struct text api_key,
                 struct arena *arena, struct text *out, struct status *st)
{
    struct vault_place place = {TEXT("upstream"), TEXT("api_key"), TEXT(""), id};
    AUTO(vault_key) struct vault_key *key = NULL;
    *out = TEXT_NONE;
    if (api_key.len == 0)
        return true;
    if (!vault_key_take(store->vault, store->db, TEXT(""), TEXT(""), &key, st))
        return status_wrap(st, "could not seal the key of an upstream");
    *out = vault_seal(key, place, api_key, arena);
    return true;
}

/* --- the configuration's rows ------------------------------------------------------------------
 */

static bool seed_upstream(struct db_tx *tx, struct relay_upstream_row *row, struct arena *arena,
                          struct status *st)
{
    struct db_row found;
    row->managed = true;
    row->enabled = true;
    row->created_us = clock_wall_us();
    if (!db_one(tx, arena, &found, st, upstream_sql, db_text(row->id))) {
        if (st->code != STATUS_NOT_FOUND)
            return false;
        return upstream_insert(tx, row, arena, st);
    }
    row->enabled = upstream_from_row(&found).enabled;
    return upstream_update(tx, row, arena, st);
}

static bool seed_model(struct db_tx *tx, struct relay_model_row *row, bool pinned_said,
                       struct arena *arena, struct status *st)
{
    struct db_row found;
    if (!row->local) {
        if (!db_one(tx, arena, &found, st, upstream_by_name_sql, db_text(row->upstream_id)))
            return status_fail_field(st, STATUS_INVALID, "upstream", "no upstream named %.*s",
                                     TEXT_ARG(row->upstream_id));
        row->upstream_id = upstream_from_row(&found).id;
    }
    row->managed = true;
    row->enabled = true;
    row->created_us = clock_wall_us();
    if (!relay_rules_model(row, st))
        return false;
    if (!db_one(tx, arena, &found, st, model_sql, db_text(row->id))) {
        if (st->code != STATUS_NOT_FOUND)
            return false;
        return model_insert(tx, row, arena, st);
    }
    struct relay_model_row old = model_from_row(&found);
    row->enabled = old.enabled;
    if (!pinned_said)
        row->pinned = row->local && old.local && old.pinned;
    return model_update(tx, row, arena, st);
}
