/* api_request: one request as its handler sees it: who calls, with which right, and what to answer
 * when it fails. Dispatch does, in this order: request id and trace, Host check, route, cross-site
 * check, authentication, handler; a handler that fails becomes the error body of its dialect.
 * Belongs to the connection's fiber; dispatch, and so each handler, may wait. */
#pragma once
#include "account.h"
#include "base.h"
#include "http_reply.h"
#include "http_request.h"
#include "status.h"
#include "text.h"

struct api;
struct api_worker;

/* Who may call a route. */
enum api_auth {
    API_AUTH_NONE,    /* anybody; a session, when there is one, is looked up all the same */
    API_AUTH_SESSION, /* a signed-in person */
    API_AUTH_OWNER,   /* a signed-in owner of the organisation */
    API_AUTH_KEY,     /* an API key: the routes of /v1 */
    API_AUTH_CONTROL, /* only over the control socket */
    API_AUTH_COUNT
};

enum api_caller_kind {
    API_CALLER_NONE,
    API_CALLER_SESSION,
    API_CALLER_KEY,
    API_CALLER_CONTROL /* a command of the operator: acts as the first owner */
};

/* The texts point into `who` and live as long as the request. */
struct api_caller {
    enum api_caller_kind kind;
    struct account_caller who;
    struct text org_id, project_id;
    struct text user_id;    /* for a key: who made it */
    struct text session_id; /* "" unless it came with a session */
    struct text key_id;
    bool owner;
};

struct api_route {
    const char *method, *path;
    enum api_auth auth;
    size_t body_bytes_max;
    bool (*handler)(struct http_request *req, struct http_reply *reply, struct status *st);
};

/* The names of RFC 9457 problems (api/openapi.yaml). Most follow from the status code; a handler
 * that means a special one says api_fail. */
enum api_problem {
    API_PROBLEM_NONE, /* what the status code says */
    API_PROBLEM_INVALID_INPUT,
    API_PROBLEM_INVALID_JSON,
    API_PROBLEM_UNAUTHENTICATED,
    API_PROBLEM_WRONG_CREDENTIALS,
    API_PROBLEM_FORBIDDEN,
    API_PROBLEM_CROSS_SITE,
    API_PROBLEM_SETUP_DONE,
    API_PROBLEM_WRONG_SETUP_TOKEN,
    API_PROBLEM_NOT_FOUND,
    API_PROBLEM_METHOD_NOT_ALLOWED,
    API_PROBLEM_CONFLICT,
    API_PROBLEM_RUN_ACTIVE,
    API_PROBLEM_IN_USE,
    API_PROBLEM_MANAGED,
    API_PROBLEM_TOO_SLOW,
    API_PROBLEM_TOO_LARGE,
    API_PROBLEM_WRONG_MEDIA_TYPE,
    API_PROBLEM_THROTTLED,
    API_PROBLEM_INTERNAL,
    API_PROBLEM_NOT_SUPPORTED,
    API_PROBLEM_UPSTREAM_FAILED,
    API_PROBLEM_MODEL_NOT_READY,
    API_PROBLEM_UNAVAILABLE,
    API_PROBLEM_COUNT
};

/* What dispatch made of the request; http_request.user points at it. */
struct api_request {
    struct api *api;
    struct api_worker *worker;
    const struct api_route *route;
    struct api_caller caller;
    bool control;              /* came over the control socket */
    enum api_problem problem;  /* set by api_fail */
    const char *error_code;    /* for the dialect of /v1; NULL: from the status code */
    struct text server_timing; /* parts that a handler adds to Server-Timing */
};

struct api_request *api_request_of(const struct http_request *req);
/* What follows has limits of its own (a model's answer): the deadline of the request ends here. */
void api_request_unbound(void);
const struct api_caller *api_caller_of(const struct http_request *req);

/* Fails a handler with a problem of its own: fills `st` with the code that goes with it.
 * `field` may be NULL. Returns false. */
bool api_fail(struct http_request *req, struct status *st, enum api_problem problem,
              const char *field, const char *format, ...) PRINTF_LIKE(5, 6);
/* Gives a failed status that came from below another name: "wrong-credentials" for
 * STATUS_UNAUTHENTICATED, say. Returns false. */
bool api_fail_as(struct http_request *req, enum api_problem problem);

/* Whether people reach us over TLS: a cookie must then be Secure and named __Host-… */
bool api_is_secure(const struct http_request *req);
/* The address of the client, without its port; "" when unknown. Behind a trusted proxy it is what
 * that says. */
struct text api_peer_address(const struct http_request *req);
