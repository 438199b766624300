/* The fields of the endpoints that take plain text or tokens. */
#include <stdio.h>
#include "relay_fields_internal.h"

enum {
    USER_BYTES_MAX = 512,
    PROMPTS_MAX = 2048,
    INPUTS_MAX = 2048,
    DOCUMENTS_MAX = 2048,
    TOKENS_MAX = 200000, /* of one list */
};

static relay_check check_prompt, check_input, check_encoding_format, check_tokens, check_query,
    check_documents;

#define PASS(name, check, min, max) {name, RELAY_LOCAL_PASS, check, min, max, false}
#define NEED(name, check, min, max) {name, RELAY_LOCAL_PASS, check, min, max, true}
#define DROP(name, check, min, max) {name, RELAY_LOCAL_DROP, check, min, max, false}
#define MODEL NEED("model", relay_check_model, 1, RELAY_REQUEST_MODEL_BYTES_MAX)

static const struct relay_field completions[] = {
    MODEL,
    NEED("prompt", check_prompt, 1, PROMPTS_MAX),
    PASS("best_of", relay_check_integer, 1, 20),
    PASS("echo", relay_check_bool, 0, 0),
    PASS("frequency_penalty", relay_check_number, -2, 2),
    PASS("logit_bias", relay_check_logit_bias, -100, 100),
    PASS("logprobs", relay_check_integer, 0, 5),
    PASS("max_tokens", relay_check_tokens_max, 0, 100000000),
    PASS("n", relay_check_n, 1, 128),
    PASS("presence_penalty", relay_check_number, -2, 2),
    PASS("seed", relay_check_integer, -9007199254740992.0, 9007199254740992.0),
    PASS("stop", relay_check_stop, 0, 4),
    PASS("stream", relay_check_stream, 0, 0),
    PASS("stream_options", relay_check_stream_options, 0, 0),
    PASS("suffix", relay_check_text, 0, 8 * MIB),
    PASS("temperature", relay_check_number, 0, 2),
    PASS("top_p", relay_check_number, 0, 1),
    DROP("user", relay_check_text, 0, USER_BYTES_MAX),
    PASS("top_k", relay_check_integer, -1, 1000000),
    PASS("min_p", relay_check_number, 0, 1),
    PASS("repeat_penalty", relay_check_number, 0.1, 10),
    PASS("repeat_last_n", relay_check_integer, -1, 1000000),
    PASS("ignore_eos", relay_check_bool, 0, 0),
    PASS("parse_special", relay_check_bool, 0, 0),
};
static const struct relay_field embeddings[] = {
    MODEL,
    NEED("input", check_input, 1, INPUTS_MAX),
    PASS("encoding_format", check_encoding_format, 0, 0),
    PASS("dimensions", relay_check_integer, 1, 100000),
    DROP("user", relay_check_text, 0, USER_BYTES_MAX),
};
/* As Cohere and Jina have it, vLLM and llama-server too. */
static const struct relay_field rerank[] = {
    MODEL,
    NEED("query", check_query, 1, 8 * MIB),
    NEED("documents", check_documents, 1, DOCUMENTS_MAX),
    PASS("top_n", relay_check_integer, 1, 1000000),
    PASS("return_documents", relay_check_bool, 0, 0),
};
static const struct relay_field tokenize[] = {
    MODEL,
    NEED("prompt", relay_check_text, 0, 8 * MIB),
    PASS("add_special_tokens", relay_check_bool, 0, 0),
    PASS("return_token_strs", relay_check_bool, 0, 0),
    PASS("parse_special", relay_check_bool, 0, 0),
};
static const struct relay_field detokenize[] = {
    MODEL,
    NEED("tokens", check_tokens, 0, TOKENS_MAX),
};
#undef PASS
#undef NEED
#undef DROP
#undef MODEL

const struct relay_fields relay_fields_completions = {completions, ARRAY_LEN(completions)};
const struct relay_fields relay_fields_embeddings = {embeddings, ARRAY_LEN(embeddings)};
const struct relay_fields relay_fields_rerank = {rerank, ARRAY_LEN(rerank)};
const struct relay_fields relay_fields_tokenize = {tokenize, ARRAY_LEN(tokenize)};
const struct relay_fields relay_fields_detokenize = {detokenize, ARRAY_LEN(detokenize)};

static bool text_or_tokens(struct relay_reading *in, const struct relay_field *field,
                           struct relay_json_value value, bool empty_fits);
static bool is_empty(struct relay_json_value value);
static bool fail_empty(struct relay_reading *in, const char *path);
static bool token(struct relay_reading *in, const char *path, struct relay_json_value value);
static bool tokens(struct relay_reading *in, const char *path, struct relay_json_value list);

/* An empty text is a prompt: some models begin by themselves. */
static bool check_prompt(struct relay_reading *in, const struct relay_field *field,
                         struct relay_json_value value)
{
    return text_or_tokens(in, field, value, true);
}

static bool check_input(struct relay_reading *in, const struct relay_field *field,
                        struct relay_json_value value)
{
    return text_or_tokens(in, field, value, false);
}

