/* api_error: what a failure looks like from outside, in both dialects: RFC 9457 problem+json for
 * /api, OpenAI's error object for /v1. The one table from status codes to HTTP. */
#pragma once
#include "api_request.h"

/* "invalid-input" */
const char *api_problem_name(enum api_problem problem);
int api_problem_http(enum api_problem problem);
enum status_code api_problem_code(enum api_problem problem);
enum api_problem api_problem_for(enum status_code code);

/* Sends the error body that `st` means, in the dialect of the request's path. Waits.
 * The texts of our own faults are logged and not sent. */
void api_error_send(struct http_request *req, struct http_reply *reply, const struct status *st);
/* The same for what http itself found: an HTTP status and a fixed text. */
void api_error_send_http(struct http_request *req, struct http_reply *reply, int http_status,
                         struct text text);
/* The body alone, as one line: a problem for events of a run, an error object for a stream of /v1.
 * `code` may be NULL. */
struct text api_error_problem_json(struct arena *arena, const struct status *st,
                                   enum api_problem problem, struct text instance);
struct text api_error_v1_json(struct arena *arena, const struct status *st, const char *code);
bool api_error_is_v1(struct text path);
