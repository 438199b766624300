#include "api_error.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "api_json.h"
#include "arena.h"
#include "log.h"

static const struct problem {
    const char *name;
    int http;
    enum status_code code;
    const char *title;
} problems[] = {
    [API_PROBLEM_NONE] = {"internal", 500, STATUS_INTERNAL, "Something went wrong here"},
    [API_PROBLEM_INVALID_INPUT] = {"invalid-input", 400, STATUS_INVALID, "Invalid input"},
    [API_PROBLEM_INVALID_JSON] = {"invalid-json", 400, STATUS_INVALID, "Invalid JSON"},
    [API_PROBLEM_UNAUTHENTICATED] = {"unauthenticated", 401, STATUS_UNAUTHENTICATED,
                                     "Not signed in"},
    [API_PROBLEM_WRONG_CREDENTIALS] = {"wrong-credentials", 401, STATUS_UNAUTHENTICATED,
                                       "Wrong address or password"},
    [API_PROBLEM_FORBIDDEN] = {"forbidden", 403, STATUS_FORBIDDEN, "Not allowed"},
    [API_PROBLEM_CROSS_SITE] = {"cross-site", 403, STATUS_FORBIDDEN, "Request from another site"},
    [API_PROBLEM_SETUP_DONE] = {"setup-done", 403, STATUS_FORBIDDEN, "Already set up"},
    [API_PROBLEM_WRONG_SETUP_TOKEN] = {"wrong-setup-token", 403, STATUS_FORBIDDEN,
                                       "Wrong set-up link"},
    [API_PROBLEM_NOT_FOUND] = {"not-found", 404, STATUS_NOT_FOUND, "Not found"},
    [API_PROBLEM_METHOD_NOT_ALLOWED] = {"method-not-allowed", 405, STATUS_INVALID,
                                        "Method not allowed"},
    [API_PROBLEM_CONFLICT] = {"conflict", 409, STATUS_CONFLICT, "Conflict"},
    [API_PROBLEM_RUN_ACTIVE] = {"run-active", 409, STATUS_CONFLICT, "An answer is being written"},
    [API_PROBLEM_IN_USE] = {"in-use", 409, STATUS_CONFLICT, "In use"},
    [API_PROBLEM_MANAGED] = {"managed", 409, STATUS_CONFLICT, "Managed by the configuration"},
    [API_PROBLEM_TOO_SLOW] = {"too-slow", 408, STATUS_TIMEOUT, "The request came too slowly"},
    [API_PROBLEM_TOO_LARGE] = {"too-large", 413, STATUS_TOO_LARGE, "Too large"},
    [API_PROBLEM_WRONG_MEDIA_TYPE] = {"wrong-media-type", 415, STATUS_INVALID, "Wrong media type"},
    [API_PROBLEM_THROTTLED] = {"throttled", 429, STATUS_RATE_LIMITED, "Too many requests"},
    [API_PROBLEM_INTERNAL] = {"internal", 500, STATUS_INTERNAL, "Something went wrong here"},
    [API_PROBLEM_NOT_SUPPORTED] = {"not-supported", 501, STATUS_INVALID, "Not supported"},
    [API_PROBLEM_UPSTREAM_FAILED] = {"upstream-failed", 502, STATUS_UPSTREAM,
                                     "The upstream failed"},
    [API_PROBLEM_MODEL_NOT_READY] = {"model-not-ready", 503, STATUS_UNAVAILABLE,
                                     "The model is not ready"},
    [API_PROBLEM_UNAVAILABLE] = {"unavailable", 503, STATUS_UNAVAILABLE, "Not available now"},
};
static_assert(ARRAY_LEN(problems) == API_PROBLEM_COUNT, "a problem has no row");

