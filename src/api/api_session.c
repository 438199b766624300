/* /api/session, /api/sessions: signing in and out, and where one is signed in. */
#include "api_session.h"
#include "api_body.h"
#include "api_internal.h"
#include "api_json.h"
#include "http_cookie.h"

static void set_cookie(const struct http_request *req, struct http_reply *reply, struct text value,
                       int64_t max_age_s);
static bool end_current(struct http_request *req, struct status *st);

bool api_session_create(struct http_request *req, struct http_reply *reply, struct status *st)
{
    enum { EMAIL, PASSWORD, COUNT };
    static const struct api_field fields[] = {
        [EMAIL] = {"email", API_FIELD_TEXT, API_FIELD_REQUIRED, 3, 254},
        [PASSWORD] = {"password", API_FIELD_TEXT, API_FIELD_REQUIRED, 1, 1024},
    };
    struct api_value values[COUNT];
    struct account_caller caller;
    struct account_token token;
    if (!api_body_read(req, fields, COUNT, values, st))
        return false;
    const struct account_sign_in sign_in = {
        .email = values[EMAIL].text,
        .password = values[PASSWORD].text,
        .address = api_peer_address(req),
        .user_agent = http_request_header(req, TEXT("user-agent")),
    };
    if (!account_sign_in(api_request_of(req)->api->account, &sign_in, &token, &caller, st))
        return st->code == STATUS_UNAUTHENTICATED ? api_fail_as(req, API_PROBLEM_WRONG_CREDENTIALS)
                                                  : false;
    if (!end_current(req, st))
        return false;
    api_session_cookie_set(req, reply, &token);
    return api_me_send(req, reply, ids_text(&caller.org), ids_text(&caller.user), 200, st);
}

bool api_session_delete(struct http_request *req, struct http_reply *reply, struct status *st)
{
    if (!end_current(req, st))
        return false;
    api_session_cookie_clear(req, reply);
    return api_json_send_nothing(reply, st);
}

bool api_sessions_list(struct http_request *req, struct http_reply *reply, struct status *st)
{
    const struct api_caller *caller = api_caller_of(req);
    struct api_page page;
    struct account_session *sessions;
    size_t count;
    bool more;
    if (!api_page_read(req, &page, st) ||
        !account_session_list(api_request_of(req)->api->account, caller->org_id, caller->user_id,
                              page.after_key, page.after_id, page.limit, req->arena, &sessions,
                              &count, &more, st))
        return false;
    struct api_json json = api_json_in(req->arena);
    api_json_list_open(&json);
    for (size_t i = 0; i < count; i++) {
        api_json_open(&json, NULL, '{');
        api_json_text(&json, "id", sessions[i].id);
        api_json_bool(&json, "current", text_equal(sessions[i].id, caller->session_id));
        api_json_int(&json, "created_us", sessions[i].created_us);
        api_json_int(&json, "last_seen_us", sessions[i].seen_us);
        api_json_text_or_null(&json, "address", sessions[i].address);
        api_json_text_or_null(&json, "user_agent", sessions[i].user_agent);
        api_json_close(&json, '}');
    }
    api_json_list_close(&json, more ? sessions[count - 1].seen_us : 0,
                        more ? sessions[count - 1].id : TEXT(""));
    return api_json_send(&json, reply, 200, st);
}

bool api_sessions_end_others(struct http_request *req, struct http_reply *reply, struct status *st)
{
    const struct api_caller *caller = api_caller_of(req);
    return account_session_end_others(api_request_of(req)->api->account, caller->org_id,
                                      caller->user_id, caller->session_id, st) &&
           api_json_send_nothing(reply, st);
}

bool api_sessions_end(struct http_request *req, struct http_reply *reply, struct status *st)
{
    const struct api_caller *caller = api_caller_of(req);
    struct text id = http_request_param(req, "id");
    if (!account_session_end(api_request_of(req)->api->account, caller->org_id, caller->user_id, id,
                             st))
        return false;
    if (text_equal(id, caller->session_id))
        api_session_cookie_clear(req, reply);
    return api_json_send_nothing(reply, st);
}

bool api_session_begin(struct http_request *req, struct http_reply *reply,
                       struct account_caller *caller, struct status *st)
{
    struct account_token token;
    if (!account_session_start(api_request_of(req)->api->account, caller, api_peer_address(req),
                               http_request_header(req, TEXT("user-agent")), &token, st) ||
        !end_current(req, st))
        return false;
    api_session_cookie_set(req, reply, &token);
    return true;
}

void api_session_cookie_set(const struct http_request *req, struct http_reply *reply,
                            const struct account_token *token)
{
    set_cookie(req, reply, text_of(token->bytes),
               account_session_life_s(api_request_of(req)->api->account));
}

void api_session_cookie_clear(const struct http_request *req, struct http_reply *reply)
{
    set_cookie(req, reply, TEXT(""), 0);
}

static void set_cookie(const struct http_request *req, struct http_reply *reply, struct text value,
                       int64_t max_age_s)
{
    http_cookie_set(reply, &(struct http_cookie){
                               .name = api_auth_cookie_name(req),
                               .value = value,
                               .max_age_s = max_age_s,
                               .secure = api_is_secure(req),
                               .http_only = true,
                               .same_site = HTTP_COOKIE_SAME_SITE_LAX,
                           });
}

/* The session that the request came with, if any. That it has ended meanwhile is as good. */
static bool end_current(struct http_request *req, struct status *st)
{
    const struct api_caller *caller = api_caller_of(req);
    if (caller->session_id.len == 0)
        return true;
    return account_session_end(api_request_of(req)->api->account, caller->org_id, caller->user_id,
                               caller->session_id, st) ||
           st->code == STATUS_NOT_FOUND;
}
