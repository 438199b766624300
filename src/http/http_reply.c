/* A head is two pieces of memory: the lines that http decides, made on the stack when it is sent,
 * and those of the caller, gathered in the request's arena. They leave with the body in one writev.
 */
#include "http_conn_internal.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "arena.h"
#include "clock.h"
#include "http_header.h"
#include "net.h"

enum {
    FIELDS_FIRST = 256,
    FIELDS_BYTES_MAX = 64 * 1024,
    LAST_WORDS_MS = 1000, /* to a client that is slow, from a request that is cancelled */
    OWN_BYTES = 256,      /* status line, Date, Content-Length, Transfer-Encoding, Connection */
};

static void add_line(struct http_reply *reply, struct text name, struct text value);
static bool fields_room(struct http_reply *reply, size_t more);
static struct text own_lines(struct http_reply *reply, char *memory);
static void begin(struct http_reply *reply, int http_status);
static bool send_pieces(struct http_reply *reply, struct iovec *pieces, int count,
                        struct status *st);
static bool may_still_speak(struct http_reply *reply);
static bool start(struct http_reply *reply, struct status *st);
static bool write_last(struct http_reply *reply, struct text piece, bool last, struct status *st);
static struct iovec piece_of(struct text text);

void http_reply_header(struct http_reply *reply, struct text name, struct text value)
{
    WEIR_ASSERT(!reply->started && http_header_is_token(name));
    add_line(reply, name, value);
}

void http_reply_headerf(struct http_reply *reply, struct text name, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    WEIR_ASSERT(len >= 0);
    char *value = arena_alloc(reply->conn->req.arena, (size_t)len + 1);
    (void)vsnprintf(value, (size_t)len + 1, format, again);
    va_end(again);
    http_reply_header(reply, name, (struct text){value, (size_t)len});
}

bool http_reply_has_header(const struct http_reply *reply, struct text name)
{
    struct text rest = {reply->fields, reply->fields_len}, line;
    while (text_split(&rest, '\n', &line)) {
        if (line.len > name.len && line.at[name.len] == ':' &&
            text_equal_nocase(text_take(line, name.len), name))
            return true;
    }
    return false;
}

void http_reply_reset(struct http_reply *reply)
{
    WEIR_ASSERT(!reply->started);
    reply->fields_len = 0;
    reply->failed = false;
}

void http_reply_close_after(struct http_reply *reply)
{
    reply->close_after = true;
}

bool http_reply_send(struct http_reply *reply, int http_status, struct text content_type,
                     struct text body, struct status *st)
{
    char own[OWN_BYTES];
    if (content_type.len > 0)
        http_reply_header(reply, TEXT("Content-Type"), content_type);
    begin(reply, http_status);
    reply->sized = true;
    reply->left = body.len;
    bool stopping = may_still_speak(reply);
    struct text head = own_lines(reply, own);
    if (reply->no_body)
        body.len = 0;
    struct iovec pieces[] = {
        piece_of(head),
        {reply->fields, reply->fields_len},
        piece_of(TEXT("\r\n")),
        piece_of(body),
    };
    reply->left = 0;
    bool sent = send_pieces(reply, pieces, body.len > 0 ? 4 : 3, st);
    if (stopping)
        fiber_unshield();
    if (!sent)
        return false;
    reply->bytes = body.len;
    reply->ended = true;
    return true;
}

bool http_reply_start(struct http_reply *reply, int http_status, struct status *st)
{
    begin(reply, http_status);
    reply->chunked = !reply->no_body && reply->conn->req.version_minor > 0;
    if (!reply->chunked && !reply->no_body)
        reply->close_after = true;
    return start(reply, st);
}

bool http_reply_start_sized(struct http_reply *reply, int http_status, uint64_t body_bytes,
                            struct status *st)
{
    begin(reply, http_status);
    reply->sized = true;
    reply->left = body_bytes;
    return start(reply, st);
}

bool http_reply_write(struct http_reply *reply, struct text piece, struct status *st)
{
    return write_last(reply, piece, false, st);
}

bool http_reply_end(struct http_reply *reply, struct status *st)
{
    return write_last(reply, TEXT_NONE, true, st);
}

bool http_reply_end_with(struct http_reply *reply, struct text piece, struct status *st)
{
    return write_last(reply, piece, true, st);
}

bool http_reply_started(const struct http_reply *reply)
{
    return reply->started;
}

