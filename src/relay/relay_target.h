/* relay_target: where calls go: the process of a local model, or an upstream server. It outlives
 * the snapshots that name it, so that what is known of its health is kept when rows change.
 *
 * Shared between workers (docs/architecture.md): what changes are atomics, and the reason under a
 * lock of its own. Counted; nothing here waits.
 *
 * Breaker: after RELAY_TARGET_FAILURES in a row it is open for a second, then for twice as long up
 * to half a minute; while open no call is made. When the time is over one call is let through to
 * try; its success closes the breaker. */
#pragma once
#include <stdatomic.h>
#include "base.h"
#include "status.h"
#include "text.h"

enum { RELAY_TARGET_FAILURES = 5, RELAY_TARGET_REASON_BYTES = 240 };

enum relay_phase {
    RELAY_PHASE_LOADING,
    RELAY_PHASE_READY,
    RELAY_PHASE_FAILED,
    RELAY_PHASE_STOPPED,
    RELAY_PHASE_ASLEEP, /* a local model that is loaded when a call needs it */
    RELAY_PHASE_COUNT
};
const char *relay_phase_name(enum relay_phase phase); /* "loading" */

struct relay_target;

/* `key`: what makes it this target and no other (kind, id, address, digest of its key).
 * `authorization`: the value of that header for its address, or empty; wiped at the end. */
struct relay_target *relay_target_new(struct text key, struct text url, struct text authorization,
                                      bool local);
struct relay_target *relay_target_take(struct relay_target *target);
void relay_target_release(struct relay_target *target); /* NULL is fine */
AUTO_DEFINE(relay_target, relay_target_release)

struct text relay_target_key(const struct relay_target *target);
struct text relay_target_url(const struct relay_target *target);
struct text relay_target_authorization(const struct relay_target *target);
bool relay_target_is_local(const struct relay_target *target);

/* What the supervisor of a local model says. `percent` < 0: not known. */
void relay_target_set_phase(struct relay_target *target, enum relay_phase phase, int percent,
                            struct text reason);
/* What people see; the breaker makes an upstream FAILED. `reason` has room for
 * RELAY_TARGET_REASON_BYTES. */
enum relay_phase relay_target_phase(struct relay_target *target, int *percent, char *reason);
/* An upstream whose key could not be opened: it is not called, and people see why. It stays so:
 * whoever can open the key makes another target. */
void relay_target_lock(struct relay_target *target, struct text reason);
bool relay_target_is_locked(const struct relay_target *target);
void relay_target_set_context(struct relay_target *target, int64_t context_tokens);
int64_t relay_target_context(const struct relay_target *target); /* 0: not known */
/* What a local model says that it does: a bit for each enum relay_endpoint; 0: not known. */
void relay_target_set_tasks(struct relay_target *target, unsigned tasks);
unsigned relay_target_tasks(const struct relay_target *target);

/* A local model: a call waits for it to be loaded, and no longer. */
void relay_target_wait_begin(struct relay_target *target);
void relay_target_wait_end(struct relay_target *target);
/* Who needs a local model. */
struct relay_demand {
    int64_t calls, waiting;
    int64_t used_us;   /* when a call was last under way; 0: never */
    int64_t waited_us; /* since when some call waits */
};
struct relay_demand relay_target_demand(const struct relay_target *target);
/* For its supervisor: puts a ready model to sleep, unless a call is under way. From then on no call
 * is admitted; the caller ends its process. */
MUST_CHECK bool relay_target_sleep(struct relay_target *target);
/* New calls wait, while those under way go on: before it is put to sleep for another one. */
void relay_target_hold(struct relay_target *target, bool held);
/* A sleeping one: whether waiting for it is in vain, as `reason` says. */
void relay_target_set_hopeless(struct relay_target *target, bool hopeless);
bool relay_target_is_hopeless(const struct relay_target *target);
/* What a local model needs of memory; 0: not known. */
void relay_target_set_memory(struct relay_target *target, uint64_t bytes);
uint64_t relay_target_memory(const struct relay_target *target);
/* Whether a local model takes calls now; one that is another server's always does. */
bool relay_target_is_open(const struct relay_target *target);

/* Before a call. Fails: STATUS_UNAVAILABLE when it is locked, with retry_after_ms while the breaker
 * is open, and when it is a local model that does not take calls (relay_target_is_open). */
MUST_CHECK bool relay_target_admit(struct relay_target *target, struct status *st);
/* After it: whether anybody was there. Each admit needs one of these three. */
void relay_target_succeeded(struct relay_target *target);
void relay_target_failed(struct relay_target *target, struct text reason);
void relay_target_left(struct relay_target *target); /* neither: the client went away */
int64_t relay_target_outstanding(const struct relay_target *target);
