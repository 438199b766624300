/* POST of every endpoint of /v1 that a model answers: read, call, pass on, settle. With a key that
 * was seen lately, nothing here asks the database or another thread, unless the body is long. */
#include <stdio.h>
#include <string.h>
#include "api_body.h"
#include "api_error.h"
#include "api_handlers.h"
#include "api_internal.h"
#include "arena.h"
#include "clock.h"
#include "fiber.h"
#include "http_sse.h"
#include "relay_call.h"
#include "relay_request.h"
#include "relay_stream.h"
#include "timing.h"

/* The body, read here or on a thread of the pool. */
struct reading {
    enum relay_endpoint endpoint;
    struct text body;
    struct arena *arena;
    struct relay_request request;
    struct status st;
    bool ok;
};

static bool call_model(struct http_request *req, struct http_reply *reply,
                       enum relay_endpoint endpoint, struct status *st);
static bool read_request(struct http_request *req, struct reading *reading, struct status *st);
static void read_run(void *arg);
static bool answer_whole(struct http_request *req, struct http_reply *reply,
                         struct relay_call *call, struct status *st);
static bool answer_stream(struct http_request *req, struct http_reply *reply,
                          struct relay_call *call, bool include_usage, struct status *st);
static bool end_broken(struct http_request *req, struct http_reply *reply, struct text last,
                       const struct status *why, struct status *st);
static void add_timing(struct http_reply *reply, struct http_request *req,
                       const struct relay_call *call, const struct relay_timings *timings);

bool api_v1_chat_post(struct http_request *req, struct http_reply *reply, struct status *st)
{
    return call_model(req, reply, RELAY_CHAT, st);
}

bool api_v1_completions_post(struct http_request *req, struct http_reply *reply, struct status *st)
{
    return call_model(req, reply, RELAY_COMPLETIONS, st);
}

bool api_v1_embeddings_post(struct http_request *req, struct http_reply *reply, struct status *st)
{
    return call_model(req, reply, RELAY_EMBEDDINGS, st);
}

bool api_v1_rerank_post(struct http_request *req, struct http_reply *reply, struct status *st)
{
    return call_model(req, reply, RELAY_RERANK, st);
}

bool api_v1_tokenize_post(struct http_request *req, struct http_reply *reply, struct status *st)
{
    return call_model(req, reply, RELAY_TOKENIZE, st);
}

bool api_v1_detokenize_post(struct http_request *req, struct http_reply *reply, struct status *st)
{
    return call_model(req, reply, RELAY_DETOKENIZE, st);
}

static bool call_model(struct http_request *req, struct http_reply *reply,
                       enum relay_endpoint endpoint, struct status *st)
{
    struct api_request *request = api_request_of(req);
    struct reading reading = {.endpoint = endpoint, .arena = req->arena};
    char *code = arena_alloc(req->arena, RELAY_CODE_BYTES);
    request->error_code = code;
    if (!read_request(req, &reading, st))
        return false;
    struct relay_call_options options = {
        .request = &reading.request,
        .org_id = request->caller.org_id,
        .weight = request->caller.who.weight,
        .request_id = req->request_id,
        .trace_parent = req->trace_parent,
        .arena = req->arena,
        .error_code = code,
    };
    AUTO(relay_call) struct relay_call *call = NULL;
    if (!relay_call_open(request->worker->relay, &options, &call, st)) /* waits */
        return false;
    if (reading.request.stream)
        return answer_stream(req, reply, call, reading.request.include_usage, st);
    return answer_whole(req, reply, call, st);
}

static bool read_request(struct http_request *req, struct reading *reading, struct status *st)
{
    const struct api *api = api_request_of(req)->api;
    if (!api_body_json(req, true, api->options.body_bytes_max, &reading->body, st))
        return false;
    api_request_unbound();
    if (reading->body.len <= RELAY_REQUEST_INLINE_BYTES)
        read_run(reading);
    else if (!offload(read_run, reading, st))
        return false;
    if (!reading->ok)
        *st = reading->st;
    return reading->ok;
}

