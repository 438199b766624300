#include "infer_call.h"
#include "infer_call_internal.h"
#include "json.h"
#include "rand.h"
#include <string.h>

enum { MODEL_BYTES_MAX = 256, STOP_BYTES_MAX = 256, REPEAT_LAST_MAX = 2048 };
/* For what is not asked. The dialect's own (1, 1, no limit) let small models drift into noise. */
static const float unasked_temperature = 0.8F, unasked_top_p = 0.95F, unasked_min_p = 0.05F;
static const int64_t unasked_top_k = 40;

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
    {"logprobs", TAKEN},
    {"top_logprobs", TAKEN},
    {"response_format", TAKEN},
    {"grammar", TAKEN},
    {"tools", TAKEN},
    {"tool_choice", TAKEN},
    {"parallel_tool_calls", TAKEN},
    {"user", IGNORED},
    {"metadata", IGNORED},
    {"safety_identifier", IGNORED},
    {"prompt_cache_key", IGNORED},
    {"prompt_cache_retention", IGNORED},
    {"service_tier", IGNORED},
    {"verbosity", IGNORED},
    {"reasoning_effort", IGNORED},
    {"store", REFUSED},
    {"functions", REFUSED},
    {"function_call", REFUSED},
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
static bool text_of_value(const json_t *value, struct text *out);

bool infer_call_read(struct text body, const struct infer_call_model *model, struct arena *arena,
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
        !infer_call_read_output(&in, arena, &call, st) ||
        !infer_call_read_messages(&in, model, arena, &call, st))
        return false;
    *out = call;
    return true;
}

bool infer_call_read_common(const struct json_at *in, int64_t tokens_min, struct arena *arena,
                            struct infer_call *out, struct status *st)
{
    struct infer_call call = {.n = 1, .sampling = engine_sampling_default()};
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
    if (strcmp(name, "modalities") == 0)
        return json_array_size(value) == 1 && text_of_value(json_array_get(value, 0), &text) &&
               text_equal(text, TEXT("text"));
    if (strcmp(name, "function_call") == 0)
        return text_of_value(value, &text) && /* auto among no functions is none */
               (text_equal(text, TEXT("none")) || text_equal(text, TEXT("auto")));
    return json_is_false(value) || (json_is_array(value) && json_array_size(value) == 0);
}

static bool read_sampling(const struct json_at *in, struct arena *arena, struct infer_call *out,
                          struct status *st)
{
    struct engine_sampling *s = &out->sampling;
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
    struct engine_bias *bias = ARENA_ARRAY(arena, count, struct engine_bias);
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
        bias[i++] = (struct engine_bias){(int32_t)token, (float)amount};
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

static bool text_of_value(const json_t *value, struct text *out)
{
    if (!json_is_string(value))
        return false;
    *out = (struct text){json_string_value(value), json_string_length(value)};
    return true;
}
