/* api_session: the handlers of accounts (api_setup.c, api_session.c, api_me.c, api_keys.c), for the
 * route table, and what they share. */
#pragma once
#include "account_session.h"
#include "http_reply.h"
#include "http_request.h"

/* Gives the browser the token: HttpOnly, SameSite=Lax, and over TLS Secure with the name __Host-.
 */
void api_session_cookie_set(const struct http_request *req, struct http_reply *reply,
                            const struct account_token *token);
void api_session_cookie_clear(const struct http_request *req, struct http_reply *reply);
/* A session for who has just been let in; ends the one that the request came with, so that a token
 * somebody has put into the browser before is worth nothing. Sets the cookie. Waits. */
MUST_CHECK bool api_session_begin(struct http_request *req, struct http_reply *reply,
                                  struct account_caller *caller, struct status *st);
struct account_setup;
/* The body that makes the first owner; with the token of a set-up link, or (control) without.
 * Owns: `*out` points into the request's memory. Fails: STATUS_INVALID and as reading a body. */
MUST_CHECK bool api_setup_read(struct http_request *req, bool with_token, struct account_setup *out,
                               struct status *st);
/* Answers with the schema Me. Waits. */
MUST_CHECK bool api_me_send(struct http_request *req, struct http_reply *reply, struct text org_id,
                            struct text user_id, int http_status, struct status *st);

typedef bool api_session_handler(struct http_request *req, struct http_reply *reply,
                                 struct status *st);
api_session_handler api_bootstrap_get, api_setup_create;
api_session_handler api_session_create, api_session_delete;
api_session_handler api_sessions_list, api_sessions_end_others, api_sessions_end;
api_session_handler api_me_get, api_me_update, api_me_password;
api_session_handler api_keys_list, api_keys_create, api_keys_update, api_keys_delete;
