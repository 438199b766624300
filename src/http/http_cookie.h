/* http_cookie: cookies of a request, and Set-Cookie (RFC 6265). Any thread; nothing waits. */
#pragma once
#include "base.h"
#include "http_header.h"
#include "text.h"

struct arena;
struct http_reply;

/* The value of the first cookie `name` over all Cookie fields, without quotes around it. False when
 * there is none. Names are compared with case. The text points into the header. */
bool http_cookie_get(struct http_headers headers, struct text name, struct text *value);

struct http_cookie {
    struct text name;  /* a token */
    struct text value; /* bytes of RFC 6265's cookie-octet only: asserted */
    struct text path;  /* empty: "/" */
    int64_t max_age_s; /* < 0: ends with the browser; 0: delete it now */
    bool secure, http_only;
    enum {
        HTTP_COOKIE_SAME_SITE_LAX,
        HTTP_COOKIE_SAME_SITE_STRICT,
        HTTP_COOKIE_SAME_SITE_NONE
    } same_site;
};
/* Adds a Set-Cookie field to the reply. */
void http_cookie_set(struct http_reply *reply, const struct http_cookie *cookie);
