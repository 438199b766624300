#include "relay_request.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

/* What becomes of a field when the model is a local one. Other upstreams get every field. */
enum local { LOCAL_PASS, LOCAL_DROP, LOCAL_REFUSE };

struct reading {
    struct relay_request *out;
    struct arena *arena;
    struct status *st;
};
struct field {
    const char *name;
    enum local local;
    bool (*check)(struct reading *in, const struct field *field, struct relay_json_value value);
    double min, max; /* numbers: the range; texts: bytes; arrays: items */
};

typedef bool check_fn(struct reading *in, const struct field *field, struct relay_json_value value);
static check_fn check_any, check_array, check_bool, check_integer, check_logit_bias, check_messages,
    check_model, check_n, check_number, check_object, check_response_format, check_stop,
    check_stream, check_stream_options, check_text, check_tokens_max, check_tool_choice,
    check_tools;

static const struct field fields[] = {
    {"model", LOCAL_PASS, check_model, 1, RELAY_REQUEST_MODEL_BYTES_MAX},
    {"messages", LOCAL_PASS, check_messages, 1, RELAY_REQUEST_MESSAGES_MAX},
    {"stream", LOCAL_PASS, check_stream, 0, 0},
    {"stream_options", LOCAL_PASS, check_stream_options, 0, 0},
    {"temperature", LOCAL_PASS, check_number, 0, 2},
    {"top_p", LOCAL_PASS, check_number, 0, 1},
    {"top_k", LOCAL_PASS, check_integer, -1, 1000000},
    {"min_p", LOCAL_PASS, check_number, 0, 1},
    {"repeat_penalty", LOCAL_PASS, check_number, 0.1, 10},
    {"repeat_last_n", LOCAL_PASS, check_integer, -1, 1000000},
    {"ignore_eos", LOCAL_PASS, check_bool, 0, 0},
    {"max_tokens", LOCAL_PASS, check_tokens_max, 1, 100000000},
    {"max_completion_tokens", LOCAL_PASS, check_tokens_max, 1, 100000000},
    {"n", LOCAL_PASS, check_n, 1, 128},
    {"stop", LOCAL_PASS, check_stop, 0, 4},
    {"seed", LOCAL_PASS, check_integer, -9007199254740992.0, 9007199254740992.0},
    {"frequency_penalty", LOCAL_PASS, check_number, -2, 2},
    {"presence_penalty", LOCAL_PASS, check_number, -2, 2},
    {"logit_bias", LOCAL_PASS, check_logit_bias, -100, 100},
    {"logprobs", LOCAL_PASS, check_bool, 0, 0},
    {"top_logprobs", LOCAL_PASS, check_integer, 0, 20},
    {"response_format", LOCAL_PASS, check_response_format, 0, 0},
    {"tools", LOCAL_PASS, check_tools, 0, 128},
    {"tool_choice", LOCAL_PASS, check_tool_choice, 0, 0},
    {"parallel_tool_calls", LOCAL_PASS, check_bool, 0, 0},
    {"store", LOCAL_DROP, check_bool, 0, 0},
    {"metadata", LOCAL_DROP, check_object, 0, 0},
    {"user", LOCAL_DROP, check_text, 0, 512},
    {"safety_identifier", LOCAL_DROP, check_text, 0, 512},
    {"prompt_cache_key", LOCAL_DROP, check_text, 0, 512},
    {"prompt_cache_retention", LOCAL_DROP, check_text, 0, 64},
    {"service_tier", LOCAL_DROP, check_text, 0, 64},
    {"prediction", LOCAL_DROP, check_object, 0, 0},
    {"reasoning_effort", LOCAL_DROP, check_text, 0, 64},
    {"verbosity", LOCAL_DROP, check_text, 0, 64},
    {"audio", LOCAL_REFUSE, check_object, 0, 0},
    {"modalities", LOCAL_PASS, check_array, 0, 16},
    {"web_search_options", LOCAL_REFUSE, check_object, 0, 0},
    {"functions", LOCAL_PASS, check_array, 0, 128},
    {"function_call", LOCAL_PASS, check_any, 0, 0},
};
static_assert(ARRAY_LEN(fields) <= 64, "the fields seen are bits of one word");

