/* infer_quota: how much may wait, in all and of each tenant, by requests and by prompt tokens. The
 * loop's thread asks and counts up; the engine's thread counts down when a request begins to run or
 * ends before it does. */
#pragma once
#include <stdatomic.h>
#include "base.h"

struct infer_quota;

struct infer_quota_limits {
    uint64_t requests_max, tokens_max;               /* of all together */
    uint64_t tenant_requests_max, tenant_tokens_max; /* of one tenant */
};

/* What one tenant has waiting; a request that waits holds it. */
struct infer_quota_share {
    uint64_t tenant;
    struct infer_quota *quota;
    _Atomic uint64_t requests, tokens;
    struct infer_quota_share *next; /* the loop thread's */
};

enum infer_quota_answer {
    INFER_QUOTA_OK,
    INFER_QUOTA_TENANT_FULL, /* this tenant has too much waiting */
    INFER_QUOTA_FULL,        /* all together have */
    INFER_QUOTA_COUNT
};

struct infer_quota *infer_quota_new(const struct infer_quota_limits *limits);
void infer_quota_free(struct infer_quota *quota); /* nothing waits any more */

/* Whether so much more may wait. Who has nothing waiting may always send one request: its tokens
 * alone cannot be too many. The loop's thread. */
enum infer_quota_answer infer_quota_ask(const struct infer_quota *quota, uint64_t tenant,
                                        uint64_t requests, uint64_t tokens);
/* One request more. The loop's thread. */
struct infer_quota_share *infer_quota_take(struct infer_quota *quota, uint64_t tenant,
                                           uint64_t tokens);
/* It waits no more. The engine's thread, once; `share` is not to be used any more. */
void infer_quota_give(struct infer_quota_share *share, uint64_t tokens);

uint64_t infer_quota_requests(const struct infer_quota *quota); /* any thread */
uint64_t infer_quota_tokens(const struct infer_quota *quota);
