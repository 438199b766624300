#include "relay_target.h"
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "clock.h"

enum { OPEN_MS_MIN = 1000, OPEN_MS_MAX = 30000 };

struct relay_target {
    _Atomic int64_t refs;
    bool local;
    char *key, *url, *authorization;
    size_t key_len, url_len, authorization_len;

    _Atomic bool locked; /* its key could not be opened */
    _Atomic int phase, percent;
    _Atomic int64_t context_tokens, outstanding;
    _Atomic unsigned tasks;
    _Atomic int failures;          /* in a row */
    _Atomic int64_t open_until_us; /* 0: closed */
    _Atomic bool trying;           /* the one call after an open time is under way */
    /* Of a local model. */
    _Atomic int64_t waiting, waited_us, used_us;
    _Atomic uint64_t memory;
    _Atomic bool held, hopeless;
    pthread_mutex_t reason_lock;
    char reason[RELAY_TARGET_REASON_BYTES];
};

static char *copy(struct text text);
static void set_reason(struct relay_target *target, struct text reason);

const char *relay_phase_name(enum relay_phase phase)
{
    static const char *const names[] = {"loading", "ready", "failed", "stopped", "asleep"};
    static_assert(ARRAY_LEN(names) == RELAY_PHASE_COUNT, "a phase has no name");
    return names[phase];
}

struct relay_target *relay_target_new(struct text key, struct text url, struct text authorization,
                                      bool local)
{
    struct relay_target *target = calloc(1, sizeof(*target));
    WEIR_ASSERT(target != NULL);
    atomic_init(&target->refs, 1);
    atomic_init(&target->phase, local ? RELAY_PHASE_LOADING : RELAY_PHASE_READY);
    atomic_init(&target->percent, -1);
    target->local = local;
    target->key = copy(key);
    target->key_len = key.len;
    target->url = copy(url);
    target->url_len = url.len;
    target->authorization = copy(authorization);
    target->authorization_len = authorization.len;
    (void)pthread_mutex_init(&target->reason_lock, NULL);
    return target;
}

struct relay_target *relay_target_take(struct relay_target *target)
{
    atomic_fetch_add_explicit(&target->refs, 1, memory_order_relaxed);
    return target;
}

void relay_target_release(struct relay_target *target)
{
    if (target == NULL || atomic_fetch_sub_explicit(&target->refs, 1, memory_order_acq_rel) != 1)
        return;
    explicit_bzero(target->authorization, target->authorization_len);
    free(target->authorization);
    free(target->url);
    free(target->key);
    (void)pthread_mutex_destroy(&target->reason_lock);
    free(target);
}

struct text relay_target_key(const struct relay_target *target)
{
    return (struct text){target->key, target->key_len};
}

struct text relay_target_url(const struct relay_target *target)
{
    return (struct text){target->url, target->url_len};
}

struct text relay_target_authorization(const struct relay_target *target)
{
    return (struct text){target->authorization, target->authorization_len};
}

bool relay_target_is_local(const struct relay_target *target)
{
    return target->local;
}

void relay_target_set_phase(struct relay_target *target, enum relay_phase phase, int percent,
                            struct text reason)
{
    set_reason(target, reason);
    atomic_store(&target->percent, percent);
    if (phase == RELAY_PHASE_READY) { /* a fresh process owes nothing for the one before */
        atomic_store(&target->failures, 0);
        atomic_store(&target->open_until_us, 0);
    }
    atomic_store(&target->phase, (int)phase);
}

enum relay_phase relay_target_phase(struct relay_target *target, int *percent, char *reason)
{
    enum relay_phase phase = (enum relay_phase)atomic_load(&target->phase);
    *percent = atomic_load(&target->percent);
    if (!target->local && atomic_load(&target->open_until_us) != 0)
        phase = RELAY_PHASE_FAILED;
    (void)pthread_mutex_lock(&target->reason_lock);
    memcpy(reason, target->reason, RELAY_TARGET_REASON_BYTES);
    (void)pthread_mutex_unlock(&target->reason_lock);
    if (phase == RELAY_PHASE_READY)
        reason[0] = '\0';
    return phase;
}

void relay_target_lock(struct relay_target *target, struct text reason)
{
    WEIR_ASSERT(!target->local && target->authorization_len == 0);
    relay_target_set_phase(target, RELAY_PHASE_FAILED, -1, reason);
    atomic_store(&target->locked, true);
}

bool relay_target_is_locked(const struct relay_target *target)
{
    return atomic_load_explicit(&target->locked, memory_order_relaxed);
}

void relay_target_set_context(struct relay_target *target, int64_t context_tokens)
{
    atomic_store(&target->context_tokens, context_tokens);
}

int64_t relay_target_context(const struct relay_target *target)
{
    return atomic_load(&target->context_tokens);
}

void relay_target_set_tasks(struct relay_target *target, unsigned tasks)
{
    atomic_store(&target->tasks, tasks);
}

unsigned relay_target_tasks(const struct relay_target *target)
{
    return atomic_load(&target->tasks);
}

void relay_target_wait_begin(struct relay_target *target)
{
    if (atomic_fetch_add(&target->waiting, 1) == 0)
        atomic_store(&target->waited_us, clock_mono_us());
}

