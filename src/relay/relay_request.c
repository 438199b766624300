#include "relay_request.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include "relay_endpoint.h"
#include "relay_fields_internal.h"

static relay_check check_messages, check_response_format, check_tool_choice, check_tools;

/* Of chat completions; the other endpoints' stand in relay_request_text.c. */
static const struct relay_field fields[] = {
    {"model", RELAY_LOCAL_PASS, relay_check_model, 1, RELAY_REQUEST_MODEL_BYTES_MAX, true},
    {"messages", RELAY_LOCAL_PASS, check_messages, 1, RELAY_REQUEST_MESSAGES_MAX, true},
    {"stream", RELAY_LOCAL_PASS, relay_check_stream, 0, 0, false},
    {"stream_options", RELAY_LOCAL_PASS, relay_check_stream_options, 0, 0, false},
    {"temperature", RELAY_LOCAL_PASS, relay_check_number, 0, 2, false},
    {"top_p", RELAY_LOCAL_PASS, relay_check_number, 0, 1, false},
    {"top_k", RELAY_LOCAL_PASS, relay_check_integer, -1, 1000000, false},
    {"min_p", RELAY_LOCAL_PASS, relay_check_number, 0, 1, false},
    {"repeat_penalty", RELAY_LOCAL_PASS, relay_check_number, 0.1, 10, false},
    {"repeat_last_n", RELAY_LOCAL_PASS, relay_check_integer, -1, 1000000, false},
    {"ignore_eos", RELAY_LOCAL_PASS, relay_check_bool, 0, 0, false},
    {"grammar", RELAY_LOCAL_PASS, relay_check_text, 0, 65536, false},
    {"max_tokens", RELAY_LOCAL_PASS, relay_check_tokens_max, 1, 100000000, false},
    {"max_completion_tokens", RELAY_LOCAL_PASS, relay_check_tokens_max, 1, 100000000, false},
    {"n", RELAY_LOCAL_PASS, relay_check_n, 1, 128, false},
    {"stop", RELAY_LOCAL_PASS, relay_check_stop, 0, 4, false},
    {"seed", RELAY_LOCAL_PASS, relay_check_integer, -9007199254740992.0, 9007199254740992.0, false},
    {"frequency_penalty", RELAY_LOCAL_PASS, relay_check_number, -2, 2, false},
    {"presence_penalty", RELAY_LOCAL_PASS, relay_check_number, -2, 2, false},
    {"logit_bias", RELAY_LOCAL_PASS, relay_check_logit_bias, -100, 100, false},
    {"logprobs", RELAY_LOCAL_PASS, relay_check_bool, 0, 0, false},
    {"top_logprobs", RELAY_LOCAL_PASS, relay_check_integer, 0, 20, false},
    {"response_format", RELAY_LOCAL_PASS, check_response_format, 0, 0, false},
    {"tools", RELAY_LOCAL_PASS, check_tools, 0, 128, false},
    {"tool_choice", RELAY_LOCAL_PASS, check_tool_choice, 0, 0, false},
    {"parallel_tool_calls", RELAY_LOCAL_PASS, relay_check_bool, 0, 0, false},
    {"store", RELAY_LOCAL_DROP, relay_check_bool, 0, 0, false},
    {"metadata", RELAY_LOCAL_DROP, relay_check_object, 0, 0, false},
    {"user", RELAY_LOCAL_DROP, relay_check_text, 0, 512, false},
    {"safety_identifier", RELAY_LOCAL_DROP, relay_check_text, 0, 512, false},
    {"prompt_cache_key", RELAY_LOCAL_DROP, relay_check_text, 0, 512, false},
    {"prompt_cache_retention", RELAY_LOCAL_DROP, relay_check_text, 0, 64, false},
    {"service_tier", RELAY_LOCAL_DROP, relay_check_text, 0, 64, false},
    {"prediction", RELAY_LOCAL_DROP, relay_check_object, 0, 0, false},
    {"reasoning_effort", RELAY_LOCAL_DROP, relay_check_text, 0, 64, false},
    {"verbosity", RELAY_LOCAL_DROP, relay_check_text, 0, 64, false},
    {"audio", RELAY_LOCAL_REFUSE, relay_check_object, 0, 0, false},
    {"modalities", RELAY_LOCAL_PASS, relay_check_array, 0, 16, false},
    {"web_search_options", RELAY_LOCAL_REFUSE, relay_check_object, 0, 0, false},
    {"functions", RELAY_LOCAL_PASS, relay_check_array, 0, 128, false},
    {"function_call", RELAY_LOCAL_PASS, relay_check_any, 0, 0, false},
};
static_assert(ARRAY_LEN(fields) <= 64, "the fields seen are bits of one word");
const struct relay_fields relay_fields_chat = {fields, ARRAY_LEN(fields)};

static const struct relay_fields *fields_of(enum relay_endpoint endpoint);
static bool message_check(struct relay_reading *in, const char *path,
                          struct relay_json_value message);
static bool content_check(struct relay_reading *in, const char *path,
                          struct relay_json_value content);

