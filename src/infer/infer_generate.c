#include "infer_generate.h"
#include "arena.h"
#include "clock.h"
#include "fiber.h"
#include "http_sse.h"
#include "model_answer.h"
#include "model_vocab_kept.h"
#include "json.h"
#include "log.h"
#include "timing.h"
#include <inttypes.h>

enum {
    HEAD_WAIT_MS = 5000,         /* so long an error may still have its own HTTP status */
    BEAT_MS = 10000,             /* a silent stream says that it lives */
    EVENTS_BYTES_MAX = 16 << 20, /* made before they are written */
};

/* What may take long, for a thread of the pool. */
struct preparation {
    struct infer_generate *g;
    struct text body;
    bool ok;
    struct status *st;
};

static bool run(struct infer_generate *g, struct status *st);
static bool prepare(struct infer_generate *g, struct text body, struct status *st);
static bool has_shape(struct text body);
static void prepare_now(void *arg);
static bool submit(struct infer_generate *g, struct status *st);
static void constrain(const struct infer_generate *g, struct engine_sampling *sampling);
static const struct grammar_pieces *pieces_of(const struct infer_generate *g);
static struct model_answer *answer_for(const struct infer_generate *g);
static void generate_end(void *generate);
static bool answer_whole(struct infer_generate *g, struct status *st);
static bool answer_stream(struct infer_generate *g, struct status *st);
static bool stream_on(struct infer_generate *g, struct status *st);
static bool flush(struct infer_generate *g, struct status *st);
static bool wait_for_some(struct infer_generate *g, int64_t deadline_us, struct status *st);
static bool all_finished(const struct infer_generate *g);
static void add_starts(struct infer_generate *g);
static void add_finishes(struct infer_generate *g);
static void add_usage(struct infer_generate *g, struct text_buf *buf);
static uint32_t cached_of(const struct infer_generate *g, size_t prompt);
static void add_timings(struct infer_generate *g, struct text_buf *buf);
static struct engine_timing timing_of_all(const struct infer_generate *g);

bool infer_generate_post(const struct infer_form *form, struct http_request *req,
                         struct http_reply *reply, struct status *st)
{
    struct infer_generate *g = ARENA_NEW(req->arena, struct infer_generate);
    g->server = infer_server_of(req);
    g->req = req;
    g->reply = reply;
    g->form = form;
    arena_at_end(req->arena, generate_end, g);
    bool ok = run(g, st);
    generate_end(g); /* at once: the arena ends only when the connection is done with it */
    return ok;
}

void infer_generate_prompts(struct infer_generate *g, size_t count)
{
    WEIR_ASSERT(g->prompts == NULL && count > 0);
    g->prompts = ARENA_ARRAY(g->req->arena, count, struct engine_tokens);
    g->prompts_count = count;
}

static bool run(struct infer_generate *g, struct status *st)
{
    struct text body;
    if (!infer_server_tenant(g->req, &g->job, st) ||
        !engine_admits(g->server->options.engine, g->job.tenant, 1, 0, st))
        return false;
    if (g->server->chat == NULL || g->server->draining)
        return status_fail(st, STATUS_UNAVAILABLE, "the model is not ready");
    if (!http_request_body(g->req, INFER_CALL_BODY_BYTES_MAX, &body, st) || /* waits */
        !prepare(g, body, st) || !submit(g, st))
        return false;
    g->id = ids_new("cpl_");
    g->created_s = clock_wall_us() / 1000000;
    return g->call.stream ? answer_stream(g, st) : answer_whole(g, st);
}

static bool prepare(struct infer_generate *g, struct text body, struct status *st)
{
    struct preparation p = {.g = g, .body = body, .st = st};
    if (body.len <= JSON_INLINE_BYTES && !has_shape(body))
        prepare_now(&p);
    else if (!offload(prepare_now, &p, st)) /* waits */
        return false;
    return p.ok;
}

