/* POST /v1/embeddings. */
#include "infer_api_embed_internal.h"
#include "json.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_BYTES_MAX = INFER_API_EMBED_BODY_BYTES_MAX, FIELD_BYTES = 32, LONG_NUMBERS = 16384 };

struct embeddings {
    struct infer_server *server;
    struct arena *arena;
    struct infer_api_rows rows;
    uint32_t dimensions; /* of each vector in the answer */
    bool base64;
};

static bool read_call(void *call, struct text body, struct status *st);
static bool read_input(struct embeddings *e, const struct json_at *root, struct status *st);
static bool read_texts(struct embeddings *e, const struct json_at *input, struct status *st);
static bool read_tokens(struct embeddings *e, const struct json_at *list, const char *field,
                        struct status *st);
static void write_answer(void *call, struct text_buf *buf);
static void write_vector(const struct embeddings *e, const float *vector, struct text_buf *buf);
static void write_base64(struct text_buf *buf, const unsigned char *bytes, size_t count);

bool infer_api_embeddings(struct http_request *req, struct http_reply *reply, struct status *st)
{
    struct embeddings *e = ARENA_NEW(req->arena, struct embeddings);
    e->server = infer_server_of(req);
    e->arena = req->arena;
    struct infer_api_embed_step step = {
        .server = e->server,
        .req = req,
        .read = read_call,
        .call = e,
        .rows = &e->rows,
    };
    return infer_api_embed_run(&step, st) &&
           infer_api_embed_send(&step, reply, e->rows.count * e->dimensions > LONG_NUMBERS,
                                write_answer, st);
}

static bool read_call(void *call, struct text body, struct status *st)
{
    static const char *const formats[] = {"float", "base64", NULL};
    static const struct json_limits limits = {.members_max = INFER_API_EMBED_BODY_BYTES_MAX,
                                              .values_max = INFER_API_EMBED_BODY_BYTES_MAX};
    struct embeddings *e = call;
    const struct engine_embed_facts *facts = engine_embed_facts(e->server->options.embed);
    json_t *value;
    size_t format = 0;
    int64_t dimensions = facts->dimensions;
    if (!json_read_in(e->arena, body, &limits, &value, st))
        return false;
    struct json_at root = json_at_root(value);
    if (!infer_api_embed_model(&root, e->server, st))
        return false;
    if (facts->ranks)
        return status_fail_field(st, STATUS_INVALID, "model",
                                 "the model %.*s judges pairs and makes no embeddings: use "
                                 "/v1/rerank",
                                 TEXT_ARG(e->server->options.name));
    if (!json_get_choice(&root, "encoding_format", JSON_OPTIONAL, formats, &format, st) ||
        !json_get_int(&root, "dimensions", JSON_OPTIONAL, 1, facts->dimensions, &dimensions, st) ||
        !read_input(e, &root, st))
        return false;
    e->base64 = format == 1;
    e->dimensions = (uint32_t)dimensions;
    return true;
}

/* A text, a list of texts, a list of tokens, or a list of lists of tokens. */
static bool read_input(struct embeddings *e, const struct json_at *root, struct status *st)
{
    struct json_at input;
    struct engine_embed *embed = e->server->options.embed;
    if (!json_get_any(root, "input", &input))
        return json_fail(root, "input", st, "is missing");
    if (json_is_string(input.value)) {
        infer_api_rows_start(&e->rows, embed, e->arena, 1);
        struct text text = {json_string_value(input.value), json_string_length(input.value)};
        return infer_api_rows_text(&e->rows, text, "input", st);
    }
    size_t count = json_count(&input);
    if (!json_is_array(input.value) || count == 0)
        return json_fail(root, "input", st, "must be a text, or a list of texts or of tokens");
    if (json_is_integer(json_item(&input, 0).value)) {
        infer_api_rows_start(&e->rows, embed, e->arena, 1);
        return read_tokens(e, &input, "input", st);
    }
    if (count > INFER_API_EMBED_TEXTS_MAX)
        return json_fail(root, "input", st, "must have at most %d texts, not %zu",
                         INFER_API_EMBED_TEXTS_MAX, count);
    infer_api_rows_start(&e->rows, embed, e->arena, count);
    return read_texts(e, &input, st);
}

