/* An exchange is one call: it borrows a connection from the origin, and gives it back when the body
 * was read to its end. Its buffer is held only while bytes wait in it, as in http_conn. */
#include "http_client_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "arena.h"
#include "clock.h"

enum {
    WRITE_MS = 30000,     /* an upstream that takes not one byte for so long is gone */
    EARLY_HEAD_MS = 1000, /* for a reply that came while the request was still being sent */
    INTERIM_MAX = 8,
    HEAD_BYTES_MAX = 64 * 1024,
};

struct exchange {
    struct http_response response; /* first: the caller's pointer is ours */
    struct http_client *client;
    struct http_origin *origin;    /* held until the exchange ends; then NULL */
    struct http_client_conn *conn; /* NULL once it was given back */
    struct arena *arena;
    struct http_message msg;
    char *buf;
    size_t buf_size, buf_at, buf_end;
    int64_t idle_ms, total_us; /* total_us: a deadline */
    bool is_head, reusable, heard, filled;
};

static bool call_once(struct exchange *ex, const struct http_call *call, struct text head,
                      struct status *st);
static bool read_early_head(struct exchange *ex);
static bool may_resend(const struct exchange *ex, const struct http_call *call, bool pooled,
                       const struct status *st);
static bool fail_exchange(struct exchange *ex, struct status *st);
static bool make_head(struct exchange *ex, const struct http_call *call, struct text *out,
                      struct status *st);
static void add_field(struct text_buf *head, struct text name, struct text value);
static bool field_is_ours(struct text name);
static bool text_is_target(struct text text);
static bool send_request(struct exchange *ex, const struct http_call *call, struct text head,
                         struct status *st);
static bool send_chunks(struct exchange *ex, const struct http_call *call, struct text head,
                        struct status *st);
static bool read_head(struct exchange *ex, int64_t first_byte_us, struct status *st);
static bool read_one_head(struct exchange *ex, int64_t deadline_us, struct status *st);
static bool more_head(struct exchange *ex, size_t head_at, int64_t deadline_us, struct status *st);
static void take_head(struct exchange *ex);
static bool fill(struct exchange *ex, int64_t deadline_us, struct status *st);
static void release_buffer(struct exchange *ex);
static void give_back(struct exchange *ex);
static void end_exchange(struct exchange *ex);
static int64_t deadline_in(const struct exchange *ex, int64_t ms);
static struct iovec piece_of(struct text text);

bool http_client_call(struct http_client *client, const struct http_call *call, struct arena *arena,
                      struct http_response **out, struct status *st)
{
    WEIR_ASSERT(call->origin->client == client && http_header_is_token(call->method));
    struct text head;
    struct exchange *ex = ARENA_NEW(arena, struct exchange);
    ex->client = client;
    ex->origin = call->origin;
    ex->arena = arena;
    ex->idle_ms = call->idle_ms;
    ex->total_us = call->total_ms > 0 ? clock_deadline_ms(call->total_ms) : CLOCK_NEVER;
    ex->is_head = text_equal(call->method, TEXT("HEAD"));
    if (!make_head(ex, call, &head, st))
        return false;
    http_origin_hold(ex->origin);
    bool sure = call->no_resend || call->body_next != NULL;
    ex->conn = http_origin_take(ex->origin, sure);
    bool pooled = ex->conn != NULL;
    ex->response.reused = pooled;
    if (pooled && call_once(ex, call, head, st)) {
        *out = &ex->response;
        return true;
    }
    if (pooled) {
        ex->reusable = false;
        if (!may_resend(ex, call, pooled, st))
            return fail_exchange(ex, st);
        give_back(ex);
        ex->response.reused = false;
    }
    if (!http_origin_connect(ex->origin, deadline_in(ex, call->connect_ms), &ex->conn, st) ||
        !call_once(ex, call, head, st)) {
        ex->reusable = false;
        return fail_exchange(ex, st);
    }
    *out = &ex->response;
    return true;
}

