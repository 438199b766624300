#include "account_setup.h"
#include <sodium.h>
#include "account_internal.h"
#include "account_org.h"
#include "clock.h"
#include "db.h"

#define SCOPE DB_SCOPE_SYSTEM(DB_SYSTEM_SETUP)

static const char done_sql[] = "SELECT 1 FROM setup_done";
static const char token_find_sql[] = "SELECT 1 FROM setup_token WHERE token_sha256 = $1";
static const char token_insert_sql[] =
    "INSERT INTO setup_token (token_sha256, created_us) VALUES ($1, $2)";
/* A link was perhaps sent to somebody before the server was started again: the last ones stay. */
static const char token_trim_sql[] =
    "DELETE FROM setup_token WHERE token_sha256 NOT IN "
    "(SELECT token_sha256 FROM setup_token ORDER BY created_us DESC LIMIT 8)";
static const char token_delete_sql[] = "DELETE FROM setup_token WHERE token_sha256 = $1";
static const char tokens_delete_sql[] = "DELETE FROM setup_token";
static const char done_insert_sql[] = "INSERT INTO setup_done (only_one, at_us) VALUES (1, $1)";
static const char org_insert_sql[] =
    "INSERT INTO organisation (id, name, created_us) VALUES ($1, $2, $3)";
static const char project_insert_sql[] =
    "INSERT INTO project (org_id, id, name, is_default, created_us) VALUES ($1, $2, $3, TRUE, $4)";
static const char user_insert_sql[] =
    "INSERT INTO app_user (id, email, email_key, name, password, password_us, created_us) "
    "VALUES ($1, $2, $3, $4, $5, $6, $6)";
static const char member_insert_sql[] =
    "INSERT INTO membership (org_id, user_id, role, created_us) VALUES ($1, $2, 'owner', $3)";

static bool setup_check(struct account *account, const struct account_setup *setup,
                        struct status *st);
static bool token_check(struct account *account, const struct account_setup *setup,
                        struct status *st);
static bool token_find(struct account *account, struct text token, struct status *st);
static bool setup_write(struct account *account, const struct account_setup *setup,
                        const char *password, struct account_caller *out, struct status *st);
static bool setup_was_done(struct status *st);

bool account_setup_needed(struct account *account, bool *needed, struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    struct db_rows rows = {0};
    if (!atomic_load(&account->set_up)) {
        if (!db_read(account->db, SCOPE, arena, &rows, st, done_sql))
            return status_wrap(st, "could not see whether there is an owner");
        if (rows.count > 0)
            atomic_store(&account->set_up, true);
    }
    *needed = !atomic_load(&account->set_up);
    return true;
}

bool account_setup_token(struct account *account, struct arena *arena, struct text *token,
                         struct status *st)
{
    struct account_token fresh;
    uint8_t sha256[TOKEN_SHA256_BYTES];
    bool needed;
    if (!account_setup_needed(account, &needed, st))
        return false;
    if (!needed)
        return setup_was_done(st);
    token_make(&fresh, sha256);
    AUTO(db_tx) struct db_tx *tx = db_begin(account->db, SCOPE, DB_WRITE);
    if (!db_exec(tx, NULL, st, token_insert_sql, db_blob(sha256, sizeof(sha256)),
                 db_int(clock_wall_us())) ||
        !db_exec(tx, NULL, st, token_trim_sql) || !db_commit(tx, st))
        return status_wrap(st, "could not make a set-up link");
    *token = arena_text(arena, text_of(fresh.bytes));
    return true;
}

bool account_setup(struct account *account, const struct account_setup *setup,
                   struct account_caller *out, struct status *st)
{
    char password[HASH_BYTES_MAX];
    bool needed;
    if (!account_setup_needed(account, &needed, st))
        return false;
    if (!needed)
        return setup_was_done(st);
    if (setup->token.len > 0 && !token_check(account, setup, st))
        return false;
    if (!setup_check(account, setup, st) ||
        !hash_make(&account->gate, setup->password, password, st) ||
        !setup_write(account, setup, password, out, st))
        return false;
    atomic_store(&account->set_up, true);
    return true;
}

