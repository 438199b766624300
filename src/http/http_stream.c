/* TLS runs over a BIO of ours that tries the socket once; who calls OpenSSL waits in between. */
#include "http_stream_internal.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include "arena.h"
#include "clock.h"
#include "fiber.h"
#include "http_tls_internal.h"
#include "net.h"

enum {
    WRITE_SLICE_BYTES = 64 * 1024, /* what must leave within progress_ms */
    TLS_GATHER_BYTES = 2048,       /* small pieces that become one record */
};

static bool begin_tls(struct http_stream *stream, struct http_tls *tls, struct status *st);
static bool handshake(struct http_stream *stream, int64_t deadline_us, struct status *st);
static bool tls_wait(struct http_stream *stream, int result, int64_t deadline_us,
                     struct status *st);
static bool tls_read(struct http_stream *stream, void *into, size_t size, int64_t deadline_us,
                     size_t *got, struct status *st);
static bool tls_write(struct http_stream *stream, const char *at, size_t len, int64_t progress_ms,
                      int64_t deadline_us, struct status *st);
static bool tls_write_pieces(struct http_stream *stream, const struct iovec *pieces, int count,
                             int64_t progress_ms, int64_t deadline_us, struct status *st);
static int64_t earlier(int64_t deadline_us, int64_t progress_ms);
static BIO *bio_over(struct net_conn *net);
static void bio_method_make(void);
static int bio_read(BIO *bio, char *into, int size);
static int bio_write(BIO *bio, const char *from, int size);
static long bio_ctrl(BIO *bio, int command, long number, void *pointer);

static pthread_once_t bio_once = PTHREAD_ONCE_INIT;
static BIO_METHOD *bio_method; /* lives as long as the process */

bool http_stream_tls_accept(struct http_stream *stream, struct http_tls *tls, int64_t deadline_us,
                            struct status *st)
{
    if (!begin_tls(stream, tls, st))
        return false;
    SSL_set_accept_state(stream->ssl);
    return handshake(stream, deadline_us, st);
}

bool http_stream_tls_connect(struct http_stream *stream, struct http_tls *tls, struct text name,
                             int64_t deadline_us, struct status *st)
{
    char host[256];
    unsigned char address[16];
    if (name.len >= sizeof(host))
        return status_fail(st, STATUS_INVALID, "too long a host name");
    memcpy(host, name.at, name.len);
    host[name.len] = '\0';
    if (!http_tls_ready(tls, st) || !begin_tls(stream, tls, st))
        return false;
    SSL_set_connect_state(stream->ssl);
    bool is_address =
        inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    bool fine = is_address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(stream->ssl), host) == 1
                           : SSL_set1_host(stream->ssl, host) == 1 &&
                                 SSL_set_tlsext_host_name(stream->ssl, host) == 1;
    if (!fine)
        return http_tls_fail(st, STATUS_INTERNAL, "could not set the name to verify");
    if (handshake(stream, deadline_us, st))
        return true;
    long verified = SSL_get_verify_result(stream->ssl);
    if (st->code == STATUS_UPSTREAM && verified != X509_V_OK)
        return status_fail(st, STATUS_UPSTREAM, "the certificate of %s is refused: %s", host,
                           X509_verify_cert_error_string(verified));
    return false;
}

struct text http_stream_peer_subject(const struct http_stream *stream, struct arena *arena)
{
    X509 *certificate = stream->ssl != NULL ? SSL_get0_peer_certificate(stream->ssl) : NULL;
    if (certificate == NULL || SSL_get_verify_result(stream->ssl) != X509_V_OK)
        return TEXT("");
    BIO *memory = BIO_new(BIO_s_mem());
    struct text subject = TEXT("");
    char *at;
    if (memory != NULL &&
        X509_NAME_print_ex(memory, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) >= 0) {
        long len = BIO_get_mem_data(memory, &at);
        subject = arena_text(arena, (struct text){at, len > 0 ? (size_t)len : 0});
    }
    BIO_free(memory);
    return subject;
}

