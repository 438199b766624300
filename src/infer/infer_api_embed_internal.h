/* infer_api_embed_internal: the HTTP front of a model that makes vectors, as its files and
 * infer_server share it. Everything is the loop's thread's, but infer_api_rows_*, which a thread of
 * the pool may call. */
#pragma once
#include "arena.h"
#include "base.h"
#include "engine_embed.h"
#include "infer_server_internal.h"

enum { INFER_API_EMBED_BODY_BYTES_MAX = 8 << 20, INFER_API_EMBED_TEXTS_MAX = 2048 };

/* Handlers. */
bool infer_api_embeddings(struct http_request *req, struct http_reply *reply, struct status *st);
bool infer_api_rerank(struct http_request *req, struct http_reply *reply, struct status *st);
bool infer_api_embed_metrics(struct http_request *req, struct http_reply *reply, struct status *st);
/* ,"meta":{…} of a model in a list, and the body of /readyz. */
void infer_api_embed_meta(struct text_buf *buf, const struct engine_embed *embed);
void infer_api_embed_ready(struct text_buf *buf, const struct engine_embed *embed);

/* The texts of one request, as tokens in their frame. */
struct infer_api_rows {
    const struct engine_embed_backend *backend;
    const struct engine_embed_facts *facts;
    struct engine_embed_row *rows; /* in the arena */
    struct engine_tokens *tokens;  /* of each row */
    size_t count, size;
    uint64_t total;             /* tokens of all */
    struct engine_tokens query; /* of infer_api_rows_pair */
    size_t query_count;         /* tokens that it has: of more than the context not all are kept */
};
void infer_api_rows_start(struct infer_api_rows *rows, const struct engine_embed *embed,
                          struct arena *arena, size_t size); /* freed with the arena */
/* Each adds a row. `field` names the place of the text in the request: "input[3]".
 * Fails: STATUS_INVALID with that field: empty, or more than the model's context. */
MUST_CHECK bool infer_api_rows_text(struct infer_api_rows *rows, struct text text,
                                    const char *field, struct status *st);
MUST_CHECK bool infer_api_rows_tokens(struct infer_api_rows *rows, const int32_t *tokens,
                                      size_t count, const char *field, struct status *st);
/* The query first, once, since cutting it into tokens again for each document may take for ever. */
MUST_CHECK bool infer_api_rows_query(struct infer_api_rows *rows, struct text query,
                                     struct status *st);
MUST_CHECK bool infer_api_rows_pair(struct infer_api_rows *rows, struct text document,
                                    const char *field, struct status *st);

/* The steps that both handlers have: looks whether there is room, reads the body, has it read by
 * `read` (on a thread of the pool where it is long), and computes. `*queue_us`, `*compute_us`: how
 * long that took. Waits. */
struct infer_api_embed_step {
    struct infer_server *server;
    struct http_request *req;
    bool (*read)(void *call, struct text body, struct status *st);
    void *call;
    struct infer_api_rows *rows;
    int64_t queue_us, compute_us;
};
MUST_CHECK bool infer_api_embed_run(struct infer_api_embed_step *step, struct status *st);
/* Sends a body that may be long: `write` makes it, on a thread of the pool when `long_work`. */
MUST_CHECK bool infer_api_embed_send(const struct infer_api_embed_step *step,
                                     struct http_reply *reply, bool long_work,
                                     void (*write)(void *call, struct text_buf *buf),
                                     struct status *st);
/* That the request names this model. */
struct json_at;
MUST_CHECK bool infer_api_embed_model(const struct json_at *at, const struct infer_server *server,
                                      struct status *st);
