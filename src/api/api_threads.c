/* /api/threads: the conversations of the person who is signed in. */
#include "api_chat.h"
#include "api_handlers.h"
#include "api_internal.h"
#include "arena.h"
#include "chat_run.h"

enum { TITLE, MODEL, SYSTEM_PROMPT, PARAMETERS, LEAF_ID, FIELDS };

static const struct api_field thread_fields[FIELDS] = {
    [TITLE] = {"title", API_FIELD_NAME, API_FIELD_OPTIONAL, 0, CHAT_TITLE_CHARS_MAX},
    [MODEL] = {"model", API_FIELD_TEXT, API_FIELD_NULLABLE, 0, 100},
    [SYSTEM_PROMPT] = {"system_prompt", API_FIELD_TEXT, API_FIELD_OPTIONAL, 0,
                       CHAT_PROMPT_CHARS_MAX},
    [PARAMETERS] = {"parameters", API_FIELD_OBJECT, API_FIELD_OPTIONAL, 0, 0},
    [LEAF_ID] = {"leaf_id", API_FIELD_TEXT, API_FIELD_OPTIONAL, 1, 100},
};

static bool read_change(struct http_request *req, size_t fields, struct api_value *values,
                        struct text *parameters, struct chat_thread_change *out, struct status *st);
static bool send_thread(struct http_request *req, struct http_reply *reply, int http_status,
                        const struct chat_thread *thread, bool with_messages, struct status *st);
static bool fail_run(struct http_request *req, const struct status *st);

bool api_threads_list(struct http_request *req, struct http_reply *reply, struct status *st)
{
    struct api_page page;
    struct text query = TEXT("");
    struct chat_thread *threads;
    size_t count;
    bool more;
    if (!api_page_read(req, &page, st))
        return false;
    if (!http_request_query(req, TEXT("query"), &query, st)) {
        if (st->code != STATUS_NOT_FOUND)
            return false;
        query = TEXT("");
    }
    query = text_trim(query);
    if (query.len > 800)
        return api_fail(req, st, API_PROBLEM_INVALID_INPUT, "query",
                        "query must have at most 200 characters");
    if (!chat_thread_list(api_request_of(req)->api->chat, api_chat_person(req), query,
                          page.after_key, page.after_id, page.limit, req->arena, &threads, &count,
                          &more, st))
        return false;
    struct api_json json = api_json_in(req->arena);
    api_json_list_open(&json);
    for (size_t i = 0; i < count; i++)
        api_chat_write_thread(&json, NULL, &threads[i], NULL, 0);
    bool next = more && count > 0;
    api_json_list_close(&json, next ? threads[count - 1].updated_us : 0,
                        next ? threads[count - 1].id : TEXT(""));
    return api_json_send(&json, reply, 200, st);
}

bool api_threads_create(struct http_request *req, struct http_reply *reply, struct status *st)
{
    struct api_value values[FIELDS];
    struct chat_thread_change with;
    struct chat_thread thread;
    struct text parameters;
    return read_change(req, LEAF_ID, values, &parameters, &with, st) &&
           chat_thread_create(api_request_of(req)->api->chat, api_chat_person(req), &with,
                              req->arena, &thread, st) &&
           send_thread(req, reply, 201, &thread, true, st);
}

bool api_threads_get(struct http_request *req, struct http_reply *reply, struct status *st)
{
    struct chat_thread thread;
    return chat_thread_get(api_request_of(req)->api->chat, api_chat_person(req),
                           http_request_param(req, "id"), req->arena, &thread, st) &&
           send_thread(req, reply, 200, &thread, true, st);
}

bool api_threads_update(struct http_request *req, struct http_reply *reply, struct status *st)
{
    struct api_value values[FIELDS];
    struct chat_thread_change change;
    struct chat_thread thread;
    struct text parameters;
    return read_change(req, FIELDS, values, &parameters, &change, st) &&
           chat_thread_update(api_request_of(req)->api->chat, api_chat_person(req),
                              http_request_param(req, "id"), &change, req->arena, &thread, st) &&
           send_thread(req, reply, 200, &thread, false, st);
}

bool api_threads_delete(struct http_request *req, struct http_reply *reply, struct status *st)
{
    return chat_thread_delete(api_request_of(req)->api->chat, api_chat_person(req),
                              http_request_param(req, "id"), st) &&
           api_json_send_nothing(reply, st);
}

