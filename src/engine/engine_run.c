#include "engine_internal.h"
#include "engine_prefix.h"
#include "clock.h"
#include "log.h"
#include "loop.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const double forgotten = 0.995;

static bool load(struct engine *e);
static void on_progress(void *arg, int percent);
static void set_state(struct engine *e, enum engine_state state);
static void take_inbox(struct engine *e);
static void look_after(struct engine *e, int64_t now);
static bool pause_or_go_on(struct engine *e, struct engine_request *r, int64_t now);
static bool step(struct engine *e);
static void look_ahead(struct engine *e, const struct engine_demand *demand);
static void fill_batch(struct engine *e, const struct engine_plan *plan, int64_t now);
static void sample(struct engine *e, const struct engine_plan *plan, int64_t now);
static void sample_all(struct engine *e, const struct engine_chunk *chunk, uint32_t row,
                       int64_t now);
static int32_t sample_one(struct engine *e, struct engine_request *r, uint32_t row, int64_t now);
static void take_back(struct engine *e, struct engine_request *r);
static void keep_raw(struct engine *e, const float *logits);
static void decode_failed(struct engine *e, enum engine_decode result);
static void end(struct engine *e, struct engine_request *r, enum engine_ending ending, int64_t now);
static void end_all(struct engine *e, enum engine_ending ending);
static void publish(struct engine *e);
static void deliver(struct engine *e);
static void sleep_until_work(struct engine *e);
static bool is_end(const struct engine *e, int32_t token);
static void give_share(struct engine_request *r);
static void *allocate(size_t count, size_t size);
static void batch_new(struct engine_batch *batch, uint32_t rows);
static void batch_free(struct engine_batch *batch);

void *engine_thread(void *arg)
{
    struct engine *e = arg;
    bool alive = load(e);
    while (!atomic_load(&e->closing)) {
        take_inbox(e);
        if (alive) {
            look_after(e, clock_mono_us());
            if (step(e))
                continue;
            alive = atomic_load(&e->state) == ENGINE_READY;
        } else {
            end_all(e, ENGINE_ENDING_FAILED);
        }
        deliver(e);
        sleep_until_work(e);
    }
    take_inbox(e);
    end_all(e, ENGINE_ENDING_CANCELLED);
    engine_prefix_close(e);
    engine_sched_free(e->sched);
    batch_free(&e->batch);
    free(e->raw);
    return NULL;
}

static bool load(struct engine *e)
{
    if (!e->backend->ops->load(e->backend, on_progress, e, &e->facts, &e->why)) {
        set_state(e, ENGINE_FAILED);
        return false;
    }
    WEIR_ASSERT(e->facts.parallel > 0 && e->facts.batch >= e->facts.parallel);
    WEIR_ASSERT(e->facts.adapters < ENGINE_SCHED_GROUPS_MAX);
    uint64_t all = (uint64_t)e->facts.parallel * e->facts.context;
    uint64_t cache = e->facts.cache_tokens > 0 ? e->facts.cache_tokens : all;
    if (e->options.cache_tokens > 0 && e->options.cache_tokens < cache)
        cache = e->options.cache_tokens;
    e->sched = engine_sched_new(&(struct engine_sched_options){
        .sequences = e->facts.parallel,
        .context = e->facts.context,
        .cache_tokens = cache > e->facts.context ? cache : e->facts.context,
        .batch = e->facts.batch,
        .lag_tokens = e->options.lag_tokens,
    });
    engine_pace_open(&e->pace, e->facts.batch, e->facts.parallel, e->options.step_ms_target * 1000,
                     e->options.prompt_budget);
    batch_new(&e->batch, e->facts.batch);
    if (!engine_calibrate(e, &e->why)) {
        set_state(e, ENGINE_FAILED);
        return false;
    }
    engine_prefix_open(e);
    publish(e);
    set_state(e, ENGINE_READY);
    return true;
}

static void on_progress(void *arg, int percent)
{
    struct engine *e = arg;
    atomic_store(&e->percent, percent);
}

static void set_state(struct engine *e, enum engine_state state)
{
    atomic_store_explicit(&e->state, state, memory_order_release);
    e->dirty = true;
    deliver(e);
}

/* Oldest first. */
static void take_inbox(struct engine *e)
{
    struct engine_request *newest = atomic_exchange(&e->inbox, NULL), *oldest = NULL;
    while (newest != NULL) {
        struct engine_request *next = newest->inbox_next;
        newest->inbox_next = oldest;
        oldest = newest;
        newest = next;
    }
    for (struct engine_request *r = oldest; r != NULL; r = r->inbox_next) {
        r->before = e->last;
        r->after = NULL;
        if (e->last != NULL)
            e->last->after = r;
        else
            e->first = r;
        e->last = r;
        if (e->sched != NULL)
            engine_sched_add(e->sched, &r->task);
    }
}

