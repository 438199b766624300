#include "infer_call.h"
#include "infer_vocab.h"
#include "json.h"
#include "rand.h"
#include <math.h>
#include <pthread.h>
#include <string.h>

enum {
    MODEL_BYTES_MAX = 256,
    MESSAGES_MAX = 4096,
    PARTS_MAX = 1024,
    STOP_BYTES_MAX = 256,
    REPEAT_LAST_MAX = 2048
};
/* For what is not asked. The dialect's own (1, 1, no limit) let small models drift into noise. */
static const float unasked_temperature = 0.8F, unasked_top_p = 0.95F, unasked_min_p = 0.05F;
static const int64_t unasked_top_k = 40;

enum { GUARD_MARKS = 4, GUARD_BYTES = 3 * GUARD_MARKS };

/* What becomes of a field. REFUSED: 400, unless it has the value that means "not used". */
static const struct {
    const char *name;
    enum { TAKEN, IGNORED, REFUSED } fate;
} fields[] = {
    {"messages", TAKEN},
    {"model", TAKEN},
    {"stream", TAKEN},
    {"stream_options", TAKEN},
    {"n", TAKEN},
    {"max_tokens", TAKEN},
    {"max_completion_tokens", TAKEN},
    {"stop", TAKEN},
    {"temperature", TAKEN},
    {"top_p", TAKEN},
    {"presence_penalty", TAKEN},
    {"frequency_penalty", TAKEN},
    {"logit_bias", TAKEN},
    {"seed", TAKEN},
    {"top_k", TAKEN},
    {"min_p", TAKEN},
    {"repeat_penalty", TAKEN},
    {"repeat_last_n", TAKEN},
    {"ignore_eos", TAKEN},
    {"user", IGNORED},
    {"metadata", IGNORED},
    {"safety_identifier", IGNORED},
    {"prompt_cache_key", IGNORED},
    {"prompt_cache_retention", IGNORED},
    {"service_tier", IGNORED},
    {"parallel_tool_calls", IGNORED},
    {"verbosity", IGNORED},
    {"reasoning_effort", IGNORED},
    {"store", REFUSED},
    {"logprobs", REFUSED},
    {"top_logprobs", REFUSED},
    {"tools", REFUSED},
    {"tool_choice", REFUSED},
    {"functions", REFUSED},
    {"function_call", REFUSED},
    {"response_format", REFUSED},
    {"modalities", REFUSED},
    {"audio", REFUSED},
    {"prediction", REFUSED},
    {"web_search_options", REFUSED},
    {"moderation", REFUSED},
};

static bool check_fields(const struct json_at *in, struct status *st);
static bool means_unused(const char *name, const json_t *value);
static bool read_sampling(const struct json_at *in, struct arena *arena, struct infer_call *out,
                          struct status *st);
static bool read_float(const struct json_at *in, const char *key, double min, double max,
                       float *out, struct status *st);
static bool read_seed(const struct json_at *in, struct infer_call *out, struct status *st);
static bool read_bias(const struct json_at *in, struct arena *arena, struct infer_call *out,
                      struct status *st);
static bool read_lengths(const struct json_at *in, int64_t tokens_min, struct infer_call *out,
                         struct status *st);
static bool read_stops(const struct json_at *in, struct infer_call *out, struct status *st);
static bool read_messages(const struct json_at *in, const struct infer_vocab *vocab,
                          struct arena *arena, struct infer_call *out, struct status *st);
static bool read_message(const struct json_at *message, const struct infer_vocab *vocab,
                         struct arena *arena, struct text_buf *buf, struct status *st);
static bool read_content(const struct json_at *message, bool may_miss, struct arena *arena,
                         struct text *out, struct status *st);
static void add_guarded(struct text_buf *buf, struct arena *arena, const struct infer_vocab *vocab,
                        struct text text);
static bool text_of_value(const json_t *value, struct text *out);

bool infer_call_read(struct text body, const struct infer_vocab *vocab, struct arena *arena,
                     struct infer_call *out, struct status *st)
{
    json_t *root;
    struct infer_call call;
    if (!json_read_in(arena, body, NULL, &root, st))
        return false;
    struct json_at in = json_at_root(root);
    if (!json_is_object(root))
        return status_fail(st, STATUS_INVALID, "the body must be a JSON object");
    if (!check_fields(&in, st) || !infer_call_read_common(&in, 1, arena, &call, st) ||
        !read_messages(&in, vocab, arena, &call, st))
        return false;
    *out = call;
    return true;
}

