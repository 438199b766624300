/* The buffer is taken from the pool when bytes are there, and goes back when all of them were
 * taken: an idle connection, and one that streams a reply, holds none. The head is copied into the
 * request's arena, so that the buffer is free for the body. */
#include "http_conn_internal.h"

#include <stdlib.h>
#include <string.h>
#include "arena.h"
#include "clock.h"
#include "http_url.h"
#include "net.h"

enum {
    REFUSED_HEAD_MS = 2000,
    TRIM_AFTER_MS = 2000, /* a connection that was idle for so long will be for longer */
    LINGER_MS = 1000,
    LINGER_BYTES_MAX = 1 << 20,
};

static bool handshake(struct http_conn *conn, struct status *st);
static bool serve(struct http_conn *conn, struct status *st);
static bool wait_for_request(struct http_conn *conn, struct status *st);
static enum http_message_result read_head(struct http_conn *conn, struct status *st);
static bool more_head(struct http_conn *conn, size_t head_at, int64_t deadline_us,
                      struct status *st);
static void compact(struct http_conn *conn);
static bool make_request(struct http_conn *conn, struct status *st);
static bool bad_request(struct http_conn *conn, int http_status, struct text text);
static void answer(struct http_conn *conn);
static void answer_in_place(struct http_conn *conn);
static void send_error(struct http_conn *conn, int http_status, struct text text);
static void send_error_plain(void *ctx, struct http_request *req, struct http_reply *reply,
                             int http_status, struct text text);
static bool finish(struct http_conn *conn);
static void end_request(struct http_conn *conn);
static void drop_until_closed(struct http_conn *conn, struct status *st);

void http_conn_run(void *arg)
{
    struct http_conn *conn = arg;
    struct status st;
    conn->fiber = fiber_current();
    bool open = handshake(conn, &st);
    while (open)
        open = serve(conn, &st);
    if (conn->linger)
        drop_until_closed(conn, &st);
    http_conn_free(conn);
}

void http_conn_free(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    if (conn->prev != NULL)
        conn->prev->next = conn->next;
    else
        server->first = conn->next;
    if (conn->next != NULL)
        conn->next->prev = conn->prev;
    server->count--;
    atomic_fetch_sub_explicit(&server->counters->connections_open, 1, memory_order_relaxed);
    conn->buf_at = conn->buf_end;
    http_conn_release_buffer(conn);
    http_stream_close(&conn->stream);
    free(conn);
    wait_list_wake_all(&server->changed);
}

void http_conn_release_buffer(struct http_conn *conn)
{
    if (conn->buf == NULL || conn->buf_at < conn->buf_end)
        return;
    if (conn->buf_size == HTTP_BUFFER_BYTES)
        http_buffer_release(&conn->server->buffers, conn->buf);
    else
        free(conn->buf);
    conn->buf = NULL;
    conn->buf_size = conn->buf_at = conn->buf_end = 0;
}

bool http_conn_fill(struct http_conn *conn, int64_t deadline_us, struct status *st)
{
    size_t got;
    if (conn->buf == NULL) {
        conn->buf = http_buffer_take(&conn->server->buffers);
        conn->buf_size = HTTP_BUFFER_BYTES;
    }
    if (conn->buf_at == conn->buf_end)
        conn->buf_at = conn->buf_end = 0;
    WEIR_ASSERT(conn->buf_end < conn->buf_size);
    if (!http_stream_read(&conn->stream, conn->buf + conn->buf_end, conn->buf_size - conn->buf_end,
                          deadline_us, &got, st))
        return false;
    conn->buf_end += got;
    return true;
}

static bool handshake(struct http_conn *conn, struct status *st)
{
    struct http_server *server = conn->server;
    conn->accepted_us = clock_mono_us();
    if (server->draining)
        return false;
    if (server->options.tls == NULL)
        return true;
    conn->idle = true; /* nobody misses it when a drain cuts it */
    bool fine = http_stream_tls_accept(&conn->stream, server->options.tls,
                                       clock_deadline_ms(server->options.limits.head_ms), st);
    conn->idle = false;
    if (!fine)
        atomic_fetch_add_explicit(&server->counters->protocol_errors, 1, memory_order_relaxed);
    return fine;
}

/* One request. False when the connection is to be closed. */
static bool serve(struct http_conn *conn, struct status *st)
{
    if (!wait_for_request(conn, st))
        return false;
    conn->requests++;
    memset(&conn->req, 0, sizeof(conn->req));
    memset(&conn->reply, 0, sizeof(conn->reply));
    memset(&conn->body, 0, sizeof(conn->body));
    conn->reply.conn = conn->req.conn = conn;
    conn->req.started_us = clock_mono_us();
    conn->req.arena = arena_open(conn->server->options.limits.arena_bytes_max);
    conn->req.peer = net_peer_name(conn->stream.net);
    conn->req.is_tls = conn->stream.ssl != NULL;
    switch (read_head(conn, st)) {
    case HTTP_MESSAGE_DONE:
        if (make_request(conn, st))
            answer(conn);
        break;
    case HTTP_MESSAGE_BAD:
        (void)bad_request(conn, conn->msg.bad_status, conn->msg.bad_text);
        break;
    case HTTP_MESSAGE_MORE:
        if (st->code == STATUS_TIMEOUT)
            (void)bad_request(conn, 408, TEXT("the request's head took too long"));
        break;
    }
    return finish(conn);
}

