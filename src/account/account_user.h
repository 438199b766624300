/* account_user: people. The operator's commands use most of it; a person sees and changes their own
 * name and password. */
#pragma once
#include "account.h"

struct account_user {
    struct text id, email, name;
    enum account_role role; /* in the organisation asked for */
    bool disabled;
    int64_t created_us, password_us, disabled_us; /* 0: never */
};

/* A person with the organisation and project that they work in, for GET /api/me. */
struct account_me {
    struct account_user user;
    struct text org_id, org_name, project_id, project_name;
};

/* Owns: texts in `arena`. Fails: STATUS_NOT_FOUND. */
MUST_CHECK bool account_me_get(struct account *account, struct text org_id, struct text user_id,
                               struct arena *arena, struct account_me *out, struct status *st);
MUST_CHECK bool account_user_by_email(struct account *account, struct text org_id,
                                      struct text email, struct arena *arena,
                                      struct account_user *out, struct status *st);
/* The members of an organisation, oldest first; at most 1,000 after the first `skip`. */
MUST_CHECK bool account_user_list(struct account *account, struct text org_id, int64_t skip,
                                  struct arena *arena, struct account_user **out, size_t *count,
                                  struct status *st);

/* Makes a person and their membership. Fails: STATUS_CONFLICT with the field "email" for an address
 * that is taken; STATUS_INVALID. */
MUST_CHECK bool account_user_add(struct account *account, struct text org_id, struct text email,
                                 struct text name, struct text password, enum account_role role,
                                 struct id *out, struct status *st);
MUST_CHECK bool account_user_rename(struct account *account, struct text user_id, struct text name,
                                    struct status *st);
/* By the person: `current` must be right (STATUS_INVALID with the field "current_password";
 * throttled like signing in). Ends every session but `keep_session_id`. */
MUST_CHECK bool account_user_change_password(struct account *account, struct text user_id,
                                             struct text current, struct text fresh,
                                             struct text keep_session_id, struct text address,
                                             struct status *st);
/* By the operator. Ends every session. */
MUST_CHECK bool account_user_set_password(struct account *account, struct text user_id,
                                          struct text fresh, struct status *st);
/* A disabled person cannot sign in, has no session any more, and the keys that they made stop
 * working. Fails: STATUS_CONFLICT for the last owner who is not disabled. */
MUST_CHECK bool account_user_disable(struct account *account, struct text user_id, bool disable,
                                     struct status *st);
