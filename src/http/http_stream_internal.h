/* http_stream: the bytes of a connection, plain or through TLS, for fibers. */
#pragma once
#include <sys/uio.h>
#include "base.h"
#include "status.h"
#include "text.h"

struct arena;
struct http_tls;
struct net_conn;
struct ssl_st;

struct http_stream {
    struct net_conn *net;
    struct ssl_st *ssl;           /* NULL: plain */
    uint64_t bytes_in, bytes_out; /* without TLS */
};

/* The handshake. Waits. Fails: STATUS_UPSTREAM it went wrong, by the peer or by us; fiber.h. */
MUST_CHECK bool http_stream_tls_accept(struct http_stream *stream, struct http_tls *tls,
                                       int64_t deadline_us, struct status *st);
/* Verifies that the peer is `name` (a host name or an address). */
MUST_CHECK bool http_stream_tls_connect(struct http_stream *stream, struct http_tls *tls,
                                        struct text name, int64_t deadline_us, struct status *st);
/* The subject of the peer's verified certificate, or an empty text. */
struct text http_stream_peer_subject(const struct http_stream *stream, struct arena *arena);

/* Waits until a read is likely not to wait: for those who want no buffer before there is something
 * to put into it. Fails: fiber.h. */
MUST_CHECK bool http_stream_wait(struct http_stream *stream, int64_t deadline_us,
                                 struct status *st);
/* Reads at least one byte. Waits. Fails: as net_read. */
MUST_CHECK bool http_stream_read(struct http_stream *stream, void *into, size_t size,
                                 int64_t deadline_us, size_t *got, struct status *st);
/* Writes all (the pieces are changed). Waits, and gives up when nothing of 64 KiB could be written
 * for `progress_ms` or at the deadline. Fails: as net_write. */
MUST_CHECK bool http_stream_write(struct http_stream *stream, struct iovec *pieces, int count,
                                  int64_t progress_ms, int64_t deadline_us, struct status *st);
/* For a connection that should be silent: whether it still is, and open. Does not wait. */
bool http_stream_quiet(struct http_stream *stream);
void http_stream_end_write(
    struct http_stream *stream);                    /* a FIN; for TLS a close_notify before it */
void http_stream_close(struct http_stream *stream); /* zeroes it */
