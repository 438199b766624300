/* Request targets, queries, URLs, cookies: nothing is read beyond the input, what comes out is
 * UTF-8 without NUL and dot segments, and encoding undoes decoding. */
#include <stdlib.h>
#include "arena.h"
#include "http_cookie.h"
#include "http_router.h"
#include "http_url.h"

static bool no_handler(struct http_request *req, struct http_reply *reply, struct status *st)
{
    (void)req;
    (void)reply;
    (void)st;
    return true;
}

static const struct http_route routes[] = {
    {"GET", "/v1/{a}/{b}", 0, no_handler, NULL},
    {"GET", "/v1/a/{*}", 0, no_handler, NULL},
    {"POST", "/{a}", 0, no_handler, NULL},
};

static void check_target(struct text input, struct arena *arena)
{
    struct http_target target;
    struct status st;
    struct text value, allow;
    if (!http_target_parse(input, arena, &target, &st))
        return;
    WEIR_ASSERT(text_utf8_valid(target.path) &&
                text_find_byte(target.path, '\0') == target.path.len);
    WEIR_ASSERT(text_find(target.path, TEXT("/../")) == target.path.len);
    WEIR_ASSERT(!text_ends(target.path, TEXT("/..")) && !text_ends(target.path, TEXT("/.")));
    (void)!http_url_query(target.query, TEXT("a"), arena, &value, &st);
    struct http_router *router = http_router_new(routes, ARRAY_LEN(routes));
    struct http_request req = {
        .method = TEXT("GET"), .path = target.path, .path_raw = target.path_raw, .arena = arena};
    (void)http_router_find(router, &req, &allow);
    http_router_free(router);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_open(16 * MIB);
    struct text input = {(const char *)data, size}, decoded, value;
    struct status st;
    struct http_url url;
    check_target(input, arena);
    if (http_url_decode(input, true, arena, &decoded, &st)) {
        WEIR_ASSERT(text_utf8_valid(decoded));
        struct text again, encoded = http_url_encode(decoded, arena);
        WEIR_ASSERT(http_url_decode(encoded, false, arena, &again, &st));
        WEIR_ASSERT(text_equal(again, decoded));
    }
    if (http_url_parse(input, &url, &st))
        WEIR_ASSERT(url.host.len > 0);
    struct http_header field = {TEXT("Cookie"), input};
    if (http_cookie_get((struct http_headers){&field, 1}, TEXT("sid"), &value))
        WEIR_ASSERT(value.len == 0 ||
                    (value.at >= input.at && value.at + value.len <= input.at + size));
    arena_close(arena);
    return 0;
}
