/* account_throttle: failed guesses, by account and by address, in memory. Three failures within two
 * minutes shut the account for five minutes, then twice as long each time, up to an hour, never for
 * ever; an address has ten, since many people may stand behind one; all together have 300, after
 * which guesses wait a few seconds. An account that nobody has is shut in the same way.
 *
 * So that a stranger cannot keep an owner out of their own house: from an address from which the
 * account was opened before, only the failures of that address count.
 *
 * The table has a fixed size and forgets what was touched longest ago. It is this process's own: a
 * restart forgets all, and several replicas count apart, so that whoever has n of them to ask has n
 * times the guesses. That is meant: a row per failed attempt would let anybody fill the database.
 * Its keys are hashed with a secret of the process, so that nobody can aim at a place in it. */
#include <arpa/inet.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include "account_internal.h"
#include "clock.h"
#include "rand.h"

static const int64_t second_us = 1000000;

struct rule {
    int failures;                              /* within window_us */
    int64_t window_us, block_us, block_max_us; /* doubles up to the last */
};
static const struct rule account_rule = {3, 120 * 1000000LL, 300 * 1000000LL, 3600 * 1000000LL};
static const struct rule address_rule = {10, 120 * 1000000LL, 300 * 1000000LL, 3600 * 1000000LL};
static const struct rule all_rule = {300, 120 * 1000000LL, 5 * 1000000LL, 5 * 1000000LL};
/* How long an address is known, and how long a level of punishment is remembered. */
static const int64_t memory_us = 24LL * 3600 * 1000000;

static struct throttle_entry *entry_of(struct throttle *throttle, const char *kind,
                                       struct text account, struct text address, bool make);
static struct text network_of(struct text address, char memory[INET6_ADDRSTRLEN]);
static void entry_fail(struct throttle_entry *entry, const struct rule *rule, int64_t now_us);

void throttle_open(struct throttle *throttle)
{
    pthread_mutex_init(&throttle->mutex, NULL);
    rand_bytes(throttle->secret, sizeof(throttle->secret));
    throttle->now_us = clock_mono_us;
}

void throttle_close(struct throttle *throttle)
{
    pthread_mutex_destroy(&throttle->mutex);
}

bool throttle_attempt(struct throttle *throttle, struct text account, struct text address,
                      struct status *st)
{
    int64_t now_us = throttle->now_us(), wait_us = 0;
    pthread_mutex_lock(&throttle->mutex);
    bool known = entry_of(throttle, "known", account, address, false) != NULL;
    struct {
        struct throttle_entry *entry;
        const struct rule *rule;
    } counts[] = {
        {known ? entry_of(throttle, "pair", account, address, true)
               : entry_of(throttle, "account", account, TEXT_NONE, true),
         &account_rule},
        {address.len > 0 ? entry_of(throttle, "address", TEXT_NONE, address, true) : NULL,
         &address_rule},
        {entry_of(throttle, "all", TEXT_NONE, TEXT_NONE, true), &all_rule},
    };
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        if (counts[i].entry != NULL && counts[i].entry->until_us - now_us > wait_us)
            wait_us = counts[i].entry->until_us - now_us;
    for (size_t i = 0; i < ARRAY_LEN(counts) && wait_us == 0; i++)
        if (counts[i].entry != NULL)
            entry_fail(counts[i].entry, counts[i].rule, now_us);
    pthread_mutex_unlock(&throttle->mutex);
    if (wait_us == 0)
        return true;
    status_fail(st, STATUS_RATE_LIMITED, "too many failed attempts: try again in %lld s",
                (long long)(wait_us / second_us + 1));
    st->retry_after_ms = wait_us / 1000 + 1;
    return false;
}

