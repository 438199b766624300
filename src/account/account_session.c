#include "account_session.h"
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include "account_internal.h"
#include "clock.h"
#include "db.h"

#define SIGN_IN DB_SCOPE_SYSTEM(DB_SYSTEM_SIGN_IN)

static const char user_find_sql[] =
    "SELECT u.id, u.password, u.disabled_us, m.org_id, m.role, p.id, o.weight FROM app_user u "
    "JOIN membership m ON m.user_id = u.id JOIN organisation o ON o.id = m.org_id "
    "JOIN project p ON p.org_id = m.org_id AND p.is_default "
    "WHERE u.email_key = $1 ORDER BY m.created_us LIMIT 1";
static const char rehash_sql[] =
    "UPDATE app_user SET password = $2 WHERE id = $1 AND password = $3";
static const char insert_sql[] =
    "INSERT INTO session (org_id, id, user_id, token_sha256, created_us, seen_us, address, "
    "user_agent) VALUES ($1, $2, $3, $4, $5, $5, $6, $7)";
static const char trim_sql[] =
    "DELETE FROM session WHERE org_id = $1 AND user_id = $2 AND id NOT IN (SELECT s.id FROM "
    "session "
    "s WHERE s.org_id = $1 AND s.user_id = $2 ORDER BY s.seen_us DESC, s.id DESC LIMIT $3)";
static const char check_sql[] =
    "SELECT s.org_id, p.id, s.user_id, s.id, m.role, s.seen_us, o.weight FROM session s "
    "JOIN membership m ON m.org_id = s.org_id AND m.user_id = s.user_id "
    "JOIN organisation o ON o.id = s.org_id "
    "JOIN app_user u ON u.id = s.user_id JOIN project p ON p.org_id = s.org_id AND p.is_default "
    "WHERE s.token_sha256 = $1 AND u.disabled_us IS NULL AND s.seen_us > $2 AND s.created_us > $3";
static const char list_sql[] =
    "SELECT id, address, user_agent, created_us, seen_us FROM session "
    "WHERE org_id = $org AND user_id = $1 AND seen_us > $2 AND created_us > $3 "
    "AND ($5 = '' OR seen_us < $4 OR (seen_us = $4 AND id < $5)) "
    "ORDER BY seen_us DESC, id DESC LIMIT $6";
static const char end_sql[] =
    "DELETE FROM session WHERE org_id = $org AND user_id = $1 AND id = $2";
static const char end_others_sql[] =
    "DELETE FROM session WHERE org_id = $org AND user_id = $1 AND id <> $2";
static const char purge_sql[] = "DELETE FROM session WHERE seen_us <= $1 OR created_us <= $2";

static bool user_check(struct account *account, const struct account_sign_in *sign_in,
                       struct text key, struct account_caller *caller, struct status *st);
static void rehash(struct account *account, struct text password, struct text user_id,
                   struct text stored);

bool account_sign_in(struct account *account, const struct account_sign_in *sign_in,
                     struct account_token *token, struct account_caller *out, struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    struct account_caller caller;
    struct throttle_turn turn;
    struct text key = email_key(text_take(sign_in->email, ACCOUNT_EMAIL_BYTES_MAX), arena);
    if (!throttle_begin(&account->throttle, key, sign_in->address, &turn, st)) /* waits */
        return false;
    bool right = user_check(account, sign_in, key, &caller, st);
    throttle_end(&account->throttle, &turn, throttle_outcome_of(right, STATUS_UNAUTHENTICATED, st));
    if (!right ||
        !account_session_start(account, &caller, sign_in->address, sign_in->user_agent, token, st))
        return false;
    *out = caller;
    return true;
}

