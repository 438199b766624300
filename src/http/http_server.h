/* http_server: HTTP/1.1 (and 1.0) over TCP, unix sockets and TLS. One connection is one fiber, in
 * which the handler runs as straight-line code and may wait. One server per loop; several loops
 * listen on one port with reuse_port. Knows nothing of routes: see http_router.
 *
 * What a client can do wrong (RFC 9110, 9112) is answered here, by the `error` function, so that
 * the body is in the caller's dialect, and then the connection is closed: 400 malformed, 408 too
 * slow, 413, 414, 417, 431, 501 unknown method or transfer coding, 503 too many connections,
 * 505. A handler that returns without a reply becomes a 500.
 * A client that hangs up cancels the fiber's current wait. Its FIN is all that can be seen of a
 * client that is gone, so one that shuts down only its writing half (a half-close) has hung up,
 * too, and gets no answer that is not on its way yet: work for nobody is not gone on with. Clients
 * keep their side open until they have read the answer. */
#pragma once
#include <stdatomic.h>
#include "base.h"
#include "http_reply.h"
#include "http_request.h"
#include "net.h"
#include "status.h"
#include "text.h"

struct http_server;
struct http_tls;
struct loop;

/* Read by observe; written by the server with relaxed atomics. One per worker or one for all, as
 * the caller likes. Zeroed is fresh. */
struct http_counters {
    _Atomic int64_t connections_open;
    _Atomic uint64_t connections_total;
    _Atomic uint64_t connections_refused; /* over connections_max */
    _Atomic int64_t requests_running;
    _Atomic uint64_t requests_by_class[6]; /* [2] counts 200 to 299; [0] those without a reply */
    _Atomic uint64_t protocol_errors;
    _Atomic uint64_t bytes_in, bytes_out; /* on the wire, without TLS */
};

/* Zero means the default. */
struct http_limits {
    size_t connections_max;       /* per server: 16,384; further ones get a 503 */
    size_t head_bytes_max;        /* 32 KiB: request line and header fields: 431 */
    size_t target_bytes_max;      /* 8 KiB: 414 */
    size_t headers_max;           /* 100: 431 */
    size_t arena_bytes_max;       /* 64 MiB per request */
    int64_t head_ms;              /* 10,000: TLS handshake, and request head: 408 */
    int64_t idle_ms;              /* 75,000: between requests of a connection */
    int64_t body_grace_ms;        /* 10,000: from then on a body must come.. */
    size_t body_bytes_per_second; /* ..at 1 KiB/s */
    int64_t write_ms;             /* 30,000: a client that takes not one byte for so long is gone */
};

struct http_server_options {
    struct net_address address; /* where to listen, unless `listener` is given */
    struct net_listen_options listen;
    struct net_listener *listener; /* already open; the server owns it from here */
    struct http_tls *tls;          /* NULL: plain. Not owned; outlives the server */
    struct http_limits limits;
    /* Answers a request. It may wait. */
    void (*handler)(void *ctx, struct http_request *req, struct http_reply *reply);
    /* Answers what never became a request, or got no reply: sends `http_status` with a body that
     * says `text` (lower case, fixed). `req` holds what was understood: method and path may be
     * empty. NULL: plain text. */
    void (*error)(void *ctx, struct http_request *req, struct http_reply *reply, int http_status,
                  struct text text);
    void *ctx;
    struct http_counters *counters; /* NULL: none */
};

/* Listens and accepts, on the calling thread's loop, from the next turn on.
 * Fails: as net_listen. */
MUST_CHECK bool http_server_open(struct loop *loop, const struct http_server_options *options,
                                 struct http_server **out, struct status *st);
uint16_t http_server_port(const struct http_server *server);
size_t http_server_connections(const struct http_server *server);

/* Stops accepting, closes idle connections, lets running requests finish with "Connection: close".
 * A request that still runs at `stream_deadline_us` or at `drain_deadline_us`, whichever comes
 * first, is cancelled (CLOCK_NEVER: no such bound). Waits (in a fiber that is no connection's)
 * until the last connection has gone. A cancelled drain cancels all requests at once and goes on.
 */
void http_server_drain(struct http_server *server, int64_t stream_deadline_us,
                       int64_t drain_deadline_us);
/* After http_server_drain, or when no connection is left. NULL is fine. */
void http_server_close(struct http_server *server);
AUTO_DEFINE(http_server, http_server_close)
