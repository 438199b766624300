/* account_internal: the parts of the module.
 *   account.c             opening, the background fiber
 *   account_rules.c       what names, addresses and passwords may be
 *   account_hash.c        hashing passwords, a few at a time
 *   account_throttle.c    who has guessed too often
 *   account_touch.c       last uses, written later in batches
 *   account_key_form.c    the form of a key
 *   account_key_cache.c   verdicts on keys, for a few seconds
 *   account_key_check.c   the check itself
 *   account_setup.c, account_user.c, account_session.c, account_key.c   as their headers say */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include "account.h"
#include "account_key.h"
#include "account_session.h"
#include "vault.h"

struct loop;
struct fiber;

enum { HASH_BYTES_MAX = 128, TOKEN_SHA256_BYTES = 32, ADDRESS_BYTES_MAX = 64 };

/* Passwords being hashed: `running` of at most `max`, the others in a queue, first come first
 * served. Shared by all workers. */
struct hash_waiter;
struct hash_gate {
    pthread_mutex_t mutex;
    int max, running, waiting_max, waiting;
    struct hash_waiter *first, *last;
    uint64_t passes;
    size_t memory;
};
void hash_gate_open(struct hash_gate *gate, const struct account_options *options);
void hash_gate_close(struct hash_gate *gate);
/* A PHC string of argon2id. Waits. Fails: STATUS_RATE_LIMITED when too many wait;
 * STATUS_UNAVAILABLE without memory. */
bool hash_make(struct hash_gate *gate, struct text password, char out[HASH_BYTES_MAX],
               struct status *st);
/* `*right`: whether it is the password. `stored` empty: takes the same time and is never right.
 * `*weak`: it is right, but was made with less than hash_make uses now. */
bool hash_check(struct hash_gate *gate, struct text password, struct text stored, bool *right,
                bool *weak, struct status *st);

/* Failed guesses, in memory. */
enum { THROTTLE_ENTRIES = 4096, THROTTLE_WAYS = 8 };
struct throttle_entry {
    uint64_t key[2];                     /* zeros: free */
    int64_t first_us, until_us, last_us; /* monotonic */
    int failures, level;
    int running; /* attempts under way: while there are any, the entry stays where it is */
};
struct throttle {
    pthread_mutex_t mutex;
    _Atomic int waiting; /* fibers, for their turn */
    uint8_t secret[16];
    struct throttle_entry entries[THROTTLE_ENTRIES];
    int64_t (*now_us)(void); /* clock_mono_us; a test's own */
};
void throttle_open(struct throttle *throttle);
void throttle_close(struct throttle *throttle);
/* One attempt on `account` (an address of mail, compared) from `address`; both outlive it. */
enum { THROTTLE_COUNTS = 4 }; /* by account, by address, of all together; keys by address */
struct throttle_turn {
    struct text account, address;
    bool of_key;
    struct throttle_entry *counts[THROTTLE_COUNTS]; /* NULL: not counted there */
};
enum throttle_answer { THROTTLE_GO, THROTTLE_WAIT, THROTTLE_SHUT };
/* Does not wait. THROTTLE_WAIT: as many are under way as may still fail. THROTTLE_SHUT: for
 * `*wait_us` more. */
enum throttle_answer throttle_try(struct throttle *throttle, struct text account,
                                  struct text address, struct throttle_turn *turn,
                                  int64_t *wait_us);
/* Before an attempt: waits for its turn, in a fiber. Each needs its throttle_end.
 * Fails: STATUS_RATE_LIMITED with retry_after_ms; fiber.h. */
MUST_CHECK bool throttle_begin(struct throttle *throttle, struct text account, struct text address,
                               struct throttle_turn *turn, struct status *st);
/* Before the database is asked for an API key that nobody knows yet; `address` may be empty. */
MUST_CHECK bool throttle_begin_key(struct throttle *throttle, struct text address,
                                   struct throttle_turn *turn, struct status *st);
/* After it. PASSED forgets what failed at this account, and remembers that `address` is known to
 * it. UNKNOWN: it could not be found out, and counts as nothing. */
enum throttle_outcome { THROTTLE_PASSED, THROTTLE_FAILED, THROTTLE_UNKNOWN };
void throttle_end(struct throttle *throttle, struct throttle_turn *turn,
                  enum throttle_outcome outcome);