/* A connection that says nothing is closed without a word. */
static bool wait_for_request(struct http_conn *conn, struct status *st)
{
    const struct http_limits *limits = &conn->server->options.limits;
    if (conn->buf_at < conn->buf_end)
        return true;
    if (conn->server->draining)
        return false;
    http_conn_release_buffer(conn);
    conn->idle = true;
    int64_t deadline_us = clock_deadline_ms(conn->requests > 0 ? limits->idle_ms : limits->head_ms);
    int64_t trim_us = clock_deadline_ms(TRIM_AFTER_MS);
    bool fine = http_stream_wait(&conn->stream, trim_us < deadline_us ? trim_us : deadline_us, st);
    if (!fine && st->code == STATUS_TIMEOUT && trim_us < deadline_us) {
        fiber_trim_stack(); /* what the last request's handler has used */
        fine = http_stream_wait(&conn->stream, deadline_us, st);
    }
    fine = fine && http_conn_fill(conn, deadline_us, st);
    conn->idle = false;
    return fine;
}

/* MORE means that reading failed. */
static enum http_message_result read_head(struct http_conn *conn, struct status *st)
{
    struct http_server *server = conn->server;
    int64_t head_ms = conn->refused ? REFUSED_HEAD_MS : server->options.limits.head_ms;
    int64_t deadline_us = conn->req.started_us + head_ms * 1000;
    size_t used, head_at;
    compact(conn);
    head_at = conn->buf_at;
    http_message_start(&conn->msg, HTTP_MESSAGE_REQUEST, &server->message_limits, conn->req.arena);
    for (;;) {
        enum http_message_result result = http_message_head(&conn->msg, conn->buf + conn->buf_at,
                                                            conn->buf_end - conn->buf_at, &used);
        conn->buf_at += used;
        if (result != HTTP_MESSAGE_MORE)
            return result;
        if (!more_head(conn, head_at, deadline_us, st))
            return HTTP_MESSAGE_MORE;
    }
}

/* Reads on behind the head's first bytes, which must stay where they are. When the buffer is full
 * they move, once, to one that holds the largest head there may be, and are parsed anew. */
static bool more_head(struct http_conn *conn, size_t head_at, int64_t deadline_us,
                      struct status *st)
{
    size_t got;
    if (conn->buf_end == conn->buf_size) {
        size_t size = conn->server->message_limits.head_bytes_max + HTTP_BUFFER_BYTES;
        size_t len = conn->buf_end - head_at;
        WEIR_ASSERT(conn->buf_size == HTTP_BUFFER_BYTES && len < size);
        char *larger = malloc(size);
        if (larger == NULL)
            base_out_of_memory(size);
        memcpy(larger, conn->buf + head_at, len);
        conn->buf_at = conn->buf_end;
        http_conn_release_buffer(conn);
        conn->buf = larger;
        conn->buf_size = size;
        conn->buf_at = 0;
        conn->buf_end = len;
        http_message_start(&conn->msg, HTTP_MESSAGE_REQUEST, conn->msg.limits, conn->msg.arena);
    }
    if (!http_stream_read(&conn->stream, conn->buf + conn->buf_end, conn->buf_size - conn->buf_end,
                          deadline_us, &got, st))
        return false;
    conn->buf_end += got;
    return true;
}

/* A pipelined request starts at the front of a buffer of the usual size. */
static void compact(struct http_conn *conn)
{
    size_t len = conn->buf_end - conn->buf_at;
    if (conn->buf_size == HTTP_BUFFER_BYTES) {
        if (conn->buf_at > 0)
            memmove(conn->buf, conn->buf + conn->buf_at, len);
        conn->buf_at = 0;
        conn->buf_end = len;
    }
}

/* From the parsed head to the request. False when it was answered with an error. */
static bool make_request(struct http_conn *conn, struct status *st)
{
    struct http_request *req = &conn->req;
    struct http_target target;
    http_message_keep_head(&conn->msg, conn->buf + conn->buf_at);
    http_conn_release_buffer(conn);
    req->method = http_message_method(&conn->msg);
    req->is_head = text_equal(req->method, TEXT("HEAD"));
    req->target = conn->msg.target;
    req->headers = http_message_headers(&conn->msg);
    req->version_minor = conn->msg.parser.http_minor;
    req->content_length = conn->msg.content_length;
    req->has_body = !conn->msg.body_done;
    req->tls_subject = http_stream_peer_subject(&conn->stream, req->arena);
    if (conn->refused)
        return bad_request(conn, 503, TEXT("too many connections"));
    if (!http_target_parse(req->target, req->arena, &target, st))
        return bad_request(conn, 400, TEXT("malformed request target"));
    if (target.path.at[0] == '*' && !text_equal(req->method, TEXT("OPTIONS")))
        return bad_request(conn, 400, TEXT("malformed request target"));
    req->path = target.path;
    req->path_raw = target.path_raw;
    req->query = target.query;
    req->host =
        target.authority.len > 0 ? target.authority : http_header_get(req->headers, TEXT("host"));
    struct text expect = http_header_get(req->headers, TEXT("expect"));
    if (expect.at != NULL && req->version_minor > 0) {
        if (!text_equal_nocase(expect, TEXT("100-continue")))
            return bad_request(conn, 417, TEXT("an expectation other than 100-continue"));
        conn->body.continue_wanted = req->has_body;
    }
    return true;
}