static const struct field *field_find(struct text name);
static bool read_member(struct reading *in, struct text name, struct relay_json_value value,
                        uint64_t *seen);
static bool message_check(struct reading *in, const char *path, struct relay_json_value message);
static bool content_check(struct reading *in, const char *path, struct relay_json_value content);
static bool kind_is(struct reading *in, const char *path, struct relay_json_value value,
                    enum relay_json_kind kind);
static bool type_of(struct reading *in, const char *path, struct relay_json_value object,
                    char *memory, size_t size, struct text *out);

bool relay_request_read(struct text body, struct arena *arena, struct relay_request *out,
                        struct status *st)
{
    struct relay_json_value root;
    if (!relay_json_check(body, &root, st))
        return false;
    if (root.kind != RELAY_JSON_OBJECT)
        return status_fail(st, STATUS_INVALID, "the body must be an object, not %s",
                           relay_json_kind_name(root.kind));
    struct relay_request request = {.body = root.raw, .n = 1};
    struct reading in = {&request, arena, st};
    struct relay_json_iter iter = relay_json_iter_of(root);
    struct relay_json_value value;
    uint64_t seen = 0;
    for (struct text name; relay_json_next(&iter, &name, &value);)
        if (!read_member(&in, name, value, &seen))
            return false;
    if (request.model.len == 0)
        return status_fail_field(st, STATUS_INVALID, "model", "model is missing");
    if (request.messages.len == 0)
        return status_fail_field(st, STATUS_INVALID, "messages", "messages is missing");
    if (request.stream_options.raw.at != NULL && !request.stream &&
        request.stream_options.kind != RELAY_JSON_NULL)
        return status_fail_field(st, STATUS_INVALID, "stream_options",
                                 "stream_options needs stream to be true");
    *out = request;
    if (request.refused == request.refused_name)
        out->refused = out->refused_name;
    return true;
}

bool relay_request_for_local(const struct relay_request *request, struct status *st)
{
    if (request->refused == NULL)
        return true;
    return status_fail_field(st, STATUS_INVALID, request->refused,
                             "%s is not supported by this model", request->refused);
}

struct text relay_request_body(const struct relay_request *request, struct text upstream_model,
                               bool local, struct arena *arena)
{
    /* Edits in the order in which they stand in the body. */
    struct edit {
        struct text at;
        struct text by;
    } edits[RELAY_REQUEST_DROPS_MAX + 3];
    size_t count = 0, len = request->body.len;

    struct text_buf name = text_buf_in(arena, 8 * KIB);
    text_buf_add_json(&name, upstream_model);
    edits[count++] = (struct edit){request->model_value.raw, text_buf_text(&name)};
    if (request->stream && !request->include_usage) {
        struct text options = request->stream_options.raw;
        struct text by = TEXT(",\"stream_options\":{\"include_usage\":true}");
        if (options.at != NULL)
            by = TEXT("{\"include_usage\":true}"); /* the only option that changes an answer */
        else                                       /* before the closing brace */
            options = (struct text){request->body.at + request->body.len - 1, 0};
        edits[count++] = (struct edit){options, by};
    }
    for (size_t i = 0; local && i < request->drops_count; i++)
        edits[count++] = (struct edit){request->drops[i], TEXT("null")};
    for (size_t i = 1; i < count; i++) /* a handful: by insertion */
        for (size_t j = i; j > 0 && edits[j].at.at < edits[j - 1].at.at; j--) {
            struct edit held = edits[j];
            edits[j] = edits[j - 1];
            edits[j - 1] = held;
        }
    for (size_t i = 0; i < count; i++)
        len += edits[i].by.len;
    char *out = arena_alloc(arena, len);
    const char *from = request->body.at, *end = request->body.at + request->body.len;
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        size_t keep = (size_t)(edits[i].at.at - from);
        memcpy(out + used, from, keep);
        used += keep;
        memcpy(out + used, edits[i].by.at, edits[i].by.len);
        used += edits[i].by.len;
        from = edits[i].at.at + edits[i].at.len;
    }
    memcpy(out + used, from, (size_t)(end - from));
    used += (size_t)(end - from);
    WEIR_ASSERT(used <= len);
    return (struct text){out, used};
}