bool http_reply_ended(const struct http_reply *reply)
{
    return reply->ended;
}

int http_reply_status(const struct http_reply *reply)
{
    return reply->status;
}

uint64_t http_reply_bytes(const struct http_reply *reply)
{
    return reply->bytes;
}

int64_t http_reply_started_us(const struct http_reply *reply)
{
    return reply->started_us;
}

const char *http_reply_reason(int http_status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {529, "Overloaded"},
    };
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (reasons[i].status == http_status)
            return reasons[i].reason;
    }
    return "Other"; /* the words are for people: clients go by the number */
}

int http_reply_status_for(enum status_code code)
{
    static const int statuses[] = {
        [STATUS_OK] = 200,          [STATUS_INVALID] = 400,      [STATUS_UNAUTHENTICATED] = 401,
        [STATUS_FORBIDDEN] = 403,   [STATUS_NOT_FOUND] = 404,    [STATUS_CONFLICT] = 409,
        [STATUS_TOO_LARGE] = 413,   [STATUS_RATE_LIMITED] = 429, [STATUS_NO_MONEY] = 402,
        [STATUS_UNAVAILABLE] = 503, [STATUS_UPSTREAM] = 502,     [STATUS_TIMEOUT] = 504,
        [STATUS_CANCELLED] = 503,   [STATUS_CLOSED] = 502,       [STATUS_LIMIT] = 413,
        [STATUS_SYSTEM] = 500,      [STATUS_INTERNAL] = 500,
    };
    static_assert(ARRAY_LEN(statuses) == STATUS_COUNT, "every code has its HTTP status");
    WEIR_ASSERT((size_t)code < ARRAY_LEN(statuses));
    return statuses[code];
}

/* A value may come from elsewhere: no byte of it may end the line. */
static void add_line(struct http_reply *reply, struct text name, struct text value)
{
    if (!fields_room(reply, name.len + value.len + 4)) {
        reply->failed = true;
        return;
    }
    char *at = reply->fields + reply->fields_len;
    memcpy(at, name.at, name.len);
    at += name.len;
    *at++ = ':';
    *at++ = ' ';
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.at[i];
        *at++ = c < ' ' || c == 0x7f ? ' ' : (char)c;
    }
    *at++ = '\r';
    *at++ = '\n';
    reply->fields_len = (size_t)(at - reply->fields);
}

static bool fields_room(struct http_reply *reply, size_t more)
{
    size_t size = reply->fields_size == 0 ? FIELDS_FIRST : reply->fields_size;
    if (more > FIELDS_BYTES_MAX - reply->fields_len)
        return false;
    while (size - reply->fields_len < more)
        size *= 2;
    if (size > reply->fields_size) {
        char *larger = arena_alloc(reply->conn->req.arena, size);
        if (reply->fields_len > 0)
            memcpy(larger, reply->fields, reply->fields_len);
        reply->fields = larger;
        reply->fields_size = size;
    }
    return true;
}

static void begin(struct http_reply *reply, int http_status)
{
    WEIR_ASSERT(!reply->started && http_status >= 200 && http_status <= 599);
    reply->started = true;
    reply->status = http_status;
    reply->no_body = reply->conn->req.is_head || http_status == 204 || http_status == 304;
}

/* A whole reply, and the last piece of one, may be the last word of a request that a drain has
 * cancelled, or whose arena is over its limit: neither shall keep the client from hearing why. True
 * when the fiber was shielded. */
static bool may_still_speak(struct http_reply *reply)
{
    struct http_conn *conn = reply->conn;
    if (arena_over_limit(conn->req.arena)) {
        fiber_set_arena(NULL);
        reply->close_after = true;
    }
    if (!fiber_cancelled() || net_hung_up(conn->stream.net))
        return false;
    reply->close_after = true;
    fiber_shield();
    return true;
}

