#include "api_body.h"
#include <stdio.h>
#include <string.h>
#include "api_request.h"
#include "fiber.h"
#include "ids.h"
#include "relay_request.h"

enum { PAGE_LIMIT = 50, PAGE_LIMIT_MAX = 100, CURSOR_BYTES_MAX = 500 };

struct check {
    struct text body;
    struct relay_json_value root;
    struct status st;
    bool ok;
};

static void check_run(void *arg);
static bool read_value(struct http_request *req, const struct api_field *field, const char *path,
                       struct relay_json_value raw, struct api_value *out, struct status *st);
static bool read_text(struct http_request *req, const struct api_field *field, const char *path,
                      struct api_value *out, struct status *st);
static size_t characters(struct text text);

bool api_body_json(struct http_request *req, bool absent_fits, size_t bytes_max, struct text *body,
                   struct status *st)
{
    struct text type = http_request_header(req, TEXT("content-type"));
    struct text essence = text_trim(text_take(type, text_find_byte(type, ';')));
    if (!(absent_fits && type.at == NULL) && !text_equal_nocase(essence, TEXT("application/json")))
        return api_fail(req, st, API_PROBLEM_WRONG_MEDIA_TYPE, NULL,
                        "the body must be application/json");
    if (http_request_body(req, bytes_max, body, st))
        return true;
    return st->code == STATUS_TIMEOUT ? api_fail_as(req, API_PROBLEM_TOO_SLOW) : false;
}

bool api_body_read(struct http_request *req, const struct api_field *fields, size_t count,
                   struct api_value *values, struct status *st)
{
    struct check check = {0};
    if (!api_body_json(req, false, api_request_of(req)->route->body_bytes_max, &check.body, st))
        return false;
    if (check.body.len <= RELAY_REQUEST_INLINE_BYTES)
        check_run(&check);
    else if (!offload(check_run, &check, st))
        return false;
    if (!check.ok) {
        *st = check.st;
        return api_fail_as(req, API_PROBLEM_INVALID_JSON);
    }
    if (check.root.kind != RELAY_JSON_OBJECT)
        return api_fail(req, st, API_PROBLEM_INVALID_INPUT, NULL,
                        "the body must be an object, not %s",
                        relay_json_kind_name(check.root.kind));
    return api_body_object(req, check.root, "", fields, count, values, st);
}

bool api_body_object(struct http_request *req, struct relay_json_value object, const char *prefix,
                     const struct api_field *fields, size_t count, struct api_value *values,
                     struct status *st)
{
    char path[STATUS_FIELD_BYTES_MAX];
    struct relay_json_iter iter = relay_json_iter_of(object);
    struct relay_json_value raw;
    WEIR_ASSERT(count <= API_FIELDS_MAX);
    memset(values, 0, count * sizeof(*values));
    for (struct text name; relay_json_next(&iter, &name, &raw);) {
        size_t i = 0;
        while (i < count && !text_equal(name, text_of(fields[i].name)))
            i++;
        struct text cut = text_take(name, RELAY_JSON_NAME_BYTES_MAX);
        (void)snprintf(path, sizeof(path), "%s%.*s", prefix, (int)text_utf8_whole(cut), cut.at);
        if (i == count)
            return api_fail(req, st, API_PROBLEM_INVALID_INPUT, path, "%s is not known here", path);
        if (values[i].present)
            return api_fail(req, st, API_PROBLEM_INVALID_INPUT, path, "%s is given twice", path);
        if (!read_value(req, &fields[i], path, raw, &values[i], st))
            return false;
    }
    for (size_t i = 0; i < count; i++)
        if ((fields[i].flags & API_FIELD_REQUIRED) && !values[i].present) {
            (void)snprintf(path, sizeof(path), "%s%s", prefix, fields[i].name);
            return api_fail(req, st, API_PROBLEM_INVALID_INPUT, path, "%s is missing", path);
        }
    return true;
}

bool api_page_read(struct http_request *req, struct api_page *out, struct status *st)
{
    struct text text;
    struct api_page page = {.limit = PAGE_LIMIT, .after_id = TEXT("")};
    if (http_request_query(req, TEXT("limit"), &text, st)) {
        if (!text_to_i64(text, &page.limit) || page.limit < 1 || page.limit > PAGE_LIMIT_MAX)
            return api_fail(req, st, API_PROBLEM_INVALID_INPUT, "limit",
                            "limit must be a number from 1 to %d", PAGE_LIMIT_MAX);
    } else if (st->code != STATUS_NOT_FOUND) {
        return false;
    }
    if (http_request_query(req, TEXT("cursor"), &text, st)) {
        size_t dot = text_find_byte(text, '.');
        page.after_id = text_skip(text, dot + 1);
        bool good = text.len <= CURSOR_BYTES_MAX && page.after_id.len > 0 &&
                    page.after_id.len <= IDS_BYTES &&
                    text_to_i64(text_take(text, dot), &page.after_key);
        if (!good)
            return api_fail(req, st, API_PROBLEM_INVALID_INPUT, "cursor",
                            "cursor is not one that this server gave");
    } else if (st->code != STATUS_NOT_FOUND) {
        return false;
    }
    *out = page;
    return true;
}