/* Who has not such an address is looked up, and their password hashed, all the same. */
static bool user_check(struct account *account, const struct account_sign_in *sign_in,
                       struct text key, struct account_caller *caller, struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    struct db_rows rows;
    bool right, weak;
    bool possible = text_utf8_valid(key) && (key.len == 0 || memchr(key.at, 0, key.len) == NULL);
    if (!db_read(account->db, SIGN_IN, arena, &rows, st, user_find_sql,
                 db_text(possible ? key : TEXT_NONE)))
        return status_wrap(st, "could not look up the account");
    const struct db_row *row = rows.count > 0 ? &rows.row[0] : NULL;
    struct text stored = row != NULL ? db_row_text(row, 1) : TEXT_NONE;
    struct text password = text_take(sign_in->password, ACCOUNT_PASSWORD_BYTES_MAX);
    if (!hash_check(&account->gate, password, stored, &right, &weak, st))
        return false;
    if (row == NULL || !right || !db_row_null(row, 2) || password.len != sign_in->password.len ||
        sign_in->email.len > ACCOUNT_EMAIL_BYTES_MAX)
        return status_fail(st, STATUS_UNAUTHENTICATED, "the email or the password is wrong");
    *caller = (struct account_caller){.user = id_from(db_row_text(row, 0)),
                                      .org = id_from(db_row_text(row, 3)),
                                      .role = role_from(db_row_text(row, 4)),
                                      .project = id_from(db_row_text(row, 5)),
                                      .weight = (uint32_t)db_row_int(row, 6)};
    if (weak)
        rehash(account, password, db_row_text(row, 0), stored);
    return true;
}

/* Only to be better than it was: that it did not work is no reason to keep somebody out. */
static void rehash(struct account *account, struct text password, struct text user_id,
                   struct text stored)
{
    char hash[HASH_BYTES_MAX];
    struct status unheard;
    AUTO(db_tx) struct db_tx *tx = db_begin(account->db, SIGN_IN, DB_WRITE);
    bool done = hash_make(&account->gate, password, hash, &unheard) &&
                db_exec(tx, NULL, &unheard, rehash_sql, db_text(user_id), db_text(text_of(hash)),
                        db_text(stored)) &&
                db_commit(tx, &unheard);
    (void)done;
}

/* What is shown of a browser: valid UTF-8, cut at a character. */
static struct text shown(struct text text, size_t bytes_max)
{
    if (!text_utf8_valid(text) || (text.len > 0 && memchr(text.at, 0, text.len) != NULL))
        return TEXT_NONE;
    struct text cut = text_take(text, bytes_max);
    return text_take(cut, text_utf8_whole(cut));
}

bool account_session_start(struct account *account, struct account_caller *caller,
                           struct text address, struct text user_agent, struct account_token *token,
                           struct status *st)
{
    uint8_t sha256[TOKEN_SHA256_BYTES];
    struct account_token fresh;
    struct id id = ids_new("ses_");
    struct text agent = shown(user_agent, ACCOUNT_SESSION_AGENT_BYTES_MAX);
    token_make(&fresh, sha256);
    struct db_param org = db_text(ids_text(&caller->org)), user = db_text(ids_text(&caller->user));
    AUTO(db_tx) struct db_tx *tx = db_begin(account->db, SIGN_IN, DB_WRITE);
    if (!db_exec(tx, NULL, st, insert_sql, org, db_text(ids_text(&id)), user,
                 db_blob(sha256, sizeof(sha256)), db_int(clock_wall_us()),
                 db_text_or_null(shown(address, ADDRESS_BYTES_MAX - 1)), db_text_or_null(agent)) ||
        !db_exec(tx, NULL, st, trim_sql, org, user, db_int(account->sessions_max)) ||
        !db_commit(tx, st))
        return status_wrap(st, "could not begin a session");
    caller->session = id;
    *token = fresh;
    return true;
}

