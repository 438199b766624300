/* account_org: organisations, as the operator's commands see them. For now there is one. */
#pragma once
#include "account.h"

/* An organisation's share of a local model beside others' that wait as well. */
enum { ACCOUNT_WEIGHT_USUAL = 100, ACCOUNT_WEIGHT_MAX = 10000 };

struct account_org {
    struct text id, name;
    uint32_t weight;
    int64_t created_us;
};

/* The oldest first; at most 1,000 after the first `skip`. Owns: texts in `arena`. */
MUST_CHECK bool account_org_list(struct account *account, int64_t skip, struct arena *arena,
                                 struct account_org **out, size_t *count, struct status *st);
/* Requests that come from now on have it; on other replicas within 5 seconds.
 * Fails: STATUS_NOT_FOUND; STATUS_INVALID with the field "weight". */
MUST_CHECK bool account_org_set_weight(struct account *account, struct text org_id, int64_t weight,
                                       struct status *st);