/* From a status code to HTTP: the problem for /api; status, type and code of the error for /v1. */
static const struct meaning {
    enum api_problem problem;
    int v1_http;
    const char *v1_type, *v1_code;
} meanings[] = {
    [STATUS_OK] = {API_PROBLEM_INTERNAL, 500, "server_error", NULL},
    [STATUS_INVALID] = {API_PROBLEM_INVALID_INPUT, 400, "invalid_request_error", NULL},
    [STATUS_UNAUTHENTICATED] = {API_PROBLEM_UNAUTHENTICATED, 401, "invalid_request_error",
                                "invalid_api_key"},
    [STATUS_FORBIDDEN] = {API_PROBLEM_FORBIDDEN, 403, "invalid_request_error", "forbidden"},
    [STATUS_NOT_FOUND] = {API_PROBLEM_NOT_FOUND, 404, "invalid_request_error", "not_found"},
    [STATUS_CONFLICT] = {API_PROBLEM_CONFLICT, 409, "invalid_request_error", NULL},
    [STATUS_TOO_LARGE] = {API_PROBLEM_TOO_LARGE, 413, "invalid_request_error", "request_too_large"},
    [STATUS_RATE_LIMITED] = {API_PROBLEM_THROTTLED, 429, "rate_limit_error", "rate_limit_exceeded"},
    [STATUS_NO_MONEY] = {API_PROBLEM_FORBIDDEN, 402, "insufficient_quota", "insufficient_quota"},
    [STATUS_UNAVAILABLE] = {API_PROBLEM_UNAVAILABLE, 503, "server_error", "unavailable"},
    [STATUS_UPSTREAM] = {API_PROBLEM_UPSTREAM_FAILED, 502, "server_error", "upstream_error"},
    [STATUS_TIMEOUT] = {API_PROBLEM_UNAVAILABLE, 504, "server_error", "timeout"},
    [STATUS_CANCELLED] = {API_PROBLEM_UNAVAILABLE, 503, "server_error", "unavailable"},
    [STATUS_CLOSED] = {API_PROBLEM_UNAVAILABLE, 503, "server_error", "unavailable"},
    [STATUS_LIMIT] = {API_PROBLEM_TOO_LARGE, 413, "invalid_request_error", "request_too_large"},
    [STATUS_SYSTEM] = {API_PROBLEM_INTERNAL, 500, "server_error", "internal_error"},
    [STATUS_INTERNAL] = {API_PROBLEM_INTERNAL, 500, "server_error", "internal_error"},
};
static_assert(ARRAY_LEN(meanings) == STATUS_COUNT, "a status code has no meaning");

static struct text problem_json(struct arena *arena, const struct status *st,
                                enum api_problem problem, int http_status, struct text instance);
static struct text shown(const struct status *st);
static void add_retry_after(struct http_reply *reply, const struct status *st);
static enum api_problem problem_for_http(int http_status);

const char *api_problem_name(enum api_problem problem)
{
    return problems[problem].name;
}

int api_problem_http(enum api_problem problem)
{
    return problems[problem].http;
}

enum status_code api_problem_code(enum api_problem problem)
{
    return problems[problem].code;
}

enum api_problem api_problem_for(enum status_code code)
{
    return meanings[code].problem;
}

