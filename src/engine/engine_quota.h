/* engine_quota: how much may wait, in all and of each tenant, by requests and by prompt tokens. The
 * loop's thread asks and counts up; the engine's thread counts down when a request begins to run or
 * ends before it does. */
#pragma once
#include <stdatomic.h>
#include "base.h"

struct engine_quota;

struct engine_quota_limits {
    uint64_t requests_max, tokens_max;               /* of all together */
    uint64_t tenant_requests_max, tenant_tokens_max; /* of one tenant */
};

/* What one tenant has waiting; a request that waits holds it. */
struct engine_quota_share {
    uint64_t tenant;
    struct engine_quota *quota;
    _Atomic uint64_t requests, tokens;
    struct engine_quota_share *next; /* the loop thread's */
};

enum engine_quota_answer {
    ENGINE_QUOTA_OK,
    ENGINE_QUOTA_TENANT_FULL, /* this tenant has too much waiting */
    ENGINE_QUOTA_FULL,        /* all together have */
    ENGINE_QUOTA_COUNT
};

struct engine_quota *engine_quota_new(const struct engine_quota_limits *limits);
void engine_quota_free(struct engine_quota *quota); /* nothing waits any more */

/* Whether so much more may wait. Who has nothing waiting may always send one request: its tokens
 * alone cannot be too many. The loop's thread. */
enum engine_quota_answer engine_quota_ask(const struct engine_quota *quota, uint64_t tenant,
                                          uint64_t requests, uint64_t tokens);
/* One request more. The loop's thread. */
struct engine_quota_share *engine_quota_take(struct engine_quota *quota, uint64_t tenant,
                                             uint64_t tokens);
/* It waits no more. The engine's thread, once; `share` is not to be used any more. */
void engine_quota_give(struct engine_quota_share *share, uint64_t tokens);

uint64_t engine_quota_requests(const struct engine_quota *quota); /* any thread */
uint64_t engine_quota_tokens(const struct engine_quota *quota);
