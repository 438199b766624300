/* The list of models, and what those who look after the process ask. */
#include "arena.h"
#include "http_router.h"
#include "http_server.h"
#include "infer_api_embed_internal.h"
#include "engine_embed.h"
#include "infer_server_internal.h"
#include "loop.h"
#include "observe.h"

static void add_model(struct text_buf *buf, const struct infer_server *server, uint32_t adapter);
static enum engine_state state_of(const struct infer_server *server, int *percent,
                                  struct status *why);
static bool send_json(struct http_reply *reply, int http_status, const struct text_buf *buf,
                      struct status *st);

bool infer_api_models(struct http_request *req, struct http_reply *reply, struct status *st)
{
    const struct infer_server *server = infer_server_of(req);
    struct text_buf buf = text_buf_in(req->arena, 64 * KIB);
    text_buf_add(&buf, TEXT("{\"object\":\"list\",\"data\":["));
    for (uint32_t i = 0; i <= server->options.adapters_count; i++) {
        if (i > 0)
            text_buf_add(&buf, TEXT(","));
        add_model(&buf, server, i);
    }
    text_buf_add(&buf, TEXT("]}"));
    return send_json(reply, 200, &buf, st);
}

bool infer_api_model(struct http_request *req, struct http_reply *reply, struct status *st)
{
    struct infer_server *server = infer_server_of(req);
    struct text asked = http_request_param(req, "model");
    uint32_t adapter;
    if (!infer_server_model(server, asked, &adapter, st))
        return false;
    struct text_buf buf = text_buf_in(req->arena, 8 * KIB);
    add_model(&buf, server, adapter);
    return send_json(reply, 200, &buf, st);
}

/* `parent` as vLLM says it of its adapters. */
static void add_model(struct text_buf *buf, const struct infer_server *server, uint32_t adapter)
{
    text_buf_add(buf, TEXT("{\"id\":"));
    text_buf_add_json(buf, infer_server_model_name(server, adapter));
    text_buf_addf(buf, ",\"object\":\"model\",\"created\":%lld,\"owned_by\":\"local\"",
                  (long long)server->created_s);
    if (adapter > 0) {
        text_buf_add(buf, TEXT(",\"parent\":"));
        text_buf_add_json(buf, server->options.name);
    }
    if (server->options.embed != NULL) {
        infer_api_embed_meta(buf, server->options.embed);
    } else if (engine_state(server->options.engine, NULL, NULL) == ENGINE_READY) {
        const struct engine_facts *facts = engine_facts(server->options.engine);
        text_buf_addf(buf,
                      ",\"meta\":{\"context_tokens\":%u,\"parallel\":%u,\"vocabulary\":%u,"
                      "\"weights_bytes\":%llu,\"cache_bytes\":%llu}",
                      facts->context, facts->parallel, facts->vocab,
                      (unsigned long long)facts->weights_bytes,
                      (unsigned long long)facts->kv_bytes);
    }
    text_buf_add(buf, TEXT("}"));
}

static enum engine_state state_of(const struct infer_server *server, int *percent,
                                  struct status *why)
{
    if (server->options.embed != NULL)
        return engine_embed_state(server->options.embed, percent, why);
    return engine_state(server->options.engine, percent, why);
}

bool infer_api_healthz(struct http_request *req, struct http_reply *reply, struct status *st)
{
    bool ok = state_of(infer_server_of(req), NULL, NULL) != ENGINE_FAILED;
    struct text_buf buf = text_buf_in(req->arena, KIB);
    text_buf_addf(&buf, "{\"status\":\"%s\"}", ok ? "ok" : "failed");
    return send_json(reply, ok ? 200 : 503, &buf, st);
}

bool infer_api_readyz(struct http_request *req, struct http_reply *reply, struct status *st)
{
    struct infer_server *server = infer_server_of(req);
    struct text_buf buf = text_buf_in(req->arena, 8 * KIB);
    struct status why = {0};
    int percent;
    enum engine_state state = state_of(server, &percent, &why);
    if (state == ENGINE_READY && server->prepares && !server->draining)
        state = ENGINE_LOADING;
    switch (state) {
    case ENGINE_READY:
        if ((server->chat == NULL && server->options.embed == NULL) || server->draining)
            break;
        if (server->options.embed != NULL) {
            infer_api_embed_ready(&buf, server->options.embed);
            return send_json(reply, 200, &buf, st);
        }
        text_buf_addf(&buf,
                      "{\"status\":\"ready\",\"context_tokens\":%u,\"parallel\":%u,"
                      "\"tasks\":[\"chat\",\"completions\"]}",
                      engine_facts(server->options.engine)->context,
                      engine_facts(server->options.engine)->parallel);
        return send_json(reply, 200, &buf, st);
    case ENGINE_FAILED:
        text_buf_add(&buf, TEXT("{\"status\":\"failed\",\"why\":"));
        text_buf_add_json(&buf, status_text(&why));
        text_buf_add(&buf, TEXT("}"));
        return send_json(reply, 503, &buf, st);
    case ENGINE_LOADING:
    case ENGINE_STATE_COUNT:
        text_buf_addf(&buf, "{\"status\":\"loading\",\"progress\":%d.%02d}", percent / 100,
                      percent % 100);
        return send_json(reply, 503, &buf, st);
    }
    text_buf_add(&buf, TEXT("{\"status\":\"draining\"}"));
    return send_json(reply, 503, &buf, st);
}

