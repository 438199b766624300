/* relay_store: models and upstreams as rows; one function is one transaction. All rows are the
 * operator's own, shared with everybody (org_id ''; see the migration 0002_relay.sql).
 * Every change moves the version on, by which each replica learns of it (relay_registry).
 * Waits: every function, for the database. Any thread. */
#pragma once
#include "arena.h"
#include "base.h"
#include "db.h"
#include "status.h"
#include "text.h"
#include "vault.h"

enum {
    RELAY_NAME_CHARS_MAX = 100,
    RELAY_MODEL_ID_BYTES_MAX = 100,
    RELAY_URL_BYTES_MAX = 2000,
    RELAY_KEY_BYTES_MAX = 1000,
    RELAY_MODELS_MAX = 1000,
    RELAY_UPSTREAMS_MAX = 200,
};

struct relay_upstream_row {
    struct text id, name, base_url;
    struct text api_key_sealed; /* empty: none */
    bool enabled, managed;
    int64_t created_us;
};
struct relay_model_row {
    struct text id, name;
    bool local;
    struct text path; /* of a local one */
    struct text base; /* of a local one: the path is an adapter's, of the model with this id */
    struct text upstream_id, upstream_model; /* of another one */
    int64_t context_tokens;                  /* 0: what the model says */
    unsigned tasks; /* of one of an upstream (relay_tasks.h); 0: guessed by its name */
    bool enabled, managed;
    bool pinned; /* a local one: stays loaded */
    int64_t created_us;
};

struct relay_store {
    struct db *db;
    struct vault *vault;
    bool plain_anywhere; /* upstreams off loopback may be http */
};

MUST_CHECK bool relay_store_version(struct relay_store *store, int64_t *version, struct status *st);
/* Everything at one moment, in the order of creation. Owns: in `arena`. */
struct relay_rows {
    int64_t version;
    struct relay_upstream_row *upstreams;
    struct relay_model_row *models;
    size_t upstreams_count, models_count;
};
MUST_CHECK bool relay_store_load(struct relay_store *store, struct arena *arena,
                                 struct relay_rows *out, struct status *st);

/* Checks, then adds. `id` of an upstream and `created_us` are given by the store. `api_key` is
 * sealed; empty: none.
 * Fails: STATUS_INVALID with the field; STATUS_CONFLICT with the field "id" or "name" when taken;
 * STATUS_NOT_FOUND with the field "upstream_id". */
MUST_CHECK bool relay_store_upstream_add(struct relay_store *store, struct relay_upstream_row *row,
                                         struct text api_key, struct arena *arena,
                                         struct status *st);
MUST_CHECK bool relay_store_model_add(struct relay_store *store, struct relay_model_row *row,
                                      struct status *st);

/* What is to change; a NULL pointer leaves a column as it is. */
struct relay_upstream_change {
    const struct text *name, *base_url, *api_key; /* an empty api_key removes it */
    const bool *enabled;
};
/* Fails: as add; STATUS_NOT_FOUND; STATUS_CONFLICT with the field "managed". A new base_url without
 * a new key removes the key: it was given for the old address. */
MUST_CHECK bool relay_store_upstream_change(struct relay_store *store, struct text id,
                                            const struct relay_upstream_change *change,
                                            struct arena *arena, struct relay_upstream_row *out,
                                            struct status *st);
struct relay_model_change {
    const struct text *name;
    const bool *enabled, *pinned;
    const unsigned *tasks; /* 0: guessed by its name */
};
MUST_CHECK bool relay_store_model_change(struct relay_store *store, struct text id,
                                         const struct relay_model_change *change,
                                         struct arena *arena, struct relay_model_row *out,
                                         struct status *st);
/* Fails: STATUS_NOT_FOUND; STATUS_CONFLICT, with the field "managed" or (in use) "models". */
MUST_CHECK bool relay_store_upstream_remove(struct relay_store *store, struct text id,
                                            struct status *st);
MUST_CHECK bool relay_store_model_remove(struct relay_store *store, struct text id,
                                         struct status *st);

/* Seals every provider's key that an older master key has sealed with the newest. `*changed` is how
 * many. May be run again after a failure. */
MUST_CHECK bool relay_store_reseal(struct relay_store *store, struct arena *arena, int64_t *changed,
                                   struct status *st);

/* From the configuration: what it names is added, or follows it where it is there already (but for
 * `enabled`, which people may change, and `pinned` where nothing is said of it), and is marked
 * managed. A row that it no longer names stays, and is people's own from then on. */
struct relay_seed {
    struct relay_upstream_row *upstreams;
    struct text *api_keys;          /* one for each upstream */
    struct relay_model_row *models; /* upstream_id holds the upstream's name */
    bool *pinned_said;              /* one for each model: `pinned` is to follow, too */
    size_t upstreams_count, models_count;
};
MUST_CHECK bool relay_store_seed(struct relay_store *store, const struct relay_seed *seed,
                                 struct arena *arena, struct status *st);

/* The provider's key in plain, "" when there is none. Owns: `arena`; wipe it. */
MUST_CHECK bool relay_store_open_key(struct relay_store *store,
                                     const struct relay_upstream_row *row, struct arena *arena,
                                     struct text *out, struct status *st);