/* Whether a schema, a grammar or functions may be in it, which take time and stack. */
static bool has_shape(struct text body)
{
    static const struct text names[] = {{"response_format", 15}, {"tool", 4}, {"grammar", 7}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (text_find(body, names[i]) < body.len)
            return true;
    return text_find(body, TEXT("\\u")) < body.len; /* a name may be written with escapes */
}

static void prepare_now(void *arg)
{
    struct preparation *p = arg;
    p->ok = p->g->form->read(p->g, p->body, p->st);
}

/* All of them or none. */
static bool submit(struct infer_generate *g, struct status *st)
{
    struct infer_server *server = g->server;
    struct engine_job job = g->job;
    size_t tokens = 0, count = g->prompts_count * g->call.n;
    job.output_max = g->call.output_max;
    job.ignore_end = g->call.ignore_end;
    job.logprobs = g->call.logprobs;
    job.tops = g->call.tops;
    job.sampling = g->call.sampling;
    WEIR_ASSERT(count > 0 && count <= INFER_GENERATE_CHOICES_MAX);
    for (size_t i = 0; i < g->prompts_count; i++)
        tokens += (size_t)g->call.n * g->prompts[i].count;
    if (g->grammar != NULL)
        constrain(g, &job.sampling);
    g->choices = ARENA_ARRAY(g->req->arena, count, struct infer_choice);
    g->choices_count = count;
    if (!g->call.nothing && !engine_admits(server->options.engine, job.tenant, count, tokens, st))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct infer_choice *choice = &g->choices[i];
        choice->text = text_buf_in(g->req->arena, 64 * MIB);
        choice->reasoning = text_buf_in(g->req->arena, 64 * MIB);
        choice->logs = text_buf_in(g->req->arena, 64 * MIB);
        if (g->call.nothing) {
            choice->finish = "length";
            continue;
        }
        job.prompt = g->prompts[i / g->call.n].at;
        job.prompt_count = g->prompts[i / g->call.n].count;
        /* The n answers differ, and are the same again for the same seed. */
        job.sampling.seed = g->call.sampling.seed + i % g->call.n;
        if (!engine_submit(server->options.engine, &job, &choice->request, st))
            return false;
        choice->answer = answer_for(g);
        if (g->shape.chat.format != NULL)
            choice->reader = model_chat_reader_new(g->shape.chat.format);
        else if (g->call.tools.choice != INFER_TOOLS_NONE)
            choice->reader = infer_tools_reader_new();
    }
    return true;
}

bool infer_generate_take_grammar(struct infer_generate *g, struct status *st)
{
    struct status why = {0};
    if (g->shape.grammar.len == 0 ||
        grammar_cache_take(g->server->grammars, g->shape.grammar, pieces_of(g), &g->grammar, &why))
        return true;
    if (g->call.tools_json != NULL && g->call.tools.choice == INFER_TOOLS_AUTO)
        return true; /* the template's own, in a notation that we do not have: it is only read */
    return status_fail_field(st, why.code, g->call.grammar_from, "%s: %s", g->call.grammar_from,
                             why.text);
}

static void constrain(const struct infer_generate *g, struct engine_sampling *sampling)
{
    sampling->grammar = g->grammar;
    sampling->pieces = pieces_of(g);
    sampling->start = g->shape.start;
}

/* The template's own grammar of calls may be written with control tokens. */
static const struct grammar_pieces *pieces_of(const struct infer_generate *g)
{
    return g->call.tools_json != NULL
               ? model_vocab_kept_pieces(g->server->kept)
               : model_vocab_pieces(model_llama_vocab(g->server->options.backend));
}

/* The caller's stop strings, and those of the template. */
static struct model_answer *answer_for(const struct infer_generate *g)
{
    struct text stops[MODEL_STOPS_MAX];
    size_t count = 0;
    for (; count < g->call.stops_count; count++)
        stops[count] = g->call.stops[count];
    for (size_t i = 0; g->shape.chat.stops[i] != NULL && count < MODEL_STOPS_MAX; i++) {
        struct text stop = text_of(g->shape.chat.stops[i]);
        if (stop.len <= MODEL_STOP_BYTES_MAX)
            stops[count++] = stop;
    }
    return model_answer_new(stops, count);
}

static void generate_end(void *arg)
{
    struct infer_generate *g = arg;
    for (size_t i = 0; i < g->choices_count; i++) {
        engine_request_release(TAKE(g->choices[i].request));
        model_answer_free(TAKE(g->choices[i].answer));
        model_reader_free(TAKE(g->choices[i].reader));
    }
    infer_prompt_free(&g->shape);
    grammar_release(TAKE(g->grammar));
    for (size_t i = 0; i < g->prompts_count; i++)
        engine_tokens_free(&g->prompts[i]);
}

