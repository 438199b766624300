#include "http_router.h"

#include "arena.h"
#include "check.h"

static bool no_handler(struct http_request *req, struct http_reply *reply, struct status *st)
{
    (void)req;
    (void)reply;
    (void)st;
    return true;
}

static const struct http_route routes[] = {
    {"GET", "/", 0, no_handler, NULL},
    {"GET", "/v1/models", 0, no_handler, NULL},
    {"GET", "/v1/models/{model}", 0, no_handler, NULL},
    {"DELETE", "/v1/models/{model}", 0, no_handler, NULL},
    {"POST", "/v1/models/search", 0, no_handler, NULL},
    {"GET", "/v1/models/{model}/files/{file}", 0, no_handler, NULL},
    {"GET", "/v1/models/special/files", 0, no_handler, NULL},
    {"GET", "/assets/{*}", 0, no_handler, NULL},
    {"OPTIONS", "/own", 0, no_handler, NULL},
    {"POST", "/own", 0, no_handler, NULL},
};

static void finds(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path;
        int route; /* -1: no path; -2: no method */
        const char *first, *second, *allow;
    } rows[] = {
        {"GET", "/", 0, NULL, NULL, NULL},
        {"HEAD", "/", 0, NULL, NULL, NULL},
        {"GET", "/v1/models", 1, NULL, NULL, NULL},
        {"GET", "/v1/models/", -1, NULL, NULL, NULL},
        {"GET", "/v1", -1, NULL, NULL, NULL},
        {"GET", "/v1/model", -1, NULL, NULL, NULL},
        {"GET", "/v1/models/abc", 2, "abc", NULL, NULL},
        {"HEAD", "/v1/models/abc", 2, "abc", NULL, NULL},
        {"DELETE", "/v1/models/a%2Fb", 3, "a/b", NULL, NULL},
        {"GET", "/v1/models/a b", 2, "a b", NULL, NULL},
        {"GET", "/v1/mod%65ls", 1, NULL, NULL, NULL},
        {"POST", "/v1/models/search", 4, NULL, NULL, NULL},
        {"GET", "/v1/models/search", 2, "search", NULL, NULL},
        {"GET", "/v1/models/m/files/f", 5, "m", "f", NULL},
        {"GET", "/v1/models/special/files", 6, NULL, NULL, NULL},
        {"GET", "/v1/models/special/files/f", 5, "special", "f", NULL},
        {"GET", "/v1/models//files/f", -1, NULL, NULL, NULL},
        {"GET", "/assets/a/b%20c.js", 7, "a/b c.js", NULL, NULL},
        {"GET", "/assets/", 7, "", NULL, NULL},
        {"GET", "/assets", -1, NULL, NULL, NULL},
        {"PUT", "/v1/models", -2, NULL, NULL, "GET, HEAD, OPTIONS"},
        {"PUT", "/v1/models/search", -2, NULL, NULL, "POST, DELETE, GET, HEAD, OPTIONS"},
        {"OPTIONS", "/v1/models", -2, NULL, NULL, "GET, HEAD, OPTIONS"},
        {"HEAD", "/own", -2, NULL, NULL, "POST, OPTIONS"},
        {"OPTIONS", "/own", 8, NULL, NULL, NULL},
        {"OPTIONS", "*", -1, NULL, NULL, NULL},
        {"GET", "", -1, NULL, NULL, NULL},
    };
    AUTO(http_router) struct http_router *router = http_router_new(routes, ARRAY_LEN(routes));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(arena) struct arena *arena = arena_open(MIB);
        struct text allow;
        struct http_request req = {
            .method = text_of(rows[i].method), .path_raw = text_of(rows[i].path), .arena = arena};
        req.is_head = text_equal(req.method, TEXT("HEAD"));
        check_case(rows[i].path);
        enum http_router_result result = http_router_find(router, &req, &allow);
        if (rows[i].route >= 0) {
            assert_int_equal(result, HTTP_ROUTER_FOUND);
            assert_ptr_equal(req.route, &routes[rows[i].route]);
            check_text(req.params[0], rows[i].first);
            check_text(req.params[1], rows[i].second);
        } else {
            assert_int_equal(result,
                             rows[i].route == -1 ? HTTP_ROUTER_NO_PATH : HTTP_ROUTER_NO_METHOD);
            assert_null(req.route);
            check_text(allow, rows[i].allow);
        }
    }
}

static void params_by_name(void **state)
{
    (void)state;
    AUTO(http_router) struct http_router *router = http_router_new(routes, ARRAY_LEN(routes));
    AUTO(arena) struct arena *arena = arena_open(MIB);
    struct text allow;
    struct http_request req = {
        .method = TEXT("GET"), .path_raw = TEXT("/v1/models/m/files/f"), .arena = arena};
    assert_int_equal(http_router_find(router, &req, &allow), HTTP_ROUTER_FOUND);
    check_text(http_request_param(&req, "model"), "m");
    check_text(http_request_param(&req, "file"), "f");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds), cmocka_unit_test(params_by_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