static void read_run(void *arg)
{
    struct reading *reading = arg;
    reading->ok = relay_request_read(reading->endpoint, reading->body, reading->arena,
                                     &reading->request, &reading->st);
}

static bool answer_whole(struct http_request *req, struct http_reply *reply,
                         struct relay_call *call, struct status *st)
{
    struct text body;
    struct relay_chunk chunk;
    if (!relay_call_body(call, &body, &chunk, st)) {
        relay_call_settle(call, relay_call_ending_of(st), NULL);
        return false;
    }
    /* Settled before the last byte goes out: a client that has its answer is counted. */
    relay_call_settle(call, RELAY_ENDING_FINISHED, &chunk.usage);
    add_timing(reply, req, call, &chunk.timings);
    body = relay_chunk_renamed(&chunk, body, relay_call_model(call), req->arena);
    return http_reply_send(reply, 200, TEXT("application/json"), body, st);
}

static bool answer_stream(struct http_request *req, struct http_reply *reply,
                          struct relay_call *call, bool include_usage, struct status *st)
{
    AUTO(relay_stream)
    struct relay_stream *stream = relay_stream_new(relay_call_model(call), !include_usage);
    enum relay_stream_state state = RELAY_STREAM_OPEN;
    struct text piece, out = TEXT("");
    add_timing(reply, req, call, NULL);
    if (!http_sse_start(reply, st))
        return false;
    while (state == RELAY_STREAM_OPEN) {
        struct status why = {0};
        if (!relay_call_read(call, &piece, &why)) { /* waits for the upstream */
            relay_call_settle(call, relay_call_ending_of(&why), relay_stream_usage(stream));
            return end_broken(req, reply, TEXT(""), &why, st);
        }
        if (piece.len == 0) {
            (void)status_fail(&why, STATUS_UPSTREAM, "the upstream ended its stream too early");
            relay_call_settle(call, RELAY_ENDING_UPSTREAM, relay_stream_usage(stream));
            return end_broken(req, reply, TEXT(""), &why, st);
        }
        state = relay_stream_feed(stream, piece, &out, &why);
        if (state == RELAY_STREAM_FAILED) {
            relay_call_settle(call, RELAY_ENDING_UPSTREAM, relay_stream_usage(stream));
            return end_broken(req, reply, out, &why, st);
        }
        if (state == RELAY_STREAM_OPEN && !http_reply_write(reply, out, st))
            return false; /* waits for a slow client; one that is gone settles as left */
    }
    relay_call_settle(call, RELAY_ENDING_FINISHED, relay_stream_usage(stream));
    return http_reply_end_with(reply, out, st);
}

/* The status line has long gone: the error is the last event, and there is no [DONE]. */
static bool end_broken(struct http_request *req, struct http_reply *reply, struct text last,
                       const struct status *why, struct status *st)
{
    struct status told = *why;
    if (http_request_gone(req)) {
        *st = *why;
        return false;
    }
    if (why->code == STATUS_CANCELLED)
        (void)status_fail(&told, STATUS_UNAVAILABLE,
                          "the server was stopped while it wrote this answer");
    struct text json = api_error_v1_json(req->arena, &told, NULL);
    struct text event =
        arena_format(req->arena, "%.*sdata: %.*s\n\n", TEXT_ARG(last), TEXT_ARG(json));
    return http_reply_end_with(reply, event, st);
}

static void add_timing(struct http_reply *reply, struct http_request *req,
                       const struct relay_call *call, const struct relay_timings *timings)
{
    struct timing timing = {.len = 0};
    timing_add(&timing, "head", relay_call_head_us(call));
    if (timings != NULL) {
        timing_add(&timing, "queue", (int64_t)(timings->queue_ms * 1000));
        timing_add(&timing, "prefill", (int64_t)(timings->prefill_ms * 1000));
        timing_add(&timing, "decode", (int64_t)(timings->decode_ms * 1000));
    }
    timing_add(&timing, "total", clock_mono_us() - req->started_us);
    http_reply_header(reply, TEXT("Server-Timing"), timing_text(&timing));
}