/* --- members -------------------------------------------------------------------------------- */

static bool read_member(struct reading *in, struct text name, struct relay_json_value value,
                        uint64_t *seen)
{
    const struct field *field = field_find(name);
    if (field == NULL) {
        if (in->out->refused == NULL) {
            (void)snprintf(in->out->refused_name, sizeof(in->out->refused_name), "%.*s",
                           (int)text_utf8_whole(text_take(name, RELAY_JSON_NAME_BYTES_MAX - 1)),
                           name.at);
            in->out->refused = in->out->refused_name;
        }
        return true;
    }
    uint64_t bit = UINT64_C(1) << (field - fields);
    if (*seen & bit)
        return status_fail_field(in->st, STATUS_INVALID, field->name, "%s is given twice",
                                 field->name);
    *seen |= bit;
    if (field->check == check_stream_options)
        in->out->stream_options = value; /* also null: it is written over, not beside it */
    if (value.kind == RELAY_JSON_NULL && field->check != check_model &&
        field->check != check_messages)
        return true; /* null is the same as absent, as in OpenAI's own clients */
    if (field->local == LOCAL_DROP) {
        WEIR_ASSERT(in->out->drops_count < RELAY_REQUEST_DROPS_MAX);
        in->out->drops[in->out->drops_count++] = value.raw;
    }
    if (field->local == LOCAL_REFUSE && in->out->refused == NULL)
        in->out->refused = field->name;
    return field->check(in, field, value);
}

static const struct field *field_find(struct text name)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (fields[i].name[0] == (name.len > 0 ? name.at[0] : '\0') &&
            text_equal(name, text_of(fields[i].name)))
            return &fields[i];
    return NULL;
}

/* --- checks by kind --------------------------------------------------------------------------- */

static bool check_any(struct reading *in, const struct field *field, struct relay_json_value value)
{
    (void)in;
    (void)field;
    (void)value;
    return true;
}

static bool check_bool(struct reading *in, const struct field *field, struct relay_json_value value)
{
    return kind_is(in, field->name, value, RELAY_JSON_BOOL);
}

static bool check_object(struct reading *in, const struct field *field,
                         struct relay_json_value value)
{
    return kind_is(in, field->name, value, RELAY_JSON_OBJECT);
}

static bool check_number(struct reading *in, const struct field *field,
                         struct relay_json_value value)
{
    double number;
    if (!kind_is(in, field->name, value, RELAY_JSON_NUMBER))
        return false;
    if (!relay_json_double(value, &number) || number < field->min || number > field->max)
        return status_fail_field(in->st, STATUS_INVALID, field->name,
                                 "%s must be between %.15g and %.15g", field->name, field->min,
                                 field->max);
    return true;
}

static bool whole_number(struct reading *in, const struct field *field,
                         struct relay_json_value value, int64_t *out)
{
    if (!kind_is(in, field->name, value, RELAY_JSON_NUMBER))
        return false;
    if (!relay_json_i64(value, out) || (double)*out < field->min || (double)*out > field->max)
        return status_fail_field(in->st, STATUS_INVALID, field->name,
                                 "%s must be a whole number between %.16g and %.16g", field->name,
                                 field->min, field->max);
    return true;
}

static bool check_integer(struct reading *in, const struct field *field,
                          struct relay_json_value value)
{
    int64_t number;
    return whole_number(in, field, value, &number);
}

static bool check_n(struct reading *in, const struct field *field, struct relay_json_value value)
{
    return whole_number(in, field, value, &in->out->n);
}

