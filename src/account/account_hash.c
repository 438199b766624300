/* account_hash: argon2id takes 64 MiB and most of a tenth of a second, so only a few run at a time
 * and only some may wait: more sign-ins than that are answered with "later" instead of with all of
 * the machine's memory. */
#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "account_internal.h"
#include "clock.h"
#include "fiber.h"
#include "loop.h"

enum { WAITING_DEFAULT = 64, WAIT_MS = 20000, PASSES = 3, MEMORY_KIB = 64 * 1024 };

struct hash_waiter {
    struct loop *loop;
    struct fiber *fiber;
    bool granted; /* under the mutex: a place was given to it */
    bool told;    /* on its loop: the message of it has come, none is on its way */
    struct hash_waiter *next;
};

/* What a thread does, and its answer. */
struct hash_job {
    const struct hash_gate *gate;
    struct text password;
    const char *stored; /* NULL: make one */
    char *out;
    bool ok;
};

static bool gate_enter(struct hash_gate *gate, struct status *st);
static void gate_leave(struct hash_gate *gate);
static bool gate_wait(struct hash_gate *gate, struct hash_waiter *waiter, struct status *st);
static void told_on_loop(void *arg);
static void hash_work(void *arg);
static bool hash_run(struct hash_gate *gate, struct hash_job *job, struct status *st);

void hash_gate_open(struct hash_gate *gate, const struct account_options *options)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    pthread_mutex_init(&gate->mutex, NULL);
    gate->max = options->hashes_max > 0 ? options->hashes_max : cores > 0 ? (int)cores : 1;
    gate->waiting_max =
        options->hashes_waiting_max > 0 ? options->hashes_waiting_max : WAITING_DEFAULT;
    gate->passes = options->hash_passes > 0 ? (uint64_t)options->hash_passes : PASSES;
    gate->memory =
        (size_t)(options->hash_memory_kib > 0 ? options->hash_memory_kib : MEMORY_KIB) * KIB;
}

void hash_gate_close(struct hash_gate *gate)
{
    WEIR_ASSERT(gate->running == 0 && gate->first == NULL);
    pthread_mutex_destroy(&gate->mutex);
}

bool hash_make(struct hash_gate *gate, struct text password, char out[HASH_BYTES_MAX],
               struct status *st)
{
    struct hash_job job = {.gate = gate, .password = password, .out = out};
    if (!hash_run(gate, &job, st))
        return false;
    return job.ok || status_fail(st, STATUS_UNAVAILABLE, "no memory to hash a password");
}

bool hash_check(struct hash_gate *gate, struct text password, struct text stored, bool *right,
                bool *weak, struct status *st)
{
    char text[HASH_BYTES_MAX];
    WEIR_ASSERT(stored.len < sizeof(text));
    if (stored.len > 0)
        snprintf(text, sizeof(text), "%.*s", TEXT_ARG(stored));
    else /* of no password: nobody knows what gives these bytes */
        snprintf(text, sizeof(text),
                 "$argon2id$v=19$m=%zu,t=%llu,p=1$AAAAAAAAAAAAAAAAAAAAAA$"
                 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                 gate->memory / KIB, (unsigned long long)gate->passes);
    struct hash_job job = {.gate = gate, .password = password, .stored = text};
    if (!hash_run(gate, &job, st))
        return false;
    *right = job.ok && stored.len > 0;
    *weak = *right && crypto_pwhash_str_needs_rehash(text, gate->passes, gate->memory) != 0;
    return true;
}

static bool hash_run(struct hash_gate *gate, struct hash_job *job, struct status *st)
{
    if (fiber_current() == NULL) { /* a command: it is alone */
        hash_work(job);
        return true;
    }
    if (!gate_enter(gate, st))
        return false;
    bool ran = offload(hash_work, job, st);
    gate_leave(gate);
    return ran;
}

static void hash_work(void *arg)
{
    struct hash_job *job = arg;
    const struct hash_gate *gate = job->gate;
    static_assert(HASH_BYTES_MAX == crypto_pwhash_STRBYTES, "libsodium's size");
    const char *password = job->password.len > 0 ? job->password.at : "";
    if (job->stored != NULL)
        job->ok = crypto_pwhash_str_verify(job->stored, password, job->password.len) == 0;
    else
        job->ok = crypto_pwhash_str_alg(job->out, password, job->password.len, gate->passes,
                                        gate->memory, crypto_pwhash_ALG_ARGON2ID13) == 0;
}

static bool gate_enter(struct hash_gate *gate, struct status *st)
{
    struct hash_waiter waiter = {.loop = loop_current(), .fiber = fiber_current()};
    pthread_mutex_lock(&gate->mutex);
    bool free_place = gate->running < gate->max;
    bool may_wait = gate->waiting < gate->waiting_max;
    if (free_place) {
        gate->running++;
    } else if (may_wait) {
        *(gate->first == NULL ? &gate->first : &gate->last->next) = &waiter;
        gate->last = &waiter;
        gate->waiting++;
    }
    pthread_mutex_unlock(&gate->mutex);
    if (free_place)
        return true;
    if (may_wait)
        return gate_wait(gate, &waiter, st);
    status_fail(st, STATUS_RATE_LIMITED, "too many passwords are being checked at this moment");
    st->retry_after_ms = 2000;
    return false;
}

/* A fiber that gives up may have been given a place in the same moment: then the message is on its
 * way to this very memory, and has to arrive before we leave. */
static bool gate_wait(struct hash_gate *gate, struct hash_waiter *waiter, struct status *st)
{
    int64_t deadline_us = clock_deadline_ms(WAIT_MS);
    bool wanted = true;
    while (!waiter->told && wanted)
        wanted = fiber_wait(deadline_us, st);
    if (waiter->told)
        return true;
    pthread_mutex_lock(&gate->mutex);
    bool granted = waiter->granted;
    struct hash_waiter *before = NULL;
    for (struct hash_waiter *at = gate->first; at != NULL && !granted; before = at, at = at->next)
        if (at == waiter) {
            *(before == NULL ? &gate->first : &before->next) = at->next;
            if (gate->last == at)
                gate->last = before;
            gate->waiting--;
            break;
        }
    pthread_mutex_unlock(&gate->mutex);
    if (!granted)
        return false;
    struct status unheard;
    int64_t before_us = fiber_set_deadline(CLOCK_NEVER);
    fiber_shield();
    while (!waiter->told)
        if (!fiber_wait(CLOCK_NEVER, &unheard))
            fiber_yield();
    fiber_unshield();
    fiber_set_deadline(before_us);
    gate_leave(gate); /* the next one's turn */
    return false;
}

/* The place goes from hand to hand: `running` stays as it is when somebody waits. */
static void gate_leave(struct hash_gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    struct hash_waiter *waiter = gate->first;
    if (waiter == NULL) {
        gate->running--;
    } else {
        gate->first = waiter->next;
        if (gate->first == NULL)
            gate->last = NULL;
        gate->waiting--;
        waiter->granted = true;
        bool posted = loop_post(waiter->loop, told_on_loop, waiter);
        WEIR_ASSERT(posted); /* its fiber lives, so its loop runs */
    }
    pthread_mutex_unlock(&gate->mutex);
}

static void told_on_loop(void *arg)
{
    struct hash_waiter *waiter = arg;
    waiter->told = true;
    fiber_wake(waiter->fiber);
}