/* Always false. What follows on the connection cannot be trusted: it is closed behind the reply. */
static bool bad_request(struct http_conn *conn, int http_status, struct text text)
{
    struct http_counters *counters = conn->server->counters;
    if (conn->refused)
        http_reply_header(&conn->reply, TEXT("Retry-After"), TEXT("1"));
    else
        atomic_fetch_add_explicit(&counters->protocol_errors, 1, memory_order_relaxed);
    conn->linger = true;
    send_error(conn, http_status, text);
    return false;
}

static void answer(struct http_conn *conn)
{
    struct http_counters *counters = conn->server->counters;
    atomic_fetch_add_explicit(&counters->requests_running, 1, memory_order_relaxed);
    fiber_set_arena(conn->req.arena);
    net_watch_hangup(conn->stream.net, conn->fiber);
    conn->server->options.handler(conn->server->options.ctx, &conn->req, &conn->reply);
    net_watch_hangup(conn->stream.net, NULL);
    fiber_set_arena(NULL);
    if (!conn->reply.started)
        answer_in_place(conn);
    atomic_fetch_sub_explicit(&counters->requests_running, 1, memory_order_relaxed);
}

/* For a handler that gave no reply. */
static void answer_in_place(struct http_conn *conn)
{
    if (net_hung_up(conn->stream.net))
        return;
    http_reply_reset(&conn->reply);
    if (!fiber_cancelled()) {
        send_error(conn, 500, TEXT("no answer was made"));
        return;
    }
    fiber_shield(); /* a drain has run out of time: say so */
    http_reply_header(&conn->reply, TEXT("Retry-After"), TEXT("1"));
    send_error(conn, 503, TEXT("the server is stopping"));
    fiber_unshield();
}

static void send_error(struct http_conn *conn, int http_status, struct text text)
{
    const struct http_server_options *options = &conn->server->options;
    http_reply_close_after(&conn->reply);
    if (options->error != NULL)
        options->error(options->ctx, &conn->req, &conn->reply, http_status, text);
    if (!conn->reply.started)
        send_error_plain(NULL, &conn->req, &conn->reply, http_status, text);
}

static void send_error_plain(void *ctx, struct http_request *req, struct http_reply *reply,
                             int http_status, struct text text)
{
    struct status st; /* there is nobody to tell */
    (void)ctx;
    struct text body = arena_format(req->arena, "%.*s\n", TEXT_ARG(text));
    (void)!http_reply_send(reply, http_status, TEXT("text/plain; charset=utf-8"), body, &st);
}

/* Whether the connection can take another request. */
static bool finish(struct http_conn *conn)
{
    struct http_reply *reply = &conn->reply;
    bool keep = conn->msg.keep_alive && reply->ended && !reply->failed && !reply->close_after &&
                !fiber_cancelled();
    bool whole = conn->msg.bad_status == 0 && conn->msg.body_done;
    if (keep && !whole)
        whole = http_request_skip_body(conn);
    if (!whole && reply->started)
        conn->linger = true;
    end_request(conn);
    return keep && whole;
}

static void end_request(struct http_conn *conn)
{
    struct http_counters *counters = conn->server->counters;
    int class = conn->reply.head_sent ? conn->reply.status / 100 : 0;
    atomic_fetch_add_explicit(&counters->requests_by_class[class], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counters->bytes_in, conn->stream.bytes_in, memory_order_relaxed);
    atomic_fetch_add_explicit(&counters->bytes_out, conn->stream.bytes_out, memory_order_relaxed);
    conn->stream.bytes_in = conn->stream.bytes_out = 0;
    struct arena *arena = conn->req.arena;
    conn->req.arena = NULL;
    arena_close(arena);
}

/* A socket that is closed with bytes unread in it answers with a reset, which can take the reply
 * away from the client before it was read (RFC 9112, section 9.6). */
static void drop_until_closed(struct http_conn *conn, struct status *st)
{
    size_t dropped = 0;
    int64_t deadline_us = clock_deadline_ms(LINGER_MS);
    http_stream_end_write(&conn->stream);
    do {
        dropped += conn->buf_end - conn->buf_at;
        conn->buf_at = conn->buf_end;
    } while (dropped < LINGER_BYTES_MAX && !conn->server->draining &&
             http_conn_fill(conn, deadline_us, st));
}
