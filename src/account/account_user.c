#include "account_user.h"
#include <sodium.h>
#include "account_internal.h"
#include "clock.h"
#include "db.h"

#define ADMIN DB_SCOPE_SYSTEM(DB_SYSTEM_ADMIN)
#define USER_COLUMNS "u.id, u.email, u.name, m.role, u.disabled_us, u.created_us, u.password_us"

static const char me_sql[] =
    "SELECT " USER_COLUMNS ", o.id, o.name, p.id, p.name FROM membership m "
    "JOIN app_user u ON u.id = m.user_id JOIN organisation o ON o.id = m.org_id "
    "JOIN project p ON p.org_id = m.org_id AND p.is_default "
    "WHERE m.org_id = $org AND m.user_id = $1";
static const char by_email_sql[] =
    "SELECT " USER_COLUMNS " FROM membership m JOIN app_user u ON u.id = m.user_id "
    "WHERE m.org_id = $org AND u.email_key = $1";
static const char list_sql[] =
    "SELECT " USER_COLUMNS " FROM membership m JOIN app_user u ON u.id = m.user_id "
    "WHERE m.org_id = $org ORDER BY m.created_us, m.user_id LIMIT 1000 OFFSET $1";
static const char user_insert_sql[] =
    "INSERT INTO app_user (id, email, email_key, name, password, password_us, created_us) "
    "VALUES ($1, $2, $3, $4, $5, $6, $6)";
static const char member_insert_sql[] =
    "INSERT INTO membership (org_id, user_id, role, created_us) VALUES ($1, $2, $3, $4)";
static const char rename_sql[] = "UPDATE app_user SET name = $2 WHERE id = $1";
static const char credentials_sql[] =
    "SELECT email, email_key, password FROM app_user WHERE id = $1";
static const char password_sql[] =
    "UPDATE app_user SET password = $2, password_us = $3 WHERE id = $1";
static const char sessions_end_sql[] = "DELETE FROM session WHERE user_id = $1 AND id <> $2";
static const char disable_sql[] = "UPDATE app_user SET disabled_us = $2 WHERE id = $1";
static const char only_owner_sql[] =
    "SELECT 1 FROM membership m WHERE m.user_id = $1 AND m.role = 'owner' AND NOT EXISTS "
    "(SELECT 1 FROM membership o JOIN app_user u ON u.id = o.user_id WHERE o.org_id = m.org_id "
    "AND o.role = 'owner' AND o.user_id <> $1 AND u.disabled_us IS NULL) LIMIT 1";

static struct account_user user_from_row(const struct db_row *row);
static bool current_check(struct account *account, struct text current, struct text stored,
                          struct status *st);
static bool password_write(struct account *account, struct text user_id, const char *hash,
                           struct text keep_session_id, struct status *st);

bool account_me_get(struct account *account, struct text org_id, struct text user_id,
                    struct arena *arena, struct account_me *out, struct status *st)
{
    struct db_row row;
    if (!db_read_one(account->db, DB_SCOPE_ORG(org_id), arena, &row, st, me_sql, db_text(user_id)))
        return status_wrap(st, "could not read user %.*s", TEXT_ARG(user_id));
    *out = (struct account_me){.user = user_from_row(&row),
                               .org_id = db_row_text(&row, 7),
                               .org_name = db_row_text(&row, 8),
                               .project_id = db_row_text(&row, 9),
                               .project_name = db_row_text(&row, 10)};
    return true;
}

bool account_user_by_email(struct account *account, struct text org_id, struct text email,
                           struct arena *arena, struct account_user *out, struct status *st)
{
    struct db_row row;
    if (!account_email_check(email, "email", st))
        return false;
    if (!db_read_one(account->db, DB_SCOPE_ORG(org_id), arena, &row, st, by_email_sql,
                     db_text(email_key(email, arena))))
        return status_wrap(st, "could not find user %.*s", TEXT_ARG(email));
    *out = user_from_row(&row);
    return true;
}

bool account_user_list(struct account *account, struct text org_id, int64_t skip,
                       struct arena *arena, struct account_user **out, size_t *count,
                       struct status *st)
{
    struct db_rows rows;
    if (!db_read(account->db, DB_SCOPE_ORG(org_id), arena, &rows, st, list_sql, db_int(skip)))
        return status_wrap(st, "could not list users");
    struct account_user *users = ARENA_ARRAY(arena, rows.count, struct account_user);
    for (size_t i = 0; i < rows.count; i++)
        users[i] = user_from_row(&rows.row[i]);
    *out = users;
    *count = rows.count;
    return true;
}

bool account_user_add(struct account *account, struct text org_id, struct text email,
                      struct text name, struct text password, enum account_role role,
                      struct id *out, struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    char hash[HASH_BYTES_MAX];
    struct id id = ids_new("usr_");
    struct text role_name = text_of(account_role_name(role));
    if (!account_email_check(email, "email", st) || !account_name_check(name, "name", st) ||
        !account_password_check(password, email, "password", st) ||
        !hash_make(&account->gate, password, hash, st))
        return false;
    struct db_param now = db_int(clock_wall_us()), user = db_text(ids_text(&id));
    AUTO(db_tx) struct db_tx *tx = db_begin(account->db, ADMIN, DB_WRITE);
    if (!db_exec(tx, NULL, st, user_insert_sql, user, db_text(email),
                 db_text(email_key(email, arena)), db_text(name), db_text(text_of(hash)), now))
        return st->code == STATUS_CONFLICT
                   ? status_fail_field(st, STATUS_CONFLICT, "email", "%.*s has an account already",
                                       TEXT_ARG(email))
                   : status_wrap(st, "could not add user %.*s", TEXT_ARG(email));
    if (!db_exec(tx, NULL, st, member_insert_sql, db_text(org_id), user, db_text(role_name), now) ||
        !vault_user_key_make(account->vault, tx, org_id, ids_text(&id), st) || !db_commit(tx, st))
        return status_wrap(st, "could not add user %.*s", TEXT_ARG(email));
    *out = id;
    return true;
}

