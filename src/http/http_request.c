#include "http_conn_internal.h"

#include <stdlib.h>
#include <string.h>
#include "arena.h"
#include "clock.h"
#include "http_url.h"
#include "net.h"

enum {
    BODY_FIRST_BYTES = 64 * 1024, /* more is not allocated on the word of a Content-Length alone */
    SKIP_BYTES_MAX = 64 * 1024,
    SKIP_MS = 1000,
};

/* The memory of a whole body; freed with the arena that it stands in. */
struct body_memory {
    char *at;
    size_t len, size;
};

static bool body_fail(struct http_conn *conn, struct status *st);
static bool begin_body(struct http_conn *conn, size_t bytes_max, struct status *st);
static bool too_large(struct http_conn *conn, size_t bytes_max, struct status *st);
static bool next_piece(struct http_conn *conn, size_t bytes_max, struct text *piece,
                       struct status *st);
static int64_t body_deadline(const struct http_conn *conn, int64_t now_us);
static bool fill_body(struct http_conn *conn, struct status *st);
static bool read_counted(struct http_conn *conn, struct text *out, struct status *st);
static bool read_chunks(struct http_conn *conn, size_t bytes_max, struct text *out,
                        struct status *st);
static struct body_memory *body_memory_new(struct arena *arena);
static void body_memory_free(void *what);
static void body_memory_room(struct body_memory *memory, size_t more, size_t size_max);

struct text http_request_header(const struct http_request *req, struct text name)
{
    return http_header_get(req->headers, name);
}

bool http_request_gone(const struct http_request *req)
{
    return net_hung_up(req->conn->stream.net);
}

bool http_request_query(const struct http_request *req, struct text name, struct text *out,
                        struct status *st)
{
    return http_url_query(req->query, name, req->arena, out, st);
}

bool http_request_body(struct http_request *req, size_t bytes_max, struct text *out,
                       struct status *st)
{
    struct http_conn *conn = req->conn;
    struct text whole = TEXT("");
    if (conn->body.whole_known && conn->body.whole.len <= bytes_max) {
        *out = conn->body.whole;
        return true;
    }
    WEIR_ASSERT(conn->body.whole_known || conn->body.bytes == 0);
    if (conn->body.whole_known)
        return too_large(conn, bytes_max, st);
    if (!begin_body(conn, bytes_max, st))
        return body_fail(conn, st);
    if (!conn->msg.body_done) {
        bool fine = conn->msg.framing == HTTP_FRAMING_LENGTH
                        ? read_counted(conn, &whole, st)
                        : read_chunks(conn, bytes_max, &whole, st);
        if (!fine)
            return body_fail(conn, st);
    }
    http_conn_release_buffer(conn);
    conn->body.whole_known = true;
    conn->body.whole = whole;
    *out = whole;
    return true;
}

bool http_request_read(struct http_request *req, size_t bytes_max, struct text *piece,
                       struct status *st)
{
    struct http_conn *conn = req->conn;
    WEIR_ASSERT(!conn->body.whole_known);
    if (!begin_body(conn, bytes_max, st) || !next_piece(conn, bytes_max, piece, st))
        return body_fail(conn, st);
    if (piece->len == 0)
        http_conn_release_buffer(conn);
    return true;
}

bool http_request_skip_body(struct http_conn *conn)
{
    struct status st;
    struct text piece;
    size_t bytes_max = (size_t)conn->body.bytes + SKIP_BYTES_MAX;
    WEIR_ASSERT(!conn->body.continue_wanted); /* its connection closes, the reply said */
    if (conn->body.failed || too_large(conn, bytes_max, &st))
        return false;
    int64_t before = fiber_set_deadline(clock_deadline_ms(SKIP_MS));
    bool fine;
    do {
        fine = next_piece(conn, bytes_max, &piece, &st);
    } while (fine && piece.len > 0);
    (void)fiber_set_deadline(before);
    return fine;
}

static bool body_fail(struct http_conn *conn, struct status *st)
{
    conn->body.failed = true;
    http_reply_close_after(&conn->reply);
    if (st->code == STATUS_SYSTEM) /* a reset is no failure of ours */
        st->code = STATUS_CLOSED;
    return status_wrap(st, "could not read the request's body");
}

/* Refuses what is announced to be too large before it is sent, and asks for the rest. */
static bool begin_body(struct http_conn *conn, size_t bytes_max, struct status *st)
{
    if (conn->body.failed)
        return status_fail(st, STATUS_INVALID, "reading it has failed before");
    if (conn->msg.framing == HTTP_FRAMING_LENGTH && conn->msg.content_length >= 0 &&
        (uint64_t)conn->msg.content_length > bytes_max)
        return !too_large(conn, bytes_max, st);
    if (!conn->body.continue_wanted)
        return true;
    conn->body.continue_wanted = false;
    if (conn->buf_at < conn->buf_end)
        return true; /* it did not wait to be asked */
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    char copy[sizeof(line)];
    struct iovec piece = {memcpy(copy, line, sizeof(line)), sizeof(line) - 1};
    return http_stream_write(&conn->stream, &piece, 1, conn->server->options.limits.write_ms,
                             CLOCK_NEVER, st);
}

