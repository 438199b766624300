/* account_key_cache: what the database said of a key, for a few seconds. On the path of every
 * request: a look-up is one short lock of one of 16 shards and a walk over 8 entries.
 *
 * A good verdict is good for `fresh_us` (4 s). In its second half the first who comes asks the
 * database again while the others go on with the old one, so a busy key never makes a crowd wait;
 * past it everybody asks. That is below the 5 s within which a key revoked on another replica must
 * be dead. Here it is dead at once: cache_drop takes it out, and `epoch` sees to it that an answer
 * which was on its way meanwhile does not put it back.
 * Verdicts "no such key" are kept apart, so that guessing cannot push out what is good. */
#include <stdlib.h>
#include <string.h>
#include "account_internal.h"
#include "clock.h"

static const size_t keys_default = 20000;
static const int64_t fresh_ms_default = 4000, refresh_max_us = 1000000;

static struct cache_entry *set_of(const struct key_cache *cache, struct cache_shard *shard,
                                  const uint8_t *digest);
static struct cache_entry *bad_of(struct cache_shard *shard, const uint8_t *digest);
static struct cache_entry *place_for(struct cache_entry *set, const uint8_t *digest);
static bool is_of(const struct cache_entry *entry, const uint8_t *digest);

void cache_open(struct key_cache *cache, const struct account_options *options)
{
    size_t keys = options->keys_cached_max > 0 ? options->keys_cached_max : keys_default;
    cache->fresh_us = (options->key_fresh_ms > 0 ? options->key_fresh_ms : fresh_ms_default) * 1000;
    cache->sets_count = keys / ((size_t)CACHE_SHARDS * CACHE_WAYS) + 1;
    for (size_t i = 0; i < CACHE_SHARDS; i++) {
        struct cache_shard *shard = &cache->shards[i];
        pthread_mutex_init(&shard->mutex, NULL);
        /* touched page by page as keys come, so an idle server does not pay for it */
        shard->sets = calloc(cache->sets_count * CACHE_WAYS, sizeof(*shard->sets));
        WEIR_ASSERT(shard->sets != NULL);
    }
}

void cache_close(struct key_cache *cache)
{
    for (size_t i = 0; i < CACHE_SHARDS; i++) {
        free(cache->shards[i].sets);
        pthread_mutex_destroy(&cache->shards[i].mutex);
    }
}

static struct cache_shard *shard_of(struct key_cache *cache, const uint8_t *digest)
{
    return &cache->shards[digest[0] % CACHE_SHARDS];
}

enum cache_answer cache_get(struct key_cache *cache, const uint8_t digest[VAULT_DIGEST_BYTES],
                            struct account_caller *out)
{
    int64_t now_us = clock_mono_us();
    enum cache_answer answer = CACHE_ASK;
    struct cache_shard *shard = shard_of(cache, digest);
    pthread_mutex_lock(&shard->mutex);
    struct cache_entry *set = set_of(cache, shard, digest), *bad = bad_of(shard, digest);
    for (struct cache_entry *entry = set; entry < set + CACHE_WAYS; entry++) {
        if (!is_of(entry, digest))
            continue;
        int64_t age_us = now_us - entry->asked_us;
        bool asked_elsewhere = now_us - entry->refreshing_us < refresh_max_us;
        if (age_us < cache->fresh_us / 2 || (age_us < cache->fresh_us && asked_elsewhere)) {
            bool expired = entry->expires_us != 0 && clock_wall_us() >= entry->expires_us;
            answer = expired ? CACHE_BAD : CACHE_GOOD;
            *out = entry->caller;
        } else {
            entry->refreshing_us = now_us;
            answer = CACHE_ASK_AGAIN;
        }
        break;
    }
    if (is_of(bad, digest) && now_us - bad->asked_us < cache->fresh_us)
        answer = CACHE_BAD;
    pthread_mutex_unlock(&shard->mutex);
    return answer;
}

void cache_put(struct key_cache *cache, const uint8_t digest[VAULT_DIGEST_BYTES],
               const struct account_caller *caller, int64_t expires_us, uint64_t epoch)
{
    int64_t now_us = clock_mono_us();
    struct cache_shard *shard = shard_of(cache, digest);
    pthread_mutex_lock(&shard->mutex);
    struct cache_entry *set = set_of(cache, shard, digest), *bad = bad_of(shard, digest);
    struct cache_entry *place = place_for(set, digest);
    if (caller == NULL) {
        if (is_of(place, digest))
            *place = (struct cache_entry){0};
        place = bad;
    } else if (is_of(bad, digest)) {
        *bad = (struct cache_entry){0};
    }
    /* Under the lock that cache_drop takes after it has counted: whoever comes second sees it. */
    if (atomic_load(&cache->epoch) == epoch) {
        *place = (struct cache_entry){.used = true, .asked_us = now_us, .expires_us = expires_us};
        memcpy(place->digest, digest, sizeof(place->digest));
        if (caller != NULL)
            place->caller = *caller;
    }
    pthread_mutex_unlock(&shard->mutex);
}

void cache_drop(struct key_cache *cache, struct text key_id)
{
    atomic_fetch_add(&cache->epoch, 1);
    for (size_t i = 0; i < CACHE_SHARDS; i++) {
        struct cache_shard *shard = &cache->shards[i];
        pthread_mutex_lock(&shard->mutex);
        if (key_id.len == 0)
            memset(shard->bad, 0, sizeof(shard->bad));
        for (size_t j = 0; j < cache->sets_count * CACHE_WAYS; j++) {
            struct cache_entry *entry = &shard->sets[j];
            if (entry->used &&
                (key_id.len == 0 || text_equal(ids_text(&entry->caller.key), key_id)))
                *entry = (struct cache_entry){0};
        }
        pthread_mutex_unlock(&shard->mutex);
    }
}

static struct cache_entry *set_of(const struct key_cache *cache, struct cache_shard *shard,
                                  const uint8_t *digest)
{
    uint64_t place;
    memcpy(&place, digest + 1, sizeof(place)); /* a digest is random already */
    return &shard->sets[place % cache->sets_count * CACHE_WAYS];
}

static struct cache_entry *bad_of(struct cache_shard *shard, const uint8_t *digest)
{
    return &shard->bad[digest[9] % ARRAY_LEN(shard->bad)];
}

/* The entry of this digest, else a free one, else the one that was asked for longest ago. */
static struct cache_entry *place_for(struct cache_entry *set, const uint8_t *digest)
{
    struct cache_entry *place = set;
    for (struct cache_entry *entry = set; entry < set + CACHE_WAYS; entry++) {
        if (is_of(entry, digest))
            return entry;
        if (place->used && (!entry->used || entry->asked_us < place->asked_us))
            place = entry;
    }
    return place;
}

static bool is_of(const struct cache_entry *entry, const uint8_t *digest)
{
    return entry->used && memcmp(entry->digest, digest, VAULT_DIGEST_BYTES) == 0;
}
