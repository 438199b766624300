/* The messages of a request, as the model's chat template takes them. Where the template knows
 * nothing of functions, calls of the past are told in the assistant's words, what they gave in the
 * user's, and the functions themselves in the system's. */
#include "infer_call_internal.h"
#include <string.h>

enum { MESSAGES_MAX = 4096, PARTS_MAX = 1024, CALLS_MAX = 128, NAME_BYTES_MAX = 256 };

enum role { ROLE_SYSTEM, ROLE_DEVELOPER, ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL };
static const char *const roles[] = {"system", "developer", "user", "assistant", "tool", NULL};

struct call {
    struct text id, name, arguments; /* arguments: JSON */
};
struct message {
    enum role role;
    struct text content, reasoning, call_id;
    struct call *calls;
    size_t calls_count;
};

struct writer {
    const struct infer_call_model *model;
    const struct infer_tools *tools;
    struct arena *arena;
    struct text_buf out;
    struct text_buf user; /* of our own making, not written yet: what functions gave */
    bool any, described;
};

static bool read_message(const struct json_at *in, struct arena *arena, struct message *out,
                         struct status *st);
static bool read_content(const struct json_at *in, bool may_miss, struct arena *arena,
                         struct text *out, struct status *st);
static bool read_calls(const struct json_at *in, struct arena *arena, struct message *out,
                       struct status *st);
static bool read_call(const struct json_at *in, struct arena *arena, struct call *out,
                      struct status *st);
static void write_own(struct writer *w, const struct message *message);
static void write_plain(struct writer *w, const struct message *message);
static void write_waiting(struct writer *w);
static void write_one(struct writer *w, const char *role, struct text content);
static void describe(struct writer *w, struct text content);
static bool make_tools_json(struct infer_call *out, const struct infer_call_model *model,
                            struct arena *arena, struct status *st);

bool infer_call_read_messages(const struct json_at *in, const struct infer_call_model *model,
                              struct arena *arena, struct infer_call *out, struct status *st)
{
    struct json_at list;
    struct writer w = {.model = model,
                       .tools = &out->tools,
                       .arena = arena,
                       .out = text_buf_in(arena, INFER_CALL_TEXTS_MAX),
                       .described = model->takes_tools || out->tools.choice == INFER_TOOLS_NONE};
    if (!json_get_array(in, "messages", JSON_REQUIRED, MESSAGES_MAX, &list, st))
        return false;
    if (json_count(&list) == 0)
        return json_fail(in, "messages", st, "must not be empty");
    text_buf_add(&w.out, TEXT("["));
    for (size_t i = 0; i < json_count(&list); i++) {
        struct json_at item;
        struct message message = {.role = ROLE_USER};
        if (!json_item_object(&list, i, &item, st) || !read_message(&item, arena, &message, st))
            return false;
        if (model->takes_tools)
            write_own(&w, &message);
        else
            write_plain(&w, &message);
    }
    write_waiting(&w);
    text_buf_add(&w.out, TEXT("]"));
    if (w.out.cut)
        return status_fail_field(st, STATUS_TOO_LARGE, "messages", "messages are too long");
    out->messages = arena_cstr(arena, text_buf_text(&w.out));
    return !model->takes_tools || make_tools_json(out, model, arena, st);
}

static bool read_message(const struct json_at *in, struct arena *arena, struct message *out,
                         struct status *st)
{
    static const char *const known[] = {"role",         "content",     "name",
                                        "refusal",      "tool_calls",  "function_call",
                                        "audio",        "annotations", "reasoning_content",
                                        "tool_call_id", NULL};
    static const char *const unsupported[] = {"function_call", "audio"};
    size_t role;
    struct text name;
    struct json_at any;
    if (!json_get_choice(in, "role", JSON_REQUIRED, roles, &role, st) ||
        !json_only(in, known, st) ||
        !json_get_text(in, "name", JSON_OPTIONAL, NAME_BYTES_MAX, &name, st))
        return false;
    out->role = (enum role)role;
    for (size_t i = 0; i < ARRAY_LEN(unsupported); i++)
        if (json_get_any(in, unsupported[i], &any) &&
            json_array_size(any.value) + !json_is_array(any.value) > 0)
            return json_fail(in, unsupported[i], st, "is not supported by this server");
    enum json_need id = role == ROLE_TOOL ? JSON_REQUIRED : JSON_OPTIONAL;
    if (!json_get_text(in, "tool_call_id", id, NAME_BYTES_MAX, &out->call_id, st) ||
        !json_get_text(in, "reasoning_content", JSON_OPTIONAL, INFER_CALL_BODY_BYTES_MAX,
                       &out->reasoning, st))
        return false;
    if (role != ROLE_TOOL && out->call_id.at != NULL)
        return json_fail(in, "tool_call_id", st, "belongs to messages whose role is tool");
    if (!read_calls(in, arena, out, st))
        return false;
    return read_content(in, role == ROLE_ASSISTANT, arena, &out->content, st);
}

