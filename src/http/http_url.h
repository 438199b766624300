/* http_url: request targets, percent-coding and query strings; and absolute URLs of upstreams.
 * Any thread; nothing waits. */
#pragma once
#include "base.h"
#include "status.h"
#include "text.h"

struct arena;

/* Decodes %XX once. `plus_is_space` for queries and forms.
 * Owns: the result is `raw` itself when there is nothing to decode, else in `arena`.
 * Fails: STATUS_INVALID on a bad %XX, %00, or bytes that are not UTF-8. */
MUST_CHECK bool http_url_decode(struct text raw, bool plus_is_space, struct arena *arena,
                                struct text *out, struct status *st);
/* Everything but the unreserved characters of RFC 3986 as %XX. */
struct text http_url_encode(struct text raw, struct arena *arena);

/* The value of the first parameter `name` in the raw query "a=1&b=2", decoded.
 * Fails: STATUS_NOT_FOUND; STATUS_INVALID (field set to `name`) when it cannot be decoded. */
MUST_CHECK bool http_url_query(struct text query, struct text name, struct arena *arena,
                               struct text *out, struct status *st);

struct http_url {
    bool tls;              /* https */
    bool is_unix;          /* unix:/path/of/socket, with path_prefix empty */
    struct text host;      /* without brackets; or the path of the unix socket */
    uint16_t port;         /* 80 or 443 unless given */
    struct text authority; /* what goes into Host: "example.net:8080" */
    struct text path;      /* "" or "/v1", without a final slash, not decoded */
};
/* "https://host:port/base", "http://[::1]:8080", "unix:/run/x". No user, query or fragment.
 * Owns: the texts point into `text`. Fails: STATUS_INVALID. */
MUST_CHECK bool http_url_parse(struct text text, struct http_url *out, struct status *st);

/* A request target split as a server sees it. */
struct http_target {
    struct text path_raw;  /* "/v1/models/a%2Fb"; "*" for OPTIONS * */
    struct text path;      /* decoded once: UTF-8, no NUL, no "." or ".." segment */
    struct text query;     /* raw, without the "?" */
    struct text authority; /* of the absolute form, else empty */
};
/* Fails: STATUS_INVALID. */
MUST_CHECK bool http_target_parse(struct text target, struct arena *arena, struct http_target *out,
                                  struct status *st);

/* Whether `authority` may stand in a Host field: "name", "name:port", "[::1]:port", or nothing. */
bool http_url_host_valid(struct text authority);