bool account_user_rename(struct account *account, struct text user_id, struct text name,
                         struct status *st)
{
    int64_t changed;
    if (!account_name_check(name, "name", st))
        return false;
    AUTO(db_tx)
    struct db_tx *tx = db_begin(account->db, DB_SCOPE_SYSTEM(DB_SYSTEM_SIGN_IN), DB_WRITE);
    if (!db_exec(tx, &changed, st, rename_sql, db_text(user_id), db_text(name)) ||
        !db_commit(tx, st))
        return status_wrap(st, "could not rename user %.*s", TEXT_ARG(user_id));
    return changed > 0 || status_fail(st, STATUS_NOT_FOUND, "no user %.*s", TEXT_ARG(user_id));
}

bool account_user_change_password(struct account *account, struct text user_id, struct text current,
                                  struct text fresh, struct text keep_session_id,
                                  struct text address, struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    char hash[HASH_BYTES_MAX];
    struct db_row row;
    struct throttle_turn turn;
    if (!db_read_one(account->db, DB_SCOPE_SYSTEM(DB_SYSTEM_SIGN_IN), arena, &row, st,
                     credentials_sql, db_text(user_id)))
        return status_wrap(st, "could not read user %.*s", TEXT_ARG(user_id));
    struct text email = db_row_text(&row, 0), key = db_row_text(&row, 1);
    if (!account_password_check(fresh, email, "new_password", st) ||
        !throttle_begin(&account->throttle, key, address, &turn, st)) /* waits */
        return false;
    bool right = current_check(account, current, db_row_text(&row, 2), st);
    throttle_end(&account->throttle, &turn, throttle_outcome_of(right, STATUS_INVALID, st));
    if (!right)
        return false;
    return hash_make(&account->gate, fresh, hash, st) &&
           password_write(account, user_id, hash, keep_session_id, st);
}

static bool current_check(struct account *account, struct text current, struct text stored,
                          struct status *st)
{
    bool right, weak;
    if (!hash_check(&account->gate, text_take(current, ACCOUNT_PASSWORD_BYTES_MAX), stored, &right,
                    &weak, st))
        return false;
    if (!right || current.len > ACCOUNT_PASSWORD_BYTES_MAX)
        return status_fail_field(st, STATUS_INVALID, "current_password",
                                 "the current password is not right");
    return true;
}

bool account_user_set_password(struct account *account, struct text user_id, struct text fresh,
                               struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    char hash[HASH_BYTES_MAX];
    struct db_row row;
    if (!db_read_one(account->db, ADMIN, arena, &row, st, credentials_sql, db_text(user_id)))
        return status_wrap(st, "could not read user %.*s", TEXT_ARG(user_id));
    return account_password_check(fresh, db_row_text(&row, 0), "password", st) &&
           hash_make(&account->gate, fresh, hash, st) &&
           password_write(account, user_id, hash, TEXT_NONE, st);
}

static bool password_write(struct account *account, struct text user_id, const char *hash,
                           struct text keep_session_id, struct status *st)
{
    AUTO(db_tx)
    struct db_tx *tx = db_begin(account->db, DB_SCOPE_SYSTEM(DB_SYSTEM_SIGN_IN), DB_WRITE);
    bool ok = db_exec(tx, NULL, st, password_sql, db_text(user_id), db_text(text_of(hash)),
                      db_int(clock_wall_us())) &&
              db_exec(tx, NULL, st, sessions_end_sql, db_text(user_id), db_text(keep_session_id)) &&
              db_commit(tx, st);
    return ok || status_wrap(st, "could not change the password of %.*s", TEXT_ARG(user_id));
}

bool account_user_disable(struct account *account, struct text user_id, bool disable,
                          struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    struct db_rows rows = {0};
    int64_t changed;
    AUTO(db_tx) struct db_tx *tx = db_begin(account->db, ADMIN, DB_WRITE);
    struct db_param user = db_text(user_id);
    if ((disable && !db_query(tx, arena, &rows, st, only_owner_sql, user)) ||
        !db_exec(tx, &changed, st, disable_sql, user,
                 disable ? db_int(clock_wall_us()) : db_null()) ||
        (disable && !db_exec(tx, NULL, st, sessions_end_sql, user, db_text(TEXT_NONE))))
        return status_wrap(st, "could not change user %.*s", TEXT_ARG(user_id));
    if (changed == 0)
        return status_fail(st, STATUS_NOT_FOUND, "no user %.*s", TEXT_ARG(user_id));
    if (rows.count > 0)
        return status_fail(st, STATUS_CONFLICT, "%.*s is the only owner: make another one first",
                           TEXT_ARG(user_id));
    if (!db_commit(tx, st))
        return status_wrap(st, "could not change user %.*s", TEXT_ARG(user_id));
    cache_drop(&account->keys, TEXT_NONE); /* rare: all keys are asked for anew */
    return true;
}

static struct account_user user_from_row(const struct db_row *row)
{
    return (struct account_user){.id = db_row_text(row, 0),
                                 .email = db_row_text(row, 1),
                                 .name = db_row_text(row, 2),
                                 .role = role_from(db_row_text(row, 3)),
                                 .disabled = !db_row_null(row, 4),
                                 .disabled_us = db_row_int(row, 4),
                                 .created_us = db_row_int(row, 5),
                                 .password_us = db_row_int(row, 6)};
}
