/* account_throttle: failed guesses, by account and by address, in memory. Three failures within two
 * minutes shut the account for five minutes, then twice as long each time, up to an hour, never for
 * ever; an address has ten, since many people may stand behind one; all together have 300, after
 * which guesses wait a few seconds. An account that nobody has is shut in the same way.
 *
 * Only what has failed counts. So that many guesses at the same moment cannot slip through, no more
 * are under way than may still fail; the others wait for their turn. Whoever knows the password is
 * late by some tenths of a second, and never shut out by others who know theirs.
 *
 * API keys cannot be guessed, but each that has the form of one costs a question to the database:
 * an address that asks for a hundred that are not there, within ten seconds, waits for two. Keys
 * that were good a while ago are not asked here.
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
#include "fiber.h"
#include "loop.h"
#include "rand.h"

enum { TURN_WAIT_MS = 20000, TURN_POLL_MS = 20, WAITING_MAX = 256, LATER_MS = 2000 };

static const int64_t second_us = 1000000;

struct rule {
    int failures;                              /* within window_us */
    int64_t window_us, block_us, block_max_us; /* doubles up to the last */
};
static const struct rule account_rule = {3, 120 * 1000000LL, 300 * 1000000LL, 3600 * 1000000LL};
static const struct rule address_rule = {10, 120 * 1000000LL, 300 * 1000000LL, 3600 * 1000000LL};
static const struct rule all_rule = {300, 120 * 1000000LL, 5 * 1000000LL, 5 * 1000000LL};
static const struct rule key_rule = {100, 10 * 1000000LL, 2 * 1000000LL, 2 * 1000000LL};
/* How long an address is known, and how long a level of punishment is remembered. */
static const int64_t memory_us = 24LL * 3600 * 1000000;

static struct throttle_entry *entry_of(struct throttle *throttle, const char *kind,
                                       struct text account, struct text address, bool make);
static struct text network_of(struct text address, char memory[INET6_ADDRSTRLEN]);
static enum throttle_answer try_turn(struct throttle *throttle, struct throttle_turn *turn,
                                     int64_t *wait_us);
static bool begin_turn(struct throttle *throttle, struct throttle_turn *turn, struct status *st);
static bool entry_is_full(const struct throttle_entry *entry, const struct rule *rule,
                          int64_t now_us);
static void entry_fail(struct throttle_entry *entry, const struct rule *rule, int64_t now_us);

static const struct rule *const rules[THROTTLE_COUNTS] = {&account_rule, &address_rule, &all_rule,
                                                          &key_rule};

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

enum throttle_answer throttle_try(struct throttle *throttle, struct text account,
                                  struct text address, struct throttle_turn *turn, int64_t *wait_us)
{
    *turn = (struct throttle_turn){.account = account, .address = address};
    return try_turn(throttle, turn, wait_us);
}

static enum throttle_answer try_turn(struct throttle *throttle, struct throttle_turn *turn,
                                     int64_t *wait_us)
{
    struct text account = turn->account, address = turn->address;
    struct throttle_entry *entries[THROTTLE_COUNTS] = {NULL};
    int64_t now_us = throttle->now_us();
    bool full = false;
    *wait_us = 0;
    pthread_mutex_lock(&throttle->mutex);
    if (turn->of_key) {
        if (address.len > 0)
            entries[3] = entry_of(throttle, "key", TEXT_NONE, address, true);
        full = address.len > 0 && entries[3] == NULL;
    } else {
        bool known = entry_of(throttle, "known", account, address, false) != NULL;
        entries[0] = known ? entry_of(throttle, "pair", account, address, true)
                           : entry_of(throttle, "account", account, TEXT_NONE, true);
        if (address.len > 0)
            entries[1] = entry_of(throttle, "address", TEXT_NONE, address, true);
        entries[2] = entry_of(throttle, "all", TEXT_NONE, TEXT_NONE, true);
        full = entries[0] == NULL || entries[2] == NULL || (address.len > 0 && entries[1] == NULL);
    }
    for (size_t i = 0; i < THROTTLE_COUNTS; i++) {
        if (entries[i] == NULL)
            continue;
        if (entries[i]->until_us - now_us > *wait_us)
            *wait_us = entries[i]->until_us - now_us;
        full |= entry_is_full(entries[i], rules[i], now_us);
    }
    bool go = *wait_us == 0 && !full;
    for (size_t i = 0; i < THROTTLE_COUNTS && go; i++) {
        turn->counts[i] = entries[i];
        if (entries[i] != NULL)
            entries[i]->running++;
    }
    pthread_mutex_unlock(&throttle->mutex);
    return go ? THROTTLE_GO : *wait_us > 0 ? THROTTLE_SHUT : THROTTLE_WAIT;
}

