/* /api/models: what there is to talk to, and its owner's changes to it. */
#include "api_body.h"
#include "api_handlers.h"
#include "api_internal.h"
#include "api_json.h"
#include "arena.h"
#include "relay_endpoint.h"
#include "relay_store.h"
#include "relay_tasks.h"

static bool refresh(struct http_request *req, struct status *st);
static bool send_model(struct http_request *req, struct http_reply *reply, struct text id,
                       int http_status, struct status *st);
static bool fail_store(struct http_request *req, const struct status *st);
static bool read_tasks(struct http_request *req, const struct api_value *value, unsigned *out,
                       struct status *st);
static void write_tasks(struct api_json *json, unsigned tasks);
static void write_model(struct api_json *json, const struct relay_model *model, bool owner);

bool api_models_list(struct http_request *req, struct http_reply *reply, struct status *st)
{
    bool owner = api_caller_of(req)->owner;
    const struct relay_snapshot *models = relay_worker_models(api_request_of(req)->worker->relay);
    struct api_json json = api_json_in(req->arena);
    api_json_list_open(&json);
    for (size_t i = 0; i < models->models_count; i++)
        if (owner || models->models[i].usable)
            write_model(&json, &models->models[i], owner);
    api_json_list_close(&json, 0, TEXT(""));
    return api_json_send(&json, reply, 200, st);
}

bool api_models_create(struct http_request *req, struct http_reply *reply, struct status *st)
{
    enum { ID, NAME, KIND, PATH, UPSTREAM_ID, UPSTREAM_MODEL, CONTEXT, TASKS, PINNED, COUNT };
    static const struct api_field fields[] = {
        [ID] = {"id", API_FIELD_TEXT, API_FIELD_REQUIRED, 1, 100},
        [NAME] = {"name", API_FIELD_NAME, API_FIELD_REQUIRED, 1, 100},
        [KIND] = {"kind", API_FIELD_TEXT, API_FIELD_REQUIRED, 1, 20},
        [PATH] = {"path", API_FIELD_TEXT, API_FIELD_NULLABLE, 0, 4096},
        [UPSTREAM_ID] = {"upstream_id", API_FIELD_TEXT, API_FIELD_NULLABLE, 0, 100},
        [UPSTREAM_MODEL] = {"upstream_model", API_FIELD_TEXT, API_FIELD_NULLABLE, 0, 200},
        [CONTEXT] = {"context_tokens", API_FIELD_INT, API_FIELD_NULLABLE, 1, 10000000},
        [TASKS] = {"tasks", API_FIELD_LIST, API_FIELD_NULLABLE, 1, RELAY_ENDPOINT_COUNT},
        [PINNED] = {"pinned", API_FIELD_BOOL, API_FIELD_OPTIONAL, 0, 0},
    };
    struct api_value values[COUNT];
    unsigned tasks;
    if (!api_body_read(req, fields, COUNT, values, st) ||
        !read_tasks(req, &values[TASKS], &tasks, st))
        return false;
    bool local = text_equal(values[KIND].text, TEXT("local"));
    if (!local && !text_equal(values[KIND].text, TEXT("upstream")))
        return api_fail(req, st, API_PROBLEM_INVALID_INPUT, "kind",
                        "kind must be local or upstream");
    struct relay_model_row row = {
        .id = values[ID].text,
        .name = values[NAME].text,
        .local = local,
        .path = values[PATH].text,
        .upstream_id = values[UPSTREAM_ID].text,
        .upstream_model = values[UPSTREAM_MODEL].text,
        .context_tokens = values[CONTEXT].integer,
        .tasks = tasks,
        .enabled = true,
        .pinned = values[PINNED].present && values[PINNED].yes,
    };
    struct relay_store *store = relay_registry_store(api_request_of(req)->api->registry);
    if (!relay_store_model_add(store, &row, st))
        return fail_store(req, st);
    return refresh(req, st) && send_model(req, reply, row.id, 201, st);
}

bool api_models_update(struct http_request *req, struct http_reply *reply, struct status *st)
{
    enum { NAME, ENABLED, TASKS, PINNED, COUNT };
    static const struct api_field fields[] = {
        [NAME] = {"name", API_FIELD_NAME, API_FIELD_OPTIONAL, 1, 100},
        [ENABLED] = {"enabled", API_FIELD_BOOL, API_FIELD_OPTIONAL, 0, 0},
        [TASKS] = {"tasks", API_FIELD_LIST, API_FIELD_NULLABLE, 1, RELAY_ENDPOINT_COUNT},
        [PINNED] = {"pinned", API_FIELD_BOOL, API_FIELD_OPTIONAL, 0, 0},
    };
    struct api_value values[COUNT];
    struct relay_model_row row;
    struct text id = http_request_param(req, "id");
    struct relay_store *store = relay_registry_store(api_request_of(req)->api->registry);
    unsigned tasks;
    if (!api_body_read(req, fields, COUNT, values, st) ||
        !read_tasks(req, &values[TASKS], &tasks, st))
        return false;
    struct relay_model_change change = {
        .name = values[NAME].present ? &values[NAME].text : NULL,
        .enabled = values[ENABLED].present ? &values[ENABLED].yes : NULL,
        .tasks = values[TASKS].present ? &tasks : NULL,
        .pinned = values[PINNED].present ? &values[PINNED].yes : NULL,
    };
    if (!relay_store_model_change(store, id, &change, req->arena, &row, st))
        return fail_store(req, st);
    return refresh(req, st) && send_model(req, reply, id, 200, st);
}

