/* infer_server_internal: what the files of the HTTP front share. Everything is the loop's thread's.
 */
#pragma once
#include "base.h"
#include "http_server.h"
#include "model_chat.h"
#include "engine.h"
#include "grammar_cache.h"
#include "infer_server.h"

struct http_router;

struct infer_server {
    struct infer_server_options options;
    struct http_server *http;
    struct http_router *router;
    struct model_chat *chat;       /* NULL until the model is there */
    struct model_vocab_kept *kept; /* of the tokens of its answers; with `chat` */
    struct grammar_cache *grammars;
    int64_t created_s; /* Unix time, for the list of models */
    bool draining;
    bool prepares; /* something is computed before requests are asked for */
};

/* Handlers. Each answers, or fails with what becomes the dialect's error body. */
bool infer_api_chat(struct http_request *req, struct http_reply *reply, struct status *st);
bool infer_api_completions(struct http_request *req, struct http_reply *reply, struct status *st);
bool infer_api_tokenize(struct http_request *req, struct http_reply *reply, struct status *st);
bool infer_api_detokenize(struct http_request *req, struct http_reply *reply, struct status *st);
bool infer_api_models(struct http_request *req, struct http_reply *reply, struct status *st);
bool infer_api_model(struct http_request *req, struct http_reply *reply, struct status *st);
bool infer_api_healthz(struct http_request *req, struct http_reply *reply, struct status *st);
bool infer_api_readyz(struct http_request *req, struct http_reply *reply, struct status *st);
bool infer_api_metrics(struct http_request *req, struct http_reply *reply, struct status *st);

/* The server that a request came to. */
struct infer_server *infer_server_of(const struct http_request *req);
/* Whether `name` is this server's model, or which adapter of it: `*adapter` as engine_job has it.
 * Fails: STATUS_NOT_FOUND with the field. */
MUST_CHECK bool infer_server_model(const struct infer_server *server, struct text name,
                                   uint32_t *adapter, struct status *st);
struct text infer_server_model_name(const struct infer_server *server, uint32_t adapter);
/* Who asks, into `job`: by the headers x-weir-tenant and x-weir-weight, in which only those are
 * believed who know the token or may open our socket.
 * Fails: STATUS_INVALID for a weight that is none. */
MUST_CHECK bool infer_server_tenant(const struct http_request *req, struct engine_job *job,
                                    struct status *st);
/* {"error":{…}}, into `buf`. */
struct text_buf;
void infer_server_error_body(struct text_buf *buf, int http_status, const struct status *st);
int infer_server_http_status(const struct status *st);
