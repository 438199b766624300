#include "engine_embed.h"
#include "clock.h"
#include "fiber.h"
#include "engine_embed_queue.h"
#include "loop.h"
#include "engine_vtc.h"
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { QUEUE_USUAL = 256, QUEUE_BATCHES_USUAL = 64, WINDOW_US_USUAL = 5000 };

/* One engine_embed_run: it owns copies of all that the thread reads and writes, so that a caller
 * need not wait for a batch to end. */
struct call {
    struct engine_embed *embed;
    struct engine_embed_item *items;
    int32_t *tokens;
    float *out;
    struct status why;
    bool failed;
    _Atomic bool done;
    /* Under the lock. */
    size_t left;    /* items that are not computed */
    size_t running; /* of them, those in the batch at hand */
    bool started, given_up;
    int64_t submitted_us, started_us;
    /* The loop thread's. */
    struct fiber *waiter;
    struct call *before, *after;
};

struct engine_embed {
    struct engine_embed_options options;
    struct engine_embed_backend *backend;
    struct loop *loop;
    pthread_t thread;

    /* Between the threads. */
    _Atomic int state, percent;
    _Atomic bool posted;
    struct engine_embed_facts facts; /* written before the state becomes READY */
    struct status why;               /* written before it becomes FAILED */

    pthread_mutex_t mutex; /* for all of these */
    pthread_cond_t cond;
    bool closing;
    struct engine_embed_queue *queue; /* NULL until the model is loaded */
    size_t calls_waiting;             /* that have not started */
    int expected;
    int64_t queue_from_us; /* when the queue was last found empty and got a text */
    double token_us;       /* moving average */
    struct engine_embed_stats stats;

    /* The thread's own. */
    struct engine_embed_item **items;
    struct engine_embed_row *rows;

    /* The loop thread's. */
    struct call *live;
    int state_told;
    bool free_when_delivered;
};

static void *thread(void *embed);
static bool load(struct engine_embed *embed);
static void on_progress(void *embed, int percent);
static void await_texts(struct engine_embed *embed);
static void compute_batch(struct engine_embed *embed);
static void batch_starts(struct engine_embed *embed, uint32_t count);
static void batch_ended(struct engine_embed *embed, uint32_t count, uint32_t length,
                        int64_t took_us, const struct status *why);
static void post(struct engine_embed *embed);
static void deliver(void *embed);
static void embed_free(struct engine_embed *embed);
static struct call *call_new(struct engine_embed *embed, const struct engine_embed_row *rows,
                             size_t count, struct text tenant, uint32_t weight);
static void call_free(struct call *call);
static void call_submit(struct call *call, size_t count);
static void call_leave(struct call *call);