bool http_response_read(struct http_response *response, struct text *piece, struct status *st)
{
    struct exchange *ex = (struct exchange *)response;
    size_t used;
    *piece = TEXT_NONE;
    while (!ex->msg.body_done) {
        if (ex->conn == NULL)
            return status_fail(st, STATUS_UPSTREAM, "reading the response has failed before");
        if (ex->buf_at == ex->buf_end && !fill(ex, deadline_in(ex, ex->idle_ms), st)) {
            if (st->code == STATUS_CLOSED && ex->msg.framing == HTTP_FRAMING_CLOSE) {
                ex->msg.body_done = true;
                break;
            }
            return fail_exchange(ex, st);
        }
        enum http_message_result result = http_message_body(&ex->msg, ex->buf + ex->buf_at,
                                                            ex->buf_end - ex->buf_at, &used, piece);
        ex->buf_at += used;
        if (result == HTTP_MESSAGE_BAD) {
            (void)status_fail(st, STATUS_UPSTREAM, "%.*s", TEXT_ARG(ex->msg.bad_text));
            return fail_exchange(ex, st);
        }
        if (piece->len > 0)
            return true;
    }
    *piece = TEXT_NONE;
    end_exchange(ex);
    return true;
}

bool http_response_body(struct http_response *response, size_t bytes_max, struct arena *arena,
                        struct text *out, struct status *st)
{
    struct exchange *ex = (struct exchange *)response;
    struct text_buf whole = text_buf_in(arena, bytes_max);
    struct text piece;
    if (ex->msg.framing == HTTP_FRAMING_LENGTH && ex->msg.body_left > bytes_max)
        return status_fail(st, STATUS_TOO_LARGE, "the response is larger than %zu bytes",
                           bytes_max);
    do {
        if (!http_response_read(response, &piece, st))
            return false;
        text_buf_add(&whole, piece);
        if (whole.cut)
            return status_fail(st, STATUS_TOO_LARGE, "the response is larger than %zu bytes",
                               bytes_max);
    } while (piece.len > 0);
    *out = text_buf_text(&whole);
    return true;
}

void http_response_close(struct http_response *response)
{
    if (response != NULL)
        end_exchange((struct exchange *)response);
}

static bool call_once(struct exchange *ex, const struct http_call *call, struct text head,
                      struct status *st)
{
    ex->reusable = true;
    ex->heard = false;
    bool sent = call->body_next != NULL ? send_chunks(ex, call, head, st)
                                        : send_request(ex, call, head, st);
    if (sent) {
        ex->response.sent_us = clock_mono_us();
        return read_head(ex, deadline_in(ex, call->first_byte_ms), st);
    }
    if (st->code != STATUS_CLOSED && st->code != STATUS_SYSTEM)
        return false;
    return read_early_head(ex);
}

/* The upstream may have answered, and closed, without reading all: that answer is worth more than
 * "broken pipe". Not inlined: a call that waits should not hold a second status on its stack. */
__attribute__((noinline)) static bool read_early_head(struct exchange *ex)
{
    struct status unheard;
    ex->response.sent_us = clock_mono_us();
    if (!read_head(ex, deadline_in(ex, EARLY_HEAD_MS), &unheard))
        return false;
    ex->reusable = false;
    return true;
}

/* As http_client.h promises. */
static bool may_resend(const struct exchange *ex, const struct http_call *call, bool pooled,
                       const struct status *st)
{
    bool cut = st->code == STATUS_CLOSED || st->code == STATUS_SYSTEM;
    return pooled && cut && !ex->heard && !call->no_resend && call->body_next == NULL;
}

/* Says whose fault it was, then ends the exchange: afterwards the origin may be gone. */
static bool fail_exchange(struct exchange *ex, struct status *st)
{
    if (st->code == STATUS_CLOSED || st->code == STATUS_SYSTEM)
        st->code = STATUS_UPSTREAM;
    (void)status_wrap(st, "%.*s", TEXT_ARG(ex->origin->url.authority));
    end_exchange(ex);
    return false;
}

static bool make_head(struct exchange *ex, const struct http_call *call, struct text *out,
                      struct status *st)
{
    struct text_buf head = text_buf_in(ex->arena, HEAD_BYTES_MAX);
    bool has_body = call->body.len > 0 || text_equal(call->method, TEXT("POST")) ||
                    text_equal(call->method, TEXT("PUT")) ||
                    text_equal(call->method, TEXT("PATCH"));
    if (!text_is_target(call->target))
        return status_fail(st, STATUS_INVALID, "a request target that cannot be sent");
    text_buf_add(&head, call->method);
    text_buf_add(&head, TEXT(" "));
    if (!call->whole_target)
        text_buf_add(&head, ex->origin->url.path);
    text_buf_add(&head, call->target);
    text_buf_add(&head, TEXT(" HTTP/1.1\r\nHost: "));
    text_buf_add(&head, ex->origin->url.authority);
    text_buf_add(&head, TEXT("\r\n"));
    for (size_t i = 0; i < call->headers.count; i++) {
        if (!field_is_ours(call->headers.at[i].name))
            add_field(&head, call->headers.at[i].name, call->headers.at[i].value);
    }
    if (call->body_next != NULL)
        text_buf_add(&head, TEXT("Transfer-Encoding: chunked\r\n\r\n"));
    else if (has_body)
        text_buf_addf(&head, "Content-Length: %zu\r\n\r\n", call->body.len);
    else
        text_buf_add(&head, TEXT("\r\n"));
    if (head.cut)
        return status_fail(st, STATUS_TOO_LARGE, "the request's head is too large");
    *out = text_buf_text(&head);
    return true;
}

