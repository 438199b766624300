#include "api_chat.h"
#include "api_request.h"
#include "arena.h"

struct chat_person api_chat_person(const struct http_request *req)
{
    const struct api_caller *caller = api_caller_of(req);
    return (struct chat_person){caller->org_id, caller->user_id};
}

static void write_json_or_null(struct api_json *json, const char *name, struct text value)
{
    api_json_raw(json, name, value.len > 0 ? value : TEXT("null"));
}

void api_chat_write_message(struct api_json *json, const char *name,
                            const struct chat_message *message)
{
    api_json_open(json, name, '{');
    api_json_text(json, "id", message->id);
    api_json_text_or_null(json, "parent_id", message->parent_id);
    api_json_text(json, "role", message->role);
    api_json_text(json, "content", message->content);
    api_json_text(json, "status", message->status);
    api_json_text_or_null(json, "run_id", message->run_id);
    api_json_text_or_null(json, "model", message->model);
    write_json_or_null(json, "usage", message->usage);
    api_json_text_or_null(json, "finish_reason", message->finish_reason);
    write_json_or_null(json, "error", message->error);
    api_json_int(json, "created_us", message->created_us);
    api_json_close(json, '}');
}

void api_chat_write_thread(struct api_json *json, const char *name,
                           const struct chat_thread *thread, const struct chat_message *messages,
                           size_t count)
{
    api_json_open(json, name, '{');
    api_json_text(json, "id", thread->id);
    api_json_text(json, "title", thread->title);
    api_json_text_or_null(json, "model", thread->model);
    api_json_text_or_null(json, "leaf_id", thread->leaf_id);
    api_json_text(json, "system_prompt", thread->system_prompt);
    api_json_raw(json, "parameters", thread->parameters);
    api_json_text_or_null(json, "active_run_id", thread->active_run_id);
    api_json_int(json, "created_us", thread->created_us);
    api_json_int(json, "updated_us", thread->updated_us);
    if (messages != NULL) {
        api_json_open(json, "messages", '[');
        for (size_t i = 0; i < count; i++)
            api_chat_write_message(json, NULL, &messages[i]);
        api_json_close(json, ']');
    }
    api_json_close(json, '}');
}

bool api_chat_parameters(struct http_request *req, struct relay_json_value object, struct text *out,
                         struct status *st)
{
    static const struct api_field fields[] = {
        {"temperature", API_FIELD_NUMBER, API_FIELD_NULLABLE, 0, 2},
        {"top_p", API_FIELD_NUMBER, API_FIELD_NULLABLE, 0, 1},
        {"top_k", API_FIELD_INT, API_FIELD_NULLABLE, 0, 1000},
        {"min_p", API_FIELD_NUMBER, API_FIELD_NULLABLE, 0, 1},
        {"max_tokens", API_FIELD_INT, API_FIELD_NULLABLE, 1, 1000000},
        {"frequency_penalty", API_FIELD_NUMBER, API_FIELD_NULLABLE, -2, 2},
        {"presence_penalty", API_FIELD_NUMBER, API_FIELD_NULLABLE, -2, 2},
        {"seed", API_FIELD_INT, API_FIELD_NULLABLE, 0, 4294967295.0},
    };
    struct api_value values[ARRAY_LEN(fields)];
    if (!api_body_object(req, object, "parameters.", fields, ARRAY_LEN(fields), values, st))
        return false;
    struct api_json json = api_json_in(req->arena);
    api_json_open(&json, NULL, '{');
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (values[i].present && !values[i].is_null)
            api_json_raw(&json, fields[i].name, values[i].raw.raw);
    api_json_close(&json, '}');
    *out = api_json_done(&json);
    return true;
}