static bool read_texts(struct embeddings *e, const struct json_at *input, struct status *st)
{
    bool tokens = json_is_array(json_item(input, 0).value);
    for (size_t i = 0; i < json_count(input); i++) {
        char field[FIELD_BYTES];
        struct text text;
        struct json_at item = json_item(input, i);
        (void)snprintf(field, sizeof field, "input[%zu]", i);
        if (tokens) {
            if (!json_is_array(item.value))
                return status_fail_field(st, STATUS_INVALID, field, "%s must be a list of tokens",
                                         field);
            if (!read_tokens(e, &item, field, st))
                return false;
        } else if (!json_item_text(input, i, TEXT_BYTES_MAX, &text, st) ||
                   !infer_api_rows_text(&e->rows, text, field, st)) {
            return false;
        }
    }
    return true;
}

static bool read_tokens(struct embeddings *e, const struct json_at *list, const char *field,
                        struct status *st)
{
    size_t count = json_count(list);
    int32_t *tokens = ARENA_ARRAY(e->arena, count, int32_t);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_item(list, i).value;
        json_int_t number = json_is_integer(item) ? json_integer_value(item) : -1;
        if (number < 0 || number > INT32_MAX)
            return status_fail_field(st, STATUS_INVALID, field,
                                     "%s must be a list of tokens: of numbers from 0", field);
        tokens[i] = (int32_t)number;
    }
    return infer_api_rows_tokens(&e->rows, tokens, count, field, st);
}

static void write_answer(void *call, struct text_buf *buf)
{
    struct embeddings *e = call;
    text_buf_add(buf, TEXT("{\"object\":\"list\",\"data\":["));
    for (size_t i = 0; i < e->rows.count; i++) {
        float *vector = e->rows.rows[i].out;
        if (e->dimensions < e->rows.facts->dimensions)
            engine_embed_normalize(vector, e->dimensions);
        text_buf_addf(
            buf, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", i > 0 ? "," : "", i);
        write_vector(e, vector, buf);
        text_buf_add(buf, TEXT("}"));
    }
    text_buf_add(buf, TEXT("],\"model\":"));
    text_buf_add_json(buf, e->server->options.name);
    text_buf_addf(buf, ",\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu}}",
                  (unsigned long long)e->rows.total, (unsigned long long)e->rows.total);
}

/* base64 is of the numbers' bytes, little-endian. */
static void write_vector(const struct embeddings *e, const float *vector, struct text_buf *buf)
{
    if (e->base64) {
        static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the bytes are sent as they are");
        text_buf_add(buf, TEXT("\""));
        write_base64(buf, (const unsigned char *)vector, e->dimensions * sizeof(float));
        text_buf_add(buf, TEXT("\""));
        return;
    }
    char piece[64 * 20];
    struct text_out out = text_out_over(piece, sizeof piece);
    text_buf_add(buf, TEXT("["));
    for (uint32_t d = 0; d < e->dimensions; d++) {
        text_out_addf(&out, "%s%.9g", d > 0 ? "," : "", (double)vector[d]);
        if ((d + 1) % 64 == 0 || d + 1 == e->dimensions) {
            text_buf_add(buf, text_out_text(&out));
            out = text_out_over(piece, sizeof piece);
        }
    }
    text_buf_add(buf, TEXT("]"));
}

static void write_base64(struct text_buf *buf, const unsigned char *bytes, size_t count)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char piece[1024];
    size_t used = 0;
    for (size_t i = 0; i < count; i += 3) {
        size_t left = count - i;
        uint32_t three = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? bytes[i + 2] : 0);
        piece[used++] = digits[three >> 18];
        piece[used++] = digits[three >> 12 & 63];
        piece[used++] = left > 1 ? digits[three >> 6 & 63] : '=';
        piece[used++] = left > 2 ? digits[three & 63] : '=';
        if (used == sizeof piece || left <= 3) {
            text_buf_add(buf, (struct text){piece, used});
            used = 0;
        }
    }
}
