/* The parser keeps a line only when its input ends inside it, and the data of an event only when
 * the event has more than one data line or comes in more than one input; else an event is handed
 * out where it lies. */
#include "http_sse.h"

#include <stdlib.h>
#include <string.h>

/* Memory that grows up to HTTP_SSE_EVENT_BYTES_MAX. */
struct sse_buf {
    char *at;
    size_t len, size;
};

struct http_sse_parser {
    bool begun;    /* the place where a byte order mark may stand is passed */
    bool after_cr; /* the last byte was a CR: a LF that follows belongs to it */
    bool bad;
    bool given;    /* the last call gave an event: forget it at the next */
    bool has_data; /* a data line was seen */
    bool in_place; /* the data is `data_at`, and lies in the caller's input */
    struct text data_at;
    struct sse_buf line; /* the front of a line whose end is still to come */
    struct sse_buf data, event, id;
    int64_t retry_ms;
};

static bool buf_add(struct sse_buf *buf, struct text text);
static struct text buf_text(const struct sse_buf *buf);
static bool take_line(struct http_sse_parser *parser, struct text *input, struct text *line);
static bool take_field(struct http_sse_parser *parser, struct text line, bool lies_in_input);
static bool take_data(struct http_sse_parser *parser, struct text value, bool lies_in_input);
static bool keep_data(struct http_sse_parser *parser);
static void forget_event(struct http_sse_parser *parser);
static bool skip_mark(struct http_sse_parser *parser, struct text *input);

struct http_sse_parser *http_sse_parser_new(void)
{
    struct http_sse_parser *parser = base_alloc(sizeof(*parser));
    parser->retry_ms = -1;
    return parser;
}

void http_sse_parser_free(struct http_sse_parser *parser)
{
    if (parser == NULL)
        return;
    free(parser->line.at);
    free(parser->data.at);
    free(parser->event.at);
    free(parser->id.at);
    free(parser);
}

enum http_sse_result http_sse_feed(struct http_sse_parser *parser, struct text *input,
                                   struct http_sse_event *event)
{
    struct text line;
    if (parser->given)
        forget_event(parser);
    if (!parser->bad && !parser->begun && !skip_mark(parser, input))
        return parser->bad ? HTTP_SSE_BAD : HTTP_SSE_MORE;
    while (!parser->bad) {
        bool kept = parser->line.len > 0;
        if (!take_line(parser, input, &line))
            break;
        if (line.len > 0) {
            parser->bad = !take_field(parser, line, !kept);
        } else if (parser->has_data) {
            parser->given = true;
            *event = (struct http_sse_event){
                .event = buf_text(&parser->event),
                .data = parser->in_place ? parser->data_at : buf_text(&parser->data),
                .id = buf_text(&parser->id),
                .retry_ms = parser->retry_ms,
            };
            return HTTP_SSE_EVENT;
        } else {
            parser->event.len = 0; /* an event without data is none */
        }
        if (kept)
            parser->line.len = 0;
    }
    if (!parser->bad && !keep_data(parser))
        parser->bad = true;
    return parser->bad ? HTTP_SSE_BAD : HTTP_SSE_MORE;
}

bool http_sse_parser_idle(const struct http_sse_parser *parser)
{
    bool pending = !parser->given && (parser->has_data || parser->event.len > 0);
    return !parser->bad && parser->line.len == 0 && !pending;
}

static bool buf_add(struct sse_buf *buf, struct text text)
{
    if (text.len > HTTP_SSE_EVENT_BYTES_MAX - buf->len)
        return false;
    if (buf->size - buf->len < text.len) {
        size_t size = buf->size == 0 ? 256 : buf->size * 2;
        while (size - buf->len < text.len)
            size *= 2;
        char *larger = realloc(buf->at, size);
        if (larger == NULL)
            base_out_of_memory(size);
        buf->at = larger;
        buf->size = size;
    }
    if (text.len > 0)
        memcpy(buf->at + buf->len, text.at, text.len);
    buf->len += text.len;
    return true;
}