bool infer_call_read_common(const struct json_at *in, int64_t tokens_min, struct arena *arena,
                            struct infer_call *out, struct status *st)
{
    struct infer_call call = {.n = 1, .sampling = infer_sampling_default()};
    struct json_at options;
    int64_t n = 1;
    call.sampling.temperature = unasked_temperature;
    call.sampling.top_p = unasked_top_p;
    call.sampling.min_p = unasked_min_p;
    if (!json_get_text(in, "model", JSON_REQUIRED, MODEL_BYTES_MAX, &call.model, st) ||
        !json_get_bool(in, "stream", JSON_OPTIONAL, &call.stream, st) ||
        !json_get_bool(in, "ignore_eos", JSON_OPTIONAL, &call.ignore_end, st) ||
        !json_get_int(in, "n", JSON_OPTIONAL, 1, INFER_CALL_N_MAX, &n, st) ||
        !json_get_object(in, "stream_options", JSON_OPTIONAL, &options, st))
        return false;
    call.n = (uint32_t)n;
    if (options.value != NULL) {
        static const char *const known[] = {"include_usage", "include_obfuscation", NULL};
        bool obfuscation;
        if (!call.stream)
            return json_fail(in, "stream_options", st, "needs \"stream\": true");
        if (!json_only(&options, known, st) ||
            !json_get_bool(&options, "include_usage", JSON_OPTIONAL, &call.include_usage, st) ||
            !json_get_bool(&options, "include_obfuscation", JSON_OPTIONAL, &obfuscation, st))
            return false;
    }
    if (!read_lengths(in, tokens_min, &call, st) || !read_stops(in, &call, st) ||
        !read_sampling(in, arena, &call, st))
        return false;
    *out = call;
    return true;
}

static bool check_fields(const struct json_at *in, struct status *st)
{
    const char *name;
    json_t *value;
    json_object_foreach(in->value, name, value)
    {
        size_t i = 0;
        while (i < ARRAY_LEN(fields) && strcmp(fields[i].name, name) != 0)
            i++;
        if (json_is_null(value))
            continue;
        if (i == ARRAY_LEN(fields))
            return json_fail(in, name, st, "is no field of this request");
        if (fields[i].fate == REFUSED && !means_unused(name, value))
            return json_fail(in, name, st, "is not supported by this server");
    }
    return true;
}

static bool means_unused(const char *name, const json_t *value)
{
    struct text text;
    if (strcmp(name, "response_format") == 0)
        return text_of_value(json_object_get(value, "type"), &text) &&
               text_equal(text, TEXT("text"));
    if (strcmp(name, "modalities") == 0)
        return json_array_size(value) == 1 && text_of_value(json_array_get(value, 0), &text) &&
               text_equal(text, TEXT("text"));
    if (strcmp(name, "tool_choice") == 0 || strcmp(name, "function_call") == 0)
        return text_of_value(value, &text) && /* auto among no tools is none */
               (text_equal(text, TEXT("none")) || text_equal(text, TEXT("auto")));
    if (strcmp(name, "top_logprobs") == 0)
        return json_is_integer(value) && json_integer_value(value) == 0;
    return json_is_false(value) || (json_is_array(value) && json_array_size(value) == 0);
}

static bool read_sampling(const struct json_at *in, struct arena *arena, struct infer_call *out,
                          struct status *st)
{
    struct infer_sampling *s = &out->sampling;
    int64_t top_k = unasked_top_k, last = s->repeat_last; /* top_k 0 and -1: not limited */
    if (!read_float(in, "temperature", 0, 2, &s->temperature, st) ||
        !read_float(in, "top_p", 0, 1, &s->top_p, st) ||
        !read_float(in, "min_p", 0, 1, &s->min_p, st) ||
        !read_float(in, "presence_penalty", -2, 2, &s->presence_penalty, st) ||
        !read_float(in, "frequency_penalty", -2, 2, &s->frequency_penalty, st) ||
        !read_float(in, "repeat_penalty", 0.1, 10, &s->repeat_penalty, st) ||
        !json_get_int(in, "repeat_last_n", JSON_OPTIONAL, -1, 1000000, &last, st) ||
        !json_get_int(in, "top_k", JSON_OPTIONAL, -1, INFER_TOP_K_MAX, &top_k, st))
        return false;
    s->top_k = top_k > 0 ? (int32_t)top_k : 0;
    s->repeat_last = last < 0 || last > REPEAT_LAST_MAX ? REPEAT_LAST_MAX : (int32_t)last;
    return read_seed(in, out, st) && read_bias(in, arena, out, st);
}