/* A text, or a list of parts that are texts, which are put together. */
static bool read_content(const struct json_at *in, bool may_miss, struct arena *arena,
                         struct text *out, struct status *st)
{
    static const char *const types[] = {"text", "refusal", NULL};
    struct json_at any, list;
    *out = TEXT("");
    if (!json_get_any(in, "content", &any))
        return may_miss || json_fail(in, "content", st, "is missing");
    if (!json_is_array(any.value))
        return json_get_text(in, "content", JSON_REQUIRED, INFER_CALL_BODY_BYTES_MAX, out, st);
    if (!json_get_array(in, "content", JSON_REQUIRED, PARTS_MAX, &list, st))
        return false;
    struct text_buf buf = text_buf_in(arena, INFER_CALL_BODY_BYTES_MAX);
    for (size_t i = 0; i < json_count(&list); i++) {
        struct json_at part;
        size_t type;
        struct text text;
        if (!json_item_object(&list, i, &part, st) ||
            !json_get_choice(&part, "type", JSON_REQUIRED, types, &type, st) ||
            !json_get_text(&part, types[type], JSON_REQUIRED, INFER_CALL_BODY_BYTES_MAX, &text, st))
            return false;
        text_buf_add(&buf, text);
    }
    *out = text_buf_text(&buf);
    return true;
}

static bool read_calls(const struct json_at *in, struct arena *arena, struct message *out,
                       struct status *st)
{
    struct json_at list;
    if (!json_get_array(in, "tool_calls", JSON_OPTIONAL, CALLS_MAX, &list, st))
        return false;
    out->calls_count = json_count(&list);
    if (out->calls_count > 0 && out->role != ROLE_ASSISTANT)
        return json_fail(in, "tool_calls", st, "belong to messages whose role is assistant");
    out->calls = ARENA_ARRAY(arena, out->calls_count, struct call);
    for (size_t i = 0; i < out->calls_count; i++) {
        struct json_at item;
        if (!json_item_object(&list, i, &item, st) || !read_call(&item, arena, &out->calls[i], st))
            return false;
    }
    return true;
}

static bool read_call(const struct json_at *in, struct arena *arena, struct call *out,
                      struct status *st)
{
    static const char *const types[] = {"function", NULL};
    static const char *const known[] = {"id", "type", "function", "index", NULL};
    static const char *const parts[] = {"name", "arguments", NULL};
    struct json_at function;
    struct text arguments;
    struct status why = {0};
    json_t *value;
    size_t type;
    if (!json_only(in, known, st) ||
        !json_get_text(in, "id", JSON_OPTIONAL, NAME_BYTES_MAX, &out->id, st) ||
        !json_get_choice(in, "type", JSON_OPTIONAL, types, &type, st) ||
        !json_get_object(in, "function", JSON_REQUIRED, &function, st) ||
        !json_only(&function, parts, st) ||
        !json_get_text(&function, "name", JSON_REQUIRED, NAME_BYTES_MAX, &out->name, st) ||
        !json_get_text(&function, "arguments", JSON_REQUIRED, INFER_CALL_BODY_BYTES_MAX, &arguments,
                       st))
        return false;
    out->arguments = TEXT("{}");
    if (text_trim(arguments).len == 0)
        return true;
    if (!json_read_in(arena, arguments, NULL, &value, &why))
        return json_fail(&function, "arguments", st, "must be JSON: %s", why.text);
    out->arguments = arguments;
    return true;
}

