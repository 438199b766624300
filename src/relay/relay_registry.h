/* relay_registry: the models and upstreams as every worker sees them: one read-only snapshot,
 * replaced as a whole when the rows change, and kept by whoever still uses it.
 * relay_registry_refresh and _watch wait, for the database; the rest does not.
 * Any thread. */
#pragma once
#include "base.h"
#include "relay_store.h"
#include "relay_target.h"
#include "status.h"
#include "text.h"

struct relay_registry;
struct relay_snapshot;

struct relay_model {
    struct text id, name;
    bool local, enabled, managed, pinned;
    struct text path;
    struct text
        base; /* it is an adapter of this model, with which it shares the target; empty: none */
    struct text upstream_id;
    struct text upstream_model; /* the name that its target knows it by */
    int64_t context_tokens;     /* of the row; 0: see relay_target_context */
    unsigned tasks;             /* of one of an upstream; see relay_model_tasks */
    int64_t created_us;
    bool usable; /* it and its upstream are enabled */
    struct relay_target *target;
};
/* What it is for, as relay_tasks.h has it; 0: a local model that has not said so yet. */
unsigned relay_model_tasks(const struct relay_model *model);
/* What of a reason (relay_target_phase) is for everybody: changed in place so that it names the
 * file of a local model without the folder that it stands in. Empty where it would name another
 * path, or the address of an upstream: the log and the owner have it. */
void relay_model_reason_public(const struct relay_model *model, char *reason);

struct relay_upstream {
    struct text id, name, base_url;
    bool has_key, enabled, managed;
    int64_t created_us;
    struct relay_target *target;
};
struct relay_snapshot {
    int64_t version;                  /* one more than the snapshot before */
    const struct relay_model *models; /* in the order in which they were added */
    const struct relay_upstream *upstreams;
    size_t models_count, upstreams_count;
};

struct relay_registry_options {
    struct relay_store store;
    struct text run_folder; /* sockets of local models stand in it */
    bool local_served;      /* this process supervises local models */
};
/* Nothing is loaded yet: an empty snapshot. */
struct relay_registry *relay_registry_open(const struct relay_registry_options *options);
void relay_registry_close(struct relay_registry *registry); /* every snapshot was released */
AUTO_DEFINE(relay_registry, relay_registry_close)
struct relay_store *relay_registry_store(struct relay_registry *registry);

/* Loads the rows if they have changed. Call it after a change, so that the caller sees it at once.
 * Waits. Fails: as the database; the old snapshot stays. A key that cannot be opened makes its
 * upstream unusable, with the reason in its state, and is no failure; the next refresh tries again.
 */
MUST_CHECK bool relay_registry_refresh(struct relay_registry *registry, struct status *st);
/* The body of one fiber per process: refreshes every second until it is cancelled. */
void relay_registry_watch(void *registry);
/* Grows whenever a new snapshot is there. */
int64_t relay_registry_version(const struct relay_registry *registry);

/* Local models that failed for good are to be tried again (SIGHUP). */
void relay_registry_retry(struct relay_registry *registry);
int64_t relay_registry_retries(const struct relay_registry *registry); /* how often that was said */

struct relay_snapshot *relay_registry_take(struct relay_registry *registry);
struct relay_snapshot *relay_snapshot_take(struct relay_snapshot *snapshot);
void relay_snapshot_release(struct relay_snapshot *snapshot); /* NULL is fine */
AUTO_DEFINE(relay_snapshot, relay_snapshot_release)

/* NULL when there is none. */
const struct relay_model *relay_snapshot_model(const struct relay_snapshot *snapshot,
                                               struct text id);
const struct relay_upstream *relay_snapshot_upstream(const struct relay_snapshot *snapshot,
                                                     struct text id);
