/* /control: what only the operator's own commands may do, over the control socket: the set-up
 * without a link, people, organisations, key rings (api_secrets.c). Not part of api/openapi.yaml.
 * People are named by their address. */
#include "account_org.h"
#include "account_setup.h"
#include "account_user.h"
#include "api_body.h"
#include "api_handlers.h"
#include "api_internal.h"
#include "api_json.h"
#include "api_session.h"
#include "arena.h"

static bool user_of(struct http_request *req, struct account_caller *owner,
                    struct account_user *out, struct status *st);
static bool set_disabled(struct http_request *req, struct http_reply *reply, bool disabled,
                         struct status *st);
static void write_user(struct api_json *json, const struct account_user *user);

bool api_control_setup(struct http_request *req, struct http_reply *reply, struct status *st)
{
    struct account_setup setup;
    struct account_caller owner;
    if (!api_setup_read(req, false, &setup, st))
        return false;
    if (!account_setup(api_request_of(req)->api->account, &setup, &owner, st))
        return false;
    return api_json_send_nothing(reply, st);
}

bool api_control_users_list(struct http_request *req, struct http_reply *reply, struct status *st)
{
    struct account *account = api_request_of(req)->api->account;
    struct account_caller owner;
    struct account_user *users;
    size_t count;
    if (!account_first_owner(account, &owner, st) ||
        !account_user_list(account, ids_text(&owner.org), 0, req->arena, &users, &count, st))
        return false;
    struct api_json json = api_json_in(req->arena);
    api_json_list_open(&json);
    for (size_t i = 0; i < count; i++)
        write_user(&json, &users[i]);
    api_json_list_close(&json, 0, TEXT(""));
    return api_json_send(&json, reply, 200, st);
}

bool api_control_users_add(struct http_request *req, struct http_reply *reply, struct status *st)
{
    enum { EMAIL, NAME, PASSWORD, ROLE, COUNT };
    static const struct api_field fields[] = {
        [EMAIL] = {"email", API_FIELD_TEXT, API_FIELD_REQUIRED, 3, 254},
        [NAME] = {"name", API_FIELD_NAME, API_FIELD_REQUIRED, 1, 100},
        [PASSWORD] = {"password", API_FIELD_TEXT, API_FIELD_REQUIRED, 1, 1024},
        [ROLE] = {"role", API_FIELD_TEXT, API_FIELD_REQUIRED, 1, 20},
    };
    struct account *account = api_request_of(req)->api->account;
    struct api_value values[COUNT];
    struct account_caller owner;
    struct account_user user;
    struct id id;
    if (!api_body_read(req, fields, COUNT, values, st))
        return false;
    bool is_owner = text_equal(values[ROLE].text, TEXT("owner"));
    if (!is_owner && !text_equal(values[ROLE].text, TEXT("member")))
        return api_fail(req, st, API_PROBLEM_INVALID_INPUT, "role", "role must be owner or member");
    if (!account_first_owner(account, &owner, st) ||
        !account_user_add(account, ids_text(&owner.org), values[EMAIL].text, values[NAME].text,
                          values[PASSWORD].text,
                          is_owner ? ACCOUNT_ROLE_OWNER : ACCOUNT_ROLE_MEMBER, &id, st) ||
        !account_user_by_email(account, ids_text(&owner.org), values[EMAIL].text, req->arena, &user,
                               st))
        return false;
    struct api_json json = api_json_in(req->arena);
    write_user(&json, &user);
    return api_json_send(&json, reply, 201, st);
}

bool api_control_users_password(struct http_request *req, struct http_reply *reply,
                                struct status *st)
{
    static const struct api_field fields[] = {
        {"password", API_FIELD_TEXT, API_FIELD_REQUIRED, 1, 1024},
    };
    struct api_value values[ARRAY_LEN(fields)];
    struct account_caller owner;
    struct account_user user;
    if (!api_body_read(req, fields, ARRAY_LEN(fields), values, st) ||
        !user_of(req, &owner, &user, st) ||
        !account_user_set_password(api_request_of(req)->api->account, user.id, values[0].text, st))
        return false;
    return api_json_send_nothing(reply, st);
}

bool api_control_users_disable(struct http_request *req, struct http_reply *reply,
                               struct status *st)
{
    return set_disabled(req, reply, true, st);
}

bool api_control_users_enable(struct http_request *req, struct http_reply *reply, struct status *st)
{
    return set_disabled(req, reply, false, st);
}

bool api_control_orgs_list(struct http_request *req, struct http_reply *reply, struct status *st)
{
    struct account_org *orgs;
    size_t count;
    if (!account_org_list(api_request_of(req)->api->account, 0, req->arena, &orgs, &count, st))
        return false;
    struct api_json json = api_json_in(req->arena);
    api_json_list_open(&json);
    for (size_t i = 0; i < count; i++) {
        api_json_open(&json, NULL, '{');
        api_json_text(&json, "id", orgs[i].id);
        api_json_text(&json, "name", orgs[i].name);
        api_json_int(&json, "weight", orgs[i].weight);
        api_json_int(&json, "created_us", orgs[i].created_us);
        api_json_close(&json, '}');
    }
    api_json_list_close(&json, 0, TEXT(""));
    return api_json_send(&json, reply, 200, st);
}

bool api_control_orgs_weight(struct http_request *req, struct http_reply *reply, struct status *st)
{
    static const struct api_field fields[] = {
        {"weight", API_FIELD_INT, API_FIELD_REQUIRED, 1, ACCOUNT_WEIGHT_MAX},
    };
    struct api_value values[ARRAY_LEN(fields)];
    if (!api_body_read(req, fields, ARRAY_LEN(fields), values, st) ||
        !account_org_set_weight(api_request_of(req)->api->account, http_request_param(req, "id"),
                                values[0].integer, st))
        return false;
    return api_json_send_nothing(reply, st);
}

static bool user_of(struct http_request *req, struct account_caller *owner,
                    struct account_user *out, struct status *st)
{
    struct account *account = api_request_of(req)->api->account;
    struct text email = http_request_param(req, "email");
    if (!account_first_owner(account, owner, st))
        return false;
    if (account_user_by_email(account, ids_text(&owner->org), email, req->arena, out, st))
        return true;
    if (st->code == STATUS_NOT_FOUND)
        return status_fail(st, STATUS_NOT_FOUND, "nobody has the address %.*s",
                           TEXT_ARG(text_take(email, 254)));
    return false;
}

static bool set_disabled(struct http_request *req, struct http_reply *reply, bool disabled,
                         struct status *st)
{
    struct account_caller owner;
    struct account_user user;
    if (!user_of(req, &owner, &user, st) ||
        !account_user_disable(api_request_of(req)->api->account, user.id, disabled, st))
        return false;
    return api_json_send_nothing(reply, st);
}

static void write_user(struct api_json *json, const struct account_user *user)
{
    api_json_open(json, NULL, '{');
    api_json_text(json, "id", user->id);
    api_json_text(json, "email", user->email);
    api_json_text(json, "name", user->name);
    api_json_text(json, "role", text_of(account_role_name(user->role)));
    api_json_bool(json, "disabled", user->disabled);
    api_json_int(json, "created_us", user->created_us);
    api_json_close(json, '}');
}
