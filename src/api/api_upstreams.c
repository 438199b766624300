/* /api/upstreams: OpenAI-compatible servers that models can stand on. For owners. */
#include "api_body.h"
#include "api_handlers.h"
#include "api_internal.h"
#include "api_json.h"
#include "arena.h"
#include "relay_probe.h"
#include "relay_store.h"

static bool refresh(struct http_request *req, struct status *st);
static const struct relay_upstream *find(struct http_request *req, struct text id,
                                         struct status *st);
static bool send_upstream(struct http_request *req, struct http_reply *reply, struct text id,
                          int http_status, struct status *st);
static bool fail_store(struct http_request *req, struct status *st);
static void write_upstream(struct api_json *json, const struct relay_upstream *upstream);

bool api_upstreams_list(struct http_request *req, struct http_reply *reply, struct status *st)
{
    const struct relay_snapshot *models = relay_worker_models(api_request_of(req)->worker->relay);
    struct api_json json = api_json_in(req->arena);
    api_json_list_open(&json);
    for (size_t i = 0; i < models->upstreams_count; i++)
        write_upstream(&json, &models->upstreams[i]);
    api_json_list_close(&json, 0, TEXT(""));
    return api_json_send(&json, reply, 200, st);
}

bool api_upstreams_create(struct http_request *req, struct http_reply *reply, struct status *st)
{
    enum { NAME, BASE_URL, API_KEY, COUNT };
    static const struct api_field fields[] = {
        [NAME] = {"name", API_FIELD_NAME, API_FIELD_REQUIRED, 1, 100},
        [BASE_URL] = {"base_url", API_FIELD_TEXT, API_FIELD_REQUIRED, 1, 2000},
        [API_KEY] = {"api_key", API_FIELD_TEXT, API_FIELD_NULLABLE, 0, 1000},
    };
    struct api_value values[COUNT];
    if (!api_body_read(req, fields, COUNT, values, st))
        return false;
    struct relay_upstream_row row = {
        .name = values[NAME].text,
        .base_url = values[BASE_URL].text,
        .enabled = true,
    };
    struct relay_store *store = relay_registry_store(api_request_of(req)->api->registry);
    if (!relay_store_upstream_add(store, &row, values[API_KEY].text, req->arena, st))
        return fail_store(req, st);
    return refresh(req, st) && send_upstream(req, reply, row.id, 201, st);
}

bool api_upstreams_get(struct http_request *req, struct http_reply *reply, struct status *st)
{
    return send_upstream(req, reply, http_request_param(req, "id"), 200, st);
}

bool api_upstreams_update(struct http_request *req, struct http_reply *reply, struct status *st)
{
    enum { NAME, BASE_URL, API_KEY, ENABLED, COUNT };
    static const struct api_field fields[] = {
        [NAME] = {"name", API_FIELD_NAME, API_FIELD_OPTIONAL, 1, 100},
        [BASE_URL] = {"base_url", API_FIELD_TEXT, API_FIELD_OPTIONAL, 1, 2000},
        [API_KEY] = {"api_key", API_FIELD_TEXT, API_FIELD_NULLABLE, 0, 1000},
        [ENABLED] = {"enabled", API_FIELD_BOOL, API_FIELD_OPTIONAL, 0, 0},
    };
    struct api_value values[COUNT];
    struct relay_upstream_row row;
    struct text id = http_request_param(req, "id");
    struct relay_store *store = relay_registry_store(api_request_of(req)->api->registry);
    if (!api_body_read(req, fields, COUNT, values, st))
        return false;
    struct relay_upstream_change change = {
        .name = values[NAME].present ? &values[NAME].text : NULL,
        .base_url = values[BASE_URL].present ? &values[BASE_URL].text : NULL,
        .api_key = values[API_KEY].present ? &values[API_KEY].text : NULL,
        .enabled = values[ENABLED].present ? &values[ENABLED].yes : NULL,
    };
    if (!relay_store_upstream_change(store, id, &change, req->arena, &row, st))
        return fail_store(req, st);
    return refresh(req, st) && send_upstream(req, reply, id, 200, st);
}

bool api_upstreams_delete(struct http_request *req, struct http_reply *reply, struct status *st)
{
    struct relay_store *store = relay_registry_store(api_request_of(req)->api->registry);
    if (!relay_store_upstream_remove(store, http_request_param(req, "id"), st))
        return fail_store(req, st);
    return refresh(req, st) && api_json_send_nothing(reply, st);
}

bool api_upstreams_models(struct http_request *req, struct http_reply *reply, struct status *st)
{
    const struct relay_upstream *upstream = find(req, http_request_param(req, "id"), st);
    struct text *ids;
    size_t count;
    if (upstream == NULL)
        return false;
    if (!relay_probe_models(api_request_of(req)->worker->relay, upstream->target, req->arena, &ids,
                            &count, st)) /* waits */
        return st->code == STATUS_CANCELLED ? false : api_fail_as(req, API_PROBLEM_UPSTREAM_FAILED);
    struct api_json json = api_json_in(req->arena);
    api_json_list_open(&json);
    for (size_t i = 0; i < count; i++) {
        api_json_open(&json, NULL, '{');
        api_json_text(&json, "id", ids[i]);
        api_json_close(&json, '}');
    }
    api_json_list_close(&json, 0, TEXT(""));
    return api_json_send(&json, reply, 200, st);
}

static bool refresh(struct http_request *req, struct status *st)
{
    return relay_registry_refresh(api_request_of(req)->api->registry, st);
}

static const struct relay_upstream *find(struct http_request *req, struct text id,
                                         struct status *st)
{
    const struct relay_upstream *upstream =
        relay_snapshot_upstream(relay_worker_models(api_request_of(req)->worker->relay), id);
    if (upstream == NULL)
        (void)status_fail(st, STATUS_NOT_FOUND, "there is no such upstream");
    return upstream;
}

static bool send_upstream(struct http_request *req, struct http_reply *reply, struct text id,
                          int http_status, struct status *st)
{
    const struct relay_upstream *upstream = find(req, id, st);
    if (upstream == NULL)
        return false;
    struct api_json json = api_json_in(req->arena);
    write_upstream(&json, upstream);
    return api_json_send(&json, reply, http_status, st);
}

/* The store marks in `field` why a row could not be changed or removed. */
static bool fail_store(struct http_request *req, struct status *st)
{
    if (st->code != STATUS_CONFLICT)
        return false;
    if (text_equal(text_of(st->field), TEXT("managed")))
        return api_fail_as(req, API_PROBLEM_MANAGED);
    if (text_equal(text_of(st->field), TEXT("models"))) {
        st->field[0] = '\0';
        return api_fail_as(req, API_PROBLEM_IN_USE);
    }
    return false;
}

static void write_upstream(struct api_json *json, const struct relay_upstream *upstream)
{
    api_json_open(json, NULL, '{');
    api_json_text(json, "id", upstream->id);
    api_json_text(json, "name", upstream->name);
    api_json_text(json, "base_url", upstream->base_url);
    api_json_bool(json, "has_key", upstream->has_key);
    api_json_bool(json, "enabled", upstream->enabled);
    api_json_bool(json, "managed", upstream->managed);
    api_json_int(json, "created_us", upstream->created_us);
    api_json_close(json, '}');
}
