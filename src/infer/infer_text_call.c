#include "infer_text_call.h"
#include "json.h"
#include <string.h>

enum {
    MODEL_BYTES_MAX = 256,
    TOKENS_MAX = 200000, /* of one list; more than any context here */
    TOKENS_DEFAULT = 16, /* of an answer, in this dialect */
    LOGPROBS_MAX = 5,
    TOKENIZE_BYTES_MAX = 1 << 20, /* its answer is some times as long */
};

static const struct json_limits limits = {.members_max = TOKENS_MAX, .values_max = 250000};

/* In the order of the documentation; then ours. What is ignored says nothing that a local model
 * could act on. */
static const char *const completion_fields[] = {
    "model",
    "prompt",
    "best_of",
    "echo",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_tokens",
    "n",
    "presence_penalty",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "suffix",
    "temperature",
    "top_p",
    "user",
    "top_k",
    "min_p",
    "repeat_penalty",
    "repeat_last_n",
    "ignore_eos",
    "parse_special",
    NULL,
};
static const char *const tokenize_fields[] = {
    "model", "prompt", "add_special_tokens", "return_token_strs", "parse_special", NULL,
};
static const char *const detokenize_fields[] = {"model", "tokens", NULL};

static bool read_root(struct text body, const char *const *known, struct arena *arena,
                      struct json_at *out, struct status *st);
static bool read_known(const struct json_at *in, const char *const *known, struct status *st);
static bool read_choices(const struct json_at *in, struct infer_text_completion *out,
                         struct status *st);
static bool read_prompts(const struct json_at *in, uint32_t vocab, struct arena *arena,
                         struct infer_text_completion *out, struct status *st);
static bool read_prompt(const struct json_at *list, size_t index, uint32_t vocab,
                        struct arena *arena, struct infer_text_prompt *out, struct status *st);
static bool read_tokens(const struct json_at *list, uint32_t vocab, struct arena *arena,
                        const int32_t **out, size_t *count, struct status *st);

bool infer_text_read_completion(struct text body, uint32_t vocab, struct arena *arena,
                                struct infer_text_completion *out, struct status *st)
{
    struct json_at in;
    struct infer_text_completion read = {.echo = false};
    struct text user;
    if (!read_root(body, completion_fields, arena, &in, st) ||
        !infer_call_read_common(&in, 0, arena, &read.call, st) ||
        !json_get_bool(&in, "echo", JSON_OPTIONAL, &read.echo, st) ||
        !json_get_bool(&in, "parse_special", JSON_OPTIONAL, &read.parse_special, st) ||
        !json_get_text(&in, "user", JSON_OPTIONAL, INFER_CALL_BODY_BYTES_MAX, &user, st) ||
        !read_choices(&in, &read, st) || !read_prompts(&in, vocab, arena, &read, st))
        return false;
    if (read.call.nothing && !read.echo)
        return json_fail(&in, "max_tokens", st, "must be at least 1 without \"echo\": true");
    if (!read.call.nothing && read.call.output_max == 0)
        read.call.output_max = TOKENS_DEFAULT;
    *out = read;
    return true;
}

bool infer_text_read_tokenize(struct text body, struct arena *arena,
                              struct infer_text_tokenize *out, struct status *st)
{
    struct json_at in;
    struct infer_text_tokenize read = {.add_special_tokens = true};
    if (!read_root(body, tokenize_fields, arena, &in, st) ||
        !json_get_text(&in, "model", JSON_REQUIRED, MODEL_BYTES_MAX, &read.model, st) ||
        !json_get_text(&in, "prompt", JSON_REQUIRED, TOKENIZE_BYTES_MAX, &read.prompt, st) ||
        !json_get_bool(&in, "add_special_tokens", JSON_OPTIONAL, &read.add_special_tokens, st) ||
        !json_get_bool(&in, "parse_special", JSON_OPTIONAL, &read.parse_special, st) ||
        !json_get_bool(&in, "return_token_strs", JSON_OPTIONAL, &read.return_token_strs, st))
        return false;
    *out = read;
    return true;
}

bool infer_text_read_detokenize(struct text body, uint32_t vocab, struct arena *arena,
                                struct infer_text_detokenize *out, struct status *st)
{
    struct json_at in, list;
    struct infer_text_detokenize read = {0};
    if (!read_root(body, detokenize_fields, arena, &in, st) ||
        !json_get_text(&in, "model", JSON_REQUIRED, MODEL_BYTES_MAX, &read.model, st) ||
        !json_get_array(&in, "tokens", JSON_REQUIRED, TOKENS_MAX, &list, st) ||
        !read_tokens(&list, vocab, arena, &read.tokens, &read.tokens_count, st))
        return false;
    *out = read;
    return true;
}

static bool read_root(struct text body, const char *const *known, struct arena *arena,
                      struct json_at *out, struct status *st)
{
    json_t *root;
    if (!json_read_in(arena, body, &limits, &root, st))
        return false;
    if (!json_is_object(root))
        return status_fail(st, STATUS_INVALID, "the body must be a JSON object");
    *out = json_at_root(root);
    return read_known(out, known, st);
}

