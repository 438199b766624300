/* account_key: API keys. A key is "weir_sk_", 30 random characters of A-Z a-z 0-9 and 6 more that
 * are their CRC-32, so that a mistyped or cut one is refused without a look-up and a leaked one is
 * found by scanners. Only its HMAC-SHA-256 is stored, with the id of the pepper that made it. */
#pragma once
#include "account.h"

enum { ACCOUNT_KEY_BYTES = 8 + 30 + 6 };

struct account_key {
    struct text id, name;
    struct text user_id, user_name;                      /* who made it */
    struct text hint;                                    /* "weir_sk_Ab3d…9xYz" */
    int64_t created_us, expires_us, used_us, revoked_us; /* 0: not, or never */
};

/* The keys that somebody may see and change. */
struct account_key_reach {
    struct text org_id, project_id;
    struct text user_id; /* only those that this person made; empty: everybody's */
};

/* The secret is in `arena`, and nowhere else: it cannot be shown again. `expires_us` 0: never.
 * Fails: STATUS_INVALID with the field "name" or "expires_us"; STATUS_CONFLICT for too many keys.
 */
MUST_CHECK bool account_key_create(struct account *account, struct text org_id,
                                   struct text project_id, struct text user_id, struct text name,
                                   int64_t expires_us, struct arena *arena, struct account_key *out,
                                   struct text *secret, struct status *st);
/* Those within reach that are not revoked, newest first, after the row (after_us, after_id);
 * after_id empty: from the start. Owns: in `arena`. */
MUST_CHECK bool account_key_list(struct account *account, const struct account_key_reach *reach,
                                 int64_t after_us, struct text after_id, int64_t limit,
                                 struct arena *arena, struct account_key **out, size_t *count,
                                 bool *more, struct status *st);
/* Fails: STATUS_NOT_FOUND, also for one that is revoked or out of reach. */
MUST_CHECK bool account_key_get(struct account *account, const struct account_key_reach *reach,
                                struct text key_id, struct arena *arena, struct account_key *out,
                                struct status *st);
MUST_CHECK bool account_key_rename(struct account *account, const struct account_key_reach *reach,
                                   struct text key_id, struct text name, struct arena *arena,
                                   struct account_key *out, struct status *st);
/* From now on it is refused here, and within 5 s on every other replica. */
MUST_CHECK bool account_key_revoke(struct account *account, const struct account_key_reach *reach,
                                   struct text key_id, struct status *st);

/* Who calls with this key: the first step of every request of /v1. Does not wait when the key was
 * seen in the last few seconds: no database, one HMAC and one short lock. `address`: from where, to
 * bound the questions that guesses cost; empty: not bounded.
 * Fails: STATUS_RATE_LIMITED after many wrong keys from there; STATUS_UNAUTHENTICATED: malformed,
 * unknown, revoked, expired or its maker disabled, in one text; STATUS_UNAVAILABLE when the
 * database could not be asked. */
MUST_CHECK bool account_key_check(struct account *account, struct text secret, struct text address,
                                  struct account_caller *out, struct status *st);

/* How many keys that still work were last used under this pepper: without it they would not. */
MUST_CHECK bool account_key_count_under(struct account *account, struct text pepper_id,
                                        int64_t *count, struct status *st);

/* Whether `text` has the form of a key with a right checksum. Does not wait. */
bool account_key_formed(struct text text);
