#include "infer_server.h"
#include "infer_server_internal.h"
#include "arena.h"
#include "clock.h"
#include "fiber.h"
#include "http_router.h"
#include "infer_api_embed_internal.h"
#include "infer_call.h"
#include "engine_vtc.h"
#include "log.h"
#include "model_vocab_kept.h"
#include <stdlib.h>

/* Who may call: everybody, or the front alone; and that only of a model that writes text, or only
 * of one that makes vectors. */
static const char open_to_all[] = "open", for_front[] = "front", for_chat[] = "chat",
                  for_vectors[] = "vectors";

static const struct http_route routes[] = {
    {"POST", "/v1/chat/completions", INFER_CALL_BODY_BYTES_MAX, infer_api_chat, for_chat},
    {"POST", "/v1/completions", INFER_CALL_BODY_BYTES_MAX, infer_api_completions, for_chat},
    {"POST", "/v1/tokenize", INFER_CALL_BODY_BYTES_MAX, infer_api_tokenize, for_front},
    {"POST", "/v1/detokenize", INFER_CALL_BODY_BYTES_MAX, infer_api_detokenize, for_front},
    {"POST", "/v1/embeddings", INFER_API_EMBED_BODY_BYTES_MAX, infer_api_embeddings, for_vectors},
    {"POST", "/v1/rerank", INFER_API_EMBED_BODY_BYTES_MAX, infer_api_rerank, for_vectors},
    {"GET", "/v1/models", 0, infer_api_models, for_front},
    {"GET", "/v1/models/{model}", 0, infer_api_model, for_front},
    {"GET", "/metrics", 0, infer_api_metrics, for_front},
    {"GET", "/healthz", 0, infer_api_healthz, open_to_all},
    {"GET", "/readyz", 0, infer_api_readyz, open_to_all},
};

static void handle(void *ctx, struct http_request *req, struct http_reply *reply);
static bool route(struct infer_server *server, struct http_request *req, struct http_reply *reply,
                  struct status *st);
static bool is_front(const struct infer_server *server, const struct http_request *req);
static bool suits_model(const struct infer_server *server, const char *who, struct status *st);
static void answer_error(struct http_request *req, struct http_reply *reply, int http_status,
                         const struct status *cause);
static void protocol_error(void *ctx, struct http_request *req, struct http_reply *reply,
                           int http_status, struct text text);

bool infer_server_open(struct loop *loop, const struct infer_server_options *options,
                       struct infer_server **out, struct status *st)
{
    struct infer_server *server = calloc(1, sizeof *server);
    WEIR_ASSERT(server != NULL);
    server->options = *options;
    server->created_s = clock_wall_us() / 1000000;
    server->grammars = grammar_cache_new();
    server->router = http_router_new(routes, ARRAY_LEN(routes));
    struct http_server_options http = {
        .address = options->listen,
        .tls = options->tls,
        .limits = {.arena_bytes_max = 256 * MIB},
        .handler = handle,
        .error = protocol_error,
        .ctx = server,
    };
    if (!http_server_open(loop, &http, &server->http, st)) {
        infer_server_close(server);
        return false;
    }
    *out = server;
    return true;
}

bool infer_server_model_ready(struct infer_server *server, struct status *st)
{
    WEIR_ASSERT(server->chat == NULL);
    if (server->options.embed != NULL)
        return true;
    if (!model_chat_open(model_llama_model(server->options.backend), NULL, &server->chat, st))
        return false;
    server->kept = model_vocab_kept_new(model_llama_vocab(server->options.backend),
                                        model_chat_kept(server->chat));
    return true;
}

void infer_server_prepares(struct infer_server *server, bool prepares)
{
    server->prepares = prepares;
}

uint16_t infer_server_port(const struct infer_server *server)
{
    return http_server_port(server->http);
}

void infer_server_drain(struct infer_server *server, int64_t deadline_us)
{
    server->draining = true;
    http_server_drain(server->http, deadline_us, deadline_us);
}

void infer_server_close(struct infer_server *server)
{
    if (server == NULL)
        return;
    http_server_close(server->http);
    http_router_free(server->router);
    model_vocab_kept_free(server->kept);
    model_chat_close(server->chat);
    grammar_cache_free(server->grammars);
    free(server);
}

struct infer_server *infer_server_of(const struct http_request *req)
{
    WEIR_ASSERT(req->user != NULL);
    return req->user;
}

bool infer_server_model(const struct infer_server *server, struct text name, uint32_t *adapter,
                        struct status *st)
{
    for (uint32_t i = 0; i <= server->options.adapters_count; i++)
        if (text_equal(name, infer_server_model_name(server, i))) {
            *adapter = i;
            return true;
        }
    return status_fail_field(st, STATUS_NOT_FOUND, "model", "there is no model %.*s",
                             TEXT_ARG(name));
}

struct text infer_server_model_name(const struct infer_server *server, uint32_t adapter)
{
    return adapter == 0 ? server->options.name : server->options.adapters[adapter - 1];
}

static void handle(void *ctx, struct http_request *req, struct http_reply *reply)
{
    struct infer_server *server = ctx;
    struct status st = {0};
    struct log_scope scope = {http_request_header(req, TEXT("x-request-id"))};
    if (scope.request_id.len > 128)
        scope.request_id.len = 128;
    req->user = server;
    req->request_id = scope.request_id;
    fiber_set_log_scope(&scope);
    if (scope.request_id.len > 0)
        http_reply_header(reply, TEXT("x-request-id"), scope.request_id);
    if (!route(server, req, reply, &st) && !http_reply_started(reply) && !fiber_cancelled())
        answer_error(req, reply, infer_server_http_status(&st), &st);
    fiber_set_log_scope(NULL);
}

