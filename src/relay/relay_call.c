#include "relay_call.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "clock.h"
#include "fiber.h"
#include "http_client.h"
#include "http_url.h"
#include "log.h"
#include "loop.h"
#include "rand.h"
#include "relay_call_internal.h"

enum {
    LOCAL_POLL_MS = 20,
    RETRY_LOADING_MS = 5000, /* what a client is told to wait */
    RETRY_FAILED_MS = 30000,
    LOCAL_RETRY_MS = 150,
    RETRY_MS = 200, /* before the second time, half of it by chance */
    BODY_BYTES_MAX = 32 * 1024 * 1024,
    HEADERS_MAX = 8,
};

static bool find(struct relay_worker *worker, struct text id, const struct relay_model **out,
                 char *code, struct status *st);
static bool does(const struct relay_model *model, enum relay_endpoint endpoint);
static bool wait_open(const struct relay_model *model, int64_t deadline_us, struct status *st);
static bool fail_closed(const struct relay_model *model, struct status *st);
static bool will_open(const struct relay_model *model);
static bool enter(const struct relay_call *call, int64_t deadline_us, struct status *st);
static bool deliver(struct relay_call *call, const struct relay_call_options *options,
                    struct text body, struct status *st);
static bool attempt(struct relay_call *call, const struct relay_call_options *options,
                    struct text body, bool *again, int64_t *after_ms, struct status *st);
static struct text path_at(const struct relay_call *call, bool *whole);
static bool conceal(const struct relay_call *call, struct status *st);
static bool content_type_is(const struct http_response *response, struct text type);
static void read_body_chunk(void *arg);

bool relay_call_open(struct relay_worker *worker, const struct relay_call_options *options,
                     struct relay_call **out, struct status *st)
{
    const struct relay_model *model;
    if (options->error_code != NULL)
        options->error_code[0] = '\0';
    if (!find(worker, options->request->model, &model, options->error_code, st))
        return false;
    if (!does(model, options->request->endpoint))
        return relay_call_unsupported(model, options, st);
    if (model->local && !relay_request_for_local(options->request, st))
        return false;
    struct relay_call *call = ARENA_NEW(options->arena, struct relay_call);
    call->worker = worker;
    call->snapshot = relay_snapshot_take(worker->snapshot);
    call->model = model;
    call->endpoint = options->request->endpoint;
    call->arena = options->arena;
    call->opened_us = clock_mono_us();
    struct text body =
        relay_request_body(options->request, model->upstream_model, model->local, options->arena);
    if (!deliver(call, options, body, st)) {
        relay_call_settle(call,
                          st->code == STATUS_INVALID || st->code == STATUS_NOT_FOUND ||
                                  st->code == STATUS_RATE_LIMITED || st->code == STATUS_TOO_LARGE
                              ? RELAY_ENDING_REFUSED
                              : relay_call_ending_of(st),
                          NULL);
        relay_call_close(call);
        return false;
    }
    *out = call;
    return true;
}

bool relay_call_check(struct relay_worker *worker, struct text id, struct status *st)
{
    const struct relay_model *model;
    return find(worker, id, &model, NULL, st) &&
           (relay_target_is_open(model->target) || will_open(model) || fail_closed(model, st));
}

bool relay_call_read(struct relay_call *call, struct text *piece, struct status *st)
{
    return http_response_read(call->response, piece, st) || conceal(call, st);
}

bool relay_call_body(struct relay_call *call, struct text *body, struct relay_chunk *chunk,
                     struct status *st)
{
    if (!http_response_body(call->response, BODY_BYTES_MAX, call->arena, &call->body, st)) {
        if (st->code == STATUS_TOO_LARGE)
            st->code = STATUS_UPSTREAM;
        return conceal(call, st);
    }
    if (call->body.len <= RELAY_REQUEST_INLINE_BYTES)
        read_body_chunk(call);
    else if (!offload(read_body_chunk, call, st))
        return false;
    if (!call->ok) {
        *st = call->st;
        return status_wrap(st, "the upstream's answer is broken");
    }
    if (call->chunk.is_error || call->chunk.answer.raw.at == NULL)
        return status_fail(st, STATUS_UPSTREAM, "the upstream's answer has no %s",
                           relay_endpoint_facts(call->endpoint)->answer);
    *body = call->body;
    *chunk = call->chunk;
    return true;
}

