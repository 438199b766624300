/* POST /v1/chat/completions, in the order in which it happens. */
#include "arena.h"
#include "clock.h"
#include "fiber.h"
#include "http_sse.h"
#include "infer_answer.h"
#include "infer_call.h"
#include "infer_prompt.h"
#include "infer_server_internal.h"
#include "ids.h"
#include "json.h"
#include "log.h"
#include "timing.h"
#include <inttypes.h>
#include <stdlib.h>

enum {
    HEAD_WAIT_MS = 5000, /* so long an error may still have its own HTTP status */
    BEAT_MS = 10000,     /* a silent stream says that it lives */
    DELTA_BYTES_MAX = 1 << 20,
    TOKEN_BYTES_USUAL = 64,
};

/* One of the n answers. */
struct choice {
    struct infer_request *request;
    struct infer_answer *answer;
    struct text_buf text; /* all of it, when not streaming */
    const char *finish;   /* NULL while it runs */
    uint32_t tokens;      /* written so far, counted at the stop string when there is one */
    bool told;            /* its finish was sent */
};

struct completion {
    struct infer_server *server;
    struct http_request *req;
    struct http_reply *reply;
    struct infer_call call;
    struct infer_tokens prompt;
    struct choice choices[INFER_CALL_N_MAX];
    struct id id;
    int64_t created_s;
    struct text_buf out; /* events that wait to be written */
};

/* What may take long, for a thread of the pool. */
struct preparation {
    struct completion *c;
    struct text body;
    bool ok;
    struct status *st;
};

static bool run(struct completion *c, struct status *st);
static bool prepare(struct completion *c, struct text body, struct status *st);
static void prepare_now(void *arg);
static bool submit(struct completion *c, struct status *st);
static void completion_end(void *completion);
static bool answer_whole(struct completion *c, struct status *st);
static bool answer_stream(struct completion *c, struct status *st);
static bool stream_on(struct completion *c, struct status *st);
static bool flush(struct completion *c, struct status *st);
static bool wait_for_some(struct completion *c, int64_t deadline_us, struct status *st);
static bool take_all(struct completion *c, struct status *st);
static bool take(struct completion *c, size_t index, struct status *st);
static void take_text(struct completion *c, size_t index, struct text text);
static bool ended(struct choice *choice, enum infer_ending ending, struct status *st);
static bool all_finished(const struct completion *c);
static void add_chunk_head(struct completion *c);
static void add_delta(struct completion *c, size_t index, const char *before, struct text text);
static void add_finishes(struct completion *c);
static void add_usage(struct completion *c, struct text_buf *buf);
static void add_timings(struct completion *c, struct text_buf *buf);
static struct infer_timing timing_of_all(const struct completion *c);

bool infer_api_chat(struct http_request *req, struct http_reply *reply, struct status *st)
{
    struct completion *c = ARENA_NEW(req->arena, struct completion);
    c->server = infer_server_of(req);
    c->req = req;
    c->reply = reply;
    arena_at_end(req->arena, completion_end, c);
    bool ok = run(c, st);
    completion_end(c); /* at once: the arena ends only when the connection is done with it */
    return ok;
}

static bool run(struct completion *c, struct status *st)
{
    struct text body;
    if (!infer_engine_admits(c->server->options.engine, 1, 0, st))
        return false;
    if (c->server->chat == NULL || c->server->draining)
        return status_fail(st, STATUS_UNAVAILABLE, "the model is not ready");
    if (!http_request_body(c->req, INFER_CALL_BODY_BYTES_MAX, &body, st) || /* waits */
        !prepare(c, body, st) || !submit(c, st))
        return false;
    c->id = ids_new("cpl_");
    c->created_s = clock_wall_us() / 1000000;
    return c->call.stream ? answer_stream(c, st) : answer_whole(c, st);
}

static bool prepare(struct completion *c, struct text body, struct status *st)
{
    struct preparation p = {.c = c, .body = body, .st = st};
    if (body.len <= JSON_INLINE_BYTES)
        prepare_now(&p);
    else if (!offload(prepare_now, &p, st)) /* waits */
        return false;
    return p.ok;
}

