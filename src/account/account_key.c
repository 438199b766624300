#include "account_key.h"
#include <sodium.h>
#include <stdio.h>
#include "account_internal.h"
#include "clock.h"
#include "db.h"

#define KEY_COLUMNS                                                                                \
    "id, name, hint, created_us, expires_us, used_us, revoked_us, user_id, "                       \
    "(SELECT u.name FROM app_user u WHERE u.id = api_key.user_id)"
/* Within reach, and not revoked. */
#define KEY_REACH                                                                                  \
    "org_id = $org AND project_id = $1 AND ($2 = '' OR user_id = $2) AND "                         \
    "revoked_us IS NULL"

static const char count_sql[] =
    "SELECT count(*) FROM api_key WHERE org_id = $org AND project_id = $1 AND revoked_us IS NULL";
static const char insert_sql[] =
    "INSERT INTO api_key (org_id, project_id, id, user_id, name, hint, pepper_id, digest, "
    "created_us, expires_us) VALUES ($org, $1, $2, $3, $4, $5, $6, $7, $8, $9) "
    "RETURNING " KEY_COLUMNS;
static const char list_sql[] = "SELECT " KEY_COLUMNS " FROM api_key WHERE " KEY_REACH
                               " AND ($4 = '' OR created_us < $3 OR (created_us = $3 AND id < $4)) "
                               "ORDER BY created_us DESC, id DESC LIMIT $5";
static const char get_sql[] = "SELECT " KEY_COLUMNS " FROM api_key WHERE " KEY_REACH " AND id = $3";
static const char rename_sql[] =
    "UPDATE api_key SET name = $4 WHERE " KEY_REACH " AND id = $3 RETURNING " KEY_COLUMNS;
static const char revoke_sql[] =
    "UPDATE api_key SET revoked_us = $4 WHERE " KEY_REACH " AND id = $3";

static const char under_sql[] =
    "SELECT count(*) FROM api_key WHERE pepper_id = $1 AND revoked_us IS NULL "
    "AND (expires_us IS NULL OR expires_us > $2)";

static struct account_key key_from_row(const struct db_row *row);
static bool no_key(struct text key_id, struct status *st);

bool account_key_create(struct account *account, struct text org_id, struct text project_id,
                        struct text user_id, struct text name, int64_t expires_us,
                        struct arena *arena, struct account_key *out, struct text *secret,
                        struct status *st)
{
    char key[ACCOUNT_KEY_BYTES + 1], hint[32];
    struct id id = ids_new("key_");
    struct vault_digest digest;
    struct db_row row;
    int64_t now_us = clock_wall_us();
    if (!account_name_check(name, "name", st))
        return false;
    if (expires_us != 0 && expires_us <= now_us)
        return status_fail_field(st, STATUS_INVALID, "expires_us",
                                 "expires_us must be in the future");
    key_make(key);
    snprintf(hint, sizeof(hint), "%.12s…%s", key, key + ACCOUNT_KEY_BYTES - 4);
    vault_digest(account->vault, VAULT_RING_PEPPER, TEXT("api_key"), text_of(key), &digest);
    AUTO(db_tx) struct db_tx *tx = db_begin(account->db, DB_SCOPE_ORG(org_id), DB_WRITE);
    if (!db_one(tx, arena, &row, st, count_sql, db_text(project_id)))
        return status_wrap(st, "could not count the API keys");
    if (db_row_int(&row, 0) >= account->keys_max)
        return status_fail(st, STATUS_CONFLICT, "the project has %lld API keys: revoke some first",
                           (long long)account->keys_max);
    if (!db_one(tx, arena, &row, st, insert_sql, db_text(project_id), db_text(ids_text(&id)),
                db_text(user_id), db_text(name), db_text(text_of(hint)),
                db_text(text_of(digest.key_id)), db_blob(digest.bytes, sizeof(digest.bytes)),
                db_int(now_us), db_int_or_null(expires_us)) ||
        !db_commit(tx, st))
        return status_wrap(st, "could not make an API key");
    *out = key_from_row(&row);
    *secret = arena_text(arena, text_of(key));
    sodium_memzero(key, sizeof(key));
    return true;
}

