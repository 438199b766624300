/* account: people, their organisations and projects, how they sign in, and the API keys that act
 * for a project. Knows nothing of HTTP: the api reads cookies and headers and calls this.
 *
 *   account.h          opening; who is calling
 *   account_setup.h    the first owner
 *   account_user.h     people
 *   account_org.h      organisations
 *   account_session.h  signing in, sessions
 *   account_key.h      API keys: managing, and checking one on every request
 *
 * Waits: every function that takes a `struct account` may wait for the database or for the hashing
 * of a password, but where it says otherwise. Any thread may use a `struct account`. */
#pragma once
#include "arena.h"
#include "base.h"
#include "ids.h"
#include "status.h"
#include "text.h"

struct account;
struct db;
struct vault;

struct account_options {
    struct db *db; /* both are the caller's, and outlive the account */
    struct vault *vault;
    int hashes_max;         /* passwords hashed at a time, 64 MiB each; 0: one per core */
    int hashes_waiting_max; /* more wait, up to these; 0: 64 */
    /* Of argon2id; 0: 3 passes over 64 MiB. Less is for tests. */
    int hash_passes, hash_memory_kib;
    size_t keys_cached_max; /* API keys kept in memory; 0: 20,000 */
    int64_t key_fresh_ms;   /* how old a cached verdict on a key may be; 0: 4,000 */
    int64_t keys_max;       /* API keys of a project that were not revoked; 0: 1,000 */
    int64_t session_idle_ms, session_life_ms; /* 0: as account_session.h says */
    int64_t sessions_max;                     /* of one person; 0: 50 */
};

enum account_role { ACCOUNT_ROLE_MEMBER, ACCOUNT_ROLE_OWNER, ACCOUNT_ROLE_COUNT };
const char *account_role_name(enum account_role role); /* "owner" */

/* Who is calling, by session or by key. A value: owns nothing. */
struct account_caller {
    struct id org, project; /* the organisation; the key's project, or the default one */
    struct id user;         /* the signed-in person; for a key, who made it */
    struct id session, key; /* one of them is set, the other is all zeros */
    enum account_role role; /* of the person; for a key ACCOUNT_ROLE_MEMBER */
    uint32_t weight;        /* of the organisation (account_org.h) */
};

/* Does not wait. Fails: STATUS_SYSTEM. */
MUST_CHECK bool account_open(const struct account_options *options, struct account **out,
                             struct status *st);
void account_close(struct account *account);
AUTO_DEFINE(account, account_close)
/* The body of one background fiber per process: fiber_start(loop, "account", account_background,
 * account). Writes the last uses of keys and sessions every few seconds, and removes sessions that
 * have ended. Runs until it is cancelled; then writes what is left. */
void account_background(void *account);
/* Writes them now. For commands and tests. */
MUST_CHECK bool account_flush(struct account *account, struct status *st);

/* The first owner with their organisation and default project: as whom the operator's commands act.
 * Fails: STATUS_NOT_FOUND before set-up. */
MUST_CHECK bool account_first_owner(struct account *account, struct account_caller *out,
                                    struct status *st);

/* Rules of input. They do not wait. Each fails with STATUS_INVALID and `field`. */
enum {
    ACCOUNT_NAME_CHARS_MAX = 100,
    ACCOUNT_EMAIL_BYTES_MAX = 254,
    ACCOUNT_PASSWORD_CHARS_MIN = 15,
    ACCOUNT_PASSWORD_BYTES_MAX = 1024
};
MUST_CHECK bool account_name_check(struct text name, const char *field, struct status *st);
MUST_CHECK bool account_email_check(struct text email, const char *field, struct status *st);
/* Length, and not one of the best-known ones, nor the address or name of the person. */
MUST_CHECK bool account_password_check(struct text password, struct text email, const char *field,
                                       struct status *st);