/* "a", ["a", "b"], [1, 2] or [[1, 2], [3]]: the first item says which. */
static bool text_or_tokens(struct relay_reading *in, const struct relay_field *field,
                           struct relay_json_value value, bool empty_fits)
{
    struct relay_json_value item;
    struct text name;
    char path[48];
    if (value.kind == RELAY_JSON_STRING)
        return empty_fits || !is_empty(value) || fail_empty(in, field->name);
    if (value.kind != RELAY_JSON_ARRAY)
        return status_fail_field(in->st, STATUS_INVALID, field->name,
                                 "%s must be a string, or an array of strings or tokens, not %s",
                                 field->name, relay_json_kind_name(value.kind));
    struct relay_json_iter iter = relay_json_iter_of(value);
    if (!relay_json_next(&iter, &name, &item))
        return fail_empty(in, field->name);
    if (item.kind == RELAY_JSON_NUMBER)
        return tokens(in, field->name, value);
    if (!relay_fields_count(in, field, value))
        return false;
    enum relay_json_kind kind = item.kind == RELAY_JSON_ARRAY ? item.kind : RELAY_JSON_STRING;
    iter = relay_json_iter_of(value);
    for (size_t i = 0; relay_json_next(&iter, &name, &item); i++) {
        (void)snprintf(path, sizeof(path), "%s[%zu]", field->name, i);
        if (!relay_fields_kind(in, path, item, kind))
            return false;
        if (!empty_fits && is_empty(item))
            return fail_empty(in, path);
        if (kind == RELAY_JSON_ARRAY && !tokens(in, path, item))
            return false;
    }
    return true;
}

static bool is_empty(struct relay_json_value value)
{
    struct relay_json_value item;
    struct text name;
    if (value.kind == RELAY_JSON_STRING)
        return value.raw.len == 2;
    struct relay_json_iter iter = relay_json_iter_of(value);
    return !relay_json_next(&iter, &name, &item);
}

static bool fail_empty(struct relay_reading *in, const char *path)
{
    return status_fail_field(in->st, STATUS_INVALID, path, "%s must not be empty", path);
}

static bool tokens(struct relay_reading *in, const char *path, struct relay_json_value list)
{
    struct relay_json_iter iter = relay_json_iter_of(list);
    struct relay_json_value item;
    char inner[64];
    size_t i = 0;
    for (struct text name; relay_json_next(&iter, &name, &item); i++) {
        (void)snprintf(inner, sizeof(inner), "%s[%zu]", path, i);
        if (i == TOKENS_MAX)
            return status_fail_field(in->st, STATUS_INVALID, path, "%s must have at most %d tokens",
                                     path, TOKENS_MAX);
        if (!token(in, inner, item))
            return false;
    }
    return true;
}

static bool token(struct relay_reading *in, const char *path, struct relay_json_value value)
{
    int64_t number;
    if (!relay_fields_kind(in, path, value, RELAY_JSON_NUMBER))
        return false;
    if (relay_json_i64(value, &number) && number >= 0 && number <= INT32_MAX)
        return true;
    return status_fail_field(in->st, STATUS_INVALID, path, "%s must be a token number", path);
}

static bool check_encoding_format(struct relay_reading *in, const struct relay_field *field,
                                  struct relay_json_value value)
{
    char memory[16];
    struct text text;
    if (!relay_fields_kind(in, field->name, value, RELAY_JSON_STRING))
        return false;
    if (relay_json_string_into(value, memory, sizeof(memory), &text) &&
        (text_equal(text, TEXT("float")) || text_equal(text, TEXT("base64"))))
        return true;
    return status_fail_field(in->st, STATUS_INVALID, field->name, "%s must be float or base64",
                             field->name);
}

static bool check_tokens(struct relay_reading *in, const struct relay_field *field,
                         struct relay_json_value value)
{
    return relay_fields_kind(in, field->name, value, RELAY_JSON_ARRAY) &&
           tokens(in, field->name, value);
}

static bool check_query(struct relay_reading *in, const struct relay_field *field,
                        struct relay_json_value value)
{
    return relay_check_text(in, field, value) && (!is_empty(value) || fail_empty(in, field->name));
}

/* Texts, or objects with a text. */
static bool check_documents(struct relay_reading *in, const struct relay_field *field,
                            struct relay_json_value value)
{
    struct relay_json_value item, text;
    char path[48];
    if (!relay_check_array(in, field, value))
        return false;
    struct relay_json_iter iter = relay_json_iter_of(value);
    size_t i = 0;
    for (struct text name; relay_json_next(&iter, &name, &item); i++) {
        if (item.kind == RELAY_JSON_STRING)
            continue;
        (void)snprintf(path, sizeof(path), "%s[%zu]", field->name, i);
        if (item.kind != RELAY_JSON_OBJECT)
            return status_fail_field(in->st, STATUS_INVALID, path,
                                     "%s must be a string or an object with a text, not %s", path,
                                     relay_json_kind_name(item.kind));
        (void)snprintf(path, sizeof(path), "%s[%zu].text", field->name, i);
        if (!relay_json_member(item, TEXT("text"), &text))
            return status_fail_field(in->st, STATUS_INVALID, path, "%s is missing", path);
        if (!relay_fields_kind(in, path, text, RELAY_JSON_STRING))
            return false;
    }
    return true;
}