/* A value may come from elsewhere: no byte of it may end the line. */
static void add_field(struct text_buf *head, struct text name, struct text value)
{
    WEIR_ASSERT(http_header_is_token(name));
    text_buf_add(head, name);
    text_buf_add(head, TEXT(": "));
    size_t at = head->len;
    text_buf_add(head, value);
    for (; at < head->len; at++) {
        unsigned char c = (unsigned char)head->at[at];
        if (c < ' ' || c == 0x7f)
            head->at[at] = ' ';
    }
    text_buf_add(head, TEXT("\r\n"));
}

static bool field_is_ours(struct text name)
{
    static const char *const ours[] = {"host",       "content-length", "transfer-encoding",
                                       "connection", "keep-alive",     "upgrade",
                                       "te",         "trailer",        "expect"};
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        if (text_equal_nocase(name, text_of(ours[i])))
            return true;
    }
    return false;
}

static bool text_is_target(struct text text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c <= ' ' || c >= 0x7f || c == '#')
            return false;
    }
    return text.len > 0 && text.at[0] == '/';
}

static bool send_request(struct exchange *ex, const struct http_call *call, struct text head,
                         struct status *st)
{
    struct iovec pieces[] = {piece_of(head), piece_of(call->body)};
    return http_stream_write(&ex->conn->stream, pieces, call->body.len > 0 ? 2 : 1, WRITE_MS,
                             ex->total_us, st);
}

static bool send_chunks(struct exchange *ex, const struct http_call *call, struct text head,
                        struct status *st)
{
    struct text piece;
    bool first = true;
    do {
        if (!call->body_next(call->body_ctx, &piece, st))
            return false;
        char size[24];
        int len = snprintf(size, sizeof(size), "%zx\r\n", piece.len);
        struct iovec pieces[] = {
            piece_of(first ? head : TEXT("")),
            {size, (size_t)len},
            piece_of(piece),
            piece_of(TEXT("\r\n")), /* behind the empty piece it ends the (absent) trailers */
        };
        first = false;
        if (!http_stream_write(&ex->conn->stream, pieces, 4, WRITE_MS, ex->total_us, st))
            return false;
    } while (piece.len > 0);
    return true;
}

/* The head of the final response; interim ones are passed over. */
static bool read_head(struct exchange *ex, int64_t first_byte_us, struct status *st)
{
    for (int interim = 0; interim <= INTERIM_MAX; interim++) {
        if (!read_one_head(ex, first_byte_us, st))
            return false;
        if (ex->msg.parser.status_code >= 200) {
            take_head(ex);
            return true;
        }
        if (ex->msg.parser.status_code == 101)
            break;
    }
    return status_fail(st, STATUS_UPSTREAM, "an interim response that was not asked for");
}

static bool read_one_head(struct exchange *ex, int64_t deadline_us, struct status *st)
{
    if (ex->buf_at == ex->buf_end && !fill(ex, deadline_us, st))
        return false;
    size_t head_at = ex->buf_at, used;
    http_message_start(&ex->msg, HTTP_MESSAGE_RESPONSE, &ex->client->limits, ex->arena);
    for (;;) {
        enum http_message_result result =
            http_message_head(&ex->msg, ex->buf + ex->buf_at, ex->buf_end - ex->buf_at, &used);
        ex->buf_at += used;
        if (result == HTTP_MESSAGE_DONE && ex->msg.parser.status_code >= 100)
            return true;
        if (result != HTTP_MESSAGE_MORE)
            return status_fail(st, STATUS_UPSTREAM, "not a valid response: %.*s",
                               TEXT_ARG(ex->msg.bad_text));
        if (!more_head(ex, head_at, deadline_us, st))
            return false;
        if (ex->msg.head_bytes == 0) /* it was moved, and is parsed anew */
            head_at = ex->buf_at = 0;
    }
}

