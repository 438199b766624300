/* /api/bootstrap, /api/setup: what the app asks before anything else, and the first account. */
#include "account_setup.h"
#include "api_body.h"
#include "api_internal.h"
#include "api_json.h"
#include "api_session.h"

bool api_bootstrap_get(struct http_request *req, struct http_reply *reply, struct status *st)
{
    const struct api_request *request = api_request_of(req);
    bool needed;
    if (!account_setup_needed(request->api->account, &needed, st))
        return false;
    struct api_json json = api_json_in(req->arena);
    api_json_open(&json, NULL, '{');
    api_json_bool(&json, "needs_setup", needed);
    api_json_bool(&json, "signed_in", request->caller.session_id.len > 0);
    api_json_text(&json, "version", request->api->options.version);
    api_json_close(&json, '}');
    return api_json_send(&json, reply, 200, st);
}

bool api_setup_read(struct http_request *req, bool with_token, struct account_setup *out,
                    struct status *st)
{
    enum { EMAIL, PASSWORD, NAME, ORGANISATION, TOKEN, COUNT };
    static const struct api_field fields[] = {
        [EMAIL] = {"email", API_FIELD_TEXT, API_FIELD_REQUIRED, 3, 254},
        [PASSWORD] = {"password", API_FIELD_TEXT, API_FIELD_REQUIRED, 1, 1024},
        [NAME] = {"name", API_FIELD_NAME, API_FIELD_REQUIRED, 1, 100},
        [ORGANISATION] = {"organisation", API_FIELD_NAME, API_FIELD_REQUIRED, 1, 100},
        [TOKEN] = {"token", API_FIELD_TEXT, API_FIELD_REQUIRED, 1, 200},
    };
    struct api_value values[COUNT] = {0};
    if (!api_body_read(req, fields, with_token ? COUNT : TOKEN, values, st))
        return false;
    *out = (struct account_setup){
        .token = values[TOKEN].text,
        .email = values[EMAIL].text,
        .password = values[PASSWORD].text,
        .name = values[NAME].text,
        .organisation = values[ORGANISATION].text,
    };
    return true;
}

bool api_setup_create(struct http_request *req, struct http_reply *reply, struct status *st)
{
    struct account_setup setup;
    struct account_caller owner;
    if (!api_setup_read(req, true, &setup, st))
        return false;
    setup.address = api_peer_address(req);
    if (!account_setup(api_request_of(req)->api->account, &setup, &owner, st)) {
        if (st->code == STATUS_CONFLICT)
            return api_fail_as(req, API_PROBLEM_SETUP_DONE);
        return st->code == STATUS_FORBIDDEN ? api_fail_as(req, API_PROBLEM_WRONG_SETUP_TOKEN)
                                            : false;
    }
    return api_session_begin(req, reply, &owner, st) &&
           api_me_send(req, reply, ids_text(&owner.org), ids_text(&owner.user), 201, st);
}