static void prepare_now(void *arg)
{
    struct preparation *p = arg;
    struct completion *c = p->c;
    struct infer_server *server = c->server;
    const struct infer_vocab *vocab = infer_llama_vocab(server->options.backend);
    if (!infer_call_read(p->body, vocab, c->req->arena, &c->call, p->st))
        return;
    if (!text_equal(c->call.model, server->options.name)) {
        status_fail_field(p->st, STATUS_NOT_FOUND, "model", "there is no model %.*s",
                          TEXT_ARG(c->call.model));
        return;
    }
    p->ok =
        infer_prompt_make(server->chat, vocab, c->call.messages,
                          infer_engine_facts(server->options.engine)->context, &c->prompt, p->st);
}

/* All n or none. */
static bool submit(struct completion *c, struct status *st)
{
    struct infer_server *server = c->server;
    struct infer_job job = {
        .prompt = c->prompt.at,
        .prompt_count = c->prompt.count,
        .output_max = c->call.output_max,
        .ignore_end = c->call.ignore_end,
        .sampling = c->call.sampling,
    };
    /* Only who knows the token, or may open our socket, is believed. */
    if (server->options.token.len > 0 || server->options.listen.is_unix)
        job.tenant = http_request_header(c->req, TEXT("x-weir-tenant"));
    if (!infer_engine_admits(server->options.engine, c->call.n, (size_t)c->call.n * c->prompt.count,
                             st))
        return false;
    for (uint32_t i = 0; i < c->call.n; i++) {
        struct choice *choice = &c->choices[i];
        if (!infer_engine_submit(server->options.engine, &job, &choice->request, st))
            return false;
        choice->answer = infer_answer_new(c->call.stops, c->call.stops_count);
        choice->text = text_buf_in(c->req->arena, 64 * MIB);
        job.sampling.seed++; /* the n answers differ, and are the same again for the same seed */
    }
    return true;
}

static void completion_end(void *arg)
{
    struct completion *c = arg;
    for (size_t i = 0; i < INFER_CALL_N_MAX; i++) {
        infer_request_release(TAKE(c->choices[i].request));
        infer_answer_free(TAKE(c->choices[i].answer));
    }
    infer_tokens_free(&c->prompt);
}

static bool answer_whole(struct completion *c, struct status *st)
{
    while (!all_finished(c))
        if (!wait_for_some(c, CLOCK_NEVER, st) || !take_all(c, st))
            return false;
    struct text_buf body = text_buf_in(c->req->arena, 256 * MIB);
    text_buf_addf(&body,
                  "{\"id\":\"chatcmpl-%s\",\"object\":\"chat.completion\",\"created\":%lld,"
                  "\"model\":",
                  c->id.bytes + IDS_PREFIX_BYTES, (long long)c->created_s);
    text_buf_add_json(&body, c->server->options.name);
    text_buf_add(&body, TEXT(",\"choices\":["));
    for (uint32_t i = 0; i < c->call.n; i++) {
        text_buf_addf(&body, "%s{\"index\":%u,\"message\":{\"role\":\"assistant\",\"content\":",
                      i > 0 ? "," : "", i);
        text_buf_add_json(&body, text_buf_text(&c->choices[i].text));
        text_buf_addf(&body, ",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"%s\"}",
                      c->choices[i].finish);
    }
    text_buf_add(&body, TEXT("],\"usage\":"));
    add_usage(c, &body);
    add_timings(c, &body);
    text_buf_add(&body, TEXT("}"));
    struct infer_timing all = timing_of_all(c);
    struct timing header = {0};
    timing_add(&header, "queue", all.queue_us);
    timing_add(&header, "prefill", all.prefill_us);
    timing_add(&header, "decode", all.decode_us);
    http_reply_header(c->reply, TEXT("Server-Timing"), timing_text(&header));
    return http_reply_send(c->reply, 200, TEXT("application/json"), text_buf_text(&body), st);
}

/* The head waits for the first token, or for some seconds: until then a failure is an HTTP error.
 */
