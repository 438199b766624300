#include "engine_quota.h"
#include <stdlib.h>

/* So many shares are looked through in one chain before those are freed that hold nothing. */
enum { BUCKETS = 256, CHAIN_LONG = 8 };

struct engine_quota {
    struct engine_quota_limits limits;
    _Atomic uint64_t requests, tokens;
    struct engine_quota_share *buckets[BUCKETS];
};

static struct engine_quota_share *find(const struct engine_quota *quota, uint64_t tenant);
static void sweep(struct engine_quota_share **bucket);
static bool over(uint64_t requests, uint64_t tokens, uint64_t more_requests, uint64_t more_tokens,
                 uint64_t requests_max, uint64_t tokens_max);

struct engine_quota *engine_quota_new(const struct engine_quota_limits *limits)
{
    struct engine_quota *quota = base_alloc(sizeof *quota);
    quota->limits = *limits;
    return quota;
}

void engine_quota_free(struct engine_quota *quota)
{
    if (quota == NULL)
        return;
    WEIR_ASSERT(atomic_load(&quota->requests) == 0 && atomic_load(&quota->tokens) == 0);
    for (size_t i = 0; i < BUCKETS; i++) {
        sweep(&quota->buckets[i]);
        WEIR_ASSERT(quota->buckets[i] == NULL);
    }
    free(quota);
}

enum engine_quota_answer engine_quota_ask(const struct engine_quota *quota, uint64_t tenant,
                                          uint64_t requests, uint64_t tokens)
{
    const struct engine_quota_limits *l = &quota->limits;
    const struct engine_quota_share *share = find(quota, tenant);
    if (over(share == NULL ? 0 : atomic_load(&share->requests),
             share == NULL ? 0 : atomic_load(&share->tokens), requests, tokens,
             l->tenant_requests_max, l->tenant_tokens_max))
        return ENGINE_QUOTA_TENANT_FULL;
    if (over(atomic_load(&quota->requests), atomic_load(&quota->tokens), requests, tokens,
             l->requests_max, l->tokens_max))
        return ENGINE_QUOTA_FULL;
    return ENGINE_QUOTA_OK;
}

struct engine_quota_share *engine_quota_take(struct engine_quota *quota, uint64_t tenant,
                                             uint64_t tokens)
{
    struct engine_quota_share *share = find(quota, tenant);
    if (share == NULL) {
        struct engine_quota_share **bucket = &quota->buckets[tenant % BUCKETS];
        size_t length = 0;
        for (const struct engine_quota_share *s = *bucket; s != NULL; s = s->next)
            length++;
        if (length >= CHAIN_LONG)
            sweep(bucket);
        share = base_alloc(sizeof *share);
        share->tenant = tenant;
        share->quota = quota;
        share->next = *bucket;
        *bucket = share;
    }
    atomic_fetch_add(&share->tokens, tokens);
    atomic_fetch_add(&share->requests, 1);
    atomic_fetch_add(&quota->tokens, tokens);
    atomic_fetch_add(&quota->requests, 1);
    return share;
}

/* Its requests last: from then on the loop's thread may free it. */
void engine_quota_give(struct engine_quota_share *share, uint64_t tokens)
{
    struct engine_quota *quota = share->quota;
    atomic_fetch_sub(&quota->tokens, tokens);
    atomic_fetch_sub(&quota->requests, 1);
    atomic_fetch_sub(&share->tokens, tokens);
    atomic_fetch_sub(&share->requests, 1);
}

uint64_t engine_quota_requests(const struct engine_quota *quota)
{
    return atomic_load(&quota->requests);
}

uint64_t engine_quota_tokens(const struct engine_quota *quota)
{
    return atomic_load(&quota->tokens);
}

static struct engine_quota_share *find(const struct engine_quota *quota, uint64_t tenant)
{
    struct engine_quota_share *share = quota->buckets[tenant % BUCKETS];
    while (share != NULL && share->tenant != tenant)
        share = share->next;
    return share;
}

static void sweep(struct engine_quota_share **bucket)
{
    while (*bucket != NULL) {
        struct engine_quota_share *share = *bucket;
        if (atomic_load(&share->requests) > 0) {
            bucket = &share->next;
            continue;
        }
        *bucket = share->next;
        free(share);
    }
}

static bool over(uint64_t requests, uint64_t tokens, uint64_t more_requests, uint64_t more_tokens,
                 uint64_t requests_max, uint64_t tokens_max)
{
    return requests + more_requests > requests_max ||
           (requests > 0 && tokens + more_tokens > tokens_max);
}
