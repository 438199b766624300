/* account_setup: the first owner, their organisation and its default project, made in one
 * transaction, once. Who may do it proves it with the token of the link that the server prints, or
 * is on the machine's own shell. */
#pragma once
#include "account.h"

/* Whether nobody has been set up yet. Cheap once it is not. */
MUST_CHECK bool account_setup_needed(struct account *account, bool *needed, struct status *st);
/* A new token for the link, in `arena`: 43 characters of A-Z a-z 0-9 - _. Valid until the set-up;
 * the last few tokens are. Fails: STATUS_CONFLICT when there is an owner. */
MUST_CHECK bool account_setup_token(struct account *account, struct arena *arena,
                                    struct text *token, struct status *st);

struct account_setup {
    struct text token; /* empty: the operator's own shell, which needs none */
    struct text email, password, name, organisation;
    struct text address; /* where the request came from, for throttling; may be empty */
};
/* Fails: STATUS_CONFLICT when there is an owner; STATUS_FORBIDDEN for a wrong token;
 * STATUS_RATE_LIMITED after many of those; STATUS_INVALID with a field named as the members here.
 * `out` has no session: make one with account_session_start. */
MUST_CHECK bool account_setup(struct account *account, const struct account_setup *setup,
                              struct account_caller *out, struct status *st);