/* Of a check that fails with `wrong` where the guess was wrong. */
enum throttle_outcome throttle_outcome_of(bool passed, enum status_code wrong,
                                          const struct status *st);

/* Last uses that wait to be written. */
enum { TOUCHES_MAX = 4096 };
enum touch_kind { TOUCH_KEY, TOUCH_SESSION };
struct touch {
    enum touch_kind kind;
    struct id org, project, id;
    int64_t at_us;
    char address[ADDRESS_BYTES_MAX]; /* session */
    bool has_digest;                 /* key: is to be stored under a newer pepper */
    struct vault_digest digest;
};
struct touch_list {
    pthread_mutex_t mutex;
    struct touch *touches; /* TOUCHES_MAX, or NULL while there is none */
    size_t count;
};
/* Does not wait. One entry per row; when the list is full the touch is dropped: it comes again. */
extern const int64_t touch_every_us;
void touch_add(struct account *account, const struct touch *touch);
/* Waits. What could not be written is dropped. */
bool touch_flush(struct account *account, struct status *st);

/* Verdicts on keys by the digest of the newest pepper. Shared by all workers. */
enum { CACHE_SHARDS = 16, CACHE_WAYS = 8 };
struct cache_entry {
    uint8_t digest[VAULT_DIGEST_BYTES];
    bool used, valid;
    int64_t asked_us;      /* when the database said so, monotonic; 0: to be asked anew */
    int64_t refreshing_us; /* since when somebody asks it again */
    int64_t expires_us;    /* wall clock, 0 for never */
    struct account_caller caller;
};
struct cache_shard {
    pthread_mutex_t mutex;
    struct cache_entry *sets; /* `sets_count` times CACHE_WAYS: keys that are good */
    struct cache_entry bad[64];
};
struct key_cache {
    struct cache_shard shards[CACHE_SHARDS];
    size_t sets_count;
    int64_t fresh_us;
    _Atomic uint64_t epoch; /* counts what was taken out: an answer from before must not go in */
};
enum cache_answer { CACHE_GOOD, CACHE_BAD, CACHE_ASK, CACHE_ASK_AGAIN };
void cache_open(struct key_cache *cache, const struct account_options *options);
void cache_close(struct key_cache *cache);
/* CACHE_ASK: the caller asks the database and tells by cache_put. CACHE_ASK_AGAIN: so it does, for
 * a key that was good the last time; others may be told the old answer in the meantime, for less
 * than a second more. */
enum cache_answer cache_get(struct key_cache *cache, const uint8_t digest[VAULT_DIGEST_BYTES],
                            struct account_caller *out);
/* `epoch`: from before the database was asked. `caller` NULL: there is no such key. */
void cache_put(struct key_cache *cache, const uint8_t digest[VAULT_DIGEST_BYTES],
               const struct account_caller *caller, int64_t expires_us, uint64_t epoch);
/* A key that was revoked; zeros in `key_id`: all keys of everybody. */
void cache_drop(struct key_cache *cache, struct text key_id);

struct account {
    struct db *db;
    struct vault *vault;
    struct hash_gate gate;
    struct throttle throttle;
    struct touch_list touches;
    struct key_cache keys;
    int64_t session_idle_us, session_life_us, sessions_max, keys_max;
    atomic_bool set_up; /* there is an owner: stays so */
};

/* The form in which addresses of mail are compared: ASCII letters in lower case. */
struct text email_key(struct text email, struct arena *arena);
struct id id_from(struct text text); /* of a row of ours; zeros when it is empty */
enum account_role role_from(struct text name);
/* The default project of an organisation with the role of a member, and the like, as a caller. */
void token_make(struct account_token *token, uint8_t sha256[TOKEN_SHA256_BYTES]);
/* False when it has not the form of one. */
bool token_sha256(struct text token, uint8_t sha256[TOKEN_SHA256_BYTES]);

/* Writes the 36 characters after the prefix; `out` has ACCOUNT_KEY_BYTES + 1. */
void key_make(char out[ACCOUNT_KEY_BYTES + 1]);
bool sessions_purge(struct account *account, struct status *st);