/* Whether the body is, or says that it is, over `bytes_max`; then `st` is set. */
static bool too_large(struct http_conn *conn, size_t bytes_max, struct status *st)
{
    uint64_t bytes = conn->body.bytes;
    if (conn->msg.framing == HTTP_FRAMING_LENGTH)
        bytes = (uint64_t)conn->msg.content_length;
    if (bytes <= bytes_max)
        return false;
    (void)status_fail(st, STATUS_TOO_LARGE, "the body is larger than %zu bytes", bytes_max);
    return true;
}

static bool next_piece(struct http_conn *conn, size_t bytes_max, struct text *piece,
                       struct status *st)
{
    size_t used;
    *piece = TEXT_NONE;
    while (!conn->msg.body_done) {
        if (conn->buf_at == conn->buf_end && !fill_body(conn, st))
            return false;
        enum http_message_result result = http_message_body(
            &conn->msg, conn->buf + conn->buf_at, conn->buf_end - conn->buf_at, &used, piece);
        conn->buf_at += used;
        if (result == HTTP_MESSAGE_BAD)
            return status_fail(st, STATUS_INVALID, "%.*s", TEXT_ARG(conn->msg.bad_text));
        conn->body.bytes += piece->len;
        if (conn->body.bytes > bytes_max)
            return !too_large(conn, bytes_max, st);
        if (piece->len > 0)
            return true;
    }
    return true;
}

/* `body_grace_ms` of waiting, and then a second for each `body_bytes_per_second`. Only time spent
 * in reads counts: the handler may take its own between two of them. */
static int64_t body_deadline(const struct http_conn *conn, int64_t now_us)
{
    const struct http_limits *limits = &conn->server->options.limits;
    int64_t earned_us = (int64_t)(conn->body.bytes * 1000000 / limits->body_bytes_per_second);
    return now_us + limits->body_grace_ms * 1000 + earned_us - conn->body.waited_us;
}

static bool fill_body(struct http_conn *conn, struct status *st)
{
    int64_t now_us = clock_mono_us();
    bool fine = http_conn_fill(conn, body_deadline(conn, now_us), st);
    conn->body.waited_us += clock_mono_us() - now_us;
    return fine;
}

/* A body of known length is read to where it stays. */
static bool read_counted(struct http_conn *conn, struct text *out, struct status *st)
{
    size_t length = (size_t)conn->msg.content_length, used, got;
    struct text piece;
    struct body_memory small = {0}, *memory = &small;
    if (length <= BODY_FIRST_BYTES) {
        small.at = arena_alloc(conn->req.arena, length + 1);
        small.size = length + 1;
    } else {
        memory = body_memory_new(conn->req.arena);
    }
    while (!conn->msg.body_done) {
        body_memory_room(memory, 1, length + 1);
        char *to = memory->at + memory->len;
        if (conn->buf_at < conn->buf_end) {
            size_t room = memory->size - memory->len, len = conn->buf_end - conn->buf_at;
            len = len < room ? len : room;
            memcpy(to, conn->buf + conn->buf_at, len);
            (void)http_message_body(&conn->msg, to, len, &used, &piece);
            conn->buf_at += used;
        } else {
            int64_t now_us = clock_mono_us();
            size_t room = memory->size - memory->len;
            if (room > conn->msg.body_left)
                room = (size_t)conn->msg.body_left; /* what follows is the next request's */
            bool fine =
                http_stream_read(&conn->stream, to, room, body_deadline(conn, now_us), &got, st);
            conn->body.waited_us += clock_mono_us() - now_us;
            if (!fine)
                return false;
            (void)http_message_body(&conn->msg, to, got, &used, &piece);
        }
        memory->len += piece.len;
        conn->body.bytes += piece.len;
    }
    body_memory_room(memory, 1, length + 1);
    memory->at[memory->len] = '\0';
    *out = (struct text){memory->at, memory->len};
    return true;
}

static bool read_chunks(struct http_conn *conn, size_t bytes_max, struct text *out,
                        struct status *st)
{
    struct body_memory *memory = body_memory_new(conn->req.arena);
    struct text piece;
    do {
        if (!next_piece(conn, bytes_max, &piece, st))
            return false;
        body_memory_room(memory, piece.len + 1, bytes_max + 1);
        if (piece.len > 0)
            memcpy(memory->at + memory->len, piece.at, piece.len);
        memory->len += piece.len;
    } while (piece.len > 0);
    memory->at[memory->len] = '\0';
    *out = (struct text){memory->at, memory->len};
    return true;
}

static struct body_memory *body_memory_new(struct arena *arena)
{
    struct body_memory *memory = ARENA_NEW(arena, struct body_memory);
    arena_at_end(arena, body_memory_free, memory);
    return memory;
}

static void body_memory_free(void *what)
{
    struct body_memory *memory = what;
    free(memory->at);
}

/* Makes room for `more` bytes by doubling, up to `size_max`, which is enough. */
static void body_memory_room(struct body_memory *memory, size_t more, size_t size_max)
{
    if (memory->size - memory->len >= more)
        return;
    size_t size = memory->size == 0 ? HTTP_BUFFER_BYTES : memory->size * 2;
    if (size_max > BODY_FIRST_BYTES && size < BODY_FIRST_BYTES)
        size = BODY_FIRST_BYTES;
    while (size - memory->len < more)
        size *= 2;
    if (size > size_max)
        size = size_max;
    memory->at = base_resize(memory->at, size);
    memory->size = size;
}
