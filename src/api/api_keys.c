/* /api/keys: the API keys of the default project. A member's are those that they made; an owner's
 * are all. */
#include "account_key.h"
#include "api_body.h"
#include "api_internal.h"
#include "api_json.h"
#include "api_session.h"

static struct account_key_reach reach_of(const struct api_caller *caller);
static void write_key(struct api_json *json, const char *name, const struct account_key *key);

bool api_keys_list(struct http_request *req, struct http_reply *reply, struct status *st)
{
    const struct account_key_reach reach = reach_of(api_caller_of(req));
    struct api_page page;
    struct account_key *keys;
    size_t count;
    bool more;
    if (!api_page_read(req, &page, st) ||
        !account_key_list(api_request_of(req)->api->account, &reach, page.after_key, page.after_id,
                          page.limit, req->arena, &keys, &count, &more, st))
        return false;
    struct api_json json = api_json_in(req->arena);
    api_json_list_open(&json);
    for (size_t i = 0; i < count; i++)
        write_key(&json, NULL, &keys[i]);
    api_json_list_close(&json, more ? keys[count - 1].created_us : 0,
                        more ? keys[count - 1].id : TEXT(""));
    return api_json_send(&json, reply, 200, st);
}

bool api_keys_create(struct http_request *req, struct http_reply *reply, struct status *st)
{
    enum { NAME, EXPIRES, COUNT };
    static const double far_us = 253402300799e6; /* the end of the year 9999 */
    static const struct api_field fields[] = {
        [NAME] = {"name", API_FIELD_NAME, API_FIELD_REQUIRED, 1, 100},
        [EXPIRES] = {"expires_us", API_FIELD_INT, API_FIELD_NULLABLE, 1, far_us},
    };
    const struct api_caller *caller = api_caller_of(req);
    struct api_value values[COUNT];
    struct account_key key;
    struct text secret;
    if (!api_body_read(req, fields, COUNT, values, st) ||
        !account_key_create(api_request_of(req)->api->account, caller->org_id, caller->project_id,
                            caller->user_id, values[NAME].text, values[EXPIRES].integer, req->arena,
                            &key, &secret, st))
        return false;
    struct api_json json = api_json_in(req->arena);
    api_json_open(&json, NULL, '{');
    write_key(&json, "key", &key);
    api_json_text(&json, "secret", secret);
    api_json_close(&json, '}');
    return api_json_send(&json, reply, 201, st);
}

bool api_keys_update(struct http_request *req, struct http_reply *reply, struct status *st)
{
    static const struct api_field fields[] = {
        {"name", API_FIELD_NAME, API_FIELD_OPTIONAL, 1, 100},
    };
    const struct account_key_reach reach = reach_of(api_caller_of(req));
    struct account *account = api_request_of(req)->api->account;
    struct text id = http_request_param(req, "id");
    struct api_value values[ARRAY_LEN(fields)];
    struct account_key key;
    if (!api_body_read(req, fields, ARRAY_LEN(fields), values, st) ||
        !(values[0].present
              ? account_key_rename(account, &reach, id, values[0].text, req->arena, &key, st)
              : account_key_get(account, &reach, id, req->arena, &key, st)))
        return false;
    struct api_json json = api_json_in(req->arena);
    write_key(&json, NULL, &key);
    return api_json_send(&json, reply, 200, st);
}

bool api_keys_delete(struct http_request *req, struct http_reply *reply, struct status *st)
{
    const struct account_key_reach reach = reach_of(api_caller_of(req));
    return account_key_revoke(api_request_of(req)->api->account, &reach,
                              http_request_param(req, "id"), st) &&
           api_json_send_nothing(reply, st);
}

static struct account_key_reach reach_of(const struct api_caller *caller)
{
    return (struct account_key_reach){caller->org_id, caller->project_id,
                                      caller->owner ? TEXT("") : caller->user_id};
}

static void write_key(struct api_json *json, const char *name, const struct account_key *key)
{
    api_json_open(json, name, '{');
    api_json_text(json, "id", key->id);
    api_json_text(json, "name", key->name);
    api_json_text(json, "hint", key->hint);
    api_json_open(json, "created_by", '{');
    api_json_text(json, "id", key->user_id);
    api_json_text(json, "name", key->user_name);
    api_json_close(json, '}');
    api_json_int(json, "created_us", key->created_us);
    api_json_int_or_null(json, "last_used_us", key->used_us);
    api_json_int_or_null(json, "expires_us", key->expires_us);
    api_json_close(json, '}');
}