struct text relay_call_model(const struct relay_call *call)
{
    return call->model->id;
}

int64_t relay_call_head_us(const struct relay_call *call)
{
    return call->head_us - call->opened_us;
}

void relay_call_settle(struct relay_call *call, enum relay_ending ending,
                       const struct relay_usage *usage)
{
    WEIR_ASSERT(!call->settled);
    call->settled = true;
    if (call->admitted) {
        call->admitted = false;
        if (ending == RELAY_ENDING_LEFT || ending == RELAY_ENDING_STOPPED)
            relay_target_left(call->model->target);
        else /* it was there and answered, whatever became of the answer */
            relay_target_succeeded(call->model->target);
    }
    if (call->worker->options.metrics == NULL)
        return;
    struct relay_record record = {
        .model = call->model->id,
        .ending = ending,
        .first_us = call->head_us == 0 ? -1 : call->head_us - call->opened_us,
        .duration_us = clock_mono_us() - call->opened_us,
        .retries = call->retries,
    };
    if (usage != NULL)
        record.usage = *usage;
    relay_metrics_record(call->worker->options.metrics, &record);
}

enum relay_ending relay_call_ending_of(const struct status *st)
{
    if (st->code == STATUS_CANCELLED || st->code == STATUS_LIMIT || st->code == STATUS_CLOSED)
        return RELAY_ENDING_LEFT;
    return st->code == STATUS_TIMEOUT ? RELAY_ENDING_TIMEOUT : RELAY_ENDING_UPSTREAM;
}

void relay_call_close(struct relay_call *call)
{
    if (call == NULL)
        return;
    if (!call->settled)
        relay_call_settle(call, RELAY_ENDING_LEFT, NULL);
    http_response_close(call->response);
    call->response = NULL;
    relay_snapshot_release(call->snapshot);
    call->snapshot = NULL;
}

/* --- admission -------------------------------------------------------------------------------- */

static bool find(struct relay_worker *worker, struct text id, const struct relay_model **out,
                 char *code, struct status *st)
{
    const struct relay_model *model = relay_snapshot_model(relay_worker_models(worker), id);
    if (model != NULL && model->usable) {
        *out = model;
        return true;
    }
    if (code != NULL)
        (void)snprintf(code, RELAY_CODE_BYTES, "model_not_found");
    return status_fail_field(st, STATUS_NOT_FOUND, "model",
                             "the model '%.*s' does not exist; GET /v1/models lists those that do",
                             (int)text_utf8_whole(text_take(id, 100)), id.at);
}

/* Where nobody has said it yet, the model itself answers. */
static bool does(const struct relay_model *model, enum relay_endpoint endpoint)
{
    unsigned tasks = relay_model_tasks(model);
    return tasks == 0 || relay_endpoint_facts(endpoint)->task == NULL || (tasks & 1U << endpoint);
}

/* A local model may be asleep, loading, or coming back after a crash: its requests wait for it, and
 * by waiting have it loaded. */
static bool wait_open(const struct relay_model *model, int64_t deadline_us, struct status *st)
{
    bool open = relay_target_is_open(model->target);
    if (open)
        return true;
    relay_target_wait_begin(model->target);
    bool waits = true;
    while (waits && !open) {
        if (!will_open(model) || clock_mono_us() >= deadline_us)
            waits = fail_closed(model, st);
        else if (loop_sleep(clock_deadline_ms(LOCAL_POLL_MS), st))
            open = relay_target_is_open(model->target);
        else
            waits = false;
    }
    relay_target_wait_end(model->target);
    return open;
}

/* Whether it is worth waiting for. */
static bool will_open(const struct relay_model *model)
{
    char reason[RELAY_TARGET_REASON_BYTES];
    int percent;
    enum relay_phase phase = relay_target_phase(model->target, &percent, reason);
    return phase == RELAY_PHASE_LOADING || phase == RELAY_PHASE_READY ||
           (phase == RELAY_PHASE_ASLEEP && !relay_target_is_hopeless(model->target));
}