bool api_fail(struct http_request *req, struct status *st, enum api_problem problem,
              const char *field, const char *format, ...)
{
    char text[STATUS_TEXT_BYTES_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    api_request_of(req)->problem = problem;
    if (field == NULL)
        return status_fail(st, api_problem_code(problem), "%s", text);
    return status_fail_field(st, api_problem_code(problem), field, "%s", text);
}

bool api_fail_as(struct http_request *req, enum api_problem problem)
{
    api_request_of(req)->problem = problem;
    return false;
}

bool api_error_is_v1(struct text path)
{
    return text_starts(path, TEXT("/v1/")) || text_equal(path, TEXT("/v1"));
}

void api_error_send(struct http_request *req, struct http_reply *reply, const struct status *st)
{
    struct api_request *request = api_request_of(req);
    struct status ignored = {0};
    struct text body, type;
    int http_status;
    if (http_reply_started(reply))
        return; /* what was begun is cut, which says enough */
    if (st->code == STATUS_INTERNAL || st->code == STATUS_SYSTEM)
        LOG_ERROR("a request failed", LOG_TEXT("method", req->method), LOG_TEXT("path", req->path),
                  LOG_TEXT("why", status_text(st)));
    add_retry_after(reply, st);
    if (api_error_is_v1(req->path)) {
        http_status = request->problem == API_PROBLEM_NONE ? meanings[st->code].v1_http
                                                           : problems[request->problem].http;
        body = api_error_v1_json(req->arena, st, request->error_code);
        type = TEXT("application/json");
        if (http_status == 401)
            http_reply_header(reply, TEXT("WWW-Authenticate"), TEXT("Bearer"));
    } else {
        enum api_problem problem =
            request->problem == API_PROBLEM_NONE ? meanings[st->code].problem : request->problem;
        http_status = problems[problem].http;
        body = api_error_problem_json(req->arena, st, problem, req->request_id);
        type = TEXT("application/problem+json");
    }
    if (!http_reply_send(reply, http_status, type, body, &ignored)) /* the client is gone */
        http_reply_close_after(reply);
}

void api_error_send_http(struct http_request *req, struct http_reply *reply, int http_status,
                         struct text text)
{
    struct status ignored = {0}, st = {0};
    struct text body, type;
    enum api_problem problem = problem_for_http(http_status);
    (void)status_fail(&st, problems[problem].code, "%.*s", TEXT_ARG(text));
    if (api_error_is_v1(req->path)) {
        body = api_error_v1_json(req->arena, &st, http_status == 408 ? "timeout" : NULL);
        type = TEXT("application/json");
    } else {
        body = problem_json(req->arena, &st, problem, http_status, req->request_id);
        type = TEXT("application/problem+json");
    }
    if (!http_reply_send(reply, http_status, type, body, &ignored))
        http_reply_close_after(reply);
}

struct text api_error_problem_json(struct arena *arena, const struct status *st,
                                   enum api_problem problem, struct text instance)
{
    if (problem == API_PROBLEM_NONE)
        problem = meanings[st->code].problem;
    return problem_json(arena, st, problem, problems[problem].http, instance);
}

static struct text problem_json(struct arena *arena, const struct status *st,
                                enum api_problem problem, int http_status, struct text instance)
{
    struct api_json json = api_json_in(arena);
    char type[64];
    (void)snprintf(type, sizeof(type), "urn:weir:problem:%s", problems[problem].name);
    api_json_open(&json, NULL, '{');
    api_json_text(&json, "type", text_of(type));
    api_json_text(&json, "title", text_of(problems[problem].title));
    api_json_int(&json, "status", http_status);
    api_json_text(&json, "detail", shown(st));
    api_json_text(&json, "instance", instance);
    if (st->field[0] != '\0')
        api_json_text(&json, "field", text_of(st->field));
    api_json_close(&json, '}');
    return api_json_done(&json);
}

struct text api_error_v1_json(struct arena *arena, const struct status *st, const char *code)
{
    struct api_json json = api_json_in(arena);
    if (code == NULL || code[0] == '\0')
        code = meanings[st->code].v1_code;
    api_json_open(&json, NULL, '{');
    api_json_open(&json, "error", '{');
    api_json_text(&json, "message", shown(st));
    api_json_text(&json, "type", text_of(meanings[st->code].v1_type));
    api_json_text_or_null(&json, "param", text_of(st->field));
    api_json_text_or_null(&json, "code", text_of(code));
    api_json_close(&json, '}');
    api_json_close(&json, '}');
    return api_json_done(&json);
}

/* What of a status people may see. A text of ours can quote what a client sent, so it is checked.
 */
static struct text shown(const struct status *st)
{
    if (st->code == STATUS_INTERNAL || st->code == STATUS_SYSTEM)
        return TEXT("something went wrong here; the log has the reason under this request's id");
    if (!text_utf8_valid(status_text(st)) || st->text[0] == '\0')
        return text_of(problems[meanings[st->code].problem].title);
    return status_text(st);
}

static void add_retry_after(struct http_reply *reply, const struct status *st)
{
    if (st->retry_after_ms > 0)
        http_reply_headerf(reply, TEXT("Retry-After"), "%lld",
                           (long long)((st->retry_after_ms + 999) / 1000));
}

static enum api_problem problem_for_http(int http_status)
{
    switch (http_status) {
    case 404:
        return API_PROBLEM_NOT_FOUND;
    case 405:
        return API_PROBLEM_METHOD_NOT_ALLOWED;
    case 408:
        return API_PROBLEM_TOO_SLOW;
    case 413:
        return API_PROBLEM_TOO_LARGE;
    case 501:
    case 505:
        return API_PROBLEM_NOT_SUPPORTED;
    case 503:
        return API_PROBLEM_UNAVAILABLE;
    default:
        return http_status < 500 ? API_PROBLEM_INVALID_INPUT : API_PROBLEM_INTERNAL;
    }
}
