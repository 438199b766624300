#include "relay_chunk.h"

/* A day; a time that an upstream tells beyond it is nonsense. */
static const double ms_max = 86400e3;

static void read_usage(struct relay_json_value usage, bool writes, struct relay_usage *out);
static void read_timings(struct relay_json_value timings, struct relay_timings *out);
static bool count_of(struct relay_json_value value, int64_t *out);
static struct text text_member(struct relay_json_value object, struct text name,
                               struct arena *arena);
static bool is_empty(struct relay_json_value value);

bool relay_chunk_read(enum relay_endpoint endpoint, struct text data, struct relay_chunk *out,
                      struct status *st)
{
    const struct relay_endpoint_facts *facts = relay_endpoint_facts(endpoint);
    struct text answer = text_of(facts->answer);
    struct relay_chunk chunk = {.timings = {-1, -1, -1}};
    struct relay_json_value root, value;
    if (text_equal(data, TEXT("[DONE]"))) {
        *out = (struct relay_chunk){.done = true};
        return true;
    }
    if (!relay_json_check(data, &root, st)) {
        st->code = STATUS_UPSTREAM;
        return false;
    }
    if (root.kind != RELAY_JSON_OBJECT)
        return status_fail(st, STATUS_UPSTREAM, "expected an object, found %s",
                           relay_json_kind_name(root.kind));
    struct relay_json_iter iter = relay_json_iter_of(root);
    for (struct text name; relay_json_next(&iter, &name, &value);) {
        if (value.kind == RELAY_JSON_NULL)
            continue;
        if (text_equal(name, answer) && value.kind == facts->answer_kind) {
            chunk.answer = value;
        } else if (text_equal(name, TEXT("model")) && value.kind == RELAY_JSON_STRING) {
            chunk.model = value;
        } else if (text_equal(name, TEXT("usage"))) {
            read_usage(value, facts->writes, &chunk.usage);
        } else if (text_equal(name, TEXT("timings"))) {
            read_timings(value, &chunk.timings);
        } else if (text_equal(name, TEXT("error"))) {
            chunk.is_error = true;
            chunk.error = value;
        }
    }
    chunk.bare_usage = chunk.usage.known && (chunk.answer.raw.at == NULL || is_empty(chunk.answer));
    *out = chunk;
    return true;
}

void relay_chunk_delta(const struct relay_chunk *chunk, struct arena *arena, struct text *content,
                       struct text *finish_reason)
{
    *content = *finish_reason = TEXT("");
    if (chunk->answer.raw.at == NULL)
        return;
    struct relay_json_iter iter = relay_json_iter_of(chunk->answer);
    struct relay_json_value choice, delta;
    struct text name;
    if (!relay_json_next(&iter, &name, &choice))
        return;
    *finish_reason = text_member(choice, TEXT("finish_reason"), arena);
    if (relay_json_member(choice, TEXT("delta"), &delta))
        *content = text_member(delta, TEXT("content"), arena);
}

struct text relay_chunk_renamed(const struct relay_chunk *chunk, struct text data,
                                struct text model, struct arena *arena)
{
    struct text was = chunk->model.raw; /* with its quotes */
    if (was.at == NULL ||
        (was.len == model.len + 2 && text_equal(text_take(text_skip(was, 1), model.len), model)))
        return data;
    struct text_buf buf = text_buf_in(arena, data.len + 6 * model.len + 2);
    text_buf_add(&buf, text_take(data, (size_t)(was.at - data.at)));
    text_buf_add_json(&buf, model);
    text_buf_add(&buf, text_skip(data, (size_t)(was.at - data.at) + was.len));
    return text_buf_text(&buf);
}

void relay_chunk_error(struct relay_json_value error, struct arena *arena, struct text *message,
                       struct text *param, struct text *code)
{
    *message = *param = *code = TEXT("");
    if (error.kind == RELAY_JSON_STRING)
        *message = relay_json_string(arena, error);
    if (error.kind != RELAY_JSON_OBJECT)
        return;
    *message = text_member(error, TEXT("message"), arena);
    *param = text_member(error, TEXT("param"), arena);
    *code = text_member(error, TEXT("code"), arena);
}

/* Where nothing is written some tell the prompt's tokens, and some only the total. */
static void read_usage(struct relay_json_value usage, bool writes, struct relay_usage *out)
{
    struct relay_json_value prompt, completion, details, cached;
    struct relay_usage read = {0};
    if (!relay_json_member(usage, TEXT("prompt_tokens"), &prompt) &&
        (writes || !relay_json_member(usage, TEXT("total_tokens"), &prompt)))
        return;
    if (!count_of(prompt, &read.prompt_tokens))
        return;
    if (writes && (!relay_json_member(usage, TEXT("completion_tokens"), &completion) ||
                   !count_of(completion, &read.completion_tokens)))
        return;
    if (relay_json_member(usage, TEXT("prompt_tokens_details"), &details) &&
        relay_json_member(details, TEXT("cached_tokens"), &cached) &&
        (!count_of(cached, &read.cached_tokens) || read.cached_tokens > read.prompt_tokens))
        read.cached_tokens = 0;
    read.known = true;
    *out = read;
}

static double ms_of(struct relay_json_value object, struct text name)
{
    struct relay_json_value value;
    double ms;
    bool known = relay_json_member(object, name, &value) && relay_json_double(value, &ms);
    return known && ms >= 0 && ms <= ms_max ? ms : -1;
}

static void read_timings(struct relay_json_value timings, struct relay_timings *out)
{
    out->queue_ms = ms_of(timings, TEXT("queue_ms"));
    out->prefill_ms = ms_of(timings, TEXT("prefill_ms"));
    out->decode_ms = ms_of(timings, TEXT("decode_ms"));
}

static bool count_of(struct relay_json_value value, int64_t *out)
{
    int64_t count;
    if (!relay_json_i64(value, &count) || count < 0 || count > RELAY_TOKENS_MAX)
        return false;
    *out = count;
    return true;
}

static struct text text_member(struct relay_json_value object, struct text name,
                               struct arena *arena)
{
    struct relay_json_value value;
    if (!relay_json_member(object, name, &value) || value.kind != RELAY_JSON_STRING)
        return TEXT("");
    return relay_json_string(arena, value);
}

/* Of an array; a text is an answer, even an empty one. */
static bool is_empty(struct relay_json_value value)
{
    struct relay_json_value item;
    struct text name;
    if (value.kind != RELAY_JSON_ARRAY)
        return false;
    struct relay_json_iter iter = relay_json_iter_of(value);
    return !relay_json_next(&iter, &name, &item);
}