static void check_run(void *arg)
{
    struct check *check = arg;
    check->ok = relay_json_check(check->body, &check->root, &check->st);
}

static bool kind_fits(enum api_field_kind kind, enum relay_json_kind got)
{
    switch (kind) {
    case API_FIELD_TEXT:
    case API_FIELD_NAME:
        return got == RELAY_JSON_STRING;
    case API_FIELD_INT:
    case API_FIELD_NUMBER:
        return got == RELAY_JSON_NUMBER;
    case API_FIELD_BOOL:
        return got == RELAY_JSON_BOOL;
    case API_FIELD_OBJECT:
        return got == RELAY_JSON_OBJECT;
    case API_FIELD_LIST:
        return got == RELAY_JSON_ARRAY;
    }
    return false;
}

static const char *kind_wanted(enum api_field_kind kind)
{
    switch (kind) {
    case API_FIELD_TEXT:
    case API_FIELD_NAME:
        return "a string";
    case API_FIELD_INT:
        return "a whole number";
    case API_FIELD_NUMBER:
        return "a number";
    case API_FIELD_BOOL:
        return "true or false";
    case API_FIELD_OBJECT:
        return "an object";
    case API_FIELD_LIST:
        return "a list";
    }
    return "";
}

static bool read_value(struct http_request *req, const struct api_field *field, const char *path,
                       struct relay_json_value raw, struct api_value *out, struct status *st)
{
    out->present = true;
    out->raw = raw;
    out->is_null = raw.kind == RELAY_JSON_NULL;
    if (out->is_null && (field->flags & API_FIELD_NULLABLE))
        return true;
    if (!kind_fits(field->kind, raw.kind))
        return api_fail(req, st, API_PROBLEM_INVALID_INPUT, path, "%s must be %s, not %s", path,
                        kind_wanted(field->kind), relay_json_kind_name(raw.kind));
    switch (field->kind) {
    case API_FIELD_TEXT:
    case API_FIELD_NAME:
        return read_text(req, field, path, out, st);
    case API_FIELD_INT:
        if (!relay_json_i64(raw, &out->integer) || (double)out->integer < field->min ||
            (double)out->integer > field->max)
            return api_fail(req, st, API_PROBLEM_INVALID_INPUT, path,
                            "%s must be a whole number from %.16g to %.16g", path, field->min,
                            field->max);
        return true;
    case API_FIELD_NUMBER:
        if (!relay_json_double(raw, &out->number) || out->number < field->min ||
            out->number > field->max)
            return api_fail(req, st, API_PROBLEM_INVALID_INPUT, path,
                            "%s must be a number from %.15g to %.15g", path, field->min,
                            field->max);
        return true;
    case API_FIELD_BOOL:
        out->yes = relay_json_is_true(raw);
        return true;
    case API_FIELD_OBJECT:
        return true;
    case API_FIELD_LIST: {
        size_t count = 0;
        struct relay_json_iter iter = relay_json_iter_of(raw);
        struct relay_json_value item;
        for (struct text name; relay_json_next(&iter, &name, &item);)
            count++;
        if ((double)count < field->min || (double)count > field->max)
            return api_fail(req, st, API_PROBLEM_INVALID_INPUT, path,
                            "%s must have %.0f to %.0f items, not %zu", path, field->min,
                            field->max, count);
        return true;
    }
    }
    return false;
}

static bool read_text(struct http_request *req, const struct api_field *field, const char *path,
                      struct api_value *out, struct status *st)
{
    out->text = relay_json_string(req->arena, out->raw);
    if (field->kind == API_FIELD_NAME) {
        out->text = text_trim(out->text);
        for (size_t i = 0; i < out->text.len; i++)
            if ((uint8_t)out->text.at[i] < 0x20 || out->text.at[i] == 0x7F)
                return api_fail(req, st, API_PROBLEM_INVALID_INPUT, path,
                                "%s must have no control characters", path);
    }
    size_t count = characters(out->text);
    if ((double)count < field->min || (double)count > field->max)
        return api_fail(req, st, API_PROBLEM_INVALID_INPUT, path,
                        "%s must have %.0f to %.0f characters, not %zu", path, field->min,
                        field->max, count);
    return true;
}

static size_t characters(struct text text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += ((uint8_t)text.at[i] & 0xC0) != 0x80;
    return count;
}
