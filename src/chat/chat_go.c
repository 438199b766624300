/* Two fibers for one run. The writer calls the model and adds events as text comes. The keeper
 * stores them every second, moves the heartbeat on, and learns whether somebody wants the run to
 * stop. Whoever follows sees an event as soon as it was added; only the last one is stored first,
 * so that no replica can ever tell another end. */
#include "chat_go.h"
#include <stdlib.h>
#include <string.h>
#include "chat_store.h"
#include "clock.h"
#include "fiber.h"
#include "http_sse.h"
#include "ids.h"
#include "log.h"
#include "loop.h"
#include "relay_call.h"
#include "relay_request.h"

enum {
    REFUSAL_MS = 250,
    KEEP_MS = 1000,
    END_TRIES = 5,
    END_RETRY_MS = 1000,
    ARENA_BYTES_MAX = 64 * 1024 * 1024,
};

struct chat_go {
    int refs;
    struct chat *chat;
    struct relay_worker *worker;
    struct loop *loop;
    struct arena *arena;
    struct chat_person person;
    struct chat_run_row row;
    struct chat_live *live;
    struct text json, request_id;
    uint32_t weight;
    int64_t started_us;

    /* Between the writer and whoever started it. */
    struct fiber *starter, *writer, *keeper;
    enum { OPENING, OPENED, REFUSED } opening;
    enum { UNDECIDED, KEPT, DROPPED } decision;
    struct status refusal;

    /* Between the writer and the keeper. */
    int64_t stored;

    /* What is known of the answer. */
    struct relay_usage usage;
    int64_t first_us, last_us;
    struct text finish_reason;
    bool too_long;
    bool quotes; /* what went wrong is told in the model's words, which may quote the prompt */
};

static bool is_refusal(enum status_code code);
static void release(struct chat_go *go);
static void write_run(void *arg);
static bool open_call(struct chat_go *go, struct relay_call **call, struct status *st);
static bool wait_decision(struct chat_go *go);
static bool read_answer(struct chat_go *go, struct relay_call *call, struct status *st);
static bool take_event(struct chat_go *go, struct text data, bool *done, struct status *st);
static void keep_run(void *arg);
static void end_run(struct chat_go *go, bool ok, const struct status *why);
static struct text usage_json(const struct chat_go *go);

bool chat_go_start(struct chat *chat, struct relay_worker *worker, struct chat_person person,
                   const struct chat_run *run, struct text json, struct text request_id,
                   uint32_t weight, struct chat_go **out, struct status *st)
{
    struct arena *arena = arena_open(ARENA_BYTES_MAX + 2 * (size_t)chat->options.answer_bytes_max);
    struct chat_go *go = ARENA_NEW(arena, struct chat_go);
    go->refs = 2; /* the caller and the writer */
    go->chat = chat;
    go->worker = worker;
    go->loop = loop_current();
    go->arena = arena;
    go->person =
        (struct chat_person){arena_text(arena, person.org_id), arena_text(arena, person.user_id)};
    go->row = (struct chat_run_row){
        .org_id = go->person.org_id,
        .user_id = go->person.user_id,
        .id = arena_text(arena, run->id),
        .thread_id = arena_text(arena, run->thread.id),
        .message_id = arena_text(arena, run->answer.id),
    };
    go->json = arena_text(arena, json);
    go->request_id = arena_text(arena, request_id);
    go->weight = weight;
    go->started_us = clock_mono_us();
    go->starter = fiber_current();
    go->live = chat_live_new(chat, go->person, go->row.id);
    if (!fiber_start(go->loop, "chat run", write_run, go, st)) {
        chat_live_remove(chat, go->live);
        go->refs = 1;
        release(go);
        return false;
    }
    int64_t deadline_us = clock_deadline_ms(REFUSAL_MS);
    while (go->opening == OPENING && fiber_wait(deadline_us, st))
        ;
    go->starter = NULL;
    bool no = go->opening == REFUSED && is_refusal(go->refusal.code);
    if (no || fiber_cancelled()) {
        if (no)
            *st = go->refusal;
        chat_go_drop(go);
        return false;
    }
    *out = go;
    return true;
}

/* What the asker can do something about. A model that broke is an answer that failed. */
static bool is_refusal(enum status_code code)
{
    return code == STATUS_NOT_FOUND || code == STATUS_INVALID || code == STATUS_TOO_LARGE ||
           code == STATUS_RATE_LIMITED || code == STATUS_UNAVAILABLE;
}

void chat_go_keep(struct chat_go *go)
{
    struct status st = {0};
    go->decision = KEPT;
    /* From here on, also while the model is waited for: without a sign of life it would be ended.
     */
    (void)chat_live_add(go->live, CHAT_EVENT_STATUS,
                        TEXT("{\"state\":\"queued\",\"position\":null}"));
    if (!fiber_start_joinable(go->loop, "chat keeper", keep_run, go, &go->keeper, &st))
        LOG_WARN("a run is stored only at its end", LOG_TEXT("why", status_text(&st)));
    if (go->writer != NULL)
        fiber_wake(go->writer);
    release(go);
}

