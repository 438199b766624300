/* infer_server: the engine over HTTP, in OpenAI's dialect: POST /v1/chat/completions and
 * /v1/completions, and vLLM's tokenize and detokenize under /v1; for a model that makes vectors
 * POST /v1/embeddings and /v1/rerank; GET /v1/models; GET /healthz, /readyz and /metrics for those
 * who look after it. One server, on one loop. It listens before the model is loaded, so that its
 * progress can be seen. */
#pragma once
#include "base.h"
#include "model_llama.h"
#include "net.h"
#include "status.h"
#include "text.h"

struct http_tls;
struct engine_embed;
struct engine;
struct infer_server;
struct loop;

struct infer_server_options {
    struct net_address listen;
    struct text name;     /* of the model, for clients */
    struct text token;    /* what the front must send as bearer; "" lets everybody in */
    struct http_tls *tls; /* NULL: plain. Not owned; outlives the server */
    const struct engine_backend *backend; /* of the engine */
    struct engine *engine;
    const struct text *adapters; /* names of the engine's variants of the model, in their order */
    size_t adapters_count;
    struct engine_embed *embed; /* instead of backend and engine: the model makes vectors */
};

/* The texts of `options` outlive the server, as the engine does.
 * Fails: as http_server_open. */
MUST_CHECK bool infer_server_open(struct loop *loop, const struct infer_server_options *options,
                                  struct infer_server **out, struct status *st);
/* Once the engine is ready, before a request can be answered: makes ready what needs the model.
 * Fails: STATUS_INVALID for a model whose chat template cannot be used. */
MUST_CHECK bool infer_server_model_ready(struct infer_server *server, struct status *st);
/* While it prepares, /readyz says that it is loading; requests that come are answered all the same.
 */
void infer_server_prepares(struct infer_server *server, bool prepares);
uint16_t infer_server_port(const struct infer_server *server);
/* Lets running answers finish until then, and no new ones begin. Waits. */
void infer_server_drain(struct infer_server *server, int64_t deadline_us);
void infer_server_close(struct infer_server *server); /* after the drain; NULL is fine */
AUTO_DEFINE(infer_server, infer_server_close)