void relay_target_wait_end(struct relay_target *target)
{
    atomic_fetch_sub(&target->waiting, 1);
}

struct relay_demand relay_target_demand(const struct relay_target *target)
{
    return (struct relay_demand){
        .calls = atomic_load(&target->outstanding),
        .waiting = atomic_load(&target->waiting),
        .used_us = atomic_load(&target->used_us),
        .waited_us = atomic_load(&target->waited_us),
    };
}

/* A call counts itself first and looks then whether the door is open; we shut the door first and
 * look then whether somebody is counted. So one of the two sees the other. */
bool relay_target_sleep(struct relay_target *target)
{
    int ready = RELAY_PHASE_READY, asleep = RELAY_PHASE_ASLEEP;
    if (!atomic_compare_exchange_strong(&target->phase, &ready, RELAY_PHASE_ASLEEP))
        return false;
    if (atomic_load(&target->outstanding) == 0)
        return true;
    (void)atomic_compare_exchange_strong(&target->phase, &asleep, RELAY_PHASE_READY);
    return false;
}

void relay_target_hold(struct relay_target *target, bool held)
{
    atomic_store(&target->held, held);
}

void relay_target_set_hopeless(struct relay_target *target, bool hopeless)
{
    atomic_store(&target->hopeless, hopeless);
}

bool relay_target_is_hopeless(const struct relay_target *target)
{
    return atomic_load(&target->hopeless);
}

void relay_target_set_memory(struct relay_target *target, uint64_t bytes)
{
    atomic_store(&target->memory, bytes);
}

uint64_t relay_target_memory(const struct relay_target *target)
{
    return atomic_load(&target->memory);
}

bool relay_target_is_open(const struct relay_target *target)
{
    return !target->local ||
           (atomic_load(&target->phase) == RELAY_PHASE_READY && !atomic_load(&target->held));
}

bool relay_target_admit(struct relay_target *target, struct status *st)
{
    if (target->local) {
        atomic_fetch_add(&target->outstanding, 1);
        if (relay_target_is_open(target))
            return true;
        atomic_fetch_sub(&target->outstanding, 1);
        return status_fail(st, STATUS_UNAVAILABLE, "the model takes no calls now");
    }
    if (relay_target_is_locked(target))
        return status_fail(st, STATUS_UNAVAILABLE, "the upstream cannot be used at the moment");
    int64_t until = atomic_load(&target->open_until_us);
    if (until != 0) {
        int64_t left_us = until - clock_mono_us();
        if (left_us > 0 || atomic_exchange(&target->trying, true)) {
            (void)status_fail(st, STATUS_UNAVAILABLE,
                              "the upstream has failed %d times in a row and rests for a moment",
                              atomic_load(&target->failures));
            st->retry_after_ms = left_us > 0 ? (left_us + 999) / 1000 : OPEN_MS_MIN;
            return false;
        }
    }
    atomic_fetch_add_explicit(&target->outstanding, 1, memory_order_relaxed);
    return true;
}

void relay_target_succeeded(struct relay_target *target)
{
    relay_target_left(target);
    /* Written only where it changes: the line is shared by all workers. */
    if (atomic_load_explicit(&target->failures, memory_order_relaxed) != 0)
        atomic_store(&target->failures, 0);
    if (atomic_load_explicit(&target->open_until_us, memory_order_relaxed) != 0)
        atomic_store(&target->open_until_us, 0);
}

void relay_target_failed(struct relay_target *target, struct text reason)
{
    relay_target_left(target);
    int failures = atomic_fetch_add(&target->failures, 1) + 1;
    if (target->local) /* its supervisor knows better, and starts it again at once */
        return;
    set_reason(target, reason);
    if (failures < RELAY_TARGET_FAILURES)
        return;
    int doubled = failures - RELAY_TARGET_FAILURES;
    int64_t ms = doubled > 5 ? OPEN_MS_MAX : (int64_t)OPEN_MS_MIN << doubled;
    atomic_store(&target->open_until_us, clock_deadline_ms(ms < OPEN_MS_MAX ? ms : OPEN_MS_MAX));
}

void relay_target_left(struct relay_target *target)
{
    if (target->local) /* before it counts as idle */
        atomic_store_explicit(&target->used_us, clock_mono_us(), memory_order_relaxed);
    atomic_fetch_sub(&target->outstanding, 1);
    if (atomic_load_explicit(&target->trying, memory_order_relaxed))
        atomic_store(&target->trying, false);
}

int64_t relay_target_outstanding(const struct relay_target *target)
{
    return atomic_load_explicit(&target->outstanding, memory_order_relaxed);
}

static char *copy(struct text text)
{
    char *bytes = malloc(text.len + 1);
    WEIR_ASSERT(bytes != NULL);
    if (text.len > 0)
        memcpy(bytes, text.at, text.len);
    bytes[text.len] = '\0';
    return bytes;
}

static void set_reason(struct relay_target *target, struct text reason)
{
    (void)pthread_mutex_lock(&target->reason_lock);
    size_t len = text_utf8_whole(text_take(reason, RELAY_TARGET_REASON_BYTES - 1));
    if (len > 0)
        memcpy(target->reason, reason.at, len);
    target->reason[len] = '\0';
    (void)pthread_mutex_unlock(&target->reason_lock);
}
