#include "chat_run.h"
#include "chat_go.h"
#include "chat_internal.h"
#include "chat_store.h"
#include "chat_title.h"
#include "clock.h"
#include "ids.h"
#include "relay_call.h"

/* What one conversation may hold, in JSON and with all its branches, before another answer: so it
 * can always be sent to a model and, with that answer, be opened again. */
enum { THREAD_JSON_BYTES_MAX = 7 * 1024 * 1024, JSON_BYTES_MAX = 8 * 1024 * 1024 };

/* What is read and made before anything is stored. */
struct plan {
    const struct chat_run_options *options;
    struct chat_run *run;
    struct chat_message *messages;
    size_t count;
    struct arena *arena;
};

static bool check_place(const struct plan *plan, struct status *st);
static void fill(struct plan *plan);
static bool check_size(const struct plan *plan, struct status *st);
static size_t json_size(struct text text);
static bool too_long(struct status *st);
static bool request_json(const struct plan *plan, struct text *out, struct status *st);
static void add_message(struct text_buf *json, bool *first, struct text role, struct text content);

bool chat_run_start(struct chat *chat, struct relay_worker *worker, struct chat_person person,
                    const struct chat_run_options *options, struct arena *arena,
                    struct chat_run *out, struct status *st)
{
    struct chat_run run = {0};
    struct plan plan = {.options = options, .run = &run, .arena = arena};
    struct chat_go *go;
    struct text json;
    if (!chat_thread_get(chat, person, options->thread_id, arena, &run.thread, st))
        return false;
    if (run.thread.active_run_id.len > 0)
        return status_fail_field(st, STATUS_CONFLICT, "run",
                                 "an answer is being written in this conversation");
    if (!chat_message_list(chat, person, options->thread_id, arena, &plan.messages, &plan.count,
                           st) ||
        !check_place(&plan, st) || !relay_call_check(worker, options->model, st))
        return false;
    if ((int64_t)plan.count + 2 > chat->options.messages_max)
        return status_fail(st, STATUS_CONFLICT,
                           "this conversation has %lld messages, the most allowed",
                           (long long)chat->options.messages_max);
    if ((int64_t)chat_live_count_person(chat, person) >= chat->options.runs_max) {
        (void)status_fail(st, STATUS_RATE_LIMITED,
                          "%lld answers are being written for you, the most at a time",
                          (long long)chat->options.runs_max);
        st->retry_after_ms = 1000;
        return false;
    }
    if (!check_size(&plan, st))
        return false;
    fill(&plan);
    if (!request_json(&plan, &json, st) ||
        !chat_go_start(chat, worker, person, &run, json, options->request_id, options->weight, &go,
                       st)) /* waits for a refusal */
        return false;
    if (!chat_store_start(chat, person, &run, arena, st)) {
        chat_go_drop(go);
        return false;
    }
    chat_go_keep(go);
    *out = run;
    return true;
}

bool chat_run_stop(struct chat *chat, struct chat_person person, struct text run_id,
                   struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    struct chat_run_row row;
    if (!chat_store_get(chat, person, run_id, arena, &row, st))
        return false;
    if (row.ended)
        return true;
    if (!chat_store_stop(chat, person, run_id, st)) /* so that its owner hears of it */
        return false;
    chat_live_stop(chat, run_id, CHAT_LIVE_STOP_PERSON); /* at once, if that is us */
    return true;
}

static bool check_place(const struct plan *plan, struct status *st)
{
    const struct chat_run_options *options = plan->options;
    const struct chat_message *parent =
        chat_message_find(plan->messages, plan->count, options->parent_id);
    if (options->parent_id.len > 0 && parent == NULL)
        return status_fail_field(st, STATUS_INVALID, "parent_id",
                                 "parent_id is no message of this conversation");
    bool parent_is_user = parent != NULL && text_equal(parent->role, TEXT("user"));
    if (options->content == NULL && !parent_is_user)
        return status_fail_field(
            st, STATUS_INVALID, "parent_id",
            "parent_id must be a message of a person when there is no content");
    if (options->content != NULL && parent_is_user)
        return status_fail_field(st, STATUS_INVALID, "parent_id",
                                 "parent_id must be an answer, or null for a first message");
    return true;
}