/* Drops who is cancelled and who has not read for too long; pauses who has no room to write. */
static void look_after(struct engine *e, int64_t now)
{
    struct engine_request *next;
    for (struct engine_request *r = e->first; r != NULL; r = next) {
        next = r->after;
        int wanted = atomic_load_explicit(&r->wanted, memory_order_relaxed);
        if (wanted != ENGINE_ENDING_NONE)
            end(e, r, (enum engine_ending)wanted, now);
        else if (!pause_or_go_on(e, r, now))
            end(e, r, ENGINE_ENDING_STALLED, now);
    }
}

/* One place of the ring stays free for the end. */
static bool pause_or_go_on(struct engine *e, struct engine_request *r, int64_t now)
{
    if (engine_ring_room(&r->ring) >= 2) {
        r->task.paused = false;
        r->paused_us = 0;
        return true;
    }
    atomic_store(&r->starved, true);
    if (engine_ring_room(&r->ring) >= 2) /* the reader may have missed the flag */
        return pause_or_go_on(e, r, now);
    r->task.paused = true;
    if (r->paused_us == 0)
        r->paused_us = now;
    return now - r->paused_us <= e->options.stall_ms_max * 1000;
}

/* False when there is nothing to do, or never again. */
static bool step(struct engine *e)
{
    struct engine_plan plan;
    engine_prefix_hold(e, clock_mono_us());
    if (engine_make_room(e))
        engine_prefix_hold(e, clock_mono_us()); /* there is a sequence now */
    engine_admit(e);
    struct engine_demand demand = engine_sched_demand(e->sched);
    look_ahead(e, &demand);
    uint32_t budget = demand.prompts_next ? engine_pace_budget(&e->pace, &demand) : 0;
    engine_sched_plan(e->sched, budget, &plan);
    if (plan.rows == 0) {
        publish(e);
        return false;
    }
    int64_t began = clock_mono_us();
    fill_batch(e, &plan, began);
    enum engine_decode result = e->backend->ops->decode(e->backend, &e->batch);
    if (result != ENGINE_DECODE_OK) {
        decode_failed(e, result);
        return false;
    }
    engine_sched_advance(e->sched, &plan);
    int64_t now = clock_mono_us();
    int64_t average = atomic_load(&e->stats.step_us), took = now - began;
    if (e->ahead != NULL)
        e->draft_us += ((double)took - e->draft_us) / 2;
    else
        engine_pace_measured(&e->pace, budget == 0 ? plan.rows : 0, budget > 0 ? plan.rows : 0,
                             took);
    engine_prefix_computed(e, &plan, took);
    atomic_store(&e->stats.step_us, average == 0 ? took : average + (took - average) / 8);
    atomic_fetch_add_explicit(&e->stats.steps, 1, memory_order_relaxed);
    sample(e, &plan, now);
    publish(e);
    deliver(e);
    return true;
}

static void fill_batch(struct engine *e, const struct engine_plan *plan, int64_t now)
{
    struct engine_batch *batch = &e->batch;
    uint32_t row = 0;
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct engine_chunk *chunk = &plan->chunks[i];
        struct engine_request *r = engine_request_of(chunk->task);
        if (r->share != NULL) {
            give_share(r);
            r->started_us = now;
        }
        bool prompt = chunk->task->state == ENGINE_TASK_PROMPT;
        for (uint32_t k = 0; k < chunk->count; k++, row++) {
            uint32_t known = r->prompt_count + chunk->task->output, at = chunk->from + k;
            batch->token[row] = at < known ? r->prompt[at] : r->draft.tokens[at - known];
            batch->position[row] = (int32_t)(chunk->from + k);
            batch->sequence[row] = chunk->task->sequence;
            batch->wants[row] = chunk->wants_output && (!prompt || k + 1 == chunk->count);
        }
        if (prompt)
            atomic_fetch_add_explicit(&e->stats.prompt_tokens, chunk->count, memory_order_relaxed);
    }
    batch->rows = row;
    batch->adapter = plan->group;
}

static void sample(struct engine *e, const struct engine_plan *plan, int64_t now)
{
    uint32_t row = 0;
    for (uint32_t i = 0; i < plan->count; i++) {
        if (plan->chunks[i].wants_output)
            sample_all(e, &plan->chunks[i], row, now);
        row += plan->chunks[i].count;
    }
    e->ahead = NULL;
}

/* The chunk's last row; or, with a draft, its rows one after the other, as long as what is sampled
 * is what the next one was computed for. */
