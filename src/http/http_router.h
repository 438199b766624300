/* http_router: from method and path to a row of a table. Matches the raw path segment by segment,
 * each decoded by itself, so that "/v1/models/a%2Fb" has the parameter "a/b".
 * Read-only once made: any thread. Nothing waits. */
#pragma once
#include "base.h"
#include "http_reply.h"
#include "http_request.h"
#include "status.h"
#include "text.h"

struct http_router;

struct http_route {
    const char *method;
    const char *path;      /* "/v1/models/{model}"; "/assets/{*}" takes all segments that follow */
    size_t body_bytes_max; /* for the layer above */
    /* Run by the layer above, which turns a failure into the dialect's error body. */
    bool (*handler)(struct http_request *req, struct http_reply *reply, struct status *st);
    const void *data; /* the layer above's own: who may call it.. */
};

/* `routes` outlives the router. A literal segment goes before a parameter. Asserts on a bad table
 * (two rows for one method and path, more than HTTP_PARAMS_MAX parameters). */
struct http_router *http_router_new(const struct http_route *routes, size_t count);
void http_router_free(struct http_router *router);
AUTO_DEFINE(http_router, http_router_free)

enum http_router_result {
    HTTP_ROUTER_FOUND,     /* req->route and req->params are set; a HEAD finds the GET row */
    HTTP_ROUTER_NO_PATH,   /* 404 */
    HTTP_ROUTER_NO_METHOD, /* 405, or OPTIONS: the path exists; *allow says what for */
};
/* `*allow` is in the request's arena: "GET, HEAD, OPTIONS". */
enum http_router_result http_router_find(const struct http_router *router, struct http_request *req,
                                         struct text *allow);
/* The parameter `name` of the route found. Asserts that the route has it. */
struct text http_request_param(const struct http_request *req, const char *name);