static bool check_size(const struct plan *plan, struct status *st)
{
    size_t size = plan->options->content != NULL ? json_size(*plan->options->content) : 0;
    for (size_t i = 0; i < plan->count && size <= THREAD_JSON_BYTES_MAX; i++)
        size += json_size(plan->messages[i].content);
    return size <= THREAD_JSON_BYTES_MAX || too_long(st);
}

/* Of the text as a JSON string, without its quotes. */
static size_t json_size(struct text text)
{
    size_t size = text.len;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        size += c < ' ' ? 5 : (c == '"' || c == '\\');
    }
    return size;
}

static bool too_long(struct status *st)
{
    return status_fail(st, STATUS_TOO_LARGE,
                       "this conversation is as long as one can be (%d MiB with all its branches): "
                       "begin a new one",
                       THREAD_JSON_BYTES_MAX / 1024 / 1024);
}

static void fill(struct plan *plan)
{
    const struct chat_run_options *options = plan->options;
    struct chat_run *run = plan->run;
    struct arena *arena = plan->arena;
    struct id run_id = ids_new("run_"), user_id = ids_new("msg_"), answer_id = ids_new("msg_");
    int64_t now_us = clock_wall_us();
    struct text parent = options->parent_id;
    run->id = arena_text(arena, ids_text(&run_id));
    run->has_user_message = options->content != NULL;
    if (run->has_user_message) {
        run->user_message = (struct chat_message){
            .id = arena_text(arena, ids_text(&user_id)),
            .parent_id = parent,
            .role = TEXT("user"),
            .content = *options->content,
            .status = TEXT("complete"),
            .created_us = now_us,
        };
        parent = run->user_message.id;
    }
    run->answer = (struct chat_message){
        .id = arena_text(arena, ids_text(&answer_id)),
        .parent_id = parent,
        .role = TEXT("assistant"),
        .content = TEXT(""),
        .status = TEXT("queued"),
        .run_id = run->id,
        .model = options->model,
        .created_us = now_us + 1, /* after its question, in the order of time */
    };
    run->thread.model = options->model;
    run->thread.leaf_id = run->answer.id;
    run->thread.active_run_id = run->id;
    run->thread.updated_us = run->answer.created_us;
    if (run->thread.title.len == 0) {
        const struct chat_message *path[1];
        if (run->has_user_message && plan->count == 0)
            run->thread.title = chat_title_of(*options->content);
        else if (plan->count > 0 &&
                 chat_message_path(plan->messages, plan->count, plan->messages[0].id, path, 1) == 1)
            run->thread.title = chat_title_of(path[0]->content);
    }
}

/* What the model is asked: a body of chat completions. */
static bool request_json(const struct plan *plan, struct text *out, struct status *st)
{
    const struct chat_run_options *options = plan->options;
    const struct chat_message **path =
        ARENA_ARRAY(plan->arena, plan->count + 1, const struct chat_message *);
    size_t count =
        chat_message_path(plan->messages, plan->count, options->parent_id, path, plan->count);
    struct text_buf json = text_buf_in(plan->arena, JSON_BYTES_MAX);
    bool first = true;
    text_buf_add(&json, TEXT("{\"model\":"));
    text_buf_add_json(&json, options->model);
    text_buf_add(&json, TEXT(",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
                             "\"messages\":["));
    add_message(&json, &first, TEXT("system"), plan->run->thread.system_prompt);
    for (size_t i = 0; i < count; i++)
        add_message(&json, &first, path[i]->role, path[i]->content);
    if (options->content != NULL)
        add_message(&json, &first, TEXT("user"), *options->content);
    text_buf_add(&json, TEXT("]"));
    struct text parameters =
        options->parameters != NULL ? *options->parameters : plan->run->thread.parameters;
    if (parameters.len > 2) { /* "{}": none; the others follow as they stand */
        text_buf_add(&json, TEXT(","));
        text_buf_add(&json, text_take(text_skip(parameters, 1), parameters.len - 2));
    }
    text_buf_add(&json, TEXT("}"));
    *out = text_buf_text(&json);
    return !json.cut || too_long(st);
}

static void add_message(struct text_buf *json, bool *first, struct text role, struct text content)
{
    if (content.len == 0) /* an answer that failed before its first word */
        return;
    text_buf_add(json, *first ? TEXT("{\"role\":\"") : TEXT(",{\"role\":\""));
    text_buf_add(json, role);
    text_buf_add(json, TEXT("\",\"content\":"));
    text_buf_add_json(json, content);
    text_buf_add(json, TEXT("}"));
    *first = false;
}