static void sample_all(struct engine *e, const struct engine_chunk *chunk, uint32_t row,
                       int64_t now)
{
    struct engine_request *r = engine_request_of(chunk->task);
    uint32_t right = 0, drafted = r->draft.count;
    if (e->ahead != r) {
        (void)sample_one(e, r, row + chunk->count - 1, now);
        return;
    }
    int32_t token = sample_one(e, r, row, now);
    while (token >= 0 && right < drafted && token == r->draft.tokens[right]) {
        engine_sched_right(e->sched, &r->task);
        atomic_fetch_add_explicit(&e->stats.drafts_right, 1, memory_order_relaxed);
        token = sample_one(e, r, row + ++right, now);
    }
    if (token < 0) /* it has ended, and may be gone */
        return;
    engine_draft_was_right(&r->draft, right);
    take_back(e, r);
}

/* Rows of a draft that turned out wrong. */
static void take_back(struct engine *e, struct engine_request *r)
{
    if (!r->ahead)
        return;
    r->ahead = false;
    bool ok = e->backend->ops->trim(e->backend, r->task.sequence, r->task.computed);
    WEIR_ASSERT(ok); /* models that cannot have no drafts */
}

/* A draft for one who writes alone: beside others it would split the step in two. */
static void look_ahead(struct engine *e, const struct engine_demand *demand)
{
    e->ahead = NULL;
    if (e->draft_us <= 0 || demand->writers != 1 || demand->prompts + demand->other_groups > 0)
        return;
    for (struct engine_request *r = e->first; r != NULL; r = r->after) {
        struct engine_task *task = &r->task;
        if (task->state != ENGINE_TASK_WRITING || task->paused)
            continue;
        uint32_t rows = 1 + ENGINE_DRAFT_TOKENS;
        if (task->computed + rows > task->reserved || task->output + rows > task->output_max ||
            engine_ring_room(&r->ring) < rows + 1)
            return;
        engine_draft_find(&r->draft, r->prompt, r->prompt_count + task->output);
        if (r->draft.count == 0)
            return;
        if (e->options.drafting == ENGINE_DRAFTING_AUTO &&
            !engine_draft_pays(e->draft_us, engine_pace_estimate_us(&e->pace, 1, 0))) {
            e->draft_us *= forgotten; /* so that it is tried again, one day */
            r->draft.count = 0;
            return;
        }
        task->ahead = r->draft.count;
        r->ahead = true;
        e->ahead = r;
        atomic_fetch_add_explicit(&e->stats.drafted, r->draft.count, memory_order_relaxed);
        return;
    }
}

/* The token; below 0: the request has ended. */
static int32_t sample_one(struct engine *e, struct engine_request *r, uint32_t row, int64_t now)
{
    float *logits = e->backend->ops->logits(e->backend, row);
    if (r->logprobs != NULL)
        keep_raw(e, logits);
    int32_t token = engine_sampler_pick(r->sampler, logits);
    if (token < 0) {
        end(e, r, token == ENGINE_SAMPLER_STUCK ? ENGINE_ENDING_STUCK : ENGINE_ENDING_FAILED, now);
        return -1;
    }
    if (r->first_us == 0)
        r->first_us = now;
    r->outputs++;
    atomic_fetch_add_explicit(&e->stats.output_tokens, 1, memory_order_relaxed);
    r->prompt[r->prompt_count + r->task.output] = token;
    bool more = engine_sched_output(e->sched, &r->task);
    if (!r->ignore_end && is_end(e, token)) {
        end(e, r, ENGINE_ENDING_STOP, now);
        return -1;
    }
    if (r->logprobs != NULL)
        engine_logprobs_of(e->raw, e->facts.vocab, token, r->tops,
                           &r->logprobs[engine_ring_put_place(&r->ring)]);
    engine_ring_put(&r->ring, token);
    e->dirty = true;
    bool done = engine_sampler_done(r->sampler);
    if (done || !more) {
        end(e, r, done ? ENGINE_ENDING_STOP : ENGINE_ENDING_LENGTH, now);
        return -1;
    }
    return token;
}

/* The sampler changes the row. */
static void keep_raw(struct engine *e, const float *logits)
{
    if (e->raw == NULL)
        e->raw = allocate(e->facts.vocab, sizeof *e->raw);
    memcpy(e->raw, logits, e->facts.vocab * sizeof *e->raw);
}

/* The account makes FULL impossible. Should it come all the same, all who are here pay for it, and
 * the engine lives on with an empty cache. */
static void decode_failed(struct engine *e, enum engine_decode result)
{
    if (result == ENGINE_DECODE_ABORTED && atomic_load(&e->closing))
        return;
    LOG_ERROR("the backend could not decode", LOG_INT("result", result),
              LOG_INT("rows", e->batch.rows));
    end_all(e, ENGINE_ENDING_FAILED);
    if (result == ENGINE_DECODE_FULL)
        return;
    status_fail(&e->why, STATUS_INTERNAL, "the backend broke while decoding");
    set_state(e, ENGINE_FAILED);
}