static bool read_float(const struct json_at *in, const char *key, double min, double max,
                       float *out, struct status *st)
{
    double value = (double)*out;
    if (!json_get_number(in, key, JSON_OPTIONAL, min, max, &value, st))
        return false;
    *out = (float)value;
    return true;
}

static bool read_seed(const struct json_at *in, struct infer_call *out, struct status *st)
{
    struct json_at given;
    int64_t seed = 0;
    if (!json_get_any(in, "seed", &given)) {
        out->sampling.seed = rand_u64();
        return true;
    }
    if (!json_get_int(in, "seed", JSON_REQUIRED, INT64_MIN, INT64_MAX, &seed, st))
        return false;
    out->sampling.seed = (uint64_t)seed;
    return true;
}

/* {"50256": -100}: keys are token numbers. That the model has them is known to the engine, which
 * leaves out those that it does not have. */
static bool read_bias(const struct json_at *in, struct arena *arena, struct infer_call *out,
                      struct status *st)
{
    struct json_at map;
    if (!json_get_object(in, "logit_bias", JSON_OPTIONAL, &map, st))
        return false;
    size_t count = map.value == NULL ? 0 : json_object_size(map.value);
    if (count > 300)
        return json_fail(in, "logit_bias", st, "has %zu entries; at most 300 are allowed", count);
    if (count == 0)
        return true;
    struct infer_bias *bias = ARENA_ARRAY(arena, count, struct infer_bias);
    const char *key;
    json_t *value;
    size_t i = 0;
    json_object_foreach(map.value, key, value)
    {
        int64_t token;
        double amount;
        if (!text_to_i64(text_of(key), &token) || token < 0 || token > INT32_MAX)
            return json_fail(in, "logit_bias", st, "has a key that is no token number");
        if (!json_get_number(&map, key, JSON_REQUIRED, -100, 100, &amount, st))
            return false;
        bias[i++] = (struct infer_bias){(int32_t)token, (float)amount};
    }
    out->sampling.bias = bias;
    out->sampling.bias_count = count;
    return true;
}

static bool read_lengths(const struct json_at *in, int64_t tokens_min, struct infer_call *out,
                         struct status *st)
{
    int64_t old = -1, count = 0;
    if (!json_get_int(in, "max_tokens", JSON_OPTIONAL, tokens_min, INT32_MAX, &old, st) ||
        !json_get_int(in, "max_completion_tokens", JSON_OPTIONAL, 1, INT32_MAX, &count, st))
        return false;
    out->nothing = old == 0;
    if (old < 0)
        old = 0;
    /* max_tokens is the old name: of two that differ the smaller counts, as in src/relay. */
    bool both = old != 0 && count != 0;
    out->output_max = (uint32_t)(both ? (old < count ? old : count) : old + count);
    return true;
}

static bool read_stops(const struct json_at *in, struct infer_call *out, struct status *st)
{
    struct json_at stop, list;
    if (!json_get_any(in, "stop", &stop))
        return true;
    if (json_is_string(stop.value)) {
        out->stops_count = 1;
        if (!json_get_text(in, "stop", JSON_REQUIRED, STOP_BYTES_MAX, &out->stops[0], st))
            return false;
        return out->stops[0].len > 0 || json_fail(in, "stop", st, "must not be empty");
    }
    if (!json_get_array(in, "stop", JSON_REQUIRED, INFER_CALL_STOPS_MAX, &list, st))
        return false;
    out->stops_count = json_count(&list);
    for (size_t i = 0; i < out->stops_count; i++) {
        if (!json_item_text(&list, i, STOP_BYTES_MAX, &out->stops[i], st))
            return false;
        struct json_at item = json_item(&list, i);
        if (out->stops[i].len == 0)
            return json_fail(&item, "", st, "must not be empty");
    }
    return true;
}