bool api_models_delete(struct http_request *req, struct http_reply *reply, struct status *st)
{
    struct relay_store *store = relay_registry_store(api_request_of(req)->api->registry);
    if (!relay_store_model_remove(store, http_request_param(req, "id"), st))
        return fail_store(req, st);
    return refresh(req, st) && api_json_send_nothing(reply, st);
}

/* So that the answer, and the caller's next request on any worker, see the change. */
static bool refresh(struct http_request *req, struct status *st)
{
    return relay_registry_refresh(api_request_of(req)->api->registry, st);
}

static bool send_model(struct http_request *req, struct http_reply *reply, struct text id,
                       int http_status, struct status *st)
{
    const struct relay_model *model =
        relay_snapshot_model(relay_worker_models(api_request_of(req)->worker->relay), id);
    if (model == NULL)
        return status_fail(st, STATUS_CONFLICT, "the model was removed meanwhile");
    struct api_json json = api_json_in(req->arena);
    write_model(&json, model, true);
    return api_json_send(&json, reply, http_status, st);
}

/* The store marks in `field` why a row could not be changed. */
static bool fail_store(struct http_request *req, const struct status *st)
{
    if (st->code == STATUS_CONFLICT && text_equal(text_of(st->field), TEXT("managed")))
        return api_fail_as(req, API_PROBLEM_MANAGED);
    return false;
}

/* 0 for null: it is to be guessed. */
static bool read_tasks(struct http_request *req, const struct api_value *value, unsigned *out,
                       struct status *st)
{
    unsigned tasks = 0;
    struct relay_json_value item;
    if (value->present && !value->is_null) {
        struct relay_json_iter iter = relay_json_iter_of(value->raw);
        for (struct text name; relay_json_next(&iter, &name, &item);) {
            unsigned bit = item.kind == RELAY_JSON_STRING
                               ? relay_tasks_bit(relay_json_string(req->arena, item))
                               : 0;
            if (bit == 0)
                return api_fail(req, st, API_PROBLEM_INVALID_INPUT, "tasks",
                                "tasks must be of chat, completions, embeddings and rerank");
            tasks |= bit;
        }
    }
    *out = tasks;
    return true;
}

/* null while nobody has said what it does. */
static void write_tasks(struct api_json *json, unsigned tasks)
{
    if (tasks == 0) {
        api_json_null(json, "tasks");
        return;
    }
    api_json_open(json, "tasks", '[');
    for (int i = 0; i < RELAY_ENDPOINT_COUNT; i++)
        if (tasks & 1U << i)
            api_json_text(json, NULL, text_of(relay_endpoint_facts((enum relay_endpoint)i)->task));
    api_json_close(json, ']');
}

static void write_model(struct api_json *json, const struct relay_model *model, bool owner)
{
    char reason[RELAY_TARGET_REASON_BYTES];
    int percent;
    enum relay_phase phase = relay_target_phase(model->target, &percent, reason);
    if (!model->usable)
        phase = RELAY_PHASE_STOPPED;
    int64_t context =
        model->context_tokens > 0 ? model->context_tokens : relay_target_context(model->target);
    api_json_open(json, NULL, '{');
    api_json_text(json, "id", model->id);
    api_json_text(json, "name", model->name);
    api_json_text(json, "kind", model->local ? TEXT("local") : TEXT("upstream"));
    api_json_bool(json, "enabled", model->enabled);
    api_json_bool(json, "managed", model->managed);
    api_json_bool(json, "pinned", model->pinned);
    api_json_open(json, "state", '{');
    api_json_text(json, "phase", text_of(relay_phase_name(phase)));
    if (phase == RELAY_PHASE_LOADING && percent >= 0)
        api_json_number(json, "progress", percent / 100.0);
    else
        api_json_null(json, "progress");
    if (!owner && phase != RELAY_PHASE_ASLEEP) /* that one names models alone */
        relay_model_reason_public(model, reason);
    api_json_text_or_null(json, "reason", phase == RELAY_PHASE_READY ? TEXT("") : text_of(reason));
    api_json_close(json, '}');
    api_json_int_or_null(json, "context_tokens", context);
    write_tasks(json, relay_model_tasks(model));
    api_json_int_or_null(json, "memory_bytes",
                         owner ? (int64_t)relay_target_memory(model->target) : 0);
    api_json_text_or_null(json, "path", owner ? model->path : TEXT(""));
    api_json_text_or_null(json, "upstream_id", owner ? model->upstream_id : TEXT(""));
    api_json_text_or_null(json, "upstream_model",
                          owner && !model->local ? model->upstream_model : TEXT(""));
    api_json_int(json, "created_us", model->created_us);
    api_json_close(json, '}');
}