bool engine_embed_open(struct loop *loop, struct engine_embed_backend *backend,
                       const struct engine_embed_options *options, struct engine_embed **out,
                       struct status *st)
{
    struct engine_embed *embed = base_alloc(sizeof *embed);
    embed->options = *options;
    if (embed->options.queue_requests_max == 0)
        embed->options.queue_requests_max = QUEUE_USUAL;
    if (embed->options.window_us == 0)
        embed->options.window_us = WINDOW_US_USUAL;
    embed->backend = backend;
    embed->loop = loop;
    pthread_mutex_init(&embed->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&embed->cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int error = pthread_create(&embed->thread, NULL, thread, embed);
    if (error != 0) {
        embed_free(embed);
        return status_fail_errno(st, error, "could not start the thread of the model");
    }
    *out = embed;
    return true;
}

void engine_embed_close(struct engine_embed *embed)
{
    if (embed == NULL)
        return;
    WEIR_ASSERT(embed->live == NULL);
    atomic_store(&embed->backend->abort, true);
    pthread_mutex_lock(&embed->mutex);
    embed->closing = true;
    pthread_cond_signal(&embed->cond);
    pthread_mutex_unlock(&embed->mutex);
    pthread_join(embed->thread, NULL);
    if (atomic_load(&embed->posted))
        embed->free_when_delivered = true;
    else
        embed_free(embed);
}

static void embed_free(struct engine_embed *embed)
{
    embed->backend->ops->free(embed->backend);
    engine_embed_queue_free(embed->queue);
    pthread_cond_destroy(&embed->cond);
    pthread_mutex_destroy(&embed->mutex);
    free(embed->items);
    free(embed->rows);
    free(embed);
}

enum engine_state engine_embed_state(const struct engine_embed *embed, int *percent,
                                     struct status *why)
{
    int state = atomic_load_explicit(&embed->state, memory_order_acquire);
    if (percent != NULL)
        *percent = atomic_load(&embed->percent);
    if (why != NULL && state == ENGINE_FAILED)
        *why = embed->why;
    return (enum engine_state)state;
}

const struct engine_embed_facts *engine_embed_facts(const struct engine_embed *embed)
{
    WEIR_ASSERT(engine_embed_state(embed, NULL, NULL) == ENGINE_READY);
    return &embed->facts;
}

const struct engine_embed_backend *engine_embed_backend(const struct engine_embed *embed)
{
    WEIR_ASSERT(engine_embed_state(embed, NULL, NULL) == ENGINE_READY);
    return embed->backend;
}

void engine_embed_stats(struct engine_embed *embed, struct engine_embed_stats *out)
{
    pthread_mutex_lock(&embed->mutex);
    *out = embed->stats;
    out->queued = embed->calls_waiting;
    out->queued_tokens = embed->queue != NULL ? engine_embed_queue_tokens(embed->queue) : 0;
    pthread_mutex_unlock(&embed->mutex);
}

void engine_embed_expect(struct engine_embed *embed)
{
    pthread_mutex_lock(&embed->mutex);
    embed->expected++;
    pthread_mutex_unlock(&embed->mutex);
}

void engine_embed_unexpect(struct engine_embed *embed)
{
    pthread_mutex_lock(&embed->mutex);
    WEIR_ASSERT(embed->expected > 0);
    if (--embed->expected == 0)
        pthread_cond_signal(&embed->cond);
    pthread_mutex_unlock(&embed->mutex);
}

bool engine_embed_admits(struct engine_embed *embed, size_t tokens, struct status *st)
{
    enum engine_state state = engine_embed_state(embed, NULL, NULL);
    if (state != ENGINE_READY) {
        bool loading = state == ENGINE_LOADING;
        status_fail(st, STATUS_UNAVAILABLE,
                    loading ? "the model is still loading" : "the model has failed");
        st->retry_after_ms = loading ? 2000 : 5000;
        return false;
    }
    size_t tokens_max = embed->options.queue_tokens_max;
    if (tokens_max == 0)
        tokens_max = (size_t)QUEUE_BATCHES_USUAL * embed->facts.batch_tokens;
    pthread_mutex_lock(&embed->mutex);
    size_t waiting = embed->calls_waiting, queued = engine_embed_queue_tokens(embed->queue);
    double ms = (double)queued * embed->token_us / 1000;
    bool ok = waiting < embed->options.queue_requests_max &&
              (queued == 0 || queued + tokens <= tokens_max);
    embed->stats.refused += !ok;
    pthread_mutex_unlock(&embed->mutex);
    if (ok)
        return true;
    int64_t wait_ms = ms < 1000 ? 1000 : ms > 600000 ? 600000 : (int64_t)ms;
    status_fail(st, STATUS_RATE_LIMITED,
                "the model is busy: %zu requests wait, about %lld seconds; try again later",
                waiting, (long long)((wait_ms + 999) / 1000));
    st->retry_after_ms = wait_ms;
    return false;
}

bool engine_embed_run(struct engine_embed *embed, const struct engine_embed_row *rows, size_t count,
                      struct text tenant, uint32_t weight, int64_t deadline_us, int64_t *queue_us,
                      struct status *st)
{
    WEIR_ASSERT(fiber_current() != NULL && count > 0);
    size_t tokens = 0;
    for (size_t i = 0; i < count; i++)
        tokens += rows[i].count;
    if (!engine_embed_admits(embed, tokens, st)) {
        engine_embed_unexpect(embed);
        return false;
    }
    struct call *call = call_new(embed, rows, count, tenant, weight);
    call->waiter = fiber_current();
    call_submit(call, count);
    bool ok = true;
    while (ok && !atomic_load_explicit(&call->done, memory_order_acquire))
        ok = fiber_wait(deadline_us, st);
    if (ok && call->failed) {
        *st = call->why;
        ok = false;
    }
    for (size_t i = 0; ok && i < count; i++)
        memcpy(rows[i].out, call->items[i].row.out, embed->facts.dimensions * sizeof(float));
    if (ok && queue_us != NULL)
        *queue_us = call->started_us - call->submitted_us;
    call_leave(call);
    return ok;
}

static struct call *call_new(struct engine_embed *embed, const struct engine_embed_row *rows,
                             size_t count, struct text tenant, uint32_t weight)
{
    struct call *call = base_alloc(sizeof *call);
    size_t tokens = 0, dimensions = embed->facts.dimensions;
    for (size_t i = 0; i < count; i++)
        tokens += rows[i].count;
    call->embed = embed;
    call->items = base_alloc(count * sizeof *call->items);
    call->tokens = base_alloc(tokens * sizeof *call->tokens);
    call->out = base_alloc(count * dimensions * sizeof *call->out);
    call->left = count;
    tokens = 0;
    for (size_t i = 0; i < count; i++) {
        int32_t *copy = call->tokens + tokens;
        memcpy(copy, rows[i].tokens, rows[i].count * sizeof *copy);
        tokens += rows[i].count;
        call->items[i] = (struct engine_embed_item){
            .row = {copy, rows[i].count, rows[i].second, call->out + i * dimensions},
            .call = call,
            .tenant = engine_vtc_id(tenant),
            .weight = weight,
        };
    }
    return call;
}

static void call_free(struct call *call)
{
    free(call->items);
    free(call->tokens);
    free(call->out);
    free(call);
}

static void call_submit(struct call *call, size_t count)
{
    struct engine_embed *embed = call->embed;
    call->after = embed->live;
    if (embed->live != NULL)
        embed->live->before = call;
    embed->live = call;
    pthread_mutex_lock(&embed->mutex);
    call->submitted_us = clock_mono_us();
    if (engine_embed_queue_count(embed->queue) == 0)
        embed->queue_from_us = call->submitted_us;
    for (size_t i = 0; i < count; i++)
        engine_embed_queue_add(embed->queue, &call->items[i]);
    WEIR_ASSERT(embed->expected > 0);
    embed->expected--;
    embed->calls_waiting++;
    embed->stats.requests++;
    pthread_cond_signal(&embed->cond);
    pthread_mutex_unlock(&embed->mutex);
}

/* What is being computed of it goes on without it, and frees it. */
static void call_leave(struct call *call)
{
    struct engine_embed *embed = call->embed;
    if (call->before != NULL)
        call->before->after = call->after;
    else
        embed->live = call->after;
    if (call->after != NULL)
        call->after->before = call->before;
    pthread_mutex_lock(&embed->mutex);
    if (!atomic_load(&call->done)) {
        size_t dropped = engine_embed_queue_drop(embed->queue, call->items[0].tenant, call);
        call->left -= dropped;
        embed->calls_waiting -= !call->started;
        embed->stats.cancelled++;
    }
    bool gone = call->running == 0;
    call->given_up = true;
    pthread_mutex_unlock(&embed->mutex);
    if (gone)
        call_free(call);
}

static void deliver(void *arg)
{
    struct engine_embed *embed = arg;
    atomic_store(&embed->posted, false); /* before looking: what comes later posts again */
    if (embed->free_when_delivered) {
        embed_free(embed);
        return;
    }
    for (struct call *call = embed->live; call != NULL; call = call->after)
        if (atomic_load(&call->done))
            fiber_wake(call->waiter);
    int state = atomic_load(&embed->state);
    if (state != embed->state_told) {
        embed->state_told = state;
        if (embed->options.changed != NULL)
            embed->options.changed(embed->options.changed_arg);
    }
}

/* --- the thread that computes ------------------------------------------------------------------*/

static void *thread(void *arg)
{
    struct engine_embed *embed = arg;
    if (!load(embed))
        return NULL;
    pthread_mutex_lock(&embed->mutex);
    while (!embed->closing) {
        await_texts(embed);
        if (!embed->closing)
            compute_batch(embed);
    }
    pthread_mutex_unlock(&embed->mutex);
    return NULL;
}

static bool load(struct engine_embed *embed)
{
    struct engine_embed_facts facts = {0};
    bool ok = embed->backend->ops->load(embed->backend, on_progress, embed, &facts, &embed->why);
    if (ok) {
        embed->facts = facts;
        embed->queue = engine_embed_queue_new(&facts);
        embed->items = base_alloc(facts.batch_texts * sizeof *embed->items);
        embed->rows = base_alloc(facts.batch_texts * sizeof *embed->rows);
    }
    atomic_store_explicit(&embed->state, ok ? ENGINE_READY : ENGINE_FAILED, memory_order_release);
    post(embed);
    return ok;
}

static void on_progress(void *arg, int percent)
{
    struct engine_embed *embed = arg;
    atomic_store(&embed->percent, percent);
}

/* Under the lock. Until there is a text, and then for those that are known to come. */
static void await_texts(struct engine_embed *embed)
{
    while (!embed->closing && engine_embed_queue_count(embed->queue) == 0)
        pthread_cond_wait(&embed->cond, &embed->mutex);
    int64_t until_us = embed->queue_from_us + embed->options.window_us;
    struct timespec until = {until_us / 1000000, until_us % 1000000 * 1000};
    while (!embed->closing && embed->expected > 0 && clock_mono_us() < until_us &&
           engine_embed_queue_tokens(embed->queue) < embed->facts.batch_tokens)
        if (pthread_cond_timedwait(&embed->cond, &embed->mutex, &until) == ETIMEDOUT)
            break;
}

/* Called and left with the lock, which is given up while it computes. */
static void compute_batch(struct engine_embed *embed)
{
    uint32_t length, count = engine_embed_queue_take(embed->queue, embed->items, &length);
    if (count == 0) /* all of it was taken back */
        return;
    batch_starts(embed, count);
    pthread_mutex_unlock(&embed->mutex);
    struct engine_embed_batch batch = {embed->rows, count, length};
    struct status why = {0};
    int64_t from_us = clock_mono_us();
    bool ok = embed->backend->ops->compute(embed->backend, &batch, &why);
    int64_t took_us = clock_mono_us() - from_us;
    why.code = STATUS_INTERNAL; /* whatever it was, it is no fault of the texts */
    pthread_mutex_lock(&embed->mutex);
    batch_ended(embed, count, length, took_us, ok ? NULL : &why);
}

static void batch_starts(struct engine_embed *embed, uint32_t count)
{
    int64_t now = clock_mono_us();
    for (uint32_t i = 0; i < count; i++) {
        struct call *call = embed->items[i]->call;
        embed->rows[i] = embed->items[i]->row;
        call->running++;
        if (!call->started) {
            call->started = true;
            call->started_us = now;
            embed->calls_waiting--;
        }
    }
}

static void batch_ended(struct engine_embed *embed, uint32_t count, uint32_t length,
                        int64_t took_us, const struct status *why)
{
    uint64_t tokens = 0;
    bool somebody = false;
    for (uint32_t i = 0; i < count; i++)
        tokens += embed->rows[i].count;
    uint64_t padded = embed->facts.pads ? (uint64_t)count * length : tokens;
    embed->stats.texts += count;
    embed->stats.tokens += tokens;
    embed->stats.padded_tokens += padded;
    embed->stats.batches++;
    embed->stats.batch_us += (took_us - embed->stats.batch_us) / 8;
    embed->token_us += ((double)took_us / (double)padded - embed->token_us) / 8;
    for (uint32_t i = 0; i < count; i++) {
        struct call *call = embed->items[i]->call;
        call->running--;
        call->left--;
        if (why != NULL && !call->failed) {
            call->failed = true;
            call->why = *why;
            embed->stats.failed++;
        }
        if (call->given_up) {
            if (call->running == 0)
                call_free(call);
        } else if (call->left == 0) {
            atomic_store_explicit(&call->done, true, memory_order_release);
            somebody = true;
        }
    }
    if (somebody)
        post(embed);
}

static void post(struct engine_embed *embed)
{
    if (!atomic_exchange(&embed->posted, true) && !loop_post(embed->loop, deliver, embed))
        atomic_store(&embed->posted, false);
}

void engine_embed_normalize(float *vector, uint32_t dimensions)
{
    double sum = 0;
    for (uint32_t i = 0; i < dimensions; i++)
        sum += (double)vector[i] * (double)vector[i];
    if (sum <= 0)
        return;
    double scale = 1 / sqrt(sum);
    for (uint32_t i = 0; i < dimensions; i++)
        vector[i] = (float)((double)vector[i] * scale);
}
