/* http_header: the header fields of a request or a response, in the order in which they came.
 * Names are compared without case (RFC 9110, section 5.1). Any thread; nothing waits. */
#pragma once
#include "base.h"
#include "text.h"

struct http_header {
    struct text name;  /* as sent */
    struct text value; /* without the white space around it */
};

struct http_headers {
    const struct http_header *at;
    size_t count;
};

/* The value of the first field of that name, or TEXT_NONE (at is NULL only when there is none: an
 * empty value has len 0 and at set). */
struct text http_header_get(struct http_headers headers, struct text name);
bool http_header_has(struct http_headers headers, struct text name);
/* Iterates over the fields of one name: start with *at = 0. */
bool http_header_next(struct http_headers headers, struct text name, size_t *at,
                      struct text *value);
/* Whether a comma-separated list, over all fields of that name, holds `token` (without case). */
bool http_header_has_token(struct http_headers headers, struct text name, struct text token);

/* Whether `text` is a token (RFC 9110, section 5.6.2): at least one byte, no separators. */
bool http_header_is_token(struct text text);