bool http_stream_wait(struct http_stream *stream, int64_t deadline_us, struct status *st)
{
    if (stream->ssl != NULL && SSL_has_pending(stream->ssl) == 1)
        return true;
    return net_wait_readable(stream->net, deadline_us, st);
}

bool http_stream_read(struct http_stream *stream, void *into, size_t size, int64_t deadline_us,
                      size_t *got, struct status *st)
{
    bool fine = stream->ssl != NULL ? tls_read(stream, into, size, deadline_us, got, st)
                                    : net_read(stream->net, into, size, deadline_us, got, st);
    if (fine)
        stream->bytes_in += *got;
    return fine;
}

bool http_stream_write(struct http_stream *stream, struct iovec *pieces, int count,
                       int64_t progress_ms, int64_t deadline_us, struct status *st)
{
    size_t total = 0;
    for (int i = 0; i < count; i++)
        total += pieces[i].iov_len;
    stream->bytes_out += total;
    if (stream->ssl != NULL)
        return tls_write_pieces(stream, pieces, count, progress_ms, deadline_us, st);
    if (total <= WRITE_SLICE_BYTES)
        return net_write(stream->net, pieces, count, earlier(deadline_us, progress_ms), st);
    for (int i = 0; i < count; i++) {
        char *at = pieces[i].iov_base;
        size_t left = pieces[i].iov_len;
        while (left > 0) {
            struct iovec slice = {at, left < WRITE_SLICE_BYTES ? left : WRITE_SLICE_BYTES};
            size_t len = slice.iov_len;
            if (!net_write(stream->net, &slice, 1, earlier(deadline_us, progress_ms), st))
                return false;
            at += len;
            left -= len;
        }
    }
    return true;
}

bool http_stream_quiet(struct http_stream *stream)
{
    char byte;
    size_t got;
    struct status st;
    if (stream->ssl == NULL)
        return net_try_read(stream->net, &byte, 1, &got, &st) && got == 0;
    /* Session tickets may come at any time and are no data. */
    ERR_clear_error();
    int result = SSL_peek(stream->ssl, &byte, 1);
    return result <= 0 && SSL_get_error(stream->ssl, result) == SSL_ERROR_WANT_READ;
}

void http_stream_end_write(struct http_stream *stream)
{
    if (stream->ssl != NULL && SSL_is_init_finished(stream->ssl)) {
        ERR_clear_error();
        (void)SSL_shutdown(stream->ssl); /* one try: a peer that reads nothing gets none */
    }
    net_shutdown_write(stream->net);
}

void http_stream_close(struct http_stream *stream)
{
    if (stream->ssl != NULL) {
        ERR_clear_error();
        if (SSL_is_init_finished(stream->ssl))
            (void)SSL_shutdown(stream->ssl);
        SSL_free(stream->ssl);
        ERR_clear_error();
    }
    if (stream->net != NULL)
        net_close(stream->net);
    memset(stream, 0, sizeof(*stream));
}

static bool begin_tls(struct http_stream *stream, struct http_tls *tls, struct status *st)
{
    if (!http_tls_session(tls, &stream->ssl, st))
        return false;
    BIO *bio = bio_over(stream->net);
    if (bio == NULL)
        return http_tls_fail(st, STATUS_INTERNAL, "could not make a TLS session");
    SSL_set_bio(stream->ssl, bio, bio);
    return true;
}

static bool handshake(struct http_stream *stream, int64_t deadline_us, struct status *st)
{
    for (;;) {
        ERR_clear_error();
        int result = SSL_do_handshake(stream->ssl);
        if (result == 1)
            return true;
        if (!tls_wait(stream, result, deadline_us, st)) {
            if (st->code == STATUS_CLOSED || st->code == STATUS_SYSTEM)
                st->code = STATUS_UPSTREAM;
            return status_wrap(st, "in the TLS handshake");
        }
    }
}

