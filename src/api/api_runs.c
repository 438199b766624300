/* /api/runs: following an answer while it is written, and stopping it. */
#include "api_chat.h"
#include "api_error.h"
#include "api_handlers.h"
#include "api_internal.h"
#include "arena.h"
#include "chat_run.h"
#include "clock.h"
#include "fiber.h"
#include "http_sse.h"

enum {
    HEARTBEAT_MS = 10000,
    LAST_EVENT_MS = 1000, /* from the end of a drain's time to the event by which a run ends */
};
static const int64_t after_max = INT64_C(9007199254740991); /* 2^53 - 1 */

static bool read_after(struct http_request *req, int64_t *after, struct status *st);
static bool follow_on(struct chat_follow *follow, struct http_reply *reply, int64_t until_us,
                      struct status *st);
static bool send_event(struct http_reply *reply, const struct chat_event *event, struct status *st);

bool api_runs_events(struct http_request *req, struct http_reply *reply, struct status *st)
{
    AUTO(chat_follow) struct chat_follow *follow = NULL;
    int64_t after;
    bool ended;
    if (!read_after(req, &after, st) ||
        !chat_follow_open(api_request_of(req)->api->chat, api_chat_person(req),
                          http_request_param(req, "id"), after, req->arena, &follow, &ended, st))
        return false;
    if (ended)
        return api_json_send_nothing(reply, st);
    api_request_unbound();
    if (!http_sse_start(reply, st))
        return false;
    if (follow_on(follow, reply, CLOCK_NEVER, st))
        return true;
    if (st->code != STATUS_CANCELLED || http_request_gone(req))
        return false; /* cut: the client comes back with its last id */
    /* A drain has run out of time, and ends the run as well: that is still told. */
    fiber_shield();
    bool told = follow_on(follow, reply, clock_deadline_ms(LAST_EVENT_MS), st);
    fiber_unshield();
    return told;
}

bool api_runs_stop(struct http_request *req, struct http_reply *reply, struct status *st)
{
    return chat_run_stop(api_request_of(req)->api->chat, api_chat_person(req),
                         http_request_param(req, "id"), st) &&
           api_json_send_nothing(reply, st);
}

static bool read_after(struct http_request *req, int64_t *after, struct status *st)
{
    struct text text = http_request_header(req, TEXT("last-event-id"));
    *after = 0;
    if (text.at == NULL && !http_request_query(req, TEXT("after"), &text, st))
        return st->code == STATUS_NOT_FOUND;
    if (!text_to_i64(text, after) || *after < 0 || *after > after_max || text.at[0] == '-')
        return api_fail(req, st, API_PROBLEM_INVALID_INPUT, "after",
                        "after must be the number of an event");
    return true;
}

/* Passes events on until the run's last one. Fails: also STATUS_TIMEOUT at `until_us`. */
static bool follow_on(struct chat_follow *follow, struct http_reply *reply, int64_t until_us,
                      struct status *st)
{
    struct chat_event event;
    for (;;) {
        int64_t beat_us = clock_deadline_ms(HEARTBEAT_MS);
        if (chat_follow_next(follow, beat_us < until_us ? beat_us : until_us, &event, st)) {
            if (!send_event(reply, &event, st)) /* both wait */
                return false;
            if (event.kind == CHAT_EVENT_DONE || event.kind == CHAT_EVENT_ERROR)
                return http_reply_end(reply, st);
        } else if (st->code != STATUS_TIMEOUT || clock_mono_us() >= until_us ||
                   !http_sse_comment(reply, TEXT("hb"), st)) {
            return false;
        }
    }
}

static bool send_event(struct http_reply *reply, const struct chat_event *event, struct status *st)
{
    char id[24];
    struct text_out out = text_out_over(id, sizeof(id));
    struct text data = event->data;
    AUTO(arena) struct arena *arena = arena_open(64 * MIB);
    text_out_addf(&out, "%lld", (long long)event->seq);
    if (event->kind == CHAT_EVENT_DELTA) {
        struct api_json json = api_json_in(arena);
        api_json_open(&json, NULL, '{');
        api_json_text(&json, "text", data);
        api_json_close(&json, '}');
        data = api_json_done(&json);
    }
    return http_sse_send(reply, text_of(chat_event_kind_name(event->kind)), text_out_text(&out),
                         data, st);
}
