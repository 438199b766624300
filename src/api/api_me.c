/* /api/me: the signed-in person, their name and their password. */
#include "account_user.h"
#include "api_body.h"
#include "api_internal.h"
#include "api_json.h"
#include "api_session.h"

bool api_me_get(struct http_request *req, struct http_reply *reply, struct status *st)
{
    const struct api_caller *caller = api_caller_of(req);
    return api_me_send(req, reply, caller->org_id, caller->user_id, 200, st);
}

bool api_me_update(struct http_request *req, struct http_reply *reply, struct status *st)
{
    static const struct api_field fields[] = {
        {"name", API_FIELD_NAME, API_FIELD_OPTIONAL, 1, 100},
    };
    const struct api_caller *caller = api_caller_of(req);
    struct api_value values[ARRAY_LEN(fields)];
    if (!api_body_read(req, fields, ARRAY_LEN(fields), values, st) ||
        (values[0].present && !account_user_rename(api_request_of(req)->api->account,
                                                   caller->user_id, values[0].text, st)))
        return false;
    return api_me_send(req, reply, caller->org_id, caller->user_id, 200, st);
}

bool api_me_password(struct http_request *req, struct http_reply *reply, struct status *st)
{
    enum { CURRENT, FRESH, COUNT };
    static const struct api_field fields[] = {
        [CURRENT] = {"current_password", API_FIELD_TEXT, API_FIELD_REQUIRED, 1, 1024},
        [FRESH] = {"new_password", API_FIELD_TEXT, API_FIELD_REQUIRED, 1, 1024},
    };
    const struct api_caller *caller = api_caller_of(req);
    struct api_value values[COUNT];
    return api_body_read(req, fields, COUNT, values, st) &&
           account_user_change_password(api_request_of(req)->api->account, caller->user_id,
                                        values[CURRENT].text, values[FRESH].text,
                                        caller->session_id, api_peer_address(req), st) &&
           api_json_send_nothing(reply, st);
}

bool api_me_send(struct http_request *req, struct http_reply *reply, struct text org_id,
                 struct text user_id, int http_status, struct status *st)
{
    struct account_me me;
    if (!account_me_get(api_request_of(req)->api->account, org_id, user_id, req->arena, &me, st))
        return false;
    struct api_json json = api_json_in(req->arena);
    api_json_open(&json, NULL, '{');
    api_json_open(&json, "user", '{');
    api_json_text(&json, "id", me.user.id);
    api_json_text(&json, "email", me.user.email);
    api_json_text(&json, "name", me.user.name);
    api_json_int(&json, "created_us", me.user.created_us);
    api_json_close(&json, '}');
    api_json_open(&json, "organisation", '{');
    api_json_text(&json, "id", me.org_id);
    api_json_text(&json, "name", me.org_name);
    api_json_text(&json, "role", text_of(account_role_name(me.user.role)));
    api_json_close(&json, '}');
    api_json_open(&json, "project", '{');
    api_json_text(&json, "id", me.project_id);
    api_json_text(&json, "name", me.project_name);
    api_json_close(&json, '}');
    api_json_close(&json, '}');
    return api_json_send(&json, reply, http_status, st);
}