bool account_key_list(struct account *account, const struct account_key_reach *reach,
                      int64_t after_us, struct text after_id, int64_t limit, struct arena *arena,
                      struct account_key **out, size_t *count, bool *more, struct status *st)
{
    struct db_rows rows;
    WEIR_ASSERT(limit > 0 && limit < DB_ROWS_MAX);
    if (!db_read(account->db, DB_SCOPE_ORG(reach->org_id), arena, &rows, st, list_sql,
                 db_text(reach->project_id), db_text(reach->user_id), db_int(after_us),
                 db_text(after_id), db_int(limit + 1)))
        return status_wrap(st, "could not list the API keys");
    *more = rows.count > (size_t)limit;
    *count = *more ? (size_t)limit : rows.count;
    struct account_key *keys = ARENA_ARRAY(arena, *count, struct account_key);
    for (size_t i = 0; i < *count; i++)
        keys[i] = key_from_row(&rows.row[i]);
    *out = keys;
    return true;
}

bool account_key_get(struct account *account, const struct account_key_reach *reach,
                     struct text key_id, struct arena *arena, struct account_key *out,
                     struct status *st)
{
    struct db_row row;
    if (!db_read_one(account->db, DB_SCOPE_ORG(reach->org_id), arena, &row, st, get_sql,
                     db_text(reach->project_id), db_text(reach->user_id), db_text(key_id)))
        return st->code == STATUS_NOT_FOUND ? no_key(key_id, st)
                                            : status_wrap(st, "could not read the API key");
    *out = key_from_row(&row);
    return true;
}

bool account_key_rename(struct account *account, const struct account_key_reach *reach,
                        struct text key_id, struct text name, struct arena *arena,
                        struct account_key *out, struct status *st)
{
    struct db_row row;
    if (!account_name_check(name, "name", st))
        return false;
    AUTO(db_tx) struct db_tx *tx = db_begin(account->db, DB_SCOPE_ORG(reach->org_id), DB_WRITE);
    if (!db_one(tx, arena, &row, st, rename_sql, db_text(reach->project_id),
                db_text(reach->user_id), db_text(key_id), db_text(name)))
        return st->code == STATUS_NOT_FOUND ? no_key(key_id, st)
                                            : status_wrap(st, "could not rename the API key");
    if (!db_commit(tx, st))
        return status_wrap(st, "could not rename the API key");
    *out = key_from_row(&row);
    return true;
}

bool account_key_revoke(struct account *account, const struct account_key_reach *reach,
                        struct text key_id, struct status *st)
{
    int64_t changed;
    AUTO(db_tx) struct db_tx *tx = db_begin(account->db, DB_SCOPE_ORG(reach->org_id), DB_WRITE);
    if (!db_exec(tx, &changed, st, revoke_sql, db_text(reach->project_id), db_text(reach->user_id),
                 db_text(key_id), db_int(clock_wall_us())) ||
        !db_commit(tx, st))
        return status_wrap(st, "could not revoke the API key");
    if (changed == 0)
        return no_key(key_id, st);
    cache_drop(&account->keys, key_id);
    return true;
}

static bool no_key(struct text key_id, struct status *st)
{
    return status_fail(st, STATUS_NOT_FOUND, "no API key %.*s", TEXT_ARG(key_id));
}

bool account_key_count_under(struct account *account, struct text pepper_id, int64_t *count,
                             struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    struct db_row row;
    if (!db_read_one(account->db, DB_SCOPE_SYSTEM(DB_SYSTEM_KEY), arena, &row, st, under_sql,
                     db_text(pepper_id), db_int(clock_wall_us())))
        return status_wrap(st, "could not count the API keys under pepper %.*s",
                           TEXT_ARG(pepper_id));
    *count = db_row_int(&row, 0);
    return true;
}

static struct account_key key_from_row(const struct db_row *row)
{
    return (struct account_key){.id = db_row_text(row, 0),
                                .name = db_row_text(row, 1),
                                .hint = db_row_text(row, 2),
                                .created_us = db_row_int(row, 3),
                                .expires_us = db_row_int(row, 4),
                                .used_us = db_row_int(row, 5),
                                .revoked_us = db_row_int(row, 6),
                                .user_id = db_row_text(row, 7),
                                .user_name = db_row_text(row, 8)};
}