/* null is the same as absent, also for a field that nobody knows: as in chat. */
static bool read_known(const struct json_at *in, const char *const *known, struct status *st)
{
    const char *name;
    json_t *value;
    json_object_foreach(in->value, name, value)
    {
        size_t i = 0;
        while (known[i] != NULL && strcmp(known[i], name) != 0)
            i++;
        if (known[i] == NULL && !json_is_null(value))
            return json_fail(in, name, st, "is no field of this request");
    }
    return true;
}

/* After the common part: `n` is how many are shown of the best_of that are written. */
static bool read_choices(const struct json_at *in, struct infer_text_completion *out,
                         struct status *st)
{
    struct infer_call *call = &out->call;
    struct text suffix = TEXT("");
    int64_t best_of = call->n, logprobs = -1;
    if (!json_get_text(in, "suffix", JSON_OPTIONAL, INFER_CALL_BODY_BYTES_MAX, &suffix, st) ||
        !json_get_int(in, "best_of", JSON_OPTIONAL, 1, INFER_CALL_N_MAX, &best_of, st) ||
        !json_get_int(in, "logprobs", JSON_OPTIONAL, 0, LOGPROBS_MAX, &logprobs, st))
        return false;
    if (suffix.len > 0)
        return json_fail(in, "suffix", st, "is not supported by this server");
    if (best_of < call->n)
        return json_fail(in, "best_of", st, "must be at least n, which is %u", call->n);
    if (best_of > call->n && call->stream)
        return json_fail(in, "best_of", st, "cannot be more than n in a stream");
    if (logprobs >= 0 && out->echo)
        return json_fail(in, "logprobs", st, "is not supported together with echo");
    out->logprobs = logprobs >= 0;
    out->shown = call->n;
    call->logprobs = logprobs >= 0 || best_of > call->n;
    call->tops = logprobs > 0 ? (uint32_t)logprobs : 0;
    call->n = (uint32_t)best_of;
    return true;
}

/* "a", ["a", "b"], [1, 2] or [[1, 2], [3]]: the first item says which, as in src/relay. */
static bool read_prompts(const struct json_at *in, uint32_t vocab, struct arena *arena,
                         struct infer_text_completion *out, struct status *st)
{
    struct json_at any, list;
    if (!json_get_any(in, "prompt", &any))
        return json_fail(in, "prompt", st, "is missing");
    out->prompts_count = 1;
    if (json_is_string(any.value)) {
        out->prompts = ARENA_NEW(arena, struct infer_text_prompt);
        return json_get_text(in, "prompt", JSON_REQUIRED, INFER_CALL_BODY_BYTES_MAX,
                             &out->prompts->text, st);
    }
    if (!json_is_array(any.value))
        return json_fail(in, "prompt", st, "must be a string or an array of strings or tokens");
    if (!json_get_array(in, "prompt", JSON_REQUIRED, TOKENS_MAX, &list, st))
        return false;
    if (json_count(&list) == 0)
        return json_fail(in, "prompt", st, "must not be empty");
    if (json_is_number(json_item(&list, 0).value)) {
        out->prompts = ARENA_NEW(arena, struct infer_text_prompt);
        return read_tokens(&list, vocab, arena, &out->prompts->tokens, &out->prompts->tokens_count,
                           st);
    }
    if (json_count(&list) * out->call.n > INFER_TEXT_PROMPTS_MAX)
        return json_fail(in, "prompt", st,
                         "has %zu prompts; times n or best_of at most %d are allowed",
                         json_count(&list), INFER_TEXT_PROMPTS_MAX);
    out->listed = true;
    out->prompts_count = json_count(&list);
    out->prompts = ARENA_ARRAY(arena, out->prompts_count, struct infer_text_prompt);
    for (size_t i = 0; i < out->prompts_count; i++)
        if (!read_prompt(&list, i, vocab, arena, &out->prompts[i], st))
            return false;
    return true;
}

static bool read_prompt(const struct json_at *list, size_t index, uint32_t vocab,
                        struct arena *arena, struct infer_text_prompt *out, struct status *st)
{
    struct json_at item = json_item(list, index), first = json_item(list, 0);
    if (!json_is_array(first.value))
        return json_item_text(list, index, INFER_CALL_BODY_BYTES_MAX, &out->text, st);
    if (!json_is_array(item.value))
        return json_fail(&item, "", st, "must be an array of tokens, as the first is");
    return read_tokens(&item, vocab, arena, &out->tokens, &out->tokens_count, st);
}

static bool read_tokens(const struct json_at *list, uint32_t vocab, struct arena *arena,
                        const int32_t **out, size_t *count, struct status *st)
{
    *count = json_count(list);
    int32_t *tokens = ARENA_ARRAY(arena, *count + 1, int32_t);
    for (size_t i = 0; i < *count; i++) {
        struct json_at item = json_item(list, i);
        json_int_t token = json_integer_value(item.value);
        if (!json_is_integer(item.value) || token < 0 || token >= (json_int_t)vocab)
            return json_fail(&item, "", st, "must be a token of this model, 0 to %u", vocab - 1);
        tokens[i] = (int32_t)token;
    }
    *out = tokens;
    return true;
}