/* For a template that knows of functions: as it came. */
static void write_own(struct writer *w, const struct message *message)
{
    const struct model_vocab *vocab = w->model->vocab;
    text_buf_addf(&w->out, "%s{\"role\":\"%s\",\"content\":", w->any ? "," : "",
                  roles[message->role]);
    infer_call_add_guarded(&w->out, vocab, message->content);
    if (message->reasoning.len > 0) {
        text_buf_add(&w->out, TEXT(",\"reasoning_content\":"));
        infer_call_add_guarded(&w->out, vocab, message->reasoning);
    }
    if (message->role == ROLE_TOOL) {
        text_buf_add(&w->out, TEXT(",\"tool_call_id\":"));
        infer_call_add_guarded(&w->out, vocab, message->call_id);
    }
    for (size_t i = 0; i < message->calls_count; i++) {
        const struct call *call = &message->calls[i];
        text_buf_add(&w->out, i == 0 ? TEXT(",\"tool_calls\":[{") : TEXT(",{"));
        text_buf_add(&w->out, TEXT("\"type\":\"function\",\"id\":"));
        infer_call_add_guarded(&w->out, vocab, call->id);
        text_buf_add(&w->out, TEXT(",\"function\":{\"name\":"));
        infer_call_add_guarded(&w->out, vocab, call->name);
        text_buf_add(&w->out, TEXT(",\"arguments\":"));
        infer_call_add_guarded(&w->out, vocab, call->arguments);
        text_buf_add(&w->out, i + 1 == message->calls_count ? TEXT("}}]") : TEXT("}}"));
    }
    text_buf_add(&w->out, TEXT("}"));
    w->any = true;
}

/* For one that does not. */
static void write_plain(struct writer *w, const struct message *message)
{
    struct text_buf text = text_buf_in(w->arena, INFER_CALL_TEXTS_MAX);
    bool is_system = message->role == ROLE_SYSTEM || message->role == ROLE_DEVELOPER;
    if (!w->described) {
        describe(w, is_system ? message->content : TEXT_NONE);
        if (is_system)
            return;
    }
    switch (message->role) {
    case ROLE_TOOL:
        if (w->user.arena == NULL)
            w->user = text_buf_in(w->arena, INFER_CALL_TEXTS_MAX);
        text_buf_add(&w->user,
                     w->user.len > 0 ? TEXT("\n<tool_response>") : TEXT("<tool_response>"));
        text_buf_add(&w->user, message->content);
        text_buf_add(&w->user, TEXT("</tool_response>"));
        return;
    case ROLE_USER:
        if (w->user.len == 0) {
            write_one(w, "user", message->content);
            return;
        }
        text_buf_add(&w->user, TEXT("\n"));
        text_buf_add(&w->user, message->content);
        write_waiting(w);
        return;
    case ROLE_ASSISTANT:
        text_buf_add(&text, message->content);
        for (size_t i = 0; i < message->calls_count; i++) {
            text_buf_add(&text, text.len > 0 ? TEXT("\n") : TEXT(""));
            infer_tools_add_call(message->calls[i].name, message->calls[i].arguments, &text);
        }
        break;
    case ROLE_SYSTEM:
    case ROLE_DEVELOPER:
        text_buf_add(&text, message->content);
        break;
    }
    write_waiting(w);
    w->out.cut |= text.cut;
    write_one(w, roles[message->role], text_buf_text(&text));
}

/* What functions gave, as one message: some templates want users and assistants to take turns. */
static void write_waiting(struct writer *w)
{
    if (w->user.len == 0)
        return;
    w->out.cut |= w->user.cut;
    write_one(w, "user", text_buf_text(&w->user));
    w->user.len = 0;
}

static void write_one(struct writer *w, const char *role, struct text content)
{
    text_buf_addf(&w->out, "%s{\"role\":\"%s\",\"content\":", w->any ? "," : "", role);
    infer_call_add_guarded(&w->out, w->model->vocab, content);
    text_buf_add(&w->out, TEXT("}"));
    w->any = true;
}

/* The system message, `content` being what the caller wants in it. */
static void describe(struct writer *w, struct text content)
{
    struct text_buf text = text_buf_in(w->arena, INFER_CALL_TEXTS_MAX);
    text_buf_add(&text, content);
    text_buf_add(&text, content.len > 0 ? TEXT("\n\n") : TEXT(""));
    infer_tools_describe(w->tools, &text);
    w->out.cut |= text.cut;
    w->described = true;
    write_one(w, "system", text_buf_text(&text));
}

static bool make_tools_json(struct infer_call *out, const struct infer_call_model *model,
                            struct arena *arena, struct status *st)
{
    struct text_buf buf = text_buf_in(arena, INFER_CALL_TEXTS_MAX);
    if (out->tools.choice == INFER_TOOLS_NONE)
        return true;
    text_buf_add(&buf, TEXT("["));
    for (size_t i = 0; i < out->tools.count; i++) {
        text_buf_add(&buf, i > 0 ? TEXT(",") : TEXT(""));
        infer_call_add_guarded_json(&buf, model->vocab, out->tools.at[i].at.value);
    }
    text_buf_add(&buf, TEXT("]"));
    out->tools_json = arena_cstr(arena, text_buf_text(&buf));
    return !buf.cut || status_fail_field(st, STATUS_TOO_LARGE, "tools", "tools are too long");
}