bool infer_api_metrics(struct http_request *req, struct http_reply *reply, struct status *st)
{
    if (infer_server_of(req)->options.embed != NULL)
        return infer_api_embed_metrics(req, reply, st);
    struct text_buf buf = text_buf_in(req->arena, 64 * KIB);
    struct engine_stats s;
    engine_stats(infer_server_of(req)->options.engine, &s);
    const struct {
        const char *name, *type, *help;
        unsigned long long value;
    } rows[] = {
        {"queued_requests", "gauge", "Requests that wait for a sequence", s.queued},
        {"queued_tokens", "gauge", "Prompt tokens of those", s.queued_tokens},
        {"prompting_requests", "gauge", "Requests whose prompt is being computed", s.prefilling},
        {"writing_requests", "gauge", "Requests that are writing", s.decoding},
        {"paused_requests", "gauge", "Of both, those whose reader is behind", s.paused},
        {"free_sequences", "gauge", "Sequences that nobody uses", s.sequences_free},
        {"cache_tokens", "gauge", "Cache tokens reserved", s.kv_tokens_held},
        {"kept_bytes", "gauge", "Memory of requests that gave way and wait again", s.kept_bytes},
        {"step_microseconds", "gauge", "How long a step takes, moving average",
         (unsigned long long)s.step_us},
        {"connections_open", "gauge", "HTTP connections open now",
         http_server_connections(infer_server_of(req)->http)},
        {"fibers", "gauge", "Fibers alive: one for each connection and job", loop_fibers_all()},
        {"memory_allocated_bytes", "gauge", "Memory handed out by the allocator and not given back",
         observe_allocated_bytes()},
        {"requests_total", "counter", "Requests queued", s.requests},
        {"requests_refused_total", "counter",
         "Requests refused by a full queue, of one tenant or of all", s.refused},
        {"requests_preempted_total", "counter", "Times that a request gave way to another",
         s.preempted},
        {"requests_cancelled_total", "counter", "Requests whose client went away", s.cancelled},
        {"requests_stalled_total", "counter", "Requests dropped: nobody read", s.stalled},
        {"requests_failed_total", "counter", "Requests that the model failed", s.failed},
        {"prompt_tokens_total", "counter", "Prompt tokens computed", s.prompt_tokens},
        {"output_tokens_total", "counter", "Tokens written", s.output_tokens},
        {"steps_total", "counter", "Steps computed", s.steps},
        {"drafted_tokens_total", "counter", "Tokens computed before it was known that they come",
         s.drafted},
        {"drafted_tokens_right_total", "counter", "Of them, those that came", s.drafts_right},
        {"prefix_hits_total", "counter", "Requests whose prompt had a known beginning",
         s.prefix_hits},
        {"prefix_tokens_total", "counter", "Prompt tokens that were not computed again",
         s.prefix_tokens},
        {"prefix_evicted_total", "counter", "Kept prompts that made room for others",
         s.prefix_evicted},
        {"prefix_entries", "gauge", "Prompts kept", s.prefix_entries},
        {"prefix_bytes", "gauge", "Memory that they take", s.prefix_bytes},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        text_buf_addf(
            &buf, "# HELP weir_infer_%s %s\n# TYPE weir_infer_%s %s\nweir_infer_%s %llu\n",
            rows[i].name, rows[i].help, rows[i].name, rows[i].type, rows[i].name, rows[i].value);
    return http_reply_send(reply, 200, TEXT("text/plain; version=0.0.4"), text_buf_text(&buf), st);
}

static bool send_json(struct http_reply *reply, int http_status, const struct text_buf *buf,
                      struct status *st)
{
    http_reply_header(reply, TEXT("Cache-Control"), TEXT("no-store"));
    return http_reply_send(reply, http_status, TEXT("application/json"), text_buf_text(buf), st);
}