static bool setup_check(struct account *account, const struct account_setup *setup,
                        struct status *st)
{
    (void)account;
    return account_email_check(setup->email, "email", st) &&
           account_name_check(setup->name, "name", st) &&
           account_name_check(setup->organisation, "organisation", st) &&
           account_password_check(setup->password, setup->email, "password", st);
}

/* Before anything that costs: a password is hashed for who has a token only. */
static bool token_check(struct account *account, const struct account_setup *setup,
                        struct status *st)
{
    struct throttle_turn turn;
    if (!throttle_begin(&account->throttle, TEXT("set-up"), setup->address, &turn, st)) /* waits */
        return false;
    bool right = token_find(account, setup->token, st);
    throttle_end(&account->throttle, &turn, throttle_outcome_of(right, STATUS_FORBIDDEN, st));
    return right;
}

static bool token_find(struct account *account, struct text token, struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    uint8_t sha256[TOKEN_SHA256_BYTES];
    struct db_rows rows = {0};
    if (token_sha256(token, sha256) && !db_read(account->db, SCOPE, arena, &rows, st,
                                                token_find_sql, db_blob(sha256, sizeof(sha256))))
        return status_wrap(st, "could not look up the set-up token");
    return rows.count > 0 ||
           status_fail(st, STATUS_FORBIDDEN, "the set-up link is not valid any more");
}

static bool setup_write(struct account *account, const struct account_setup *setup,
                        const char *password, struct account_caller *out, struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    struct account_caller made = {.org = ids_new("org_"),
                                  .project = ids_new("prj_"),
                                  .user = ids_new("usr_"),
                                  .role = ACCOUNT_ROLE_OWNER,
                                  .weight = ACCOUNT_WEIGHT_USUAL};
    struct text org = ids_text(&made.org), project = ids_text(&made.project),
                user = ids_text(&made.user);
    struct db_param now = db_int(clock_wall_us());
    uint8_t sha256[TOKEN_SHA256_BYTES];
    int64_t used = 1;
    AUTO(db_tx) struct db_tx *tx = db_begin(account->db, SCOPE, DB_WRITE);
    if (token_sha256(setup->token, sha256) &&
        !db_exec(tx, &used, st, token_delete_sql, db_blob(sha256, sizeof(sha256))))
        return status_wrap(st, "could not use the set-up token");
    if (used == 0) /* somebody was faster with the same link */
        return setup_was_done(st);
    if (!db_exec(tx, NULL, st, done_insert_sql, now))
        return st->code == STATUS_CONFLICT ? setup_was_done(st)
                                           : status_wrap(st, "could not set up");
    bool ok =
        db_exec(tx, NULL, st, org_insert_sql, db_text(org), db_text(setup->organisation), now) &&
        vault_org_key_make(account->vault, tx, org, st) &&
        db_exec(tx, NULL, st, project_insert_sql, db_text(org), db_text(project),
                db_text(TEXT("Default")), now) &&
        db_exec(tx, NULL, st, user_insert_sql, db_text(user), db_text(setup->email),
                db_text(email_key(setup->email, arena)), db_text(setup->name),
                db_text(text_of(password)), now) &&
        db_exec(tx, NULL, st, member_insert_sql, db_text(org), db_text(user), now) &&
        vault_user_key_make(account->vault, tx, org, user, st) &&
        db_exec(tx, NULL, st, tokens_delete_sql) && db_commit(tx, st);
    if (!ok)
        return status_wrap(st, "could not set up");
    *out = made;
    return true;
}

static bool setup_was_done(struct status *st)
{
    return status_fail(st, STATUS_CONFLICT, "there is an owner already");
}
