/* http_client: HTTP/1.1 to origins: upstream model servers, over TCP, unix sockets or TLS, with
 * keep-alive connections pooled per origin. One client per loop; used by that loop's fibers.
 * Waits: http_client_call and http_response_read.
 *
 * A pooled connection may turn out to be closed by the other side. The call is then made once more
 * on a fresh connection, if and only if: the connection came from the pool, not one byte of a reply
 * was read from it, the failure was a closed or reset connection (no timeout), and the body is
 * given as a text (or is absent), so that it can be sent again. A server that closes an idle
 * connection has not processed the request; one that read it, worked and died without a byte of
 * reply looks the same, so a request that must never run twice says `no_resend`. */
#pragma once
#include "base.h"
#include "http_header.h"
#include "status.h"
#include "text.h"

struct arena;
struct http_client;
struct http_origin;
struct http_tls;
struct loop;

struct http_client_options {
    size_t head_bytes_max; /* of a response; 0: 32 KiB */
    size_t headers_max;    /* 0: 100 */
    int64_t idle_ms;       /* a pooled connection unused for so long is closed; 0: 30,000 */
};
struct http_client *http_client_open(struct loop *loop, const struct http_client_options *options);
/* No call may be in progress; closes all origins and pooled connections. */
void http_client_close(struct http_client *client);
AUTO_DEFINE(http_client, http_client_close)

struct http_origin_options {
    struct text url;      /* "https://host:port/base", "http://..", "unix:/path"; see http_url.h */
    struct http_tls *tls; /* for https; not owned, outlives the origin */
    struct text tls_name; /* the name to verify and to send as SNI; empty: the URL's host */
    size_t idle_max;      /* pooled connections kept; 0: 64 */
    size_t connections_max; /* in all; a call beyond fails with STATUS_UNAVAILABLE; 0: 4,096 */
};
/* Does not connect. Copies what it needs. Fails: STATUS_INVALID. */
MUST_CHECK bool http_origin_open(struct http_client *client,
                                 const struct http_origin_options *options,
                                 struct http_origin **out, struct status *st);
/* Calls in progress go on; its pooled connections are closed. */
void http_origin_close(struct http_origin *origin);
AUTO_DEFINE(http_origin, http_origin_close)
size_t http_origin_idle(const struct http_origin *origin); /* pooled connections now */
size_t http_origin_in_use(const struct http_origin *origin);

struct http_call {
    struct http_origin *origin;
    struct text method; /* a token */
    struct text target; /* "/v1/chat/completions?x=1": put behind the path of the origin's URL */
    bool whole_target;  /* the target has that path in it already */
    struct http_headers headers; /* besides Host, Content-Length, Transfer-Encoding, Connection */
    struct text body;
    /* Instead of `body`: called until it gives an empty piece; sent in chunks. May wait. */
    bool (*body_next)(void *ctx, struct text *piece, struct status *st);
    void *body_ctx;
    bool no_resend; /* see above */
    /* Durations; 0 means none but the fiber's own. */
    int64_t connect_ms;    /* name, TCP and TLS handshake */
    int64_t first_byte_ms; /* from the request sent to the head of the response */
    int64_t idle_ms;       /* between two pieces of the body */
    int64_t total_ms;      /* from the call to the last byte */
};

struct http_response {
    int http_status; /* 200..599; interim responses are skipped */
    struct http_headers headers;
    int64_t content_length;   /* -1: not known */
    int64_t sent_us, head_us; /* when the request was out, and when the head was in; monotonic */
    bool reused;              /* came over a pooled connection */
};

/* Sends the request and waits for the head of the response.
 * Owns: the response and its headers are in `arena`; http_response_close must be called before the
 * arena closes, in whatever state the response is.
 * Fails: STATUS_UNAVAILABLE could not connect, or too many connections; STATUS_UPSTREAM closed or
 * reset, certificate refused, or nonsense; STATUS_TIMEOUT; fiber.h. */
MUST_CHECK bool http_client_call(struct http_client *client, const struct http_call *call,
                                 struct arena *arena, struct http_response **out,
                                 struct status *st);
/* The next piece of the body, as it comes: valid until the next read. At the end true with an empty
 * piece. While it waits the response holds no buffer.
 * Fails: STATUS_UPSTREAM cut or broken; STATUS_TIMEOUT; fiber.h. */
MUST_CHECK bool http_response_read(struct http_response *response, struct text *piece,
                                   struct status *st);
/* The whole body. Owns: `arena`. Fails: as read; STATUS_TOO_LARGE. */
MUST_CHECK bool http_response_body(struct http_response *response, size_t bytes_max,
                                   struct arena *arena, struct text *out, struct status *st);
/* The connection goes back to the pool if the body was read to its end and both sides keep it
 * alive; otherwise it is closed, which tells the upstream to stop. NULL is fine. */
void http_response_close(struct http_response *response);
AUTO_DEFINE(http_response, http_response_close)