/* What http decides of the head, in OWN_BYTES of `memory`. */
static struct text own_lines(struct http_reply *reply, char *memory)
{
    struct http_conn *conn = reply->conn;
    struct text_out out = text_out_over(memory, OWN_BYTES);
    if (reply->status == 200)
        text_out_add(&out, TEXT("HTTP/1.1 200 OK\r\nDate: "));
    else
        text_out_addf(&out, "HTTP/1.1 %d %s\r\nDate: ", reply->status,
                      http_reply_reason(reply->status));
    text_out_add(&out, http_server_date(conn->server));
    if (reply->chunked) {
        text_out_add(&out, TEXT("\r\nTransfer-Encoding: chunked"));
    } else if (reply->sized && reply->status != 204 && reply->status != 304) {
        char digits[24], *at = digits + sizeof(digits);
        uint64_t left = reply->left;
        do {
            *--at = (char)('0' + left % 10);
            left /= 10;
        } while (left > 0);
        text_out_add(&out, TEXT("\r\nContent-Length: "));
        text_out_add(&out, (struct text){at, (size_t)(digits + sizeof(digits) - at)});
    }
    /* A client that still waits for a "100 Continue" may send its body or not: no telling what
     * comes next (RFC 9110, section 10.1.1). */
    if (!conn->msg.keep_alive || conn->server->draining || conn->body.continue_wanted)
        reply->close_after = true;
    if (reply->close_after)
        text_out_add(&out, TEXT("\r\nConnection: close\r\n"));
    else if (conn->req.version_minor == 0)
        text_out_add(&out, TEXT("\r\nConnection: keep-alive\r\n"));
    else
        text_out_add(&out, TEXT("\r\n"));
    WEIR_ASSERT(!out.cut);
    return text_out_text(&out);
}

static bool start(struct http_reply *reply, struct status *st)
{
    char own[OWN_BYTES];
    struct iovec pieces[] = {
        piece_of(own_lines(reply, own)),
        {reply->fields, reply->fields_len},
        piece_of(TEXT("\r\n")),
    };
    return send_pieces(reply, pieces, ARRAY_LEN(pieces), st);
}

static bool send_pieces(struct http_reply *reply, struct iovec *pieces, int count,
                        struct status *st)
{
    struct http_conn *conn = reply->conn;
    if (reply->failed)
        return status_fail(st, STATUS_LIMIT, "the head of the reply is too large");
    if (reply->started_us == 0)
        reply->started_us = clock_mono_us();
    int64_t write_ms = conn->server->options.limits.write_ms;
    if (fiber_cancelled() && write_ms > LAST_WORDS_MS)
        write_ms = LAST_WORDS_MS;
    if (http_stream_write(&conn->stream, pieces, count, write_ms, CLOCK_NEVER, st)) {
        reply->head_sent = true;
        return true;
    }
    reply->failed = true;
    if (st->code == STATUS_SYSTEM) /* a reset is no failure of ours */
        st->code = STATUS_CLOSED;
    return status_wrap(st, "could not write to the client");
}

/* One write: the size line, the piece, and where it is the last the empty chunk behind it. */
static bool write_last(struct http_reply *reply, struct text piece, bool last, struct status *st)
{
    WEIR_ASSERT(reply->started && !reply->ended);
    char size[20];
    struct iovec pieces[3];
    int count = 0;
    if (reply->failed)
        return status_fail(st, STATUS_CLOSED, "writing to the client has failed before");
    if (!reply->no_body) {
        if (reply->sized) {
            WEIR_ASSERT(piece.len <= reply->left);
            reply->left -= piece.len;
        }
        if (piece.len > 0 && reply->chunked) {
            int len = snprintf(size, sizeof(size), "%zx\r\n", piece.len);
            pieces[count++] = (struct iovec){size, (size_t)len};
        }
        if (piece.len > 0)
            pieces[count++] = piece_of(piece);
        if (reply->chunked && (piece.len > 0 || last))
            pieces[count++] = piece_of(!last           ? TEXT("\r\n")
                                       : piece.len > 0 ? TEXT("\r\n0\r\n\r\n")
                                                       : TEXT("0\r\n\r\n"));
        reply->bytes += piece.len;
    }
    bool stopping = last && may_still_speak(reply);
    bool sent = count == 0 || send_pieces(reply, pieces, count, st);
    if (stopping)
        fiber_unshield();
    if (!sent)
        return false;
    if (last && reply->sized && reply->left > 0 && !reply->no_body) {
        reply->failed = true; /* the connection is cut: a short body must not look whole */
        return status_fail(st, STATUS_INTERNAL, "the reply is shorter than it said");
    }
    reply->ended = last;
    return true;
}

/* writev only reads; its type has no const. */
static struct iovec piece_of(struct text text)
{
    return (struct iovec){(void *)(uintptr_t)text.at, text.len};
}
