/* account_key_check: the first step of every request with a key. Form and checksum, then the
 * digest, then what was said of it in the last seconds, and only then the database. Keys are found
 * under any pepper of the ring; one found under an old pepper is stored under the newest soon
 * after. */
#include <sodium.h>
#include <string.h>
#include "account_internal.h"
#include "clock.h"
#include "db.h"

enum { PEPPERS_MAX = 32 }; /* all that a ring holds */

static const char find_sql[] =
    "SELECT k.org_id, k.project_id, k.id, k.user_id, k.expires_us, k.pepper_id, k.used_us, "
    "o.weight FROM api_key k JOIN app_user u ON u.id = k.user_id "
    "JOIN organisation o ON o.id = k.org_id "
    "WHERE k.digest IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, "
    "$17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32) "
    "AND k.revoked_us IS NULL AND u.disabled_us IS NULL LIMIT 2";

static bool key_ask(struct account *account, struct text secret, const struct vault_digest *newest,
                    struct account_caller *out, struct status *st);
static bool refused(struct status *st);

bool account_key_check(struct account *account, struct text secret, struct text address,
                       struct account_caller *out, struct status *st)
{
    struct throttle_turn turn;
    struct vault_digest digest;
    if (!account_key_formed(secret))
        return refused(st);
    vault_digest(account->vault, VAULT_RING_PEPPER, TEXT("api_key"), secret, &digest);
    switch (cache_get(&account->keys, digest.bytes, out)) {
    case CACHE_GOOD:
        return true;
    case CACHE_BAD:
        return refused(st);
    case CACHE_ASK_AGAIN: /* not held up by what others of its address guess */
        return key_ask(account, secret, &digest, out, st);
    case CACHE_ASK:
        break;
    }
    if (!throttle_begin_key(&account->throttle, address, &turn, st)) /* waits */
        return false;
    bool good = key_ask(account, secret, &digest, out, st);
    throttle_end(&account->throttle, &turn, throttle_outcome_of(good, STATUS_UNAUTHENTICATED, st));
    return good;
}

/* Waits. */
static bool key_ask(struct account *account, struct text secret, const struct vault_digest *newest,
                    struct account_caller *out, struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    struct vault_digest digests[PEPPERS_MAX];
    struct db_param params[PEPPERS_MAX];
    struct db_rows rows;
    _Static_assert((int)PEPPERS_MAX <= (int)DB_PARAMS_MAX, "each is a parameter");
    size_t count = vault_digest_all(account->vault, VAULT_RING_PEPPER, TEXT("api_key"), secret,
                                    digests, PEPPERS_MAX);
    for (size_t i = 0; i < PEPPERS_MAX; i++)
        params[i] = i < count ? db_blob(digests[i].bytes, VAULT_DIGEST_BYTES) : db_null();
    uint64_t epoch = atomic_load(&account->keys.epoch);
    if (!db_read_params(account->db, DB_SCOPE_SYSTEM(DB_SYSTEM_KEY), arena, &rows, st, find_sql,
                        params, PEPPERS_MAX))
        return status_wrap(st, "could not look up the API key");
    const struct db_row *row = rows.count == 1 ? &rows.row[0] : NULL;
    int64_t now_us = clock_wall_us(), expires_us = row != NULL ? db_row_int(row, 4) : 0;
    if (row == NULL || (expires_us != 0 && expires_us <= now_us)) {
        cache_put(&account->keys, newest->bytes, NULL, 0, epoch);
        return refused(st);
    }
    struct account_caller caller = {.org = id_from(db_row_text(row, 0)),
                                    .project = id_from(db_row_text(row, 1)),
                                    .key = id_from(db_row_text(row, 2)),
                                    .user = id_from(db_row_text(row, 3)),
                                    .role = ACCOUNT_ROLE_MEMBER,
                                    .weight = (uint32_t)db_row_int(row, 7)};
    cache_put(&account->keys, newest->bytes, &caller, expires_us, epoch);
    bool old_pepper = !text_equal(db_row_text(row, 5), text_of(newest->key_id));
    if (old_pepper || now_us - db_row_int(row, 6) >= touch_every_us) {
        struct touch touch = {.kind = TOUCH_KEY,
                              .org = caller.org,
                              .project = caller.project,
                              .id = caller.key,
                              .at_us = now_us,
                              .has_digest = old_pepper,
                              .digest = *newest};
        touch_add(account, &touch);
    }
    *out = caller;
    return true;
}

/* One text for all, so that nobody learns which it was. */
static bool refused(struct status *st)
{
    return status_fail(st, STATUS_UNAUTHENTICATED, "the API key is not valid");
}
