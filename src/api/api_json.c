#include "api_json.h"
#include <math.h>
#include "http_reply.h"

enum { JSON_BYTES_MAX = 32 * 1024 * 1024 };

static void name_of(struct api_json *json, const char *name);

struct api_json api_json_in(struct arena *arena)
{
    return (struct api_json){.buf = text_buf_in(arena, JSON_BYTES_MAX)};
}

void api_json_open(struct api_json *json, const char *name, char bracket)
{
    WEIR_ASSERT(bracket == '{' || bracket == '[');
    name_of(json, name);
    text_buf_add(&json->buf, (struct text){&bracket, 1});
    json->comma = false;
}

void api_json_close(struct api_json *json, char bracket)
{
    WEIR_ASSERT(bracket == '}' || bracket == ']');
    text_buf_add(&json->buf, (struct text){&bracket, 1});
    json->comma = true;
}

void api_json_text(struct api_json *json, const char *name, struct text value)
{
    name_of(json, name);
    text_buf_add_json(&json->buf, value);
}

void api_json_text_or_null(struct api_json *json, const char *name, struct text value)
{
    if (value.len == 0)
        api_json_null(json, name);
    else
        api_json_text(json, name, value);
}

void api_json_int(struct api_json *json, const char *name, int64_t value)
{
    name_of(json, name);
    text_buf_addf(&json->buf, "%lld", (long long)value);
}

void api_json_int_or_null(struct api_json *json, const char *name, int64_t value)
{
    if (value == 0)
        api_json_null(json, name);
    else
        api_json_int(json, name, value);
}

void api_json_number(struct api_json *json, const char *name, double value)
{
    name_of(json, name);
    if (isfinite(value))
        text_buf_addf(&json->buf, "%.10g", value);
    else
        text_buf_add(&json->buf, TEXT("null"));
}

void api_json_bool(struct api_json *json, const char *name, bool value)
{
    name_of(json, name);
    text_buf_add(&json->buf, value ? TEXT("true") : TEXT("false"));
}

void api_json_null(struct api_json *json, const char *name)
{
    name_of(json, name);
    text_buf_add(&json->buf, TEXT("null"));
}

void api_json_raw(struct api_json *json, const char *name, struct text value)
{
    name_of(json, name);
    text_buf_add(&json->buf, value);
}

struct text api_json_done(const struct api_json *json)
{
    return text_buf_text(&json->buf);
}

void api_json_list_open(struct api_json *json)
{
    api_json_open(json, NULL, '{');
    api_json_open(json, "data", '[');
}

void api_json_list_close(struct api_json *json, int64_t next_key, struct text next_id)
{
    api_json_close(json, ']');
    if (next_id.len == 0) {
        api_json_null(json, "next_cursor");
    } else {
        name_of(json, "next_cursor");
        text_buf_addf(&json->buf, "\"%lld.%.*s\"", (long long)next_key, TEXT_ARG(next_id));
    }
    api_json_close(json, '}');
}

bool api_json_send(struct api_json *json, struct http_reply *reply, int http_status,
                   struct status *st)
{
    if (json->buf.cut)
        return status_fail(st, STATUS_LIMIT, "the answer is too long");
    return http_reply_send(reply, http_status, TEXT("application/json"), api_json_done(json), st);
}

bool api_json_send_nothing(struct http_reply *reply, struct status *st)
{
    return http_reply_send(reply, 204, TEXT(""), TEXT(""), st);
}

/* The comma and the name before a value. Names are our own and need no escapes. */
static void name_of(struct api_json *json, const char *name)
{
    if (json->comma)
        text_buf_add(&json->buf, TEXT(","));
    json->comma = true;
    if (name != NULL) {
        text_buf_add(&json->buf, TEXT("\""));
        text_buf_add(&json->buf, text_of(name));
        text_buf_add(&json->buf, TEXT("\":"));
    }
}