bool api_runs_start(struct http_request *req, struct http_reply *reply, struct status *st)
{
    enum { PARENT_ID, CONTENT, RUN_MODEL, RUN_PARAMETERS, COUNT };
    static const struct api_field fields[] = {
        [PARENT_ID] = {"parent_id", API_FIELD_TEXT, API_FIELD_REQUIRED | API_FIELD_NULLABLE, 1,
                       100},
        [CONTENT] = {"content", API_FIELD_TEXT, API_FIELD_OPTIONAL, 1, CHAT_CONTENT_CHARS_MAX},
        [RUN_MODEL] = {"model", API_FIELD_TEXT, API_FIELD_REQUIRED, 1, 100},
        [RUN_PARAMETERS] = {"parameters", API_FIELD_OBJECT, API_FIELD_OPTIONAL, 0, 0},
    };
    struct api_request *request = api_request_of(req);
    struct api_value values[COUNT];
    struct text parameters;
    struct chat_run run;
    if (!api_body_read(req, fields, COUNT, values, st) ||
        (values[RUN_PARAMETERS].present &&
         !api_chat_parameters(req, values[RUN_PARAMETERS].raw, &parameters, st)))
        return false;
    struct chat_run_options options = {
        .thread_id = http_request_param(req, "id"),
        .parent_id = values[PARENT_ID].text,
        .content = values[CONTENT].present ? &values[CONTENT].text : NULL,
        .model = values[RUN_MODEL].text,
        .parameters = values[RUN_PARAMETERS].present ? &parameters : NULL,
        .request_id = req->request_id,
        .weight = request->caller.who.weight,
    };
    if (!chat_run_start(request->api->chat, request->worker->relay, api_chat_person(req), &options,
                        req->arena, &run, st))
        return fail_run(req, st);
    struct api_json json = api_json_in(req->arena);
    api_json_open(&json, NULL, '{');
    api_json_text(&json, "run_id", run.id);
    api_chat_write_thread(&json, "thread", &run.thread, NULL, 0);
    if (run.has_user_message)
        api_chat_write_message(&json, "user_message", &run.user_message);
    else
        api_json_null(&json, "user_message");
    api_chat_write_message(&json, "assistant_message", &run.answer);
    api_json_close(&json, '}');
    return api_json_send(&json, reply, 201, st);
}

/* The first `fields` of the table, as what is to be set. */
static bool read_change(struct http_request *req, size_t fields, struct api_value *values,
                        struct text *parameters, struct chat_thread_change *out, struct status *st)
{
    for (size_t i = fields; i < FIELDS; i++)
        values[i] = (struct api_value){.present = false};
    if (!api_body_read(req, thread_fields, fields, values, st) ||
        (values[PARAMETERS].present &&
         !api_chat_parameters(req, values[PARAMETERS].raw, parameters, st)))
        return false;
    *out = (struct chat_thread_change){
        .title = values[TITLE].present ? &values[TITLE].text : NULL,
        .model = values[MODEL].present ? &values[MODEL].text : NULL,
        .system_prompt = values[SYSTEM_PROMPT].present ? &values[SYSTEM_PROMPT].text : NULL,
        .parameters = values[PARAMETERS].present ? parameters : NULL,
        .leaf_id = values[LEAF_ID].present ? &values[LEAF_ID].text : NULL,
    };
    return true;
}

static bool send_thread(struct http_request *req, struct http_reply *reply, int http_status,
                        const struct chat_thread *thread, bool with_messages, struct status *st)
{
    struct chat_message *messages = NULL;
    size_t count = 0;
    if (with_messages && !chat_message_list(api_request_of(req)->api->chat, api_chat_person(req),
                                            thread->id, req->arena, &messages, &count, st))
        return false;
    struct api_json json = api_json_in(req->arena);
    api_chat_write_thread(&json, NULL, thread, messages, count);
    return api_json_send(&json, reply, http_status, st);
}

/* The chat marks in `field` what stood in the way. */
static bool fail_run(struct http_request *req, const struct status *st)
{
    if (st->code == STATUS_CONFLICT && text_equal(text_of(st->field), TEXT("run")))
        return api_fail_as(req, API_PROBLEM_RUN_ACTIVE);
    if (st->code == STATUS_UNAVAILABLE && text_starts(status_text(st), TEXT("the model ")))
        return api_fail_as(req, API_PROBLEM_MODEL_NOT_READY);
    return false;
}
