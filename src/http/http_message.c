/* llhttp runs over the head once, pauses behind it, and goes on only for a chunked body: a body of
 * known length is counted by us. Decoded chunks are moved together at the front of the buffer they
 * came in, so that many small ones become one piece and nothing is allocated. */
#include "http_message_internal.h"

#include <string.h>
#include "arena.h"
#include "http_url.h"

enum { FIELDS_FIRST = 16, LEAD_LINES_MAX = 4 };

static int on_target(llhttp_t *parser, const char *at, size_t len);
static int on_name(llhttp_t *parser, const char *at, size_t len);
static int on_value(llhttp_t *parser, const char *at, size_t len);
static int on_value_complete(llhttp_t *parser);
static int on_headers_complete(llhttp_t *parser);
static int on_chunk_header(llhttp_t *parser);
static int on_body(llhttp_t *parser, const char *at, size_t len);
static int on_message_complete(llhttp_t *parser);
static enum http_message_result skip_empty_lines(struct http_message *msg, const char *data,
                                                 size_t len, size_t *skipped);
static enum http_message_result bad(struct http_message *msg, int status, struct text text);
static int bad_in_callback(struct http_message *msg, int status, struct text text);
static enum http_message_result bad_syntax(struct http_message *msg, llhttp_errno_t error,
                                           const char *end);
static enum http_message_result check_head(struct http_message *msg);
static enum http_message_result check_request_line(struct http_message *msg);
static enum http_message_result check_framing(struct http_message *msg);
static void choose_framing(struct http_message *msg, bool chunked);
static enum http_message_result body_counted(struct http_message *msg, char *data, size_t len,
                                             size_t *used, struct text *piece);