static bool route(struct infer_server *server, struct http_request *req, struct http_reply *reply,
                  struct status *st)
{
    struct text allow;
    switch (http_router_find(server->router, req, &allow)) {
    case HTTP_ROUTER_FOUND:
        if (req->route->data != open_to_all && !is_front(server, req))
            return status_fail(st, STATUS_UNAUTHENTICATED, "the token is missing or wrong");
        return suits_model(server, req->route->data, st) && req->route->handler(req, reply, st);
    case HTTP_ROUTER_NO_METHOD:
        http_reply_header(reply, TEXT("Allow"), allow);
        status_fail(st, STATUS_INVALID, "%.*s does not take %.*s", TEXT_ARG(req->path),
                    TEXT_ARG(req->method));
        answer_error(req, reply, 405, st);
        return true;
    case HTTP_ROUTER_NO_PATH:
        break;
    }
    return status_fail(st, STATUS_NOT_FOUND, "there is no %.*s here", TEXT_ARG(req->path));
}

static bool is_front(const struct infer_server *server, const struct http_request *req)
{
    struct text bearer = TEXT("Bearer ");
    struct text given = http_request_header(req, TEXT("authorization"));
    if (server->options.token.len == 0)
        return true;
    return text_starts(given, bearer) &&
           text_equal_secret(text_skip(given, bearer.len), server->options.token);
}

bool infer_server_tenant(const struct http_request *req, struct engine_job *job, struct status *st)
{
    const struct infer_server *server = infer_server_of(req);
    job->tenant = TEXT("");
    job->weight = 0;
    if (server->options.token.len == 0 && !server->options.listen.is_unix)
        return true;
    int64_t weight;
    struct text given = http_request_header(req, TEXT("x-weir-weight"));
    job->tenant = http_request_header(req, TEXT("x-weir-tenant"));
    if (given.len == 0)
        return true;
    if (!text_to_i64(given, &weight) || weight < 1 || weight > ENGINE_VTC_WEIGHT_MAX)
        return status_fail_field(st, STATUS_INVALID, "x-weir-weight",
                                 "x-weir-weight must be a number from 1 to %d",
                                 ENGINE_VTC_WEIGHT_MAX);
    job->weight = (uint32_t)weight;
    return true;
}

static bool suits_model(const struct infer_server *server, const char *who, struct status *st)
{
    struct text name = server->options.name;
    if (who == for_chat && server->options.embed != NULL)
        return status_fail_field(st, STATUS_INVALID, "model",
                                 "the model %.*s makes embeddings and writes no text: use "
                                 "/v1/embeddings or /v1/rerank",
                                 TEXT_ARG(name));
    if (who == for_vectors && server->options.embed == NULL)
        return status_fail_field(st, STATUS_INVALID, "model",
                                 "the model %.*s writes text and makes no embeddings: use "
                                 "/v1/chat/completions",
                                 TEXT_ARG(name));
    return true;
}

int infer_server_http_status(const struct status *st)
{
    return http_reply_status_for(st->code);
}

/* The words that OpenAI's clients know, by HTTP status. */
static void dialect(int http_status, const char **type, const char **code)
{
    *type = "invalid_request_error";
    *code = NULL;
    if (http_status == 401)
        *code = "invalid_api_key";
    if (http_status == 429) {
        *type = "rate_limit_error";
        *code = "rate_limit_exceeded";
    }
    if (http_status >= 500)
        *type = "server_error";
}

void infer_server_error_body(struct text_buf *buf, int http_status, const struct status *st)
{
    const char *type, *code;
    dialect(http_status, &type, &code);
    if (http_status == 404 && text_equal(text_of(st->field), TEXT("model")))
        code = "model_not_found";
    if (http_status == 400 && text_starts(status_text(st), TEXT("this model's context")))
        code = "context_length_exceeded";
    text_buf_add(buf, TEXT("{\"error\":{\"message\":"));
    text_buf_add_json(buf, status_text(st));
    text_buf_addf(buf, ",\"type\":\"%s\",\"param\":", type);
    if (st->field[0] != 0)
        text_buf_add_json(buf, text_of(st->field));
    else
        text_buf_add(buf, TEXT("null"));
    if (code != NULL)
        text_buf_addf(buf, ",\"code\":\"%s\"}}", code);
    else
        text_buf_add(buf, TEXT(",\"code\":null}}"));
}

static void answer_error(struct http_request *req, struct http_reply *reply, int http_status,
                         const struct status *cause)
{
    struct status st = {0};
    struct text_buf body = text_buf_in(req->arena, 8 * KIB);
    infer_server_error_body(&body, http_status, cause);
    if (cause->retry_after_ms > 0)
        http_reply_headerf(reply, TEXT("Retry-After"), "%lld",
                           (long long)((cause->retry_after_ms + 999) / 1000));
    if (http_status >= 500 && http_status != 503)
        LOG_ERROR("a request failed", LOG_CSTR("why", cause->text));
    if (!http_reply_send(reply, http_status, TEXT("application/json"), text_buf_text(&body), &st))
        LOG_DEBUG("an error could not be told", LOG_CSTR("why", st.text));
}

static void protocol_error(void *ctx, struct http_request *req, struct http_reply *reply,
                           int http_status, struct text text)
{
    (void)ctx;
    struct status st = {0};
    status_fail(&st, STATUS_INVALID, "%.*s", TEXT_ARG(text));
    answer_error(req, reply, http_status, &st);
}
