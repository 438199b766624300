/* http_request: what a client asks, as a handler of http_server sees it.
 * Belongs to the connection's fiber, and lives until the handler has returned. */
#pragma once
#include "base.h"
#include "http_header.h"
#include "status.h"
#include "text.h"

struct arena;
struct http_conn;
struct http_route;

enum { HTTP_PARAMS_MAX = 4 };

struct http_request {
    struct text method;   /* "GET" */
    struct text target;   /* as sent */
    struct text path;     /* decoded once: UTF-8, no NUL, no "." or ".." segment, starts with "/" */
    struct text path_raw; /* not decoded: what the router splits */
    struct text query;    /* raw, without "?"; see http_request_query */
    struct http_headers headers;
    struct text host;        /* of the target or of Host, checked; "" for HTTP/1.0 without one */
    struct text peer;        /* "127.0.0.1:50000" or "unix" */
    struct text tls_subject; /* of a verified client certificate, else "" */
    struct arena *arena;     /* ends when the request has ended */
    int64_t started_us;      /* when its first byte was seen, monotonic */
    int64_t content_length;  /* -1: chunked */
    int version_minor;       /* 0 or 1 */
    bool is_tls;
    bool is_head; /* method is HEAD: the reply's body is left out by http_reply */
    bool has_body;

    /* Set by the router. */
    const struct http_route *route;
    struct text params[HTTP_PARAMS_MAX]; /* decoded, in the order of the path's {segments} */

    /* Set by the layer above, for whoever is below it; empty at first. */
    struct text request_id;
    struct text trace_parent;
    void *user;

    struct http_conn *conn; /* http's own */
};

struct text http_request_header(const struct http_request *req, struct text name);
/* Whether the client has hung up: where a wait was cancelled, this tells it from a drain. */
bool http_request_gone(const struct http_request *req);
/* As http_url_query. */
MUST_CHECK bool http_request_query(const struct http_request *req, struct text name,
                                   struct text *out, struct status *st);

/* Reads the whole body; sends "100 Continue" first where the client asked for it. Waits. May be
 * called again: gives the same text. No body is an empty text.
 * Owns: the request's arena.
 * Fails: STATUS_TOO_LARGE (answer 413), STATUS_TIMEOUT too slow (408), STATUS_INVALID broken
 * chunks (400), STATUS_CLOSED the client is gone; fiber.h. After a failure the connection is
 * closed behind the reply. */
MUST_CHECK bool http_request_body(struct http_request *req, size_t bytes_max, struct text *out,
                                  struct status *st);
/* Reads the next piece of the body, as it comes: *piece is valid until the next read. Waits.
 * At the end true with an empty piece. `bytes_max` bounds the sum. Not to be mixed with
 * http_request_body. Fails: as there. */
MUST_CHECK bool http_request_read(struct http_request *req, size_t bytes_max, struct text *piece,
                                  struct status *st);