static bool answer_stream(struct completion *c, struct status *st)
{
    c->out = text_buf_in(c->req->arena, DELTA_BYTES_MAX);
    for (uint32_t i = 0; i < c->call.n; i++)
        add_delta(c, i, "\"role\":\"assistant\",\"content\":", TEXT(""));
    if (!wait_for_some(c, clock_deadline_ms(HEAD_WAIT_MS), st) && st->code != STATUS_TIMEOUT)
        return false;
    if (!take_all(c, st) || !http_sse_start(c->reply, st))
        return false;
    if (stream_on(c, st))
        return http_reply_end_with(c->reply, TEXT("data: [DONE]\n\n"), st);
    if (http_request_gone(c->req) || http_reply_ended(c->reply))
        return false;
    if (st->code == STATUS_CANCELLED)
        (void)status_fail(st, STATUS_UNAVAILABLE,
                          "the server was stopped while it wrote this answer");
    /* Too late for a status: the stream says why it ends, and is not [DONE]. */
    struct text_buf buf = text_buf_in(c->req->arena, 8 * KIB);
    struct status told = {0};
    LOG_WARN("an answer broke off", LOG_CSTR("why", st->text));
    text_buf_add(&buf, TEXT("data: "));
    infer_server_error_body(&buf, infer_server_http_status(st), st);
    text_buf_add(&buf, TEXT("\n\n"));
    if (!http_reply_end_with(c->reply, text_buf_text(&buf), &told))
        LOG_DEBUG("and the client is gone", LOG_CSTR("why", told.text));
    return false;
}

static bool stream_on(struct completion *c, struct status *st)
{
    for (;;) {
        add_finishes(c);
        if (!flush(c, st))
            return false;
        if (all_finished(c))
            break;
        if (!wait_for_some(c, clock_deadline_ms(BEAT_MS), st)) {
            if (st->code != STATUS_TIMEOUT || !http_sse_comment(c->reply, TEXT("waiting"), st))
                return false;
            continue;
        }
        if (!take_all(c, st)) {
            struct status cause = *st; /* what was written before it broke still goes out */
            (void)!flush(c, st);
            *st = cause;
            return false;
        }
    }
    if (!c->call.include_usage)
        return true;
    add_chunk_head(c);
    text_buf_add(&c->out, TEXT("],\"usage\":"));
    add_usage(c, &c->out);
    add_timings(c, &c->out);
    text_buf_add(&c->out, TEXT("}\n\n"));
    return flush(c, st);
}

static bool flush(struct completion *c, struct status *st)
{
    struct text events = text_buf_text(&c->out);
    if (c->out.cut)
        return status_fail(st, STATUS_LIMIT, "the client is too far behind");
    if (events.len > 0 && !http_reply_write(c->reply, events, st)) /* waits */
        return false;
    c->out.len = 0;
    return true;
}

static bool wait_for_some(struct completion *c, int64_t deadline_us, struct status *st)
{
    struct infer_request *running[INFER_CALL_N_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < c->call.n; i++)
        if (c->choices[i].finish == NULL)
            running[count++] = c->choices[i].request;
    return infer_request_wait_any(running, count, deadline_us, st);
}

/* Whatever there is, of every choice. */
static bool take_all(struct completion *c, struct status *st)
{
    for (uint32_t i = 0; i < c->call.n; i++)
        if (c->choices[i].finish == NULL && !take(c, i, st))
            return false;
    return true;
}

static bool take(struct completion *c, size_t index, struct status *st)
{
    struct choice *choice = &c->choices[index];
    const struct infer_vocab *vocab = infer_llama_vocab(c->server->options.backend);
    struct infer_event event = {INFER_ENDING_NONE, -1};
    char piece[INFER_PIECE_BYTES_MAX];
    while (infer_request_poll(choice->request, &event)) {
        if (event.ending != INFER_ENDING_NONE)
            break;
        struct text text;
        size_t len = infer_vocab_piece(vocab, event.token, piece);
        bool stopped = infer_answer_add(choice->answer, (struct text){piece, len}, &text);
        choice->tokens++;
        take_text(c, index, text);
        if (!stopped)
            continue;
        choice->finish = "stop";
        infer_request_finish(choice->request);
        return true;
    }
    if (event.ending == INFER_ENDING_NONE)
        return true;
    take_text(c, index, infer_answer_rest(choice->answer));
    choice->tokens = infer_request_outputs(choice->request);
    return ended(choice, event.ending, st);
}

static void take_text(struct completion *c, size_t index, struct text text)
{
    if (text.len == 0)
        return;
    if (c->call.stream)
        add_delta(c, index, "\"content\":", text);
    else
        text_buf_add(&c->choices[index].text, text);
}