static bool read_messages(const struct json_at *in, const struct infer_vocab *vocab,
                          struct arena *arena, struct infer_call *out, struct status *st)
{
    struct json_at list;
    if (!json_get_array(in, "messages", JSON_REQUIRED, MESSAGES_MAX, &list, st))
        return false;
    if (json_count(&list) == 0)
        return json_fail(in, "messages", st, "must not be empty");
    struct text_buf buf = text_buf_in(arena, (size_t)INFER_CALL_BODY_BYTES_MAX * 7);
    text_buf_add(&buf, TEXT("["));
    for (size_t i = 0; i < json_count(&list); i++) {
        struct json_at message;
        if (i > 0)
            text_buf_add(&buf, TEXT(","));
        if (!json_item_object(&list, i, &message, st) ||
            !read_message(&message, vocab, arena, &buf, st))
            return false;
    }
    text_buf_add(&buf, TEXT("]"));
    if (buf.cut)
        return status_fail_field(st, STATUS_TOO_LARGE, "messages", "messages are too long");
    out->messages = arena_cstr(arena, text_buf_text(&buf));
    return true;
}

static bool read_message(const struct json_at *message, const struct infer_vocab *vocab,
                         struct arena *arena, struct text_buf *buf, struct status *st)
{
    static const char *const roles[] = {"system", "developer", "user", "assistant", NULL};
    static const char *const known[] = {"role",         "content",     "name",
                                        "refusal",      "tool_calls",  "function_call",
                                        "audio",        "annotations", "reasoning_content",
                                        "tool_call_id", NULL};
    static const char *const unsupported[] = {"tool_calls", "function_call", "audio",
                                              "tool_call_id"};
    size_t role;
    struct text content, name;
    struct json_at any;
    if (!json_get_choice(message, "role", JSON_REQUIRED, roles, &role, st) ||
        !json_only(message, known, st) ||
        !json_get_text(message, "name", JSON_OPTIONAL, MODEL_BYTES_MAX, &name, st))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(unsupported); i++)
        if (json_get_any(message, unsupported[i], &any) &&
            json_array_size(any.value) + !json_is_array(any.value) > 0)
            return json_fail(message, unsupported[i], st, "is not supported by this server");
    bool is_assistant = strcmp(roles[role], "assistant") == 0;
    if (!read_content(message, is_assistant, arena, &content, st))
        return false;
    text_buf_addf(buf, "{\"role\":\"%s\",\"content\":", roles[role]);
    add_guarded(buf, arena, vocab, content);
    text_buf_add(buf, TEXT("}"));
    return true;
}

/* A text, or a list of parts that are texts, which are put together. */
static bool read_content(const struct json_at *message, bool may_miss, struct arena *arena,
                         struct text *out, struct status *st)
{
    static const char *const types[] = {"text", "refusal", NULL};
    struct json_at any, list;
    *out = TEXT("");
    if (!json_get_any(message, "content", &any))
        return may_miss || json_fail(message, "content", st, "is missing");
    if (!json_is_array(any.value))
        return json_get_text(message, "content", JSON_REQUIRED, INFER_CALL_BODY_BYTES_MAX, out, st);
    if (!json_get_array(message, "content", JSON_REQUIRED, PARTS_MAX, &list, st))
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

/* The guard goes behind the first character of each text of a control token. */
static void add_guarded(struct text_buf *buf, struct arena *arena, const struct infer_vocab *vocab,
                        struct text text)
{
    struct text_buf safe = {0};
    size_t from = 0;
    for (size_t i = 0; vocab != NULL && i < text.len; i++) {
        if (infer_vocab_control_at(vocab, text_skip(text, i)) == 0)
            continue;
        if (from == 0)
            safe = text_buf_in(arena, (size_t)INFER_CALL_BODY_BYTES_MAX * 7);
        size_t first = i + 1;
        while (first < text.len && ((unsigned char)text.at[first] & 0xC0) == 0x80)
            first++;
        text_buf_add(&safe, (struct text){text.at + from, first - from});
        text_buf_add(&safe, infer_call_guard());
        from = first;
    }
    if (from == 0) {
        text_buf_add_json(buf, text);
        return;
    }
    text_buf_add(&safe, text_skip(text, from));
    buf->cut |= safe.cut;
    text_buf_add_json(buf, text_buf_text(&safe));
}

static char guard[GUARD_BYTES];

static void draw_guard(void)
{
    for (int i = 0; i < GUARD_MARKS; i++) {
        char *mark = guard + 3 * (size_t)i; /* U+FDD0 to U+FDEF */
        mark[0] = (char)0xEF;
        mark[1] = (char)0xB7;
        mark[2] = (char)(0x90 + rand_below(32));
    }
}

struct text infer_call_guard(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, draw_guard);
    return (struct text){guard, sizeof guard};
}

static bool text_of_value(const json_t *value, struct text *out)
{
    if (!json_is_string(value))
        return false;
    *out = (struct text){json_string_value(value), json_string_length(value)};
    return true;
}