bool account_session_check(struct account *account, struct text token, struct text address,
                           struct account_caller *out, struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    uint8_t sha256[TOKEN_SHA256_BYTES];
    struct db_rows rows = {0};
    int64_t now_us = clock_wall_us();
    if (token_sha256(token, sha256) &&
        !db_read(account->db, SIGN_IN, arena, &rows, st, check_sql, db_blob(sha256, sizeof(sha256)),
                 db_int(now_us - account->session_idle_us),
                 db_int(now_us - account->session_life_us)))
        return status_wrap(st, "could not look up the session");
    if (rows.count == 0)
        return status_fail(st, STATUS_UNAUTHENTICATED, "not signed in, or the session has ended");
    const struct db_row *row = &rows.row[0];
    struct account_caller caller = {.org = id_from(db_row_text(row, 0)),
                                    .project = id_from(db_row_text(row, 1)),
                                    .user = id_from(db_row_text(row, 2)),
                                    .session = id_from(db_row_text(row, 3)),
                                    .role = role_from(db_row_text(row, 4)),
                                    .weight = (uint32_t)db_row_int(row, 6)};
    if (now_us - db_row_int(row, 5) >= touch_every_us) {
        struct touch touch = {
            .kind = TOUCH_SESSION, .org = caller.org, .id = caller.session, .at_us = now_us};
        snprintf(touch.address, sizeof(touch.address), "%.*s",
                 TEXT_ARG(shown(address, ADDRESS_BYTES_MAX - 1)));
        touch_add(account, &touch);
    }
    *out = caller;
    return true;
}

bool account_session_list(struct account *account, struct text org_id, struct text user_id,
                          int64_t after_us, struct text after_id, int64_t limit,
                          struct arena *arena, struct account_session **out, size_t *count,
                          bool *more, struct status *st)
{
    struct db_rows rows;
    int64_t now_us = clock_wall_us();
    WEIR_ASSERT(limit > 0 && limit < DB_ROWS_MAX);
    if (!db_read(account->db, DB_SCOPE_ORG(org_id), arena, &rows, st, list_sql, db_text(user_id),
                 db_int(now_us - account->session_idle_us),
                 db_int(now_us - account->session_life_us), db_int(after_us), db_text(after_id),
                 db_int(limit + 1)))
        return status_wrap(st, "could not list the sessions");
    *more = rows.count > (size_t)limit;
    *count = *more ? (size_t)limit : rows.count;
    struct account_session *sessions = ARENA_ARRAY(arena, *count, struct account_session);
    for (size_t i = 0; i < *count; i++)
        sessions[i] = (struct account_session){.id = db_row_text(&rows.row[i], 0),
                                               .address = db_row_text(&rows.row[i], 1),
                                               .user_agent = db_row_text(&rows.row[i], 2),
                                               .created_us = db_row_int(&rows.row[i], 3),
                                               .seen_us = db_row_int(&rows.row[i], 4)};
    *out = sessions;
    return true;
}

bool account_session_end(struct account *account, struct text org_id, struct text user_id,
                         struct text session_id, struct status *st)
{
    int64_t changed;
    AUTO(db_tx) struct db_tx *tx = db_begin(account->db, DB_SCOPE_ORG(org_id), DB_WRITE);
    if (!db_exec(tx, &changed, st, end_sql, db_text(user_id), db_text(session_id)) ||
        !db_commit(tx, st))
        return status_wrap(st, "could not end the session");
    return changed > 0 || status_fail(st, STATUS_NOT_FOUND, "no such session");
}

bool account_session_end_others(struct account *account, struct text org_id, struct text user_id,
                                struct text keep_id, struct status *st)
{
    AUTO(db_tx) struct db_tx *tx = db_begin(account->db, DB_SCOPE_ORG(org_id), DB_WRITE);
    return (db_exec(tx, NULL, st, end_others_sql, db_text(user_id), db_text(keep_id)) &&
            db_commit(tx, st)) ||
           status_wrap(st, "could not end the other sessions");
}

int64_t account_session_life_s(const struct account *account)
{
    return account->session_life_us / 1000000;
}

bool sessions_purge(struct account *account, struct status *st)
{
    int64_t now_us = clock_wall_us();
    AUTO(db_tx)
    struct db_tx *tx = db_begin(account->db, DB_SCOPE_SYSTEM(DB_SYSTEM_JOB), DB_WRITE);
    return db_exec(tx, NULL, st, purge_sql, db_int(now_us - account->session_idle_us),
                   db_int(now_us - account->session_life_us)) &&
           db_commit(tx, st);
}