static bool fail_closed(const struct relay_model *model, struct status *st)
{
    static const char *const states[] = {"is still loading", "makes room for another one",
                                         "cannot be run", "is stopped", "cannot be loaded now"};
    static_assert(ARRAY_LEN(states) == RELAY_PHASE_COUNT, "a phase has no words");
    char reason[RELAY_TARGET_REASON_BYTES];
    int percent;
    enum relay_phase phase = relay_target_phase(model->target, &percent, reason);
    if (phase != RELAY_PHASE_ASLEEP) /* that one names models, whose ids may have a slash */
        relay_model_reason_public(model, reason);
    (void)status_fail(st, STATUS_UNAVAILABLE, "the model '%.*s' %s%s%s", TEXT_ARG(model->id),
                      states[phase], reason[0] == '\0' ? "" : ": ", reason);
    st->retry_after_ms = phase == RELAY_PHASE_FAILED || phase == RELAY_PHASE_STOPPED
                             ? RETRY_FAILED_MS
                             : RETRY_LOADING_MS;
    return false;
}

/* --- delivery --------------------------------------------------------------------------------- */

static bool deliver(struct relay_call *call, const struct relay_call_options *options,
                    struct text body, struct status *st)
{
    struct relay_worker *worker = call->worker;
    int64_t wait_until_us =
        options->no_wait ? 0 : clock_deadline_ms(worker->options.limits.local_wait_ms);
    for (;;) {
        bool again = false;
        int64_t after_ms = 0;
        call->says_address = false;
        if (!enter(call, wait_until_us, st))
            return false;
        call->admitted = true;
        if (attempt(call, options, body, &again, &after_ms, st))
            return true;
        /* Only what says that nobody is there counts for the breaker: an answer that is bad may be
         * one request's doing, and must not shut the door on everybody else's. */
        bool absent = call->response == NULL &&
                      (st->code == STATUS_UNAVAILABLE || st->code == STATUS_TIMEOUT);
        http_response_close(call->response);
        call->response = NULL;
        call->admitted = false;
        if (st->code == STATUS_CANCELLED || st->code == STATUS_LIMIT)
            relay_target_left(call->model->target);
        else if (absent)
            relay_target_failed(call->model->target, status_text(st));
        else
            relay_target_succeeded(call->model->target);
        if (!again || call->retries == RELAY_RETRIES_MAX)
            return call->says_address ? conceal(call, st) : false;
        /* The first time at once: a connection of the pool may just have been closed. */
        int64_t pause_ms = (int64_t)RETRY_MS * call->retries;
        pause_ms = pause_ms / 2 + (int64_t)rand_below((uint64_t)pause_ms / 2 + 1);
        if (call->model->local && pause_ms < LOCAL_RETRY_MS) /* until its end is noticed */
            pause_ms = LOCAL_RETRY_MS;
        call->retries++;
        if (!loop_sleep(clock_deadline_ms(after_ms > pause_ms ? after_ms : pause_ms), st))
            return false;
    }
}

/* Until the target has admitted it. A model may be put to sleep just when its turn has come. */
static bool enter(const struct relay_call *call, int64_t deadline_us, struct status *st)
{
    struct relay_target *target = call->model->target;
    while (!call->model->local || wait_open(call->model, deadline_us, st)) {
        if (relay_target_admit(target, st))
            return true;
        if (!call->model->local)
            return false;
    }
    return false;
}

/* Makes the call once. `*again` tells whether it may be made once more: nothing of an answer was
 * seen, and waiting longer would not have helped. */