void throttle_success(struct throttle *throttle, struct text account, struct text address)
{
    int64_t now_us = throttle->now_us();
    pthread_mutex_lock(&throttle->mutex);
    bool known = entry_of(throttle, "known", account, address, false) != NULL;
    struct throttle_entry *own = known ? entry_of(throttle, "pair", account, address, false)
                                       : entry_of(throttle, "account", account, TEXT_NONE, false);
    struct throttle_entry *shared[] = {entry_of(throttle, "address", TEXT_NONE, address, false),
                                       entry_of(throttle, "all", TEXT_NONE, TEXT_NONE, false)};
    if (own != NULL)
        own->failures = own->level = 0, own->until_us = 0;
    /* of the others only this one attempt: somebody else's guesses stay counted */
    for (size_t i = 0; i < ARRAY_LEN(shared); i++)
        if (shared[i] != NULL && shared[i]->failures > 0)
            shared[i]->failures--;
    if (address.len > 0)
        entry_of(throttle, "known", account, address, true)->last_us = now_us;
    pthread_mutex_unlock(&throttle->mutex);
}

static void entry_fail(struct throttle_entry *entry, const struct rule *rule, int64_t now_us)
{
    if (now_us - entry->first_us > rule->window_us)
        entry->failures = 0;
    if (entry->failures++ == 0)
        entry->first_us = now_us;
    if (entry->failures < rule->failures)
        return;
    int64_t block_us = rule->block_us;
    for (int i = 0; i < entry->level && block_us < rule->block_max_us; i++)
        block_us *= 2;
    block_us = block_us < rule->block_max_us ? block_us : rule->block_max_us;
    entry->until_us = now_us + block_us;
    entry->level++;
    entry->failures = 0;
}

/* Its entry; NULL when there is none and none is to be made. */
static struct throttle_entry *entry_of(struct throttle *throttle, const char *kind,
                                       struct text account, struct text address, bool make)
{
    int64_t now_us = throttle->now_us();
    uint8_t message[16 + 300 + 100], digest[crypto_generichash_BYTES_MIN];
    uint64_t key[2];
    char network[INET6_ADDRSTRLEN];
    struct text parts[] = {text_of(kind), text_take(account, 300), network_of(address, network)};
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i].len > 0)
            memcpy(message + len, parts[i].at, parts[i].len);
        len += parts[i].len;
        message[len++] = 0;
    }
    crypto_generichash(digest, sizeof(digest), message, len, throttle->secret,
                       sizeof(throttle->secret));
    memcpy(key, digest, sizeof(key));
    key[0] |= 1; /* zeros mean free */
    struct throttle_entry *set =
        &throttle->entries[key[1] % (THROTTLE_ENTRIES / THROTTLE_WAYS) * THROTTLE_WAYS];
    struct throttle_entry *oldest = set;
    int64_t oldest_worth_us = INT64_MAX;
    for (struct throttle_entry *at = set; at < set + THROTTLE_WAYS; at++) {
        bool dead = at->key[0] == 0 || now_us - at->last_us > memory_us;
        if (at->key[0] == key[0] && at->key[1] == key[1] && !dead) {
            at->last_us = now_us;
            return at;
        }
        /* one that is shut goes last: a flood of others must not open it */
        int64_t worth_us = dead                    ? -1
                           : at->until_us > now_us ? at->until_us + memory_us
                                                   : at->last_us;
        if (worth_us < oldest_worth_us) {
            oldest = at;
            oldest_worth_us = worth_us;
        }
    }
    if (!make)
        return NULL;
    *oldest = (struct throttle_entry){.key = {key[0], key[1]}, .last_us = now_us};
    return oldest;
}

/* An address of version 6 without its last 64 bits: whoever has one has all of those. */
static struct text network_of(struct text address, char memory[INET6_ADDRSTRLEN])
{
    struct in6_addr parsed;
    char text[INET6_ADDRSTRLEN];
    address = text_take(address, 90);
    if (text_find_byte(address, ':') == address.len || address.len >= sizeof(text))
        return address;
    snprintf(text, sizeof(text), "%.*s", TEXT_ARG(address));
    if (inet_pton(AF_INET6, text, &parsed) != 1 || IN6_IS_ADDR_V4MAPPED(&parsed))
        return address;
    memset(parsed.s6_addr + 8, 0, 8);
    (void)inet_ntop(AF_INET6, &parsed, memory, INET6_ADDRSTRLEN);
    return text_of(memory);
}