/* max_tokens is the old name of max_completion_tokens: the smaller one counts. */
static bool check_tokens_max(struct reading *in, const struct field *field,
                             struct relay_json_value value)
{
    int64_t number;
    if (!whole_number(in, field, value, &number))
        return false;
    if (in->out->tokens_max == 0 || number < in->out->tokens_max)
        in->out->tokens_max = number;
    return true;
}

static bool check_text(struct reading *in, const struct field *field, struct relay_json_value value)
{
    if (!kind_is(in, field->name, value, RELAY_JSON_STRING))
        return false;
    if ((double)(value.raw.len - 2) > field->max)
        return status_fail_field(in->st, STATUS_INVALID, field->name,
                                 "%s must have at most %.0f bytes", field->name, field->max);
    return true;
}

static bool count_is(struct reading *in, const struct field *field, struct relay_json_value array)
{
    struct relay_json_iter iter = relay_json_iter_of(array);
    struct relay_json_value value;
    double count = 0;
    for (struct text name; relay_json_next(&iter, &name, &value);)
        count++;
    if (count < field->min || count > field->max)
        return status_fail_field(in->st, STATUS_INVALID, field->name,
                                 "%s must have %.0f to %.0f items, not %.0f", field->name,
                                 field->min, field->max, count);
    return true;
}

static bool check_array(struct reading *in, const struct field *field,
                        struct relay_json_value value)
{
    return kind_is(in, field->name, value, RELAY_JSON_ARRAY) && count_is(in, field, value);
}

/* --- checks of single fields ------------------------------------------------------------------ */

static bool check_model(struct reading *in, const struct field *field,
                        struct relay_json_value value)
{
    if (!kind_is(in, field->name, value, RELAY_JSON_STRING))
        return false;
    in->out->model_value = value;
    in->out->model = relay_json_string(in->arena, value);
    if (in->out->model.len == 0 || (double)in->out->model.len > field->max)
        return status_fail_field(in->st, STATUS_INVALID, field->name,
                                 "model must have 1 to %.0f bytes", field->max);
    return true;
}

static bool check_stream(struct reading *in, const struct field *field,
                         struct relay_json_value value)
{
    in->out->stream = relay_json_is_true(value);
    return kind_is(in, field->name, value, RELAY_JSON_BOOL);
}

static bool check_stream_options(struct reading *in, const struct field *field,
                                 struct relay_json_value value)
{
    if (!kind_is(in, field->name, value, RELAY_JSON_OBJECT))
        return false;
    struct relay_json_iter iter = relay_json_iter_of(value);
    struct relay_json_value option;
    for (struct text name; relay_json_next(&iter, &name, &option);) {
        bool usage = text_equal(name, TEXT("include_usage"));
        if (!usage && !text_equal(name, TEXT("include_obfuscation")))
            continue; /* an upstream's own */
        const char *path =
            usage ? "stream_options.include_usage" : "stream_options.include_obfuscation";
        if (option.kind != RELAY_JSON_NULL && !kind_is(in, path, option, RELAY_JSON_BOOL))
            return false;
        if (usage)
            in->out->include_usage = relay_json_is_true(option);
    }
    return true;
}

static bool check_stop(struct reading *in, const struct field *field, struct relay_json_value value)
{
    if (value.kind == RELAY_JSON_STRING)
        return true;
    if (value.kind != RELAY_JSON_ARRAY)
        return status_fail_field(in->st, STATUS_INVALID, field->name,
                                 "stop must be a string or an array of strings, not %s",
                                 relay_json_kind_name(value.kind));
    struct relay_json_iter iter = relay_json_iter_of(value);
    struct relay_json_value item;
    size_t index = 0;
    for (struct text name; relay_json_next(&iter, &name, &item); index++) {
        char path[32];
        (void)snprintf(path, sizeof(path), "stop[%zu]", index);
        if (!kind_is(in, path, item, RELAY_JSON_STRING))
            return false;
    }
    return count_is(in, field, value);
}