static bool answer_whole(struct infer_generate *g, struct status *st)
{
    while (!all_finished(g))
        if (!wait_for_some(g, CLOCK_NEVER, st) || !infer_generate_take(g, st))
            return false;
    struct text_buf body = text_buf_in(g->req->arena, 256 * MIB);
    text_buf_addf(
        &body, "{\"id\":\"%s%s\",\"object\":\"%s\",\"created\":%lld,\"model\":", g->form->id_prefix,
        g->id.bytes + IDS_PREFIX_BYTES, g->form->object, (long long)g->created_s);
    text_buf_add_json(&body, infer_server_model_name(g->server, g->job.adapter));
    text_buf_add(&body, TEXT(",\"choices\":["));
    if (g->form->choose != NULL)
        g->form->choose(g);
    for (size_t i = 0; i < g->choices_count; i++) {
        if (g->choices[i].left_out)
            continue;
        if (i > 0) /* the first is never left out */
            text_buf_add(&body, TEXT(","));
        g->form->add_choice(g, i, &body);
    }
    text_buf_add(&body, TEXT("],\"usage\":"));
    add_usage(g, &body);
    add_timings(g, &body);
    text_buf_add(&body, TEXT("}"));
    struct engine_timing all = timing_of_all(g);
    struct timing header = {0};
    timing_add(&header, "queue", all.queue_us);
    timing_add(&header, "prefill", all.prefill_us);
    timing_add(&header, "decode", all.decode_us);
    if (body.cut)
        return status_fail(st, STATUS_LIMIT, "the answer is too long to be sent");
    http_reply_header(g->reply, TEXT("Server-Timing"), timing_text(&header));
    return http_reply_send(g->reply, 200, TEXT("application/json"), text_buf_text(&body), st);
}

/* The head waits for the first token, or for some seconds: until then a failure is an HTTP error.
 */
static bool answer_stream(struct infer_generate *g, struct status *st)
{
    g->out = text_buf_in(g->req->arena, EVENTS_BYTES_MAX);
    add_starts(g);
    if (!all_finished(g) && !wait_for_some(g, clock_deadline_ms(HEAD_WAIT_MS), st) &&
        st->code != STATUS_TIMEOUT)
        return false;
    if (!infer_generate_take(g, st) || !http_sse_start(g->reply, st))
        return false;
    if (stream_on(g, st))
        return http_reply_end_with(g->reply, TEXT("data: [DONE]\n\n"), st);
    if (http_request_gone(g->req) || http_reply_ended(g->reply))
        return false;
    if (st->code == STATUS_CANCELLED)
        (void)status_fail(st, STATUS_UNAVAILABLE,
                          "the server was stopped while it wrote this answer");
    /* Too late for a status: the stream says why it ends, and is not [DONE]. */
    struct text_buf buf = text_buf_in(g->req->arena, 8 * KIB);
    struct status told = {0};
    LOG_WARN("an answer broke off", LOG_CSTR("why", st->text));
    text_buf_add(&buf, TEXT("data: "));
    infer_server_error_body(&buf, infer_server_http_status(st), st);
    text_buf_add(&buf, TEXT("\n\n"));
    if (!http_reply_end_with(g->reply, text_buf_text(&buf), &told))
        LOG_DEBUG("and the client is gone", LOG_CSTR("why", told.text));
    return false;
}

static bool stream_on(struct infer_generate *g, struct status *st)
{
    for (;;) {
        add_finishes(g);
        if (!flush(g, st))
            return false;
        if (all_finished(g))
            break;
        if (!wait_for_some(g, clock_deadline_ms(BEAT_MS), st)) {
            if (st->code != STATUS_TIMEOUT || !http_sse_comment(g->reply, TEXT("waiting"), st))
                return false;
            continue;
        }
        if (!infer_generate_take(g, st)) {
            struct status cause = *st; /* what was written before it broke still goes out */
            (void)!flush(g, st);
            *st = cause;
            return false;
        }
    }
    if (!g->call.include_usage)
        return true;
    infer_generate_event(g);
    text_buf_add(&g->out, TEXT("],\"usage\":"));
    add_usage(g, &g->out);
    add_timings(g, &g->out);
    text_buf_add(&g->out, TEXT("}\n\n"));
    return flush(g, st);
}

static bool flush(struct infer_generate *g, struct status *st)
{
    struct text events = text_buf_text(&g->out);
    if (g->out.cut)
        return status_fail(st, STATUS_LIMIT, "the client is too far behind");
    if (events.len > 0 && !http_reply_write(g->reply, events, st)) /* waits */
        return false;
    g->out.len = 0;
    return true;
}

