/* vault_internal: the parts of the vault.
 *   vault.c        opening, rings as a whole, digests
 *   vault_ring.c   one ring and its file
 *   vault_seal.c   sealing with a raw key: no rings, no database
 *   vault_key.c    keys of organisations and people: rows, and those unwrapped in memory */
#pragma once
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include "vault.h"

enum {
    VAULT_KEY_BYTES = 32,
    RING_KEYS_MAX = 32,
    KEY_VERSIONS_MAX = RING_KEYS_MAX, /* of one organisation or person; a set may be a whole ring */
    KEYS_CACHED_MAX = 2048,           /* unwrapped sets of them */
    SLOTS_MAX = 2 * KEYS_CACHED_MAX
};

/* One key of a ring. Its id is a random number that is not 0; in texts 8 hex digits. */
struct ring_key {
    uint32_t id;
    char id_text[VAULT_KEY_ID_BYTES + 1];
    uint8_t bytes[VAULT_KEY_BYTES];
};

/* Immutable once read; replaced as a whole by vault_reload. In locked memory. */
struct ring {
    size_t count; /* keys[count - 1] is the newest */
    struct ring_key keys[RING_KEYS_MAX];
    crypto_auth_hmacsha256_state hmac[RING_KEYS_MAX]; /* begun with the key, to be copied */
    struct ring *retired;                             /* the one before that was replaced */
};

/* A set of unwrapped keys. */
struct vault_key {
    struct vault *vault;
    char name[2 * 64 + 2]; /* "org_…" or "org_…/usr_…"; empty: the master ring */
    size_t count;          /* newest last */
    uint32_t ids[KEY_VERSIONS_MAX];
    uint8_t *bytes[KEY_VERSIONS_MAX]; /* slots of the vault's locked memory, or into the ring */
    int refs;                         /* under the mutex, as what follows */
    bool cached;                      /* in the table: may be handed out again */
    int64_t fresh_until_us;
    struct vault_key *next; /* of the same hash */
    struct vault_key *older, *newer;
};

struct vault {
    char *files[VAULT_RING_COUNT];
    struct ring *_Atomic rings[VAULT_RING_COUNT];
    pthread_mutex_t rotating; /* from reading a ring's file to writing it */
    pthread_mutex_t mutex;
    struct vault_key *table[KEYS_CACHED_MAX];
    struct vault_key *newest, *oldest;
    size_t cached;
    uint8_t *slots; /* SLOTS_MAX keys in one locked piece of memory */
    uint16_t free_slots[SLOTS_MAX];
    size_t free_slots_count;
};

extern const char *const vault_ring_names[VAULT_RING_COUNT];

/* Reads a ring file into `ring`. Fails as vault_open. */
bool ring_read(const char *path, struct ring *ring, struct status *st);
/* Writes `ring` to a new file and renames it over `path`; on the disk when it returns. `fresh`: the
 * file must not exist. */
bool ring_write(const char *path, const char *name, const struct ring *ring, bool fresh,
                struct status *st);
/* Adds a new random key as the newest. Fails: STATUS_LIMIT. */
bool ring_add(struct ring *ring, struct status *st);
/* Takes the oldest key out; call ring_add next. */
void ring_drop_oldest(struct ring *ring);
const struct ring *vault_ring_of(struct vault *vault, enum vault_ring ring);
const struct ring_key *ring_find(const struct ring *ring, uint32_t id); /* NULL: not there */

/* The table of unwrapped keys. */
void keys_open(struct vault *vault);
void keys_close(struct vault *vault);

/* One blob with one key; `blob` has room for VAULT_SEAL_BYTES more than `plain`. */
void seal_with(const uint8_t key[VAULT_KEY_BYTES], uint32_t key_id, struct vault_place place,
               struct text plain, uint8_t *blob);
/* The id of the key that sealed it; false when it is no blob of ours. */
bool seal_key_id(struct text blob, uint32_t *key_id);
/* `plain` has room for blob.len - VAULT_SEAL_BYTES. */
bool open_with(const uint8_t key[VAULT_KEY_BYTES], struct vault_place place, struct text blob,
               uint8_t *plain);
