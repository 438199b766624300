/* account: what the parts share. */
#include "account.h"
#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include "account_internal.h"
#include "clock.h"
#include "db.h"
#include "fiber.h"
#include "log.h"
#include "rand.h"

enum { SESSIONS_MAX = 50, KEYS_MAX = 1000 };
enum { FLUSH_EVERY_MS = 5000, PURGE_EVERY = 720 /* flushes: an hour */ };

static const char *const role_names[ACCOUNT_ROLE_COUNT] = {
    [ACCOUNT_ROLE_MEMBER] = "member",
    [ACCOUNT_ROLE_OWNER] = "owner",
};

static const char first_owner_sql[] =
    "SELECT m.org_id, p.id, m.user_id, o.weight FROM membership m "
    "JOIN app_user u ON u.id = m.user_id JOIN organisation o ON o.id = m.org_id "
    "JOIN project p ON p.org_id = m.org_id AND p.is_default "
    "WHERE m.role = 'owner' AND u.disabled_us IS NULL ORDER BY m.created_us, m.user_id LIMIT 1";

bool account_open(const struct account_options *options, struct account **out, struct status *st)
{
    if (sodium_init() < 0)
        return status_fail(st, STATUS_SYSTEM, "could not prepare libsodium");
    struct account *account = calloc(1, sizeof(*account));
    WEIR_ASSERT(account != NULL);
    account->db = options->db;
    account->vault = options->vault;
    account->session_idle_us =
        options->session_idle_ms > 0 ? options->session_idle_ms * 1000 : account_session_idle_us;
    account->session_life_us =
        options->session_life_ms > 0 ? options->session_life_ms * 1000 : account_session_life_us;
    account->sessions_max = options->sessions_max > 0 ? options->sessions_max : SESSIONS_MAX;
    account->keys_max = options->keys_max > 0 ? options->keys_max : KEYS_MAX;
    hash_gate_open(&account->gate, options);
    throttle_open(&account->throttle);
    pthread_mutex_init(&account->touches.mutex, NULL);
    cache_open(&account->keys, options);
    *out = account;
    return true;
}

void account_close(struct account *account)
{
    if (account == NULL)
        return;
    cache_close(&account->keys);
    free(account->touches.touches);
    pthread_mutex_destroy(&account->touches.mutex);
    throttle_close(&account->throttle);
    hash_gate_close(&account->gate);
    free(account);
}

void account_background(void *arg)
{
    struct account *account = arg;
    struct status st;
    bool going = true;
    for (int turn = 1; going; turn++) {
        going = loop_sleep(clock_deadline_ms(FLUSH_EVERY_MS), &st);
        fiber_shield(); /* what is left is written, also at the end */
        if (!touch_flush(account, &st))
            LOG_WARN("could not note last uses", LOG_TEXT("error", status_text(&st)));
        if (turn % PURGE_EVERY == 1 && going && !sessions_purge(account, &st))
            LOG_WARN("could not remove old sessions", LOG_TEXT("error", status_text(&st)));
        fiber_unshield();
    }
}

bool account_flush(struct account *account, struct status *st)
{
    return touch_flush(account, st);
}

bool account_first_owner(struct account *account, struct account_caller *out, struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    struct db_row row;
    if (!db_read_one(account->db, DB_SCOPE_SYSTEM(DB_SYSTEM_ADMIN), arena, &row, st,
                     first_owner_sql))
        return status_wrap(st, "could not find the first owner");
    *out = (struct account_caller){.org = id_from(db_row_text(&row, 0)),
                                   .project = id_from(db_row_text(&row, 1)),
                                   .user = id_from(db_row_text(&row, 2)),
                                   .role = ACCOUNT_ROLE_OWNER,
                                   .weight = (uint32_t)db_row_int(&row, 3)};
    return true;
}

const char *account_role_name(enum account_role role)
{
    WEIR_ASSERT(role >= 0 && role < ACCOUNT_ROLE_COUNT);
    return role_names[role];
}

enum account_role role_from(struct text name)
{
    return text_equal(name, TEXT("owner")) ? ACCOUNT_ROLE_OWNER : ACCOUNT_ROLE_MEMBER;
}

struct text email_key(struct text email, struct arena *arena)
{
    char *key = arena_cstr(arena, email);
    for (size_t i = 0; i < email.len; i++)
        if (key[i] >= 'A' && key[i] <= 'Z')
            key[i] = (char)(key[i] - 'A' + 'a');
    return (struct text){key, email.len};
}

struct id id_from(struct text text)
{
    struct id id = {{0}};
    WEIR_ASSERT(text.len < sizeof(id.bytes));
    if (text.len > 0)
        memcpy(id.bytes, text.at, text.len);
    return id;
}

void token_make(struct account_token *token, uint8_t sha256[TOKEN_SHA256_BYTES])
{
    uint8_t random[32];
    static_assert(
        sizeof(token->bytes) ==
            sodium_base64_ENCODED_LEN(sizeof(random), sodium_base64_VARIANT_URLSAFE_NO_PADDING),
        "43 and a zero");
    rand_bytes(random, sizeof(random));
    sodium_bin2base64(token->bytes, sizeof(token->bytes), random, sizeof(random),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(random, sizeof(random));
    bool formed = token_sha256(text_of(token->bytes), sha256);
    WEIR_ASSERT(formed);
}

bool token_sha256(struct text token, uint8_t sha256[TOKEN_SHA256_BYTES])
{
    if (token.len != ACCOUNT_TOKEN_BYTES)
        return false;
    for (size_t i = 0; i < token.len; i++) {
        char c = token.at[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') &&
            c != '-' && c != '_')
            return false;
    }
    crypto_hash_sha256(sha256, (const unsigned char *)token.at, token.len);
    return true;
}
