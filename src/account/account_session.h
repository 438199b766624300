/* account_session: signing in with a password, and the sessions that come of it. A session is a
 * row; the browser has a token of 256 random bits, of which only the SHA-256 is stored, so a
 * session ends the moment its row goes. It ends after 12 hours without use, and 7 days after it
 * began, unless account_options say otherwise. */
#pragma once
#include "account.h"

enum { ACCOUNT_TOKEN_BYTES = 43, ACCOUNT_SESSION_AGENT_BYTES_MAX = 500 };
static const int64_t account_session_idle_us = INT64_C(12) * 3600 * 1000000;
static const int64_t account_session_life_us = INT64_C(7) * 24 * 3600 * 1000000;
/* How long a session may live with this account: how long a browser need keep its cookie. */
int64_t account_session_life_s(const struct account *account);

/* The cookie's value; give it out once. */
struct account_token {
    char bytes[ACCOUNT_TOKEN_BYTES + 1]; /* with a final zero */
};

struct account_sign_in {
    struct text email, password;
    struct text address, user_agent; /* where it comes from; may be empty; long ones are cut */
};
/* The same answer and the same time whether the email or the password is wrong.
 * Failures are counted in the memory of this process: a restart forgets them, and several replicas
 * count apart.
 * Fails: STATUS_UNAUTHENTICATED; STATUS_RATE_LIMITED with retry_after_ms after repeated failures,
 * or when too many passwords are being checked; never for ever. */
MUST_CHECK bool account_sign_in(struct account *account, const struct account_sign_in *sign_in,
                                struct account_token *token, struct account_caller *out,
                                struct status *st);
/* A session for `caller` without a password: after set-up. Sets caller->session. */
MUST_CHECK bool account_session_start(struct account *account, struct account_caller *caller,
                                      struct text address, struct text user_agent,
                                      struct account_token *token, struct status *st);
/* Who has this token. `address` may be empty. Fails: STATUS_UNAUTHENTICATED. */
MUST_CHECK bool account_session_check(struct account *account, struct text token,
                                      struct text address, struct account_caller *out,
                                      struct status *st);

struct account_session {
    struct text id, address, user_agent; /* the last two may be empty */
    int64_t created_us, seen_us;
};
/* The live ones of a person, latest use first, after the row (after_us, after_id); after_id empty:
 * from the start. Owns: in `arena`. `*more`: there are others behind. */
MUST_CHECK bool account_session_list(struct account *account, struct text org_id,
                                     struct text user_id, int64_t after_us, struct text after_id,
                                     int64_t limit, struct arena *arena,
                                     struct account_session **out, size_t *count, bool *more,
                                     struct status *st);
/* Fails: STATUS_NOT_FOUND: no such live session of this person. */
MUST_CHECK bool account_session_end(struct account *account, struct text org_id,
                                    struct text user_id, struct text session_id, struct status *st);
/* All of a person but `keep_id`, which may be empty. */
MUST_CHECK bool account_session_end_others(struct account *account, struct text org_id,
                                           struct text user_id, struct text keep_id,
                                           struct status *st);