bool throttle_begin(struct throttle *throttle, struct text account, struct text address,
                    struct throttle_turn *turn, struct status *st)
{
    *turn = (struct throttle_turn){.account = account, .address = address};
    return begin_turn(throttle, turn, st);
}

bool throttle_begin_key(struct throttle *throttle, struct text address, struct throttle_turn *turn,
                        struct status *st)
{
    *turn = (struct throttle_turn){.address = address, .of_key = true};
    return begin_turn(throttle, turn, st);
}

static bool begin_turn(struct throttle *throttle, struct throttle_turn *turn, struct status *st)
{
    int64_t wait_us, deadline_us = clock_deadline_ms(TURN_WAIT_MS);
    enum throttle_answer answer = try_turn(throttle, turn, &wait_us);
    if (answer == THROTTLE_WAIT && fiber_current() != NULL) {
        bool awake = atomic_fetch_add(&throttle->waiting, 1) < WAITING_MAX;
        /* A turn comes when a password was hashed, which takes far longer than one sleep. Who comes
         * first is left to chance. */
        while (awake && answer == THROTTLE_WAIT && clock_mono_us() < deadline_us) {
            if (!loop_sleep(clock_deadline_ms(TURN_POLL_MS), st)) {
                atomic_fetch_sub(&throttle->waiting, 1);
                return false;
            }
            answer = try_turn(throttle, turn, &wait_us);
        }
        atomic_fetch_sub(&throttle->waiting, 1);
    }
    if (answer == THROTTLE_GO)
        return true;
    if (answer == THROTTLE_SHUT)
        (void)status_fail(st, STATUS_RATE_LIMITED, "too many failed attempts: try again in %lld s",
                          (long long)(wait_us / second_us + 1));
    else
        (void)status_fail(st, STATUS_RATE_LIMITED, "too many attempts at this moment");
    st->retry_after_ms = answer == THROTTLE_SHUT ? wait_us / 1000 + 1 : LATER_MS;
    return false;
}

void throttle_end(struct throttle *throttle, struct throttle_turn *turn,
                  enum throttle_outcome outcome)
{
    int64_t now_us = throttle->now_us();
    pthread_mutex_lock(&throttle->mutex);
    for (size_t i = 0; i < THROTTLE_COUNTS; i++) {
        struct throttle_entry *entry = turn->counts[i];
        if (entry == NULL)
            continue;
        WEIR_ASSERT(entry->running > 0); /* so it was not given to anybody else */
        entry->running--;
        entry->last_us = now_us;
        if (outcome == THROTTLE_FAILED)
            entry_fail(entry, rules[i], now_us);
    }
    if (outcome == THROTTLE_PASSED && !turn->of_key) {
        struct throttle_entry *own = turn->counts[0], *known = NULL;
        WEIR_ASSERT(own != NULL);
        own->failures = own->level = 0, own->until_us = 0;
        if (turn->address.len > 0)
            known = entry_of(throttle, "known", turn->account, turn->address, true);
        if (known != NULL)
            known->last_us = now_us;
    }
    pthread_mutex_unlock(&throttle->mutex);
    *turn = (struct throttle_turn){0};
}

enum throttle_outcome throttle_outcome_of(bool passed, enum status_code wrong,
                                          const struct status *st)
{
    return passed ? THROTTLE_PASSED : st->code == wrong ? THROTTLE_FAILED : THROTTLE_UNKNOWN;
}

/* Whether as many are under way as may still fail. */
static bool entry_is_full(const struct throttle_entry *entry, const struct rule *rule,
                          int64_t now_us)
{
    int failures = now_us - entry->first_us > rule->window_us ? 0 : entry->failures;
    return failures + entry->running >= rule->failures;
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

/* Its entry; NULL when there is none and none is to be made, or no place for one. */
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
        bool dead = at->running == 0 && (at->key[0] == 0 || now_us - at->last_us > memory_us);
        if (at->key[0] == key[0] && at->key[1] == key[1] && !dead) {
            at->last_us = now_us;
            return at;
        }
        /* One that is shut goes last: a flood of others must not open it. One that attempts under
         * way point to stays. */
        int64_t worth_us = dead                    ? -1
                           : at->running > 0       ? INT64_MAX
                           : at->until_us > now_us ? at->until_us + memory_us
                                                   : at->last_us;
        if (worth_us < oldest_worth_us) {
            oldest = at;
            oldest_worth_us = worth_us;
        }
    }
    if (!make || oldest_worth_us == INT64_MAX)
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