static const llhttp_settings_t settings = {
    .on_url = on_target,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void http_message_start(struct http_message *msg, enum http_message_kind kind,
                        const struct http_message_limits *limits, struct arena *arena)
{
    memset(msg, 0, sizeof(*msg));
    llhttp_init(&msg->parser, kind == HTTP_MESSAGE_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE,
                &settings);
    msg->parser.data = msg;
    msg->limits = limits;
    msg->arena = arena;
    msg->content_length = -1;
}

enum http_message_result http_message_head(struct http_message *msg, const char *data, size_t len,
                                           size_t *used)
{
    size_t skipped = 0;
    if (!msg->begun) {
        enum http_message_result result = skip_empty_lines(msg, data, len, &skipped);
        if (!msg->begun) {
            *used = skipped;
            return result;
        }
        msg->head_at = data + skipped;
    }
    llhttp_errno_t error = llhttp_execute(&msg->parser, data + skipped, len - skipped);
    bool done = error == HPE_PAUSED;
    *used = done ? (size_t)(llhttp_get_error_pos(&msg->parser) - data) : len;
    msg->head_bytes += *used;
    if (msg->bad_status != 0)
        return HTTP_MESSAGE_BAD;
    if (error != HPE_OK && !done)
        return bad_syntax(msg, error, data + len);
    if (msg->head_bytes > msg->limits->head_bytes_max)
        return bad(msg, msg->in_target ? 414 : 431, TEXT("the request's head is too large"));
    if (!done)
        return HTTP_MESSAGE_MORE;
    return check_head(msg);
}

void http_message_keep_head(struct http_message *msg, const char *end)
{
    const char *from = msg->head_at;
    char *to = arena_alloc(msg->arena, (size_t)(end - from));
    memcpy(to, from, (size_t)(end - from));
    if (msg->target.at != NULL)
        msg->target.at = to + (msg->target.at - from);
    for (size_t i = 0; i < msg->fields_count; i++) {
        msg->fields[i].name.at = to + (msg->fields[i].name.at - from);
        msg->fields[i].value.at = to + (msg->fields[i].value.at - from);
    }
    msg->head_at = to;
}

void http_message_no_body(struct http_message *msg)
{
    msg->framing = HTTP_FRAMING_NONE;
    msg->body_done = true;
}

enum http_message_result http_message_body(struct http_message *msg, char *data, size_t len,
                                           size_t *used, struct text *piece)
{
    *used = 0;
    *piece = TEXT_NONE;
    if (msg->body_done)
        return HTTP_MESSAGE_DONE;
    if (msg->framing != HTTP_FRAMING_CHUNKED)
        return body_counted(msg, data, len, used, piece);
    if (llhttp_get_errno(&msg->parser) == HPE_PAUSED)
        llhttp_resume(&msg->parser);
    msg->body_to = data;
    msg->body_len = 0;
    llhttp_errno_t error = llhttp_execute(&msg->parser, data, len);
    msg->body_done = error == HPE_PAUSED;
    if (error != HPE_OK && !msg->body_done)
        return bad(msg, 400, TEXT("malformed chunks in the body"));
    *used = msg->body_done ? (size_t)(llhttp_get_error_pos(&msg->parser) - data) : len;
    *piece = (struct text){data, msg->body_len};
    msg->overhead += *used - msg->body_len;
    msg->allowed += 2 * msg->body_len;
    if (msg->overhead > msg->allowed + HTTP_MESSAGE_OVERHEAD_BYTES_MAX)
        return bad(msg, 400, TEXT("too much besides data in the chunks of the body"));
    return msg->body_done ? HTTP_MESSAGE_DONE : HTTP_MESSAGE_MORE;
}

struct http_headers http_message_headers(const struct http_message *msg)
{
    return (struct http_headers){msg->fields, msg->fields_count};
}

struct text http_message_method(const struct http_message *msg)
{
    if (!msg->begun)
        return TEXT_NONE;
    return text_of(llhttp_method_name((llhttp_method_t)msg->parser.method));
}

static int on_target(llhttp_t *parser, const char *at, size_t len)
{
    struct http_message *msg = parser->data;
    if (!msg->in_target)
        msg->target.at = at;
    msg->in_target = true;
    msg->target.len += len;
    if (msg->target.len > msg->limits->target_bytes_max)
        return bad_in_callback(msg, 414, TEXT("the request's target is too long"));
    return 0;
}

static int on_name(llhttp_t *parser, const char *at, size_t len)
{
    struct http_message *msg = parser->data;
    if (msg->framing != HTTP_FRAMING_NONE)
        return 0; /* a trailer: read over, and bounded as overhead */
    if (msg->in_name) {
        msg->fields[msg->fields_count - 1].name.len += len;
        return 0;
    }
    msg->in_target = false;
    if (msg->fields_count == msg->limits->headers_max)
        return bad_in_callback(msg, 431, TEXT("too many header fields"));
    if (msg->fields_count == msg->fields_size) {
        uint16_t size = msg->fields_size == 0 ? FIELDS_FIRST : (uint16_t)(msg->fields_size * 2);
        struct http_header *larger = ARENA_ARRAY(msg->arena, size, struct http_header);
        if (msg->fields_count > 0)
            memcpy(larger, msg->fields, msg->fields_count * sizeof(*larger));
        msg->fields = larger;
        msg->fields_size = size;
    }
    msg->fields[msg->fields_count++] =
        (struct http_header){.name = {at, len}, .value = {at + len, 0}};
    msg->in_name = true;
    msg->in_value = false;
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct http_message *msg = parser->data;
    if (msg->framing != HTTP_FRAMING_NONE)
        return 0;
    msg->in_name = false;
    struct text *value = &msg->fields[msg->fields_count - 1].value;
    if (!msg->in_value)
        *value = (struct text){at, 0};
    msg->in_value = true;
    value->len += len;
    return 0;
}

static int on_value_complete(llhttp_t *parser)
{
    struct http_message *msg = parser->data;
    if (msg->framing != HTTP_FRAMING_NONE)
        return 0;
    msg->in_name = false;
    struct text *value = &msg->fields[msg->fields_count - 1].value;
    *value = text_trim(*value);
    return 0;
}

/* The framing is not chosen before http_message_head has checked the head; so pause here. "Upgrade"
 * is not ours: the request is answered as if it were absent (RFC 9110, section 7.8). */
static int on_headers_complete(llhttp_t *parser)
{
    parser->upgrade = 0;
    return HPE_PAUSED;
}

static int on_chunk_header(llhttp_t *parser)
{
    struct http_message *msg = parser->data;
    msg->allowed += 16;
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct http_message *msg = parser->data;
    char *to = msg->body_to + msg->body_len;
    if (to != at)
        memmove(to, at, len);
    msg->body_len += len;
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

/* RFC 9112, section 2.2: a server ignores an empty line before the request line. llhttp would skip
 * any number of bare CR and LF. */
static enum http_message_result skip_empty_lines(struct http_message *msg, const char *data,
                                                 size_t len, size_t *skipped)
{
    for (; *skipped < len; (*skipped)++) {
        char c = data[*skipped];
        if (c == '\r' && !msg->lead_cr) {
            msg->lead_cr = true;
        } else if (c == '\n' && msg->lead_cr && msg->lead_lines < LEAD_LINES_MAX) {
            msg->lead_cr = false;
            msg->lead_lines++;
        } else if (c == '\r' || c == '\n' || msg->lead_cr) {
            return bad(msg, 400, TEXT("malformed request line"));
        } else {
            msg->begun = true;
            break;
        }
        msg->head_bytes++;
    }
    return HTTP_MESSAGE_MORE;
}

static enum http_message_result bad(struct http_message *msg, int status, struct text text)
{
    msg->bad_status = status;
    msg->bad_text = text;
    return HTTP_MESSAGE_BAD;
}

static int bad_in_callback(struct http_message *msg, int status, struct text text)
{
    (void)bad(msg, status, text);
    return HPE_USER;
}

static enum http_message_result bad_syntax(struct http_message *msg, llhttp_errno_t error,
                                           const char *end)
{
    struct text line = {msg->head_at, (size_t)(end - msg->head_at)};
    if (error == HPE_INVALID_METHOD && msg->parser.type == HTTP_REQUEST) {
        if (http_header_is_token(text_take(line, text_find_byte(line, ' '))))
            return bad(msg, 501, TEXT("unknown method"));
        return bad(msg, 400, TEXT("malformed request line"));
    }
    bool version_known = msg->parser.http_major == 1 && msg->parser.http_minor <= 1;
    if ((error == HPE_INVALID_VERSION && !version_known) || error == HPE_PAUSED_H2_UPGRADE)
        return bad(msg, 505, TEXT("this version of HTTP is not spoken here, only 1.1 and 1.0"));
    if (error == HPE_INVALID_TRANSFER_ENCODING)
        return bad(msg, 400, TEXT("a transfer coding other than chunked"));
    if (error == HPE_INVALID_CONTENT_LENGTH || error == HPE_UNEXPECTED_CONTENT_LENGTH)
        return bad(msg, 400, TEXT("bad or conflicting Content-Length"));
    bool in_fields = msg->fields_count > 0 || text_find_byte(line, '\n') < line.len;
    return bad(msg, 400,
               in_fields ? TEXT("malformed header field") : TEXT("malformed request line"));
}

static enum http_message_result check_head(struct http_message *msg)
{
    if (msg->parser.http_major != 1 || msg->parser.http_minor > 1)
        return bad(msg, 505, TEXT("this version of HTTP is not spoken here, only 1.1 and 1.0"));
    if (msg->parser.type == HTTP_REQUEST && check_request_line(msg) == HTTP_MESSAGE_BAD)
        return HTTP_MESSAGE_BAD;
    if (msg->parser.type == HTTP_RESPONSE &&
        !text_starts((struct text){msg->head_at, 5}, TEXT("HTTP/")))
        return bad(msg, 400, TEXT("malformed status line"));
    msg->keep_alive = llhttp_should_keep_alive(&msg->parser) == 1;
    return check_framing(msg);
}

/* llhttp takes several spaces between the parts, and other protocols than HTTP. */
static enum http_message_result check_request_line(struct http_message *msg)
{
    WEIR_ASSERT(msg->begun);
    struct text method = http_message_method(msg);
    const char *end = msg->target.at + msg->target.len;
    bool fine = msg->target.len > 0 && msg->target.at == msg->head_at + method.len + 1 &&
                memcmp(msg->head_at, method.at, method.len) == 0 &&
                memcmp(end, " HTTP/1.", 8) == 0 && end[9] == '\r';
    if (!fine)
        return bad(msg, 400, TEXT("malformed request line"));
    if (msg->parser.method == HTTP_CONNECT)
        return bad(msg, 501, TEXT("unknown method"));
    return HTTP_MESSAGE_DONE;
}

/* RFC 9112, sections 3.2 and 6.3. llhttp has refused repeated and non-numeric Content-Length, and
 * most of what stands here; smuggling is worth a second look that does not depend on its flags. */
static enum http_message_result check_framing(struct http_message *msg)
{
    size_t hosts = 0, lengths = 0, codings = 0;
    bool chunked = false;
    for (size_t i = 0; i < msg->fields_count; i++) {
        struct text name = msg->fields[i].name, value = msg->fields[i].value;
        if (name.len == 4 && text_equal_nocase(name, TEXT("host"))) {
            hosts++;
            if (!http_url_host_valid(value))
                return bad(msg, 400, TEXT("malformed Host"));
        } else if (name.len == 14 && text_equal_nocase(name, TEXT("content-length"))) {
            lengths++;
            if (value.len == 0 || value.at[0] < '0' || value.at[0] > '9' ||
                !text_to_i64(value, &msg->content_length))
                return bad(msg, 400, TEXT("bad or conflicting Content-Length"));
        } else if (name.len == 17 && text_equal_nocase(name, TEXT("transfer-encoding"))) {
            codings++;
            chunked = text_equal_nocase(value, TEXT("chunked"));
            if (!chunked)
                return bad(msg, 501, TEXT("a transfer coding other than chunked"));
        }
    }
    if (lengths > 1 || codings > 1 || (lengths > 0 && codings > 0))
        return bad(msg, 400, TEXT("bad or conflicting Content-Length"));
    if (chunked && msg->parser.http_minor == 0)
        return bad(msg, 400, TEXT("a transfer coding in HTTP/1.0"));
    if (msg->parser.type == HTTP_REQUEST &&
        (hosts > 1 || (hosts == 0 && msg->parser.http_minor == 1)))
        return bad(msg, 400, TEXT("exactly one Host is needed"));
    choose_framing(msg, chunked);
    return HTTP_MESSAGE_DONE;
}

static void choose_framing(struct http_message *msg, bool chunked)
{
    int status = msg->parser.type == HTTP_RESPONSE ? msg->parser.status_code : 0;
    if (status / 100 == 1 || status == 204 || status == 304) {
        msg->framing = HTTP_FRAMING_NONE;
    } else if (chunked) {
        msg->framing = HTTP_FRAMING_CHUNKED;
    } else if (msg->content_length >= 0) {
        msg->framing = HTTP_FRAMING_LENGTH;
        msg->body_left = (uint64_t)msg->content_length;
    } else {
        msg->framing = status == 0 ? HTTP_FRAMING_NONE : HTTP_FRAMING_CLOSE;
    }
    if (msg->framing == HTTP_FRAMING_NONE && status == 0)
        msg->content_length = 0;
    msg->body_done = msg->framing == HTTP_FRAMING_NONE ||
                     (msg->framing == HTTP_FRAMING_LENGTH && msg->body_left == 0);
}

static enum http_message_result body_counted(struct http_message *msg, char *data, size_t len,
                                             size_t *used, struct text *piece)
{
    if (msg->framing == HTTP_FRAMING_LENGTH) {
        if (len > msg->body_left)
            len = (size_t)msg->body_left;
        msg->body_left -= len;
        msg->body_done = msg->body_left == 0;
    }
    *used = len;
    *piece = (struct text){data, len};
    return msg->body_done ? HTTP_MESSAGE_DONE : HTTP_MESSAGE_MORE;
}