static bool ended(struct choice *choice, enum infer_ending ending, struct status *st)
{
    switch (ending) {
    case INFER_ENDING_STOP:
        choice->finish = "stop";
        return true;
    case INFER_ENDING_LENGTH:
        choice->finish = "length";
        return true;
    case INFER_ENDING_STALLED:
        return status_fail(st, STATUS_TIMEOUT, "the answer was dropped: nobody read it");
    case INFER_ENDING_NONE:
    case INFER_ENDING_CANCELLED:
    case INFER_ENDING_FAILED:
    case INFER_ENDING_COUNT:
        break;
    }
    return status_fail(st, STATUS_INTERNAL, "the model failed while it was answering");
}

static bool all_finished(const struct completion *c)
{
    for (uint32_t i = 0; i < c->call.n; i++)
        if (c->choices[i].finish == NULL)
            return false;
    return true;
}

/* Up to the list of choices. */
static void add_chunk_head(struct completion *c)
{
    text_buf_addf(&c->out,
                  "data: {\"id\":\"chatcmpl-%s\",\"object\":\"chat.completion.chunk\","
                  "\"created\":%lld,\"model\":",
                  c->id.bytes + IDS_PREFIX_BYTES, (long long)c->created_s);
    text_buf_add_json(&c->out, c->server->options.name);
    text_buf_add(&c->out, TEXT(",\"choices\":["));
}

static void add_delta(struct completion *c, size_t index, const char *before, struct text text)
{
    add_chunk_head(c);
    text_buf_addf(&c->out, "{\"index\":%zu,\"delta\":{%s", index, before);
    text_buf_add_json(&c->out, text);
    text_buf_add(&c->out, TEXT("},\"logprobs\":null,\"finish_reason\":null}]"));
    text_buf_add(&c->out, c->call.include_usage ? TEXT(",\"usage\":null}\n\n") : TEXT("}\n\n"));
}

/* For each choice that has just finished; the last one carries the timings when no chunk with the
 * usage follows. */
static void add_finishes(struct completion *c)
{
    for (uint32_t i = 0; i < c->call.n; i++) {
        struct choice *choice = &c->choices[i];
        if (choice->finish == NULL || choice->told)
            continue;
        choice->told = true;
        add_chunk_head(c);
        text_buf_addf(&c->out,
                      "{\"index\":%u,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"%s\"}]", i,
                      choice->finish);
        bool last = all_finished(c);
        for (uint32_t k = 0; k < c->call.n; k++)
            last = last && c->choices[k].told;
        if (c->call.include_usage)
            text_buf_add(&c->out, TEXT(",\"usage\":null"));
        else if (last)
            add_timings(c, &c->out);
        text_buf_add(&c->out, TEXT("}\n\n"));
    }
}

static void add_usage(struct completion *c, struct text_buf *buf)
{
    uint64_t written = 0;
    uint32_t cached = c->prompt.count; /* the prompt counts once: what all of the n had */
    for (uint32_t i = 0; i < c->call.n; i++) {
        uint32_t had = infer_request_cached(c->choices[i].request);
        cached = had < cached ? had : cached;
        written += c->choices[i].tokens;
    }
    text_buf_addf(buf,
                  "{\"prompt_tokens\":%u,\"completion_tokens\":%" PRIu64
                  ",\"total_tokens\":%" PRIu64 ",\"prompt_tokens_details\":{\"cached_tokens\":%u}}",
                  c->prompt.count, written, c->prompt.count + written, cached);
}

static void add_timings(struct completion *c, struct text_buf *buf)
{
    struct infer_timing all = timing_of_all(c);
    text_buf_addf(buf, ",\"timings\":{\"queue_ms\":%.3f,\"prefill_ms\":%.3f,\"decode_ms\":%.3f}",
                  (double)all.queue_us / 1e3, (double)all.prefill_us / 1e3,
                  (double)all.decode_us / 1e3);
}

/* From the first that started to the last that ended. */
static struct infer_timing timing_of_all(const struct completion *c)
{
    struct infer_timing all = infer_request_timing(c->choices[0].request);
    for (uint32_t i = 1; i < c->call.n; i++) {
        struct infer_timing one = infer_request_timing(c->choices[i].request);
        all.queue_us = one.queue_us < all.queue_us ? one.queue_us : all.queue_us;
        all.prefill_us = one.prefill_us > all.prefill_us ? one.prefill_us : all.prefill_us;
        all.decode_us = one.decode_us > all.decode_us ? one.decode_us : all.decode_us;
    }
    return all;
}