static bool check_logit_bias(struct reading *in, const struct field *field,
                             struct relay_json_value value)
{
    if (!kind_is(in, field->name, value, RELAY_JSON_OBJECT))
        return false;
    struct relay_json_iter iter = relay_json_iter_of(value);
    struct relay_json_value bias;
    for (struct text name; relay_json_next(&iter, &name, &bias);) {
        int64_t token;
        double number;
        if (!text_to_i64(name, &token) || token < 0)
            return status_fail_field(in->st, STATUS_INVALID, field->name,
                                     "logit_bias must have token numbers as its names");
        if (!relay_json_double(bias, &number) || number < field->min || number > field->max)
            return status_fail_field(in->st, STATUS_INVALID, field->name,
                                     "each value of logit_bias must be a number from -100 to 100");
    }
    return true;
}

static bool check_response_format(struct reading *in, const struct field *field,
                                  struct relay_json_value value)
{
    char memory[64];
    struct text type;
    struct relay_json_value schema;
    if (!kind_is(in, field->name, value, RELAY_JSON_OBJECT) ||
        !type_of(in, "response_format.type", value, memory, sizeof(memory), &type))
        return false;
    if (text_equal(type, TEXT("text")) || text_equal(type, TEXT("json_object")))
        return true;
    if (!text_equal(type, TEXT("json_schema")))
        return status_fail_field(in->st, STATUS_INVALID, "response_format.type",
                                 "response_format.type must be text, json_object or json_schema");
    if (!relay_json_member(value, TEXT("json_schema"), &schema))
        return status_fail_field(in->st, STATUS_INVALID, "response_format.json_schema",
                                 "response_format.json_schema is missing");
    return kind_is(in, "response_format.json_schema", schema, RELAY_JSON_OBJECT);
}

static bool check_tool_choice(struct reading *in, const struct field *field,
                              struct relay_json_value value)
{
    if (value.kind == RELAY_JSON_STRING || value.kind == RELAY_JSON_OBJECT)
        return true;
    return status_fail_field(in->st, STATUS_INVALID, field->name,
                             "tool_choice must be a string or an object, not %s",
                             relay_json_kind_name(value.kind));
}

static bool check_tools(struct reading *in, const struct field *field,
                        struct relay_json_value value)
{
    if (!check_array(in, field, value))
        return false;
    struct relay_json_iter iter = relay_json_iter_of(value);
    struct relay_json_value tool;
    size_t index = 0;
    for (struct text name; relay_json_next(&iter, &name, &tool); index++) {
        char path[48], memory[64];
        struct text type;
        (void)snprintf(path, sizeof(path), "tools[%zu]", index);
        if (!kind_is(in, path, tool, RELAY_JSON_OBJECT))
            return false;
        (void)snprintf(path, sizeof(path), "tools[%zu].type", index);
        if (!type_of(in, path, tool, memory, sizeof(memory), &type))
            return false;
    }
    return true;
}

static bool check_messages(struct reading *in, const struct field *field,
                           struct relay_json_value value)
{
    if (!kind_is(in, field->name, value, RELAY_JSON_ARRAY) || !count_is(in, field, value))
        return false;
    in->out->messages = value.raw;
    struct relay_json_iter iter = relay_json_iter_of(value);
    struct relay_json_value message;
    size_t index = 0;
    for (struct text name; relay_json_next(&iter, &name, &message); index++) {
        char path[32];
        (void)snprintf(path, sizeof(path), "messages[%zu]", index);
        if (!message_check(in, path, message))
            return false;
    }
    return true;
}

