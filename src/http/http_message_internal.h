/* http_message: one HTTP/1.x message, request or response, taken in as bytes come: head, framing,
 * body. Strict: llhttp without leniency, and the rules that llhttp leaves to its user. Knows no
 * sockets: whoever reads them feeds it. Nothing waits. */
#pragma once
#include <llhttp.h>
#include "base.h"
#include "http_header.h"
#include "text.h"

struct arena;

enum {
    /* Bytes of chunked framing (sizes, extensions, trailers) that a body may have beyond 16 per
     * chunk and 2 per byte of body. */
    HTTP_MESSAGE_OVERHEAD_BYTES_MAX = 16 * 1024,
};

struct http_message_limits {
    size_t head_bytes_max, target_bytes_max, headers_max;
};

enum http_message_kind { HTTP_MESSAGE_REQUEST, HTTP_MESSAGE_RESPONSE };

enum http_message_result {
    HTTP_MESSAGE_MORE, /* all input was used */
    HTTP_MESSAGE_DONE, /* the head, or the body, is complete */
    HTTP_MESSAGE_BAD,  /* bad_status and bad_text say why; the connection is of no use any more */
};

enum http_framing {
    HTTP_FRAMING_NONE,
    HTTP_FRAMING_LENGTH,
    HTTP_FRAMING_CHUNKED,
    HTTP_FRAMING_CLOSE, /* a response that ends with the connection */
};

struct http_message {
    llhttp_t parser;
    const struct http_message_limits *limits;
    struct arena *arena; /* holds the table of fields */
    struct http_header *fields;
    uint16_t fields_count, fields_size;
    bool begun, lead_cr; /* the first byte of the start line was seen; a CR before it */
    bool in_name, in_value, in_target;
    uint8_t lead_lines;
    const char *head_at;        /* the first byte of the start line */
    size_t head_bytes;          /* fed so far, with leading empty lines */
    struct text target;         /* in the input */
    char *body_to;              /* where the decoded bytes of this feed go */
    size_t body_len;            /* how many there are */
    uint64_t body_left;         /* HTTP_FRAMING_LENGTH: bytes to come */
    uint64_t overhead, allowed; /* HTTP_FRAMING_CHUNKED: framing bytes; see above */

    /* Results, once the head is done. */
    enum http_framing framing;
    int64_t content_length; /* -1: not known */
    bool keep_alive;        /* as far as this message says */
    bool body_done;

    int bad_status; /* the HTTP status for a request that is BAD */
    struct text bad_text;
};

void http_message_start(struct http_message *msg, enum http_message_kind kind,
                        const struct http_message_limits *limits, struct arena *arena);

/* Feeds the head. The pieces of one head must lie one behind the other in memory that stays, until
 * the caller has taken what it wants: target and fields point into it. To move it, start anew.
 * `*used` is how much of `data` belongs to the head. */
enum http_message_result http_message_head(struct http_message *msg, const char *data, size_t len,
                                           size_t *used);
/* Copies a head that is done into the arena, up to `end` in the input, and lets what points into it
 * point there: the input is then free. */
void http_message_keep_head(struct http_message *msg, const char *end);
/* For a response: the request was a HEAD, so there is no body. Before the body is fed. */
void http_message_no_body(struct http_message *msg);

/* Feeds the body: decodes `data` in place. `*piece` is what it holds of the body; valid as long as
 * `data` is. With HTTP_FRAMING_CLOSE never DONE. */
enum http_message_result http_message_body(struct http_message *msg, char *data, size_t len,
                                           size_t *used, struct text *piece);

struct http_headers http_message_headers(const struct http_message *msg);
struct text http_message_method(const struct http_message *msg); /* a constant */