static bool attempt(struct relay_call *call, const struct relay_call_options *options,
                    struct text body, bool *again, int64_t *after_ms, struct status *st)
{
    const struct relay_request *request = options->request;
    struct relay_target *target = call->model->target;
    struct text authorization = relay_target_authorization(target);
    struct http_header headers[HEADERS_MAX];
    size_t count = 0;
    headers[count++] = (struct http_header){TEXT("content-type"), TEXT("application/json")};
    headers[count++] = (struct http_header){
        TEXT("accept"), request->stream ? TEXT("text/event-stream") : TEXT("application/json")};
    headers[count++] = (struct http_header){TEXT("x-request-id"), options->request_id};
    if (options->trace_parent.len > 0)
        headers[count++] = (struct http_header){TEXT("traceparent"), options->trace_parent};
    if (authorization.len > 0)
        headers[count++] = (struct http_header){TEXT("authorization"), authorization};
    if (call->model->local)
        headers[count++] = (struct http_header){TEXT("x-weir-tenant"), options->org_id};
    if (call->model->local && options->weight > 0)
        headers[count++] = (struct http_header){TEXT("x-weir-weight"),
                                                arena_format(call->arena, "%u", options->weight)};
    WEIR_ASSERT(count <= HEADERS_MAX);
    bool local = call->model->local, whole;
    struct text path = path_at(call, &whole);
    const struct relay_limits *limits = &call->worker->options.limits;
    struct http_call http = {
        .method = TEXT("POST"),
        .target = path,
        .whole_target = whole,
        .headers = {headers, count},
        .body = body,
        .no_resend = true, /* deliver() makes it again, and counts */
        .connect_ms = limits->connect_ms,
        .first_byte_ms = local             ? limits->local_first_byte_ms
                         : request->stream ? limits->first_byte_ms
                                           : limits->answer_ms,
        .idle_ms = local ? limits->local_idle_ms : limits->idle_ms,
        .total_ms = limits->stream_max_ms,
    };
    call->says_address = true;
    if (!relay_worker_origin(call->worker, target, &http.origin, st))
        return false;
    if (!http_client_call(call->worker->client, &http, call->arena, &call->response, st)) {
        call->response = NULL;
        *again = st->code == STATUS_UNAVAILABLE || st->code == STATUS_UPSTREAM;
        return false;
    }
    call->says_address = false;
    if (call->response->http_status != 200)
        return relay_call_refused(call, options, again, after_ms, st);
    if (!content_type_is(call->response,
                         request->stream ? TEXT("text/event-stream") : TEXT("application/json")))
        return status_fail(st, STATUS_UPSTREAM, "the upstream did not answer in %s",
                           request->stream ? "an event stream" : "JSON");
    call->head_us = clock_mono_us();
    return true;
}

/* Ours have the endpoint under /v1, other upstreams behind the path of their address (`*whole`
 * stays false); but at their root, beside the /v1 that it ends in, what is not OpenAI's: so do vLLM
 * and llama-server. */
static struct text path_at(const struct relay_call *call, bool *whole)
{
    const struct relay_endpoint_facts *facts = relay_endpoint_facts(call->endpoint);
    struct text path = text_of(facts->path), behind = text_skip(path, strlen("/v1"));
    struct http_url url;
    struct status st = {0};
    *whole = call->model->local || facts->above_v1;
    if (call->model->local)
        return path;
    if (!facts->above_v1 || !http_url_parse(relay_target_url(call->model->target), &url, &st))
        return behind;
    if (text_ends(url.path, TEXT("/v1")))
        url.path.len -= strlen("/v1");
    return arena_format(call->arena, "%.*s%.*s", TEXT_ARG(url.path), TEXT_ARG(behind));
}

/* The whole reason goes to the log; the caller, who may be anybody with a key, gets a sentence
 * without the addresses of our machines. */
static bool conceal(const struct relay_call *call, struct status *st)
{
    struct text id = call->model->id;
    int64_t retry_after_ms = st->retry_after_ms;
    if (st->code == STATUS_CANCELLED || st->code == STATUS_LIMIT || st->code == STATUS_CLOSED)
        return false; /* nobody reads it */
    LOG_WARN("a call to a model failed", LOG_TEXT("model", id), LOG_TEXT("why", status_text(st)));
    if (st->code == STATUS_TIMEOUT)
        (void)status_fail(st, st->code, "the model '%.*s' did not answer in time", TEXT_ARG(id));
    else if (st->code == STATUS_UNAVAILABLE)
        (void)status_fail(st, st->code, "the model '%.*s' cannot be reached now", TEXT_ARG(id));
    else /* an address that cannot be used is no fault of the caller's */
        (void)status_fail(st, st->code == STATUS_INVALID ? STATUS_UPSTREAM : st->code,
                          "the connection to the model '%.*s' broke", TEXT_ARG(id));
    st->retry_after_ms = retry_after_ms;
    return false;
}

static bool content_type_is(const struct http_response *response, struct text type)
{
    struct text value = http_header_get(response->headers, TEXT("content-type"));
    struct text essence = text_trim(text_take(value, text_find_byte(value, ';')));
    return text_equal_nocase(essence, type);
}

/* On the loop or, for a long one, on a thread of the pool. */
static void read_body_chunk(void *arg)
{
    struct relay_call *call = arg;
    call->ok = relay_chunk_read(call->endpoint, call->body, &call->chunk, &call->st);
}
