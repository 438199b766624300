/* Dispatch: what happens to every request, in the order in which it happens. */
#include "api_request.h"
#include <string.h>
#include "api_error.h"
#include "api_handlers.h"
#include "api_internal.h"
#include "arena.h"
#include "clock.h"
#include "fiber.h"
#include "ids.h"
#include "log.h"
#include "trace.h"

static struct api_request *begin(struct api_listener *listener, struct http_request *req);
static void dispatch(struct api_listener *listener, struct http_request *req,
                     struct http_reply *reply);
static bool run(struct api_listener *listener, struct http_request *req, struct http_reply *reply,
                struct status *st);
static void add_headers(struct http_request *req, struct http_reply *reply);
static bool changes(const struct http_request *req);
static void count(struct http_request *req, struct http_reply *reply);
static enum api_class class_of(const struct http_request *req);

void api_handle(void *arg, struct http_request *req, struct http_reply *reply)
{
    struct api_listener *listener = arg;
    (void)begin(listener, req);
    struct log_scope scope = {req->request_id};
    fiber_set_log_scope(&scope);
    dispatch(listener, req, reply);
    count(req, reply);
    fiber_set_log_scope(NULL);
}

void api_handle_error(void *arg, struct http_request *req, struct http_reply *reply,
                      int http_status, struct text text)
{
    struct api_listener *listener = arg;
    if (req->user == NULL)
        (void)begin(listener, req);
    add_headers(req, reply);
    api_error_send_http(req, reply, http_status, text);
}

struct api_request *api_request_of(const struct http_request *req)
{
    WEIR_ASSERT(req->user != NULL);
    return req->user;
}

void api_request_unbound(void)
{
    (void)fiber_set_deadline(CLOCK_NEVER);
}

const struct api_caller *api_caller_of(const struct http_request *req)
{
    return &api_request_of(req)->caller;
}

static struct api_request *begin(struct api_listener *listener, struct http_request *req)
{
    struct api_request *request = ARENA_NEW(req->arena, struct api_request);
    struct text sent = http_request_header(req, TEXT("traceparent"));
    struct id id = ids_new("req_");
    request->api = listener->worker->api;
    request->worker = listener->worker;
    request->control = listener->control;
    req->user = request;
    req->request_id = arena_text(req->arena, ids_text(&id));
    if (sent.at != NULL) {
        struct trace trace = trace_from(sent);
        char *parent = arena_alloc(req->arena, TRACE_PARENT_BYTES + 1);
        trace_write(&trace, parent);
        req->trace_parent = text_of(parent);
    }
    return request;
}

static void dispatch(struct api_listener *listener, struct http_request *req,
                     struct http_reply *reply)
{
    struct status st = {0};
    int64_t bound_us = req->started_us + listener->worker->api->options.request_max_ms * 1000;
    add_headers(req, reply);
    if (!listener->control)
        (void)fiber_set_deadline(bound_us);
    bool done = run(listener, req, reply, &st);
    (void)fiber_set_deadline(CLOCK_NEVER); /* an error may still be said */
    if (done)
        return;
    if (http_reply_started(reply))
        return;
    http_reply_reset(reply);
    add_headers(req, reply);
    api_error_send(req, reply, &st);
}

static bool run(struct api_listener *listener, struct http_request *req, struct http_reply *reply,
                struct status *st)
{
    struct api *api = listener->worker->api;
    struct text allow;
    bool v1 = api_error_is_v1(req->path);
    if (!api_auth_host(listener, req, st))
        return false;
    if (listener->metrics)
        return api_metrics_get(req, reply, st);
    switch (http_router_find(api->router, req, &allow)) {
    case HTTP_ROUTER_FOUND:
        break;
    case HTTP_ROUTER_NO_METHOD:
        if (v1 && text_equal(req->method, TEXT("OPTIONS"))) {
            api_auth_preflight(reply);
            return true;
        }
        (void)api_fail(req, st, API_PROBLEM_METHOD_NOT_ALLOWED, NULL, "%.*s is not allowed here",
                       TEXT_ARG(text_take(req->method, 20)));
        add_headers(req, reply);
        http_reply_header(reply, TEXT("Allow"), allow);
        api_error_send(req, reply, st);
        return true;
    case HTTP_ROUTER_NO_PATH:
        if (v1 || listener->control || text_starts(req->path, TEXT("/api/")) ||
            text_equal(req->path, TEXT("/api")) || text_equal(req->path, TEXT("/metrics")))
            return status_fail(st, STATUS_NOT_FOUND, "there is nothing at %.*s",
                               (int)text_utf8_whole(text_take(req->path, 200)), req->path.at);
        return api_web_serve(api->web, req, reply, st);
    }
    const struct api_route *route = req->route->data;
    api_request_of(req)->route = route;
    if (!v1 && !listener->control && changes(req) && !api_auth_same_origin(req, st))
        return false;
    return api_auth_caller(req, route->auth, st) && route->handler(req, reply, st);
}

/* On every answer. Dispatch may come here twice for one reply: what is there stays. */
static void add_headers(struct http_request *req, struct http_reply *reply)
{
    if (http_reply_has_header(reply, TEXT("x-request-id")))
        return;
    http_reply_header(reply, TEXT("x-request-id"), req->request_id);
    http_reply_header(reply, TEXT("X-Content-Type-Options"), TEXT("nosniff"));
    if (req->trace_parent.len > 0)
        http_reply_header(reply, TEXT("traceparent"), req->trace_parent);
    if (text_starts(req->path, TEXT("/api")) || api_error_is_v1(req->path))
        http_reply_header(reply, TEXT("Cache-Control"), TEXT("no-store"));
    if (req->is_tls)
        http_reply_header(reply, TEXT("Strict-Transport-Security"), TEXT("max-age=31536000"));
    if (api_error_is_v1(req->path)) /* on errors, too: a page must be able to read them */
        api_auth_cors(req, reply);
}

static bool changes(const struct http_request *req)
{
    return !req->is_head && !text_equal(req->method, TEXT("GET")) &&
           !text_equal(req->method, TEXT("HEAD"));
}

static void count(struct http_request *req, struct http_reply *reply)
{
    struct api_request *request = api_request_of(req);
    struct api *api = request->api;
    size_t row = request->route == NULL ? api_routes_count : (size_t)(request->route - api_routes);
    int class = http_reply_status(reply) / 100;
    if (class < 0 || class > 5)
        class = 0;
    metric_add(api->route_metrics[row][class], 1);
    metric_observe(api->duration_metrics[class_of(req)], clock_mono_us() - req->started_us);
}

static enum api_class class_of(const struct http_request *req)
{
    const struct api_request *request = api_request_of(req);
    const struct api_route *route = request->route;
    if (request->control)
        return API_CLASS_CONTROL;
    if (text_equal(req->path, TEXT("/metrics")))
        return API_CLASS_PROBE;
    if (api_error_is_v1(req->path))
        return API_CLASS_V1;
    if (route == NULL)
        return API_CLASS_WEB;
    if (!text_starts(req->path, TEXT("/api/")))
        return API_CLASS_PROBE;
    return route->handler == api_runs_events ? API_CLASS_EVENTS : API_CLASS_API;
}