void chat_go_drop(struct chat_go *go)
{
    go->decision = DROPPED;
    if (go->writer != NULL) {
        fiber_cancel(go->writer);
        fiber_wake(go->writer); /* it may be shielded */
    }
    release(go);
}

static void release(struct chat_go *go)
{
    if (--go->refs > 0)
        return;
    chat_live_release(go->live);
    arena_close(go->arena);
}

static void write_run(void *arg)
{
    struct chat_go *go = arg;
    struct status st = {0};
    struct log_scope scope = {go->request_id};
    fiber_set_log_scope(&scope);
    go->writer = fiber_current();
    chat_live_set_fiber(go->live, go->writer);
    AUTO(relay_call) struct relay_call *call = NULL;
    bool ok = go->decision != DROPPED && open_call(go, &call, &st);
    go->opening = ok ? OPENED : REFUSED;
    go->refusal = st;
    if (go->starter != NULL)
        fiber_wake(go->starter);
    if (wait_decision(go)) {
        if (ok) {
            (void)chat_live_add(go->live, CHAT_EVENT_STATUS, TEXT("{\"state\":\"running\"}"));
            ok = read_answer(go, call, &st);
        }
        chat_live_set_fiber(go->live, NULL); /* from here on nobody cuts its waits short */
        fiber_shield();
        if (go->keeper != NULL) {
            fiber_cancel(go->keeper);
            fiber_join(go->keeper);
        }
        if (call != NULL)
            relay_call_settle(call,
                              ok ? RELAY_ENDING_FINISHED
                              : chat_live_stopped(go->live) == CHAT_LIVE_STOP_PERSON
                                  ? RELAY_ENDING_STOPPED
                                  : relay_call_ending_of(&st),
                              &go->usage);
        relay_call_close(TAKE(call)); /* tells the model to stop, before anything is written */
        end_run(go, ok, &st);
        fiber_unshield();
    }
    chat_live_set_fiber(go->live, NULL);
    chat_live_remove(go->chat, go->live);
    go->writer = NULL;
    relay_call_close(TAKE(call)); /* it stands in the arena that ends here */
    fiber_set_log_scope(NULL);
    release(go);
}

static bool open_call(struct chat_go *go, struct relay_call **call, struct status *st)
{
    struct relay_request *request = ARENA_NEW(go->arena, struct relay_request);
    struct relay_call_options options = {
        .request = request,
        .org_id = go->person.org_id,
        .weight = go->weight,
        .request_id = go->request_id,
        .arena = go->arena,
    };
    return relay_request_read(RELAY_CHAT, go->json, go->arena, request, st) &&
           relay_call_open(go->worker, &options, call, st);
}

/* Whether the run was stored. A refusal that comes in time is told by whoever started us. */
static bool wait_decision(struct chat_go *go)
{
    struct status st = {0};
    fiber_shield(); /* a stop may come before the run is stored: it is seen afterwards */
    while (go->decision == UNDECIDED && fiber_wait(CLOCK_NEVER, &st))
        ;
    fiber_unshield();
    return go->decision == KEPT;
}

static bool read_answer(struct chat_go *go, struct relay_call *call, struct status *st)
{
    AUTO(http_sse_parser) struct http_sse_parser *parser = http_sse_parser_new();
    struct http_sse_event event;
    struct text piece;
    bool done = false;
    (void)fiber_set_deadline(clock_deadline_ms(go->chat->options.run_max_ms));
    while (!done) {
        if (!relay_call_read(call, &piece, st)) /* waits for the model */
            return false;
        if (piece.len == 0)
            return status_fail(st, STATUS_UPSTREAM, "the model's answer ended too early");
        while (!done) {
            enum http_sse_result result = http_sse_feed(parser, &piece, &event);
            if (result == HTTP_SSE_MORE)
                break;
            if (result == HTTP_SSE_BAD)
                return status_fail(st, STATUS_UPSTREAM, "the model's answer is broken");
            if (!take_event(go, event.data, &done, st))
                return false;
        }
        if (chat_live_text_bytes(go->live) > go->chat->options.answer_bytes_max) {
            go->too_long = true;
            return true;
        }
    }
    return true;
}

static bool take_event(struct chat_go *go, struct text data, bool *done, struct status *st)
{
    struct relay_chunk chunk;
    struct text content, finish_reason;
    if (data.len == 0)
        return true;
    AUTO(arena) struct arena *scratch = arena_open(4 * MIB);
    if (!relay_chunk_read(RELAY_CHAT, data, &chunk, st))
        return status_wrap(st, "the model's answer is broken");
    if (chunk.is_error) {
        struct text message, param, code;
        relay_chunk_error(chunk.error, scratch, &message, &param, &code);
        go->quotes = true;
        return status_fail(st, STATUS_UPSTREAM, "the model broke off%s%.*s",
                           message.len > 0 ? ": " : "", TEXT_ARG(text_utf8_take(message, 200)));
    }
    *done = chunk.done;
    if (chunk.usage.known)
        go->usage = chunk.usage;
    relay_chunk_delta(&chunk, scratch, &content, &finish_reason);
    if (content.len > 0) {
        go->last_us = clock_mono_us();
        if (go->first_us == 0)
            go->first_us = go->last_us;
        (void)chat_live_add(go->live, CHAT_EVENT_DELTA, content);
    }
    if (finish_reason.len > 0)
        go->finish_reason =
            text_equal(finish_reason, TEXT("length")) ? TEXT("length") : TEXT("stop");
    return true;
}