static struct text buf_text(const struct sse_buf *buf)
{
    return (struct text){buf->at, buf->len};
}

/* A whole line without its end (CR, LF or CRLF), or false when there is none; then what there is
 * of it was kept. */
static bool take_line(struct http_sse_parser *parser, struct text *input, struct text *line)
{
    if (parser->after_cr && input->len > 0) {
        if (input->at[0] == '\n')
            *input = text_skip(*input, 1);
        parser->after_cr = false;
    }
    size_t lf = text_find_byte(*input, '\n');
    size_t end = text_find_byte(text_take(*input, lf), '\r'); /* lf when there is no CR before it */
    if (end == input->len) {
        if (!buf_add(&parser->line, *input))
            parser->bad = true;
        *input = text_skip(*input, end);
        return false;
    }
    *line = text_take(*input, end);
    parser->after_cr = input->at[end] == '\r';
    *input = text_skip(*input, end + 1);
    if (parser->line.len == 0) {
        parser->bad = line->len > HTTP_SSE_EVENT_BYTES_MAX;
    } else {
        parser->bad = !buf_add(&parser->line, *line);
        *line = buf_text(&parser->line);
    }
    return !parser->bad;
}

/* False when the event grew too large. */
static bool take_field(struct http_sse_parser *parser, struct text line, bool lies_in_input)
{
    size_t colon = text_find_byte(line, ':');
    struct text name = text_take(line, colon), value = text_skip(line, colon + 1);
    if (value.len > 0 && value.at[0] == ' ')
        value = text_skip(value, 1);
    if (text_equal(name, TEXT("data")))
        return take_data(parser, value, lies_in_input);
    if (text_equal(name, TEXT("event"))) {
        parser->event.len = 0;
        return buf_add(&parser->event, value);
    }
    if (text_equal(name, TEXT("id"))) {
        if (text_find_byte(value, '\0') != value.len)
            return true;
        parser->id.len = 0;
        return buf_add(&parser->id, value);
    }
    if (text_equal(name, TEXT("retry"))) {
        int64_t ms;
        if (text_to_i64(value, &ms) && value.at[0] != '-')
            parser->retry_ms = ms;
    }
    return true; /* a comment, or a field that nobody knows */
}

static bool take_data(struct http_sse_parser *parser, struct text value, bool lies_in_input)
{
    if (!parser->has_data && lies_in_input) {
        parser->has_data = parser->in_place = true;
        parser->data_at = value;
        return true;
    }
    if (!keep_data(parser) || (parser->has_data && !buf_add(&parser->data, TEXT("\n"))))
        return false;
    parser->has_data = true;
    return buf_add(&parser->data, value);
}

/* Copies data that lies in the input, which is the caller's again. */
static bool keep_data(struct http_sse_parser *parser)
{
    if (!parser->in_place)
        return true;
    parser->in_place = false;
    parser->data.len = 0;
    return buf_add(&parser->data, parser->data_at);
}

static void forget_event(struct http_sse_parser *parser)
{
    parser->given = parser->has_data = parser->in_place = false;
    parser->data.len = parser->event.len = parser->line.len = 0;
    parser->retry_ms = -1;
}

/* False while too little has come to tell; it is then kept as the front of the first line. */
static bool skip_mark(struct http_sse_parser *parser, struct text *input)
{
    static const char mark[] = "\xEF\xBB\xBF";
    while (input->len > 0 && parser->line.len < 3 && input->at[0] == mark[parser->line.len]) {
        (void)buf_add(&parser->line, text_take(*input, 1));
        *input = text_skip(*input, 1);
    }
    if (parser->line.len < 3 && input->len == 0)
        return false;
    if (parser->line.len == 3)
        parser->line.len = 0;
    parser->begun = true;
    return true;
}