static bool wait_for_some(struct infer_generate *g, int64_t deadline_us, struct status *st)
{
    struct engine_request *running[INFER_GENERATE_CHOICES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < g->choices_count; i++)
        if (g->choices[i].finish == NULL)
            running[count++] = g->choices[i].request;
    return engine_request_wait_any(running, count, deadline_us, st);
}

static bool all_finished(const struct infer_generate *g)
{
    for (size_t i = 0; i < g->choices_count; i++)
        if (g->choices[i].finish == NULL)
            return false;
    return true;
}

void infer_generate_event(struct infer_generate *g)
{
    text_buf_addf(&g->out, "data: {\"id\":\"%s%s\",\"object\":\"%s\",\"created\":%lld,\"model\":",
                  g->form->id_prefix, g->id.bytes + IDS_PREFIX_BYTES, g->form->chunk_object,
                  (long long)g->created_s);
    text_buf_add_json(&g->out, infer_server_model_name(g->server, g->job.adapter));
    text_buf_add(&g->out, TEXT(",\"choices\":["));
}

/* The timings are in the chunk with the usage, where that was asked for. */
void infer_generate_event_end(struct infer_generate *g, bool last)
{
    text_buf_add(&g->out, TEXT("]"));
    if (g->call.include_usage)
        text_buf_add(&g->out, TEXT(",\"usage\":null"));
    else if (last)
        add_timings(g, &g->out);
    text_buf_add(&g->out, TEXT("}\n\n"));
}

static void add_starts(struct infer_generate *g)
{
    for (size_t i = 0; i < g->choices_count; i++)
        g->form->add_start(g, i);
}

/* For each choice that has just finished. */
static void add_finishes(struct infer_generate *g)
{
    size_t untold = 0;
    for (size_t i = 0; i < g->choices_count; i++)
        untold += !g->choices[i].told;
    for (size_t i = 0; i < g->choices_count; i++) {
        struct infer_choice *choice = &g->choices[i];
        if (choice->finish == NULL || choice->told)
            continue;
        choice->told = true;
        g->form->add_finish(g, i, --untold == 0);
    }
}

static void add_usage(struct infer_generate *g, struct text_buf *buf)
{
    uint64_t read = 0, cached = 0, written = 0;
    for (size_t i = 0; i < g->prompts_count; i++) {
        read += g->prompts[i].count;
        cached += cached_of(g, i);
    }
    for (size_t i = 0; i < g->choices_count; i++)
        written += g->choices[i].tokens;
    text_buf_addf(buf,
                  "{\"prompt_tokens\":%" PRIu64 ",\"completion_tokens\":%" PRIu64
                  ",\"total_tokens\":%" PRIu64
                  ",\"prompt_tokens_details\":{\"cached_tokens\":%" PRIu64 "}}",
                  read, written, read + written, cached);
}

/* A prompt counts once: what all of its answers had. */
static uint32_t cached_of(const struct infer_generate *g, size_t prompt)
{
    uint32_t cached = g->prompts[prompt].count;
    for (size_t i = prompt * g->call.n; i < (prompt + 1) * g->call.n; i++) {
        const struct engine_request *request = g->choices[i].request;
        uint32_t had = request == NULL ? 0 : engine_request_cached(request);
        cached = had < cached ? had : cached;
    }
    return cached;
}

static void add_timings(struct infer_generate *g, struct text_buf *buf)
{
    struct engine_timing all = timing_of_all(g);
    text_buf_addf(buf, ",\"timings\":{\"queue_ms\":%.3f,\"prefill_ms\":%.3f,\"decode_ms\":%.3f}",
                  (double)all.queue_us / 1e3, (double)all.prefill_us / 1e3,
                  (double)all.decode_us / 1e3);
}

/* From the first that started to the last that ended. */
static struct engine_timing timing_of_all(const struct infer_generate *g)
{
    struct engine_timing all = {0};
    for (size_t i = 0; i < g->choices_count && g->choices[i].request != NULL; i++) {
        struct engine_timing one = engine_request_timing(g->choices[i].request);
        all.queue_us = i == 0 || one.queue_us < all.queue_us ? one.queue_us : all.queue_us;
        all.prefill_us = one.prefill_us > all.prefill_us ? one.prefill_us : all.prefill_us;
        all.decode_us = one.decode_us > all.decode_us ? one.decode_us : all.decode_us;
    }
    return all;
}