static void keep_run(void *arg)
{
    struct chat_go *go = arg;
    struct status st = {0};
    int64_t beat_us = clock_mono_us();
    bool failed = false;
    while (loop_sleep(clock_deadline_ms(KEEP_MS), &st)) {
        bool stop = false;
        bool due = clock_mono_us() - beat_us >= (int64_t)CHAT_HEARTBEAT_MS * 1000;
        if (!due && chat_live_last(go->live) == go->stored)
            continue;
        fiber_shield(); /* what was stored must be known */
        bool stored =
            chat_store_progress(go->chat, go->person, &go->row, go->live, &go->stored, &stop, &st);
        fiber_unshield();
        if (stored) {
            beat_us = clock_mono_us();
            failed = false;
        } else if (st.code != STATUS_CANCELLED && !failed) {
            LOG_WARN("could not store a run's progress", LOG_TEXT("run", go->row.id),
                     LOG_TEXT("why", status_text(&st)));
            failed = true; /* said once, and tried again */
        }
        if (stop)
            chat_live_stop(go->chat, go->row.id, CHAT_LIVE_STOP_PERSON);
    }
}

/* Stores how it ended, then tells it. The fiber is shielded. */
static void end_run(struct chat_go *go, bool ok, const struct status *why)
{
    struct status st = {0}, reason = *why;
    struct arena *arena = go->arena;
    enum chat_live_stop stopped = chat_live_stopped(go->live);
    struct chat_outcome outcome = {.content = chat_live_text(go->live, arena)};
    (void)fiber_set_deadline(CLOCK_NEVER);
    if (go->usage.known)
        outcome.usage = usage_json(go);
    if (!ok && stopped == CHAT_LIVE_STOP_PERSON) {
        outcome.status = TEXT("stopped");
        outcome.finish_reason = TEXT("stopped");
    } else if (ok) {
        outcome.status = TEXT("complete");
        outcome.finish_reason = go->too_long                ? TEXT("length")
                                : go->finish_reason.len > 0 ? go->finish_reason
                                                            : TEXT("stop");
    } else {
        if (stopped == CHAT_LIVE_STOP_SHUTDOWN || reason.code == STATUS_CANCELLED)
            (void)status_fail(&reason, STATUS_UNAVAILABLE,
                              "the server was stopped while it wrote this answer");
        LOG_WARN("a run failed", LOG_TEXT("run", go->row.id),
                 LOG_TEXT("why",
                          go->quotes ? TEXT("the model reported an error") : status_text(&reason)));
        outcome.status = TEXT("failed");
        outcome.error = chat_problem(&reason, go->request_id, arena);
    }
    outcome.done = outcome.error.len > 0 ? outcome.error
                                         : arena_format(arena, "{\"finish_reason\":\"%.*s\"}",
                                                        TEXT_ARG(outcome.finish_reason));
    for (int tries = 1;
         !chat_store_end(go->chat, go->person, &go->row, go->live, go->stored, &outcome, &st);
         tries++) {
        if (tries == END_TRIES) { /* another replica, or we after a start, will find it dead */
            LOG_ERROR("could not store the end of a run", LOG_TEXT("run", go->row.id),
                      LOG_TEXT("why", status_text(&st)));
            break;
        }
        if (!loop_sleep(clock_deadline_ms(END_RETRY_MS), &st))
            break;
    }
    if (outcome.usage.len > 0)
        (void)chat_live_add(go->live, CHAT_EVENT_USAGE, outcome.usage);
    (void)chat_live_add(go->live, outcome.error.len > 0 ? CHAT_EVENT_ERROR : CHAT_EVENT_DONE,
                        outcome.done);
}

static struct text usage_json(const struct chat_go *go)
{
    struct text_buf buf = text_buf_in(go->arena, KIB);
    int64_t decode_us = go->last_us - go->first_us;
    text_buf_addf(&buf, "{\"prompt_tokens\":%lld,\"completion_tokens\":%lld,\"timings\":{",
                  (long long)go->usage.prompt_tokens, (long long)go->usage.completion_tokens);
    if (go->first_us > 0)
        text_buf_addf(&buf, "\"ttft_ms\":%.1f,", (double)(go->first_us - go->started_us) / 1000.0);
    else
        text_buf_add(&buf, TEXT("\"ttft_ms\":null,"));
    if (go->usage.completion_tokens > 1 && decode_us > 0)
        text_buf_addf(&buf, "\"tokens_per_second\":%.1f}}",
                      (double)(go->usage.completion_tokens - 1) * 1e6 / (double)decode_us);
    else
        text_buf_add(&buf, TEXT("\"tokens_per_second\":null}}"));
    return text_buf_text(&buf);
}
