/* vault: what must not be read off a disk. Key rings in $WEIR_DATA/secrets, and data sealed with
 * the key of a person, sealed with the key of their organisation, sealed with the master key:
 * deleting one row of keys erases what it has sealed, in every backup.
 *
 * A ring holds several keys; the newest makes new digests and seals, the others are for reading
 * what is old. Every digest and every sealed blob names its key, so a ring can be rotated under
 * load. XChaCha20-Poly1305; the place where a blob stands is authenticated with it, so a blob moved
 * to another row, column or organisation does not open.
 *
 * Waits: vault_key_take and the two vault_*_key_make, for the database. Any thread may use a vault.
 * Unwrapped keys live in locked memory, are not in core dumps, and are wiped when they leave it. */
#pragma once
#include "arena.h"
#include "base.h"
#include "status.h"
#include "text.h"

struct db;
struct db_tx;
struct vault;
struct vault_key;

enum vault_ring {
    VAULT_RING_MASTER, /* seals the keys of organisations, and what the operator owns */
    VAULT_RING_PEPPER, /* digests of API keys */
    VAULT_RING_TOKEN,  /* page tokens and the like: what we hand out and want back unchanged */
    VAULT_RING_COUNT
};

struct vault_options {
    struct text folder;                  /* "$WEIR_DATA/secrets"; made with mode 0700 */
    struct text files[VAULT_RING_COUNT]; /* WEIR_*_FILE; empty: <folder>/<ring>.keys */
    bool create; /* make the rings that are missing. Only for a database that has sealed nothing
                    yet: a new master key in place of a lost one would hide the loss. */
};

/* Fails: STATUS_NOT_FOUND for a ring that is missing (and not to be made); STATUS_INVALID for a
 * file that is no ring, with its line; STATUS_FORBIDDEN for one that others may read;
 * STATUS_SYSTEM. */
MUST_CHECK bool vault_open(const struct vault_options *options, struct vault **out,
                           struct status *st);
void vault_close(struct vault *vault); /* after every vault_key was released */
AUTO_DEFINE(vault, vault_close)
enum { VAULT_DIGEST_BYTES = 32, VAULT_KEY_ID_BYTES = 8 };

/* A ring at this moment. */
struct vault_ring_facts {
    size_t count, max; /* keys in it; how many it can hold */
    char newest_id[VAULT_KEY_ID_BYTES + 1], oldest_id[VAULT_KEY_ID_BYTES + 1];
};
void vault_ring_facts(struct vault *vault, enum vault_ring ring, struct vault_ring_facts *out);
/* "master", "pepper", "token". False: there is no such ring. */
MUST_CHECK bool vault_ring_by_name(struct text name, enum vault_ring *out);

/* Adds a new key to a ring file, from now on the newest; other servers learn of it when they are
 * started anew or told to vault_reload. Blocks for the disk. What the master ring has sealed stays
 * as it is: vault_org_keys_rewrap.
 * Fails: STATUS_LIMIT when the ring is full; as vault_open. */
MUST_CHECK bool vault_rotate(struct vault *vault, enum vault_ring ring, struct status *st);
/* The same, and takes the oldest key out. `oldest_id` is what it was when somebody made sure that
 * nothing needs it any more. Fails: STATUS_CONFLICT when another one is the oldest by now. */
MUST_CHECK bool vault_rotate_out(struct vault *vault, enum vault_ring ring, struct text oldest_id,
                                 struct status *st);
/* Seals every organisation's key that an older master key has sealed with the newest, so that the
 * older ones are needed for backups alone. `*changed` is how many. Waits; many small transactions,
 * so after a failure some are done: it may be run again. Fails: as the database; STATUS_NOT_FOUND
 * for a key whose master key is not in the ring. */
MUST_CHECK bool vault_org_keys_rewrap(struct vault *vault, struct db *db, int64_t *changed,
                                      struct status *st);
/* Reads all rings again; on failure those not yet read stay as they were. */
MUST_CHECK bool vault_reload(struct vault *vault, struct status *st);

/* Digests: HMAC-SHA-256. Neither waits nor allocates. */
struct vault_digest {
    uint8_t bytes[VAULT_DIGEST_BYTES];
    char key_id[VAULT_KEY_ID_BYTES + 1]; /* of the ring, with a final zero */
};
/* With the newest key of the ring. `purpose` keeps digests of different things apart. */
void vault_digest(struct vault *vault, enum vault_ring ring, struct text purpose, struct text data,
                  struct vault_digest *out);
/* With each key of the ring, newest first: the digests under which something old may be stored.
 * Returns how many were written, at most `size`. */
size_t vault_digest_all(struct vault *vault, enum vault_ring ring, struct text purpose,
                        struct text data, struct vault_digest *out, size_t size);

/* The place of a sealed value: its table and column, the organisation, the row's id. */
struct vault_place {
    struct text table, column, org_id, row_id;
};

/* Makes the first key of an organisation (of a person in it), in the caller's write transaction:
 * that of `org_id` in its own scope or DB_SYSTEM_SETUP's, DB_SYSTEM_ADMIN's.
 * Fails: STATUS_CONFLICT when it has one; as the database. */
MUST_CHECK bool vault_org_key_make(struct vault *vault, struct db_tx *tx, struct text org_id,
                                   struct status *st);
MUST_CHECK bool vault_user_key_make(struct vault *vault, struct db_tx *tx, struct text org_id,
                                    struct text user_id, struct status *st);

/* The keys of a person in an organisation, unwrapped; `user_id` empty: those of the organisation;
 * both empty: the master keys, for what the operator owns. Waits only when they are not in memory.
 * Never call it inside a write transaction: it reads with a transaction of its own.
 * Owns: the caller releases it soon; what lives long takes it anew each time.
 * Fails: STATUS_NOT_FOUND: there is none, or it was erased. */
MUST_CHECK bool vault_key_take(struct vault *vault, struct db *db, struct text org_id,
                               struct text user_id, struct vault_key **out, struct status *st);
void vault_key_release(struct vault_key *key);
AUTO_DEFINE(vault_key, vault_key_release)
/* Forgets unwrapped keys at once (erasure on this replica; the others within a minute). `user_id`
 * empty: of the organisation and of everybody in it. */
void vault_key_forget(struct vault *vault, struct text org_id, struct text user_id);

/* Whether the newest of the keys has sealed it; if not, seal it anew. */
bool vault_sealed_newest(const struct vault_key *key, struct text blob);

/* Seals `plain` for one place, into `arena`. The blob is VAULT_SEAL_BYTES longer. Does not wait. */
enum { VAULT_SEAL_BYTES = 1 + 4 + 24 + 16 };
struct text vault_seal(const struct vault_key *key, struct vault_place place, struct text plain,
                       struct arena *arena);
/* Fails: STATUS_NOT_FOUND when its key is not there any more; STATUS_SYSTEM when it was damaged,
 * moved or forged. */
MUST_CHECK bool vault_open_sealed(const struct vault_key *key, struct vault_place place,
                                  struct text blob, struct arena *arena, struct text *plain,
                                  struct status *st);