/* As in http_conn: the head stays where it is, or moves once into a buffer that holds any. */
static bool more_head(struct exchange *ex, size_t head_at, int64_t deadline_us, struct status *st)
{
    size_t got;
    if (ex->buf_end == ex->buf_size) {
        size_t size = ex->client->limits.head_bytes_max + HTTP_BUFFER_BYTES;
        size_t len = ex->buf_end - head_at;
        char *larger = malloc(size);
        if (larger == NULL)
            base_out_of_memory(size);
        memcpy(larger, ex->buf + head_at, len);
        ex->buf_at = ex->buf_end;
        release_buffer(ex);
        ex->buf = larger;
        ex->buf_size = size;
        ex->buf_end = len;
        http_message_start(&ex->msg, HTTP_MESSAGE_RESPONSE, &ex->client->limits, ex->arena);
    }
    if (!http_stream_read(&ex->conn->stream, ex->buf + ex->buf_end, ex->buf_size - ex->buf_end,
                          deadline_us, &got, st))
        return false;
    ex->buf_end += got;
    return true;
}

static void take_head(struct exchange *ex)
{
    struct http_response *response = &ex->response;
    http_message_keep_head(&ex->msg, ex->buf + ex->buf_at);
    response->head_us = clock_mono_us();
    response->http_status = ex->msg.parser.status_code;
    response->headers = http_message_headers(&ex->msg);
    response->content_length = ex->msg.content_length;
    if (ex->is_head)
        http_message_no_body(&ex->msg);
    if (!ex->msg.keep_alive && !(ex->is_head && ex->msg.parser.http_minor > 0))
        ex->reusable = false;
    if (ex->msg.framing == HTTP_FRAMING_CLOSE)
        ex->reusable = false;
    release_buffer(ex);
}

/* Waits without a buffer, unless the last read has filled one, so that more is there. */
static bool fill(struct exchange *ex, int64_t deadline_us, struct status *st)
{
    size_t got;
    bool go_on = ex->filled;
    if (!go_on) {
        release_buffer(ex);
        if (!http_stream_wait(&ex->conn->stream, deadline_us, st))
            return false;
    }
    if (ex->buf == NULL) {
        ex->buf = http_buffer_take(&ex->client->buffers);
        ex->buf_size = HTTP_BUFFER_BYTES;
    }
    ex->buf_at = ex->buf_end = 0;
    if (!http_stream_read(&ex->conn->stream, ex->buf, ex->buf_size, deadline_us, &got, st))
        return false;
    ex->heard = true;
    ex->buf_end = got;
    ex->filled = got == ex->buf_size;
    return true;
}

static void release_buffer(struct exchange *ex)
{
    if (ex->buf == NULL || ex->buf_at < ex->buf_end)
        return;
    if (ex->buf_size == HTTP_BUFFER_BYTES)
        http_buffer_release(&ex->client->buffers, ex->buf);
    else
        free(ex->buf);
    ex->buf = NULL;
    ex->buf_size = ex->buf_at = ex->buf_end = 0;
    ex->filled = false;
}

/* Bytes behind the response were not asked for: that connection is not used again. */
static void give_back(struct exchange *ex)
{
    bool reusable = ex->reusable && ex->msg.body_done && ex->buf_at == ex->buf_end;
    ex->buf_at = ex->buf_end;
    release_buffer(ex);
    struct http_client_conn *conn = ex->conn;
    ex->conn = NULL;
    if (conn != NULL)
        http_origin_release(ex->origin, conn, reusable);
}

/* More than once is fine. */
static void end_exchange(struct exchange *ex)
{
    struct http_origin *origin = ex->origin;
    give_back(ex);
    ex->origin = NULL;
    if (origin != NULL)
        http_origin_drop(origin);
}

static int64_t deadline_in(const struct exchange *ex, int64_t ms)
{
    int64_t deadline_us = ms > 0 ? clock_deadline_ms(ms) : CLOCK_NEVER;
    return deadline_us < ex->total_us ? deadline_us : ex->total_us;
}

/* writev only reads; its type has no const. */
static struct iovec piece_of(struct text text)
{
    return (struct iovec){(void *)(uintptr_t)text.at, text.len};
}
