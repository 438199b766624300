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

typedef bool check_fn(struct reading *in, const struct field *field,
                      struct relay_json_value value);
static check_fn check_any, check_array, check_bool, check_integer, check_logit_bias,
    check_messages, check_model, check_n, check_number, check_object, check_response_format,
    check_stop, check_stream, check_stream_options, check_text, check_tokens_max, check_tool_choice,
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
    {"repetition_penalty", LOCAL_PASS, check_number, 0, 10},
    {"max_tokens", LOCAL_PASS, check_tokens_max, 1, 100000000},
    {"max_completion_tokens", LOCAL_PASS, check_tokens_max, 1, 100000000},
    {"n", LOCAL_PASS, check_n, 1, 128},
    {"stop", LOCAL_PASS, check_stop, 0, 16},
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
    {"modalities", LOCAL_REFUSE, check_array, 0, 16},
    {"web_search_options", LOCAL_REFUSE, check_object, 0, 0},
    {"functions", LOCAL_REFUSE, check_array, 0, 128},
    {"function_call", LOCAL_REFUSE, check_any, 0, 0},
};
static_assert(ARRAY_LEN(fields) <= 64, "the fields seen are bits of one word");

static const struct field *field_find(struct text name);
static bool read_member(struct reading *in, struct text name, struct relay_json_value value,
                        uint64_t *seen);
static void drop(struct relay_request *out, struct text name, struct relay_json_value value);
static bool message_check(struct reading *in, size_t index, struct relay_json_value message);
static bool content_check(struct reading *in, size_t index, struct relay_json_value content);
static bool wrong_kind(struct reading *in, const char *path, const char *expected,
                       struct relay_json_value value);

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
    if (request.stream_options.raw.at != NULL && !request.stream)
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
        else /* before the closing brace */
            options = (struct text){request->body.at + request->body.len - 1, 0};
        edits[count++] = (struct edit){options, by};
    }
    for (size_t i = 0; local && i < request->drops_count; i++)
        edits[count++] = (struct edit){request->drops[i], TEXT_NONE};
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
        if (edits[i].by.len > 0)
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
    if (field->local == LOCAL_DROP)
        drop(in->out, name, value);
    if (value.kind == RELAY_JSON_NULL && field->check != check_model &&
        field->check != check_messages)
        return true; /* null is the same as absent, as in OpenAI's own clients */
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

/* Notes the member's bytes with one of the commas around it. The model's own member is never
 * dropped, so there is always a neighbour, and the body stays JSON. */
static void drop(struct relay_request *out, struct text name, struct relay_json_value value)
{
    (void)name;
    const char *begin = out->body.at, *end = out->body.at + out->body.len;
    const char *to = value.raw.at + value.raw.len;
    const char *from = value.raw.at;
    while (from[-1] != ':') /* back over white space, then over the name, as it was written */
        from--;
    from -= 2;
    while (*from != '"')
        from--;
    do { /* the quote that opens: one with no backslash before it */
        from--;
    } while (*from != '"' || from[-1] == '\\');
    const char *before = from - 1, *after = to;
    while (*before == ' ' || *before == '\t' || *before == '\n' || *before == '\r')
        before--;
    while (*after == ' ' || *after == '\t' || *after == '\n' || *after == '\r')
        after++;
    if (*before == ',')
        from = before;
    else if (*after == ',')
        to = after + 1;
    WEIR_ASSERT(from > begin && to < end && out->drops_count < RELAY_REQUEST_DROPS_MAX);
    out->drops[out->drops_count++] = (struct text){from, (size_t)(to - from)};
}