bool relay_request_read(enum relay_endpoint endpoint, struct text body, struct arena *arena,
                        struct relay_request *out, struct status *st)
{
    struct relay_json_value root;
    if (!relay_json_check(body, &root, st))
        return false;
    if (root.kind != RELAY_JSON_OBJECT)
        return status_fail(st, STATUS_INVALID, "the body must be an object, not %s",
                           relay_json_kind_name(root.kind));
    struct relay_request request = {.endpoint = endpoint, .body = root.raw, .n = 1};
    struct relay_reading in = {&request, arena, st};
    if (!relay_fields_read(fields_of(endpoint), root, &in))
        return false;
    if (request.stream_options.raw.at != NULL && !request.stream &&
        request.stream_options.kind != RELAY_JSON_NULL)
        return status_fail_field(st, STATUS_INVALID, "stream_options",
                                 "stream_options needs stream to be true");
    *out = request;
    if (request.refused == request.refused_name)
        out->refused = out->refused_name;
    return true;
}

static const struct relay_fields *fields_of(enum relay_endpoint endpoint)
{
    static const struct relay_fields *const tables[] = {
        [RELAY_CHAT] = &relay_fields_chat,
        [RELAY_COMPLETIONS] = &relay_fields_completions,
        [RELAY_EMBEDDINGS] = &relay_fields_embeddings,
        [RELAY_RERANK] = &relay_fields_rerank,
        [RELAY_TOKENIZE] = &relay_fields_tokenize,
        [RELAY_DETOKENIZE] = &relay_fields_detokenize,
    };
    static_assert(ARRAY_LEN(tables) == RELAY_ENDPOINT_COUNT, "an endpoint has no fields");
    return tables[endpoint];
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

/* --- checks of single fields ------------------------------------------------------------------ */

static bool check_response_format(struct relay_reading *in, const struct relay_field *field,
                                  struct relay_json_value value)
{
    char memory[64];
    struct text type;
    struct relay_json_value schema;
    if (!relay_fields_kind(in, field->name, value, RELAY_JSON_OBJECT) ||
        !relay_fields_type(in, "response_format.type", value, memory, sizeof(memory), &type))
        return false;
    if (text_equal(type, TEXT("text")) || text_equal(type, TEXT("json_object")))
        return true;
    if (!text_equal(type, TEXT("json_schema")))
        return status_fail_field(in->st, STATUS_INVALID, "response_format.type",
                                 "response_format.type must be text, json_object or json_schema");
    if (!relay_json_member(value, TEXT("json_schema"), &schema))
        return status_fail_field(in->st, STATUS_INVALID, "response_format.json_schema",
                                 "response_format.json_schema is missing");
    return relay_fields_kind(in, "response_format.json_schema", schema, RELAY_JSON_OBJECT);
}

static bool check_tool_choice(struct relay_reading *in, const struct relay_field *field,
                              struct relay_json_value value)
{
    if (value.kind == RELAY_JSON_STRING || value.kind == RELAY_JSON_OBJECT)
        return true;
    return status_fail_field(in->st, STATUS_INVALID, field->name,
                             "tool_choice must be a string or an object, not %s",
                             relay_json_kind_name(value.kind));
}

static bool check_tools(struct relay_reading *in, const struct relay_field *field,
                        struct relay_json_value value)
{
    if (!relay_check_array(in, field, value))
        return false;
    struct relay_json_iter iter = relay_json_iter_of(value);
    struct relay_json_value tool;
    size_t index = 0;
    for (struct text name; relay_json_next(&iter, &name, &tool); index++) {
        char path[48], memory[64];
        struct text type;
        (void)snprintf(path, sizeof(path), "tools[%zu]", index);
        if (!relay_fields_kind(in, path, tool, RELAY_JSON_OBJECT))
            return false;
        (void)snprintf(path, sizeof(path), "tools[%zu].type", index);
        if (!relay_fields_type(in, path, tool, memory, sizeof(memory), &type))
            return false;
    }
    return true;
}

static bool check_messages(struct relay_reading *in, const struct relay_field *field,
                           struct relay_json_value value)
{
    if (!relay_fields_kind(in, field->name, value, RELAY_JSON_ARRAY) ||
        !relay_fields_count(in, field, value))
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

static bool message_check(struct relay_reading *in, const char *path,
                          struct relay_json_value message)
{
    static const char *const roles[] = {"user",      "assistant", "system",
                                        "developer", "tool",      "function"};
    struct relay_json_value role = {0}, content = {0}, member;
    bool has_role = false, has_content = false, has_calls = false;
    char field[64], memory[16];
    if (!relay_fields_kind(in, path, message, RELAY_JSON_OBJECT))
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
    if (!relay_fields_kind(in, field, role, RELAY_JSON_STRING))
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

static bool content_check(struct relay_reading *in, const char *path,
                          struct relay_json_value content)
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
        if (!relay_fields_kind(in, field, part, RELAY_JSON_OBJECT))
            return false;
        (void)snprintf(field, sizeof(field), "%s[%zu].type", path, index);
        if (!relay_fields_type(in, field, part, memory, sizeof(memory), &type))
            return false;
        if (!text_equal(type, TEXT("text")))
            continue; /* images and the like: the model says whether it can */
        (void)snprintf(field, sizeof(field), "%s[%zu].text", path, index);
        if (!relay_json_member(part, TEXT("text"), &text))
            return status_fail_field(in->st, STATUS_INVALID, field, "%s is missing", field);
        if (!relay_fields_kind(in, field, text, RELAY_JSON_STRING))
            return false;
    }
    if (index == 0)
        return status_fail_field(in->st, STATUS_INVALID, path, "%s must not be empty", path);
    return true;
}