static void end(struct engine *e, struct engine_request *r, enum engine_ending ending, int64_t now)
{
    if (r->share != NULL)
        give_share(r);
    engine_unkeep(e, r);
    take_back(e, r); /* before its state is kept */
    if (e->sched != NULL && r->task.state != ENGINE_TASK_OUT) {
        if (ending != ENGINE_ENDING_FAILED && !atomic_load(&e->closing))
            engine_prefix_end(e, r);
        int32_t sequence = engine_sched_drop(e->sched, &r->task);
        if (sequence >= 0)
            e->backend->ops->clear(e->backend, sequence);
    }
    if (r->before != NULL)
        r->before->after = r->after;
    else
        e->first = r->after;
    if (r->after != NULL)
        r->after->before = r->before;
    else
        e->last = r->before;
    r->ended_us = now;
    if (ending == ENGINE_ENDING_CANCELLED)
        atomic_fetch_add(&e->stats.cancelled, 1);
    if (ending == ENGINE_ENDING_STALLED)
        atomic_fetch_add(&e->stats.stalled, 1);
    if (ending == ENGINE_ENDING_FAILED)
        atomic_fetch_add(&e->stats.failed, 1);
    engine_ring_put(&r->ring, -1 - (int32_t)ending);
    e->dirty = true;
    engine_request_drop_holder(r);
}

static void end_all(struct engine *e, enum engine_ending ending)
{
    int64_t now = clock_mono_us();
    while (e->first != NULL)
        end(e, e->first, ending, now);
    if (e->sched != NULL)
        publish(e);
}

static void publish(struct engine *e)
{
    struct engine_sched_counts counts = engine_sched_counts(e->sched);
    atomic_store_explicit(&e->stats.prompting, counts.prompting, memory_order_relaxed);
    atomic_store_explicit(&e->stats.writing, counts.writing, memory_order_relaxed);
    atomic_store_explicit(&e->stats.paused, counts.paused, memory_order_relaxed);
    atomic_store_explicit(&e->stats.sequences_free, counts.sequences_free, memory_order_relaxed);
    atomic_store_explicit(&e->stats.cache_held, counts.cache_held, memory_order_relaxed);
    atomic_store_explicit(&e->stats.preempted, counts.preempted, memory_order_relaxed);
    atomic_store_explicit(&e->stats.kept_bytes, e->kept_bytes, memory_order_relaxed);
    atomic_store_explicit(&e->usual.output, counts.output_usual, memory_order_relaxed);
    atomic_store_explicit(&e->usual.prompt_ns, (int64_t)(engine_pace_prompt_us(&e->pace) * 1000),
                          memory_order_relaxed);
    atomic_store_explicit(&e->usual.writing_us,
                          (int64_t)engine_pace_estimate_us(&e->pace, e->facts.parallel, 0),
                          memory_order_relaxed);
}

/* One post per step, however many requests got something. */
static void deliver(struct engine *e)
{
    if (!e->dirty)
        return;
    e->dirty = false;
    if (!atomic_exchange(&e->posted, true) && !loop_post(e->loop, engine_deliver, e))
        atomic_store(&e->posted, false); /* the loop has stopped: nobody reads any more */
}

/* Woken by submit, cancel, release and by a reader that made room; looks by itself every second,
 * for those who never read. */
static void sleep_until_work(struct engine *e)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 1;
    pthread_mutex_lock(&e->mutex);
    int rc = 0;
    while (!e->work && rc == 0) {
        if (e->first != NULL)
            rc = pthread_cond_timedwait(&e->cond, &e->mutex, &until);
        else
            rc = pthread_cond_wait(&e->cond, &e->mutex);
    }
    e->work = false;
    pthread_mutex_unlock(&e->mutex);
}

static bool is_end(const struct engine *e, int32_t token)
{
    for (uint32_t i = 0; i < e->facts.ends_count; i++)
        if (e->facts.ends[i] == token)
            return true;
    return false;
}

static void give_share(struct engine_request *r)
{
    engine_quota_give(TAKE(r->share), r->prompt_count);
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    WEIR_ASSERT(memory != NULL);
    return memory;
}

static void batch_new(struct engine_batch *batch, uint32_t rows)
{
    batch->token = allocate(rows, sizeof *batch->token);
    batch->position = allocate(rows, sizeof *batch->position);
    batch->sequence = allocate(rows, sizeof *batch->sequence);
    batch->wants = allocate(rows, sizeof *batch->wants);
}

static void batch_free(struct engine_batch *batch)
{
    free(batch->token);
    free(batch->position);
    free(batch->sequence);
    free(batch->wants);
}
