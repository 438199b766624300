#include "engine.h"
#include "engine_internal.h"
#include "clock.h"
#include "fiber.h"
#include "loop.h"
#include "engine_vtc.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct engine_request *request_new(struct engine *engine, const struct engine_job *job,
                                          uint32_t output_max);
static struct engine_sampler *sampler_for(const struct engine *engine,
                                          const struct engine_job *job);
static void ask_for(struct engine_request *request, enum engine_ending ending);
static void inbox_push(struct engine *engine, struct engine_request *request);
static void engine_free(struct engine *engine);
static void open_quota(struct engine *engine);
static int64_t wait_estimate_ms(const struct engine *engine);
static struct text text_copy(struct text text);
static uint32_t power_of_two(uint32_t at_least);
static void *allocate(size_t count, size_t size);

bool engine_open(struct loop *loop, struct engine_backend *backend,
                 const struct engine_options *options, struct engine **out, struct status *st)
{
    struct engine *engine = allocate(1, sizeof *engine);
    engine->options = *options;
    if (engine->options.queue_requests_max == 0)
        engine->options.queue_requests_max = 256;
    if (engine->options.tenant_requests_max == 0)
        engine->options.tenant_requests_max = (engine->options.queue_requests_max * 3 + 3) / 4;
    if (engine->options.step_ms_target == 0)
        engine->options.step_ms_target = 100;
    if (engine->options.lag_tokens == 0)
        engine->options.lag_tokens = 1024;
    if (engine->options.kept_bytes_max == 0)
        engine->options.kept_bytes_max = 256 * MIB;
    if (engine->options.stall_ms_max == 0)
        engine->options.stall_ms_max = 30000;
    uint32_t ring = options->ring_tokens == 0 ? 256 : options->ring_tokens;
    engine->options.ring_tokens = power_of_two(ring < 2 ? 2 : ring);
    engine->backend = backend;
    engine->loop = loop;
    pthread_mutex_init(&engine->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&engine->cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int error = pthread_create(&engine->thread, NULL, engine_thread, engine);
    if (error != 0) {
        engine_free(engine);
        return status_fail_errno(st, error, "could not start the engine's thread");
    }
    *out = engine;
    return true;
}

void engine_close(struct engine *engine)
{
    if (engine == NULL)
        return;
    WEIR_ASSERT(engine->live == NULL);
    atomic_store(&engine->closing, true);
    atomic_store(&engine->backend->abort, true);
    engine_wake(engine);
    pthread_join(engine->thread, NULL);
    if (atomic_load(&engine->posted))
        engine->free_when_delivered = true;
    else
        engine_free(engine);
}

static void engine_free(struct engine *engine)
{
    engine->backend->ops->free(engine->backend);
    engine_quota_free(engine->quota);
    pthread_cond_destroy(&engine->cond);
    pthread_mutex_destroy(&engine->mutex);
    free(engine);
}

enum engine_state engine_state(const struct engine *engine, int *percent, struct status *why)
{
    int state = atomic_load_explicit(&engine->state, memory_order_acquire);
    if (percent != NULL)
        *percent = atomic_load(&engine->percent);
    if (why != NULL && state == ENGINE_FAILED)
        *why = engine->why;
    return (enum engine_state)state;
}

const struct engine_facts *engine_facts(const struct engine *engine)
{
    WEIR_ASSERT(engine_state(engine, NULL, NULL) == ENGINE_READY);
    return &engine->facts;
}

void engine_stats(const struct engine *engine, struct engine_stats *out)
{
#define READ(name) atomic_load_explicit(&engine->stats.name, memory_order_relaxed)
    *out = (struct engine_stats){
        .queued = engine->quota == NULL ? 0 : engine_quota_requests(engine->quota),
        .queued_tokens = engine->quota == NULL ? 0 : engine_quota_tokens(engine->quota),
        .prefilling = READ(prompting),
        .decoding = READ(writing),
        .paused = READ(paused),
        .sequences_free = READ(sequences_free),
        .kv_tokens_held = READ(cache_held),
        .kept_bytes = READ(kept_bytes),
        .requests = READ(requests),
        .refused = READ(refused),
        .cancelled = READ(cancelled),
        .stalled = READ(stalled),
        .failed = READ(failed),
        .preempted = READ(preempted),
        .prompt_tokens = READ(prompt_tokens),
        .output_tokens = READ(output_tokens),
        .steps = READ(steps),
        .drafted = READ(drafted),
        .drafts_right = READ(drafts_right),
        .prefix_hits = READ(prefix_hits),
        .prefix_tokens = READ(prefix_tokens),
        .prefix_bytes = READ(prefix_bytes),
        .prefix_entries = READ(prefix_entries),
        .prefix_evicted = READ(prefix_evicted),
        .step_us = READ(step_us),
    };
#undef READ
}

bool engine_admits(struct engine *engine, struct text tenant, size_t requests, size_t prompt_count,
                   struct status *st)
{
    enum engine_state state = engine_state(engine, NULL, NULL);
    if (state != ENGINE_READY) {
        bool loading = state == ENGINE_LOADING;
        status_fail(st, STATUS_UNAVAILABLE,
                    loading ? "the model is still loading" : "the model has failed");
        st->retry_after_ms = loading ? 2000 : 5000;
        return false;
    }
    if (engine->quota == NULL)
        open_quota(engine);
    enum engine_quota_answer answer =
        engine_quota_ask(engine->quota, engine_vtc_id(tenant), requests, prompt_count);
    if (answer == ENGINE_QUOTA_OK)
        return true;
    atomic_fetch_add(&engine->stats.refused, 1);
    int64_t wait_ms = wait_estimate_ms(engine);
    unsigned long long waiting = engine_quota_requests(engine->quota);
    long long wait_s = (wait_ms + 999) / 1000;
    if (answer == ENGINE_QUOTA_TENANT_FULL)
        status_fail(st, STATUS_RATE_LIMITED,
                    "the model is busy: too many of your requests wait already, about %lld "
                    "seconds; try again later",
                    wait_s);
    else
        status_fail(st, STATUS_UNAVAILABLE,
                    "the model is busy: %llu requests wait, about %lld seconds; try again later",
                    waiting, wait_s);
    st->retry_after_ms = wait_ms;
    return false;
}

/* Its defaults depend on the model, so it comes when the engine is ready. */
static void open_quota(struct engine *engine)
{
    const struct engine_options *o = &engine->options;
    uint64_t tokens_max = o->queue_tokens_max;
    if (tokens_max == 0)
        tokens_max = UINT64_C(64) * engine->facts.context;
    engine->quota = engine_quota_new(&(struct engine_quota_limits){
        .requests_max = o->queue_requests_max,
        .tokens_max = tokens_max,
        .tenant_requests_max = o->tenant_requests_max,
        .tenant_tokens_max = o->tenant_tokens_max > 0 ? o->tenant_tokens_max : tokens_max / 4 * 3,
    });
}

/* How long one who came now would wait: the prompts of those before it, and as many rounds of
 * answers as it takes for all of them to have had a sequence. */
static int64_t wait_estimate_ms(const struct engine *engine)
{
    double prompts_ms = (double)engine_quota_tokens(engine->quota) *
                        (double)atomic_load(&engine->usual.prompt_ns) / 1e6;
    uint64_t rounds = engine_quota_requests(engine->quota) / engine->facts.parallel + 1;
    double answers_ms = (double)rounds * atomic_load(&engine->usual.output) *
                        (double)atomic_load(&engine->usual.writing_us) / 1e3;
    double ms = prompts_ms + answers_ms;
    return ms < 1000 ? 1000 : ms > 600000 ? 600000 : (int64_t)ms;
}

bool engine_submit(struct engine *engine, const struct engine_job *job, struct engine_request **out,
                   struct status *st)
{
    WEIR_ASSERT(loop_current() == engine->loop && job->prompt_count > 0);
    if (!engine_admits(engine, job->tenant, 1, job->prompt_count, st))
        return false;
    WEIR_ASSERT(job->adapter <= engine->facts.adapters);
    uint32_t context = engine->facts.context;
    if (job->prompt_count >= context)
        return status_fail(st, STATUS_INVALID,
                           "this model's context is %u tokens; the prompt has %u", context,
                           job->prompt_count);
    for (uint32_t i = 0; i < job->prompt_count; i++)
        if (job->prompt[i] < 0 || (uint32_t)job->prompt[i] >= engine->facts.vocab)
            return status_fail(st, STATUS_INVALID, "the model has no token %d", job->prompt[i]);
    uint32_t room = context - job->prompt_count;
    uint32_t output_max = job->output_max == 0 || job->output_max > room ? room : job->output_max;
    struct engine_request *request = request_new(engine, job, output_max);
    request->share = engine_quota_take(engine->quota, request->task.tenant, job->prompt_count);
    atomic_fetch_add(&engine->stats.requests, 1);
    request->live_after = engine->live;
    if (engine->live != NULL)
        engine->live->live_before = request;
    engine->live = request;
    inbox_push(engine, request);
    engine_wake(engine);
    *out = request;
    return true;
}

static struct engine_request *request_new(struct engine *engine, const struct engine_job *job,
                                          uint32_t output_max)
{
    struct engine_request *request = allocate(1, sizeof *request);
    request->engine = engine;
    atomic_store(&request->holders, 2);
    request->prompt = allocate((size_t)job->prompt_count + output_max, sizeof *request->prompt);
    memcpy(request->prompt, job->prompt, job->prompt_count * sizeof *request->prompt);
    request->prompt_count = job->prompt_count;
    request->tenant = text_copy(job->tenant);
    request->is_public = job->is_public;
    request->ignore_end = job->ignore_end;
    request->submitted_us = clock_mono_us();
    request->ring.size = engine->options.ring_tokens;
    request->ring.at = allocate(request->ring.size, sizeof *request->ring.at);
    request->tops = job->tops;
    if (job->logprobs)
        request->logprobs = allocate(request->ring.size, sizeof *request->logprobs);
    request->sampler = sampler_for(engine, job);
    request->task = (struct engine_task){
        .prompt_count = job->prompt_count,
        .output_max = output_max,
        .tenant = engine_vtc_id(job->tenant),
        .weight = job->weight,
        .group = job->adapter,
        .state = ENGINE_TASK_OUT,
        .sequence = -1,
    };
    return request;
}

static struct engine_sampler *sampler_for(const struct engine *engine, const struct engine_job *job)
{
    const struct engine_facts *facts = &engine->facts;
    struct engine_sampling sampling = job->sampling;
    struct engine_bias bias[ENGINE_BIAS_MAX];
    WEIR_ASSERT(sampling.bias_count + facts->ends_count <= ENGINE_BIAS_MAX);
    if (job->ignore_end) {
        if (sampling.bias_count > 0)
            memcpy(bias, sampling.bias, sampling.bias_count * sizeof *bias);
        for (uint32_t i = 0; i < facts->ends_count; i++)
            bias[sampling.bias_count++] = (struct engine_bias){facts->ends[i], -INFINITY};
        sampling.bias = bias;
    }
    struct engine_sampler *sampler = engine_sampler_new(&sampling, facts->vocab);
    engine_sampler_prompt(sampler, job->prompt, job->prompt_count);
    return sampler;
}

static void inbox_push(struct engine *engine, struct engine_request *request)
{
    struct engine_request *head = atomic_load_explicit(&engine->inbox, memory_order_relaxed);
    do
        request->inbox_next = head;
    while (!atomic_compare_exchange_weak_explicit(&engine->inbox, &head, request,
                                                  memory_order_release, memory_order_relaxed));
}

void engine_wake(struct engine *engine)
{
    pthread_mutex_lock(&engine->mutex);
    engine->work = true;
    pthread_cond_signal(&engine->cond);
    pthread_mutex_unlock(&engine->mutex);
}

void engine_deliver(void *arg)
{
    struct engine *engine = arg;
    atomic_store(&engine->posted, false); /* before looking: what comes later posts again */
    if (engine->free_when_delivered) {
        engine_free(engine);
        return;
    }
    for (struct engine_request *r = engine->live; r != NULL; r = r->live_after)
        if (r->waiter != NULL && !engine_ring_empty(&r->ring))
            fiber_wake(r->waiter);
    int state = atomic_load(&engine->state);
    if (state != engine->state_told) {
        engine->state_told = state;
        if (engine->options.changed != NULL)
            engine->options.changed(engine->options.changed_arg);
    }
}

bool engine_request_poll(struct engine_request *request, struct engine_event *out)
{
    int32_t value;
    if (request->ending == ENGINE_ENDING_NONE) {
        if (engine_ring_empty(&request->ring))
            return false;
        if (request->logprobs != NULL) /* before the place is free again */
            out->logprobs = request->logprobs[engine_ring_get_place(&request->ring)];
        if (!engine_ring_get(&request->ring, &value))
            return false;
        if (atomic_load(&request->starved) && atomic_exchange(&request->starved, false))
            engine_wake(request->engine);
        request->delivered = true;
        if (value >= 0) {
            out->ending = ENGINE_ENDING_NONE;
            out->token = value;
            return true;
        }
        request->ending = (enum engine_ending)(-1 - value);
    }
    out->ending = request->ending;
    out->token = -1;
    return true;
}

bool engine_request_next(struct engine_request *request, int64_t deadline_us,
                         struct engine_event *out, struct status *st)
{
    while (!engine_request_poll(request, out))
        if (!engine_request_wait_any(&request, 1, deadline_us, st))
            return false;
    return true;
}

bool engine_request_wait_any(struct engine_request *const *requests, size_t count,
                             int64_t deadline_us, struct status *st)
{
    WEIR_ASSERT(fiber_current() != NULL && count > 0);
    bool ok = true, ready = false;
    for (size_t i = 0; i < count; i++)
        requests[i]->waiter = fiber_current();
    while (ok && !ready) {
        for (size_t i = 0; i < count && !ready; i++)
            ready =
                requests[i]->ending != ENGINE_ENDING_NONE || !engine_ring_empty(&requests[i]->ring);
        if (!ready)
            ok = fiber_wait(deadline_us, st);
    }
    for (size_t i = 0; i < count; i++)
        requests[i]->waiter = NULL;
    return ok;
}

void engine_request_cancel(struct engine_request *request)
{
    ask_for(request, ENGINE_ENDING_CANCELLED);
}

void engine_request_finish(struct engine_request *request)
{
    ask_for(request, ENGINE_ENDING_STOP);
}

static void ask_for(struct engine_request *request, enum engine_ending ending)
{
    int none = ENGINE_ENDING_NONE;
    if (request->ending == ENGINE_ENDING_NONE &&
        atomic_compare_exchange_strong(&request->wanted, &none, (int)ending))
        engine_wake(request->engine);
}

/* The engine wrote the times before it gave out what was delivered; ended_us only with the end. */
struct engine_timing engine_request_timing(const struct engine_request *request)
{
    WEIR_ASSERT(request->delivered);
    int64_t end = request->ending != ENGINE_ENDING_NONE ? request->ended_us : clock_mono_us();
    int64_t started = request->started_us == 0 ? end : request->started_us;
    int64_t first = request->first_us == 0 ? end : request->first_us;
    return (struct engine_timing){
        .queue_us = started - request->submitted_us,
        .prefill_us = first - started,
        .decode_us = end - first,
    };
}

uint32_t engine_request_cached(const struct engine_request *request)
{
    WEIR_ASSERT(request->delivered);
    return request->prefix.cached;
}

uint32_t engine_request_outputs(const struct engine_request *request)
{
    WEIR_ASSERT(request->ending != ENGINE_ENDING_NONE);
    return request->outputs;
}

void engine_request_release(struct engine_request *request)
{
    if (request == NULL)
        return;
    WEIR_ASSERT(request->waiter == NULL);
    engine_request_cancel(request);
    if (request->live_before != NULL)
        request->live_before->live_after = request->live_after;
    else
        request->engine->live = request->live_after;
    if (request->live_after != NULL)
        request->live_after->live_before = request->live_before;
    engine_request_drop_holder(request);
}

void engine_request_drop_holder(struct engine_request *request)
{
    if (atomic_fetch_sub(&request->holders, 1) != 1)
        return;
    engine_sampler_free(request->sampler);
    free(request->ring.at);
    free(request->logprobs);
    free(request->prefix.beginnings.at);
    free(request->prompt);
    free((void *)(uintptr_t)request->tenant.at);
    free(request);
}

static struct text text_copy(struct text text)
{
    char *copy = allocate(text.len + 1, 1);
    if (text.len > 0)
        memcpy(copy, text.at, text.len);
    return (struct text){copy, text.len};
}

static uint32_t power_of_two(uint32_t at_least)
{
    uint32_t size = 1;
    while (size < at_least)
        size *= 2;
    return size;
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    WEIR_ASSERT(memory != NULL);
    return memory;
}