/* Waits for what OpenSSL wants before the call that gave `result` is made again. */
static bool tls_wait(struct http_stream *stream, int result, int64_t deadline_us, struct status *st)
{
    switch (SSL_get_error(stream->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return net_wait_readable(stream->net, deadline_us, st);
    case SSL_ERROR_WANT_WRITE:
        return net_wait_writable(stream->net, deadline_us, st);
    case SSL_ERROR_ZERO_RETURN:
        return status_fail(st, STATUS_CLOSED, "the peer has closed");
    case SSL_ERROR_SYSCALL:
        return status_fail(st, STATUS_SYSTEM, "the connection is cut");
    default:
        if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
            ERR_clear_error();
            return status_fail(st, STATUS_SYSTEM, "the connection is cut");
        }
        return http_tls_fail(st, STATUS_UPSTREAM, "TLS failed");
    }
}

static bool tls_read(struct http_stream *stream, void *into, size_t size, int64_t deadline_us,
                     size_t *got, struct status *st)
{
    for (;;) {
        ERR_clear_error();
        int result = SSL_read_ex(stream->ssl, into, size, got);
        if (result == 1)
            return true;
        if (!tls_wait(stream, result, deadline_us, st))
            return false;
    }
}

static bool tls_write(struct http_stream *stream, const char *at, size_t len, int64_t progress_ms,
                      int64_t deadline_us, struct status *st)
{
    while (len > 0) {
        size_t put;
        ERR_clear_error();
        int result = SSL_write_ex(stream->ssl, at, len, &put);
        if (result == 1) {
            at += put;
            len -= put;
        } else if (!tls_wait(stream, result, earlier(deadline_us, progress_ms), st)) {
            return false;
        }
    }
    return true;
}

/* Small pieces (a head, the lines around a chunk) are put together with what follows, since each
 * write is a record of its own; a large piece is written from where it lies. */
static bool tls_write_pieces(struct http_stream *stream, const struct iovec *pieces, int count,
                             int64_t progress_ms, int64_t deadline_us, struct status *st)
{
    char gather[TLS_GATHER_BYTES];
    size_t held = 0;
    for (int i = 0; i < count; i++) {
        const char *at = pieces[i].iov_base;
        size_t left = pieces[i].iov_len;
        size_t room = sizeof(gather) - held, taken = left < room ? left : room;
        if (taken > 0)
            memcpy(gather + held, at, taken);
        held += taken;
        left -= taken;
        if (left == 0)
            continue;
        if (!tls_write(stream, gather, held, progress_ms, deadline_us, st) ||
            !tls_write(stream, at + taken, left, progress_ms, deadline_us, st))
            return false;
        held = 0;
    }
    return tls_write(stream, gather, held, progress_ms, deadline_us, st);
}

static int64_t earlier(int64_t deadline_us, int64_t progress_ms)
{
    int64_t progress_us = progress_ms > 0 ? clock_deadline_ms(progress_ms) : CLOCK_NEVER;
    return deadline_us < progress_us ? deadline_us : progress_us;
}

static BIO *bio_over(struct net_conn *net)
{
    pthread_once(&bio_once, bio_method_make);
    BIO *bio = bio_method != NULL ? BIO_new(bio_method) : NULL;
    if (bio == NULL)
        return NULL;
    BIO_set_data(bio, net);
    BIO_set_init(bio, 1);
    return bio;
}

static void bio_method_make(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir fiber socket");
    if (bio_method == NULL)
        return;
    BIO_meth_set_read(bio_method, bio_read);
    BIO_meth_set_write(bio_method, bio_write);
    BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

static int bio_read(BIO *bio, char *into, int size)
{
    struct status st;
    size_t got;
    BIO_clear_retry_flags(bio);
    if (!net_try_read(BIO_get_data(bio), into, (size_t)size, &got, &st)) {
        if (st.code != STATUS_CLOSED)
            return -1;
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
        return 0;
    }
    if (got > 0)
        return (int)got;
    BIO_set_retry_read(bio);
    return -1;
}

static int bio_write(BIO *bio, const char *from, int size)
{
    struct status st;
    size_t put;
    BIO_clear_retry_flags(bio);
    if (!net_try_write(BIO_get_data(bio), from, (size_t)size, &put, &st))
        return -1;
    if (put > 0)
        return (int)put;
    BIO_set_retry_write(bio);
    return -1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    if (command == BIO_CTRL_EOF)
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}