static bool message_check(struct reading *in, const char *path, struct relay_json_value message)
{
    static const char *const roles[] = {"user",      "assistant", "system",
                                        "developer", "tool",      "function"};
    struct relay_json_value role = {0}, content = {0}, member;
    bool has_role = false, has_content = false, has_calls = false;
    char field[64], memory[16];
    if (!kind_is(in, path, message, RELAY_JSON_OBJECT))
        return false;
    struct relay_json_iter iter = relay_json_iter_of(message);
    for (struct text name; relay_json_next(&iter, &name, &member);) {
        bool is_role = text_equal(name, TEXT("role"));
        bool is_content = text_equal(name, TEXT("content"));
        if ((is_role && has_role) || (is_content && has_content))
            return status_fail_field(in->st, STATUS_INVALID, path, "%s has %s twice", path,
                                     is_role ? "role" : "content");
        if (is_role)
            role = member;
        if (is_content)
            content = member;
        has_role |= is_role;
        has_content |= is_content;
        has_calls |= text_equal(name, TEXT("tool_calls")) ||
                     text_equal(name, TEXT("function_call")) || text_equal(name, TEXT("audio")) ||
                     text_equal(name, TEXT("refusal"));
    }
    (void)snprintf(field, sizeof(field), "%s.role", path);
    if (!has_role)
        return status_fail_field(in->st, STATUS_INVALID, field, "%s is missing", field);
    struct text text = TEXT_NONE;
    if (!kind_is(in, field, role, RELAY_JSON_STRING))
        return false;
    bool known = false;
    if (relay_json_string_into(role, memory, sizeof(memory), &text))
        for (size_t i = 0; i < ARRAY_LEN(roles); i++)
            known |= text_equal(text, text_of(roles[i]));
    if (!known)
        return status_fail_field(in->st, STATUS_INVALID, field,
                                 "%s must be user, assistant, system, developer or tool", field);
    (void)snprintf(field, sizeof(field), "%s.content", path);
    if (has_content && content.kind != RELAY_JSON_NULL)
        return content_check(in, field, content);
    if (text_equal(text, TEXT("assistant")) && has_calls)
        return true;
    return status_fail_field(in->st, STATUS_INVALID, field, "%s is missing", field);
}

static bool content_check(struct reading *in, const char *path, struct relay_json_value content)
{
    if (content.kind == RELAY_JSON_STRING)
        return true;
    if (content.kind != RELAY_JSON_ARRAY)
        return status_fail_field(in->st, STATUS_INVALID, path,
                                 "%s must be a string or an array of parts, not %s", path,
                                 relay_json_kind_name(content.kind));
    struct relay_json_iter iter = relay_json_iter_of(content);
    struct relay_json_value part, text;
    size_t index = 0;
    for (struct text name; relay_json_next(&iter, &name, &part); index++) {
        char field[88], memory[64];
        struct text type;
        (void)snprintf(field, sizeof(field), "%s[%zu]", path, index);
        if (!kind_is(in, field, part, RELAY_JSON_OBJECT))
            return false;
        (void)snprintf(field, sizeof(field), "%s[%zu].type", path, index);
        if (!type_of(in, field, part, memory, sizeof(memory), &type))
            return false;
        if (!text_equal(type, TEXT("text")))
            continue; /* images and the like: the model says whether it can */
        (void)snprintf(field, sizeof(field), "%s[%zu].text", path, index);
        if (!relay_json_member(part, TEXT("text"), &text))
            return status_fail_field(in->st, STATUS_INVALID, field, "%s is missing", field);
        if (!kind_is(in, field, text, RELAY_JSON_STRING))
            return false;
    }
    if (index == 0)
        return status_fail_field(in->st, STATUS_INVALID, path, "%s must not be empty", path);
    return true;
}

static bool kind_is(struct reading *in, const char *path, struct relay_json_value value,
                    enum relay_json_kind kind)
{
    if (value.kind == kind)
        return true;
    return status_fail_field(in->st, STATUS_INVALID, path, "%s must be %s, not %s", path,
                             relay_json_kind_name(kind), relay_json_kind_name(value.kind));
}

/* The member `type` of an object, which says what the object is. */
static bool type_of(struct reading *in, const char *path, struct relay_json_value object,
                    char *memory, size_t size, struct text *out)
{
    struct relay_json_value type;
    if (!relay_json_member(object, TEXT("type"), &type))
        return status_fail_field(in->st, STATUS_INVALID, path, "%s is missing", path);
    if (!kind_is(in, path, type, RELAY_JSON_STRING))
        return false;
    if (!relay_json_string_into(type, memory, size, out))
        return status_fail_field(in->st, STATUS_INVALID, path, "%s is too long", path);
    return true;
}
