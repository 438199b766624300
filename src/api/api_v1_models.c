/* GET /v1/models and /v1/models/{id}: what a key can call, in OpenAI's form. */
#include "api_handlers.h"
#include "api_internal.h"
#include "api_json.h"
#include "arena.h"

static void write_model(struct api_json *json, const struct relay_model *model)
{
    api_json_open(json, NULL, '{');
    api_json_text(json, "id", model->id);
    api_json_text(json, "object", TEXT("model"));
    api_json_int(json, "created", model->created_us / 1000000);
    api_json_text(json, "owned_by", TEXT("weir"));
    api_json_close(json, '}');
}

bool api_v1_models_list(struct http_request *req, struct http_reply *reply, struct status *st)
{
    const struct relay_snapshot *models = relay_worker_models(api_request_of(req)->worker->relay);
    struct api_json json = api_json_in(req->arena);
    api_json_open(&json, NULL, '{');
    api_json_text(&json, "object", TEXT("list"));
    api_json_open(&json, "data", '[');
    for (size_t i = 0; i < models->models_count; i++)
        if (models->models[i].usable)
            write_model(&json, &models->models[i]);
    api_json_close(&json, ']');
    api_json_close(&json, '}');
    return api_json_send(&json, reply, 200, st);
}

/* The path takes all that follows, so that an id with a slash need not be encoded. */
bool api_v1_models_get(struct http_request *req, struct http_reply *reply, struct status *st)
{
    struct text id = http_request_param(req, "*");
    const struct relay_model *model =
        relay_snapshot_model(relay_worker_models(api_request_of(req)->worker->relay), id);
    if (model == NULL || !model->usable) {
        api_request_of(req)->error_code = "model_not_found";
        return status_fail_field(st, STATUS_NOT_FOUND, "model",
                                 "the model '%.*s' does not exist; GET /v1/models lists those "
                                 "that do",
                                 (int)text_utf8_whole(text_take(id, 100)), id.at);
    }
    struct api_json json = api_json_in(req->arena);
    write_model(&json, model);
    return api_json_send(&json, reply, 200, st);
}
