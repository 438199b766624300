/* http_sse: Server-Sent Events (WHATWG HTML, section 9.2): a writer on http_reply, and a parser
 * for streams that we read. The parser never waits; the writer waits as http_reply does. */
#pragma once
#include "base.h"
#include "http_reply.h"
#include "status.h"
#include "text.h"

enum { HTTP_SSE_EVENT_BYTES_MAX = 1 << 20 };

/* Head: text/event-stream, no-store, X-Accel-Buffering: no. */
MUST_CHECK bool http_sse_start(struct http_reply *reply, struct status *st);
/* One event in one write. `event` and `id` may be empty and hold no line breaks; `data` may have
 * several lines. */
MUST_CHECK bool http_sse_send(struct http_reply *reply, struct text event, struct text id,
                              struct text data, struct status *st);
/* ": text": keeps proxies from closing a silent stream. */
MUST_CHECK bool http_sse_comment(struct http_reply *reply, struct text text, struct status *st);

struct http_sse_event {
    struct text event; /* "" is "message" */
    struct text data;  /* lines joined by LF */
    struct text id;    /* the last id seen on the stream */
    int64_t retry_ms;  /* -1: none was given */
};

enum http_sse_result {
    HTTP_SSE_MORE,  /* all input used, no event complete */
    HTTP_SSE_EVENT, /* *event is filled; call again with the rest of the input */
    HTTP_SSE_BAD,   /* a line or an event is over HTTP_SSE_EVENT_BYTES_MAX; the parser is done */
};

struct http_sse_parser;
struct http_sse_parser *http_sse_parser_new(void);
void http_sse_parser_free(struct http_sse_parser *parser);
AUTO_DEFINE(http_sse_parser, http_sse_parser_free)
/* Takes what it can off the front of *input, at most one event at a time.
 * Owns: the texts of *event point into `input` or into the parser, and are valid until the next
 * call. An event whole within one input is not copied. */
enum http_sse_result http_sse_feed(struct http_sse_parser *parser, struct text *input,
                                   struct http_sse_event *event);
/* Whether the stream stands between two events: at its end, true means nothing was cut. */
bool http_sse_parser_idle(const struct http_sse_parser *parser);
