#include "relay_probe.h"
#include "http_client.h"
#include "relay_call_internal.h"

enum { CONNECT_MS = 5000, TOTAL_MS = 15000, BODY_BYTES_MAX = 4 * 1024 * 1024 };

static bool read_ids(struct text body, struct arena *arena, struct text **ids, size_t *count,
                     struct status *st);

bool relay_probe_models(struct relay_worker *worker, struct relay_target *target,
                        struct arena *arena, struct text **ids, size_t *count, struct status *st)
{
    AUTO(relay_target) struct relay_target *held = relay_target_take(target); /* rows may change */
    AUTO(http_response) struct http_response *response = NULL;
    struct text body, authorization = relay_target_authorization(held);
    struct http_header headers[] = {{TEXT("accept"), TEXT("application/json")},
                                    {TEXT("authorization"), authorization}};
    struct http_call call = {
        .method = TEXT("GET"),
        .target = TEXT("/models"),
        .headers = {headers, authorization.len > 0 ? 2 : 1},
        .connect_ms = CONNECT_MS,
        .total_ms = TOTAL_MS,
    };
    if (relay_target_is_locked(held))
        return status_fail(st, STATUS_UNAVAILABLE, "the upstream's key could not be opened");
    if (!relay_worker_origin(worker, held, &call.origin, st) ||
        !http_client_call(relay_worker_client(worker), &call, arena, &response, st))
        return status_wrap(st, "could not ask the upstream for its models");
    if (response->http_status == 401 || response->http_status == 403)
        return status_fail(st, STATUS_UPSTREAM, "the upstream refused the key (%d)",
                           response->http_status);
    if (response->http_status != 200)
        return status_fail(st, STATUS_UPSTREAM, "the upstream answered GET /models with %d",
                           response->http_status);
    if (!http_response_body(response, BODY_BYTES_MAX, arena, &body, st))
        return status_wrap(st, "could not read the upstream's list of models");
    return read_ids(body, arena, ids, count, st);
}

static bool read_ids(struct text body, struct arena *arena, struct text **ids, size_t *count,
                     struct status *st)
{
    struct relay_json_value root, data, item, id;
    if (!relay_json_check(body, &root, st)) {
        st->code = STATUS_UPSTREAM;
        return status_wrap(st, "the upstream's list of models is broken");
    }
    if (!relay_json_member(root, TEXT("data"), &data) || data.kind != RELAY_JSON_ARRAY)
        return status_fail(st, STATUS_UPSTREAM, "the upstream's list of models has no data");
    *ids = ARENA_ARRAY(arena, RELAY_PROBE_MODELS_MAX, struct text);
    *count = 0;
    struct relay_json_iter iter = relay_json_iter_of(data);
    for (struct text name; *count < RELAY_PROBE_MODELS_MAX && relay_json_next(&iter, &name, &item);)
        if (relay_json_member(item, TEXT("id"), &id) && id.kind == RELAY_JSON_STRING)
            (*ids)[(*count)++] = relay_json_string(arena, id);
    return true;
}
