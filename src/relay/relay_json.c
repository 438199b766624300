#include "relay_json.h"
#include <assert.h>
#include <math.h>
#include <string.h>
#include "json_scan.h"

struct reader {
    const char *at, *end;
};

static void skip_space(struct reader *in);
static const char *skip_value(const char *at, const char *end);
static const char *skip_string(const char *at, const char *end);
static enum relay_json_kind kind_of(char first);
static size_t decode(struct text escaped, char *out);

bool relay_json_check(struct text input, struct relay_json_value *out, struct status *st)
{
    struct text raw;
    if (!json_scan(input, NULL, &raw, st))
        return false;
    *out = (struct relay_json_value){kind_of(raw.at[0]), raw};
    return true;
}

struct relay_json_iter relay_json_iter_of(struct relay_json_value container)
{
    WEIR_ASSERT(container.kind == RELAY_JSON_OBJECT || container.kind == RELAY_JSON_ARRAY);
    return (struct relay_json_iter){
        .at = container.raw.at + 1,
        .end = container.raw.at + container.raw.len - 1,
        .is_object = container.kind == RELAY_JSON_OBJECT,
    };
}

bool relay_json_next(struct relay_json_iter *iter, struct text *name,
                     struct relay_json_value *value)
{
    struct reader in = {.at = iter->at, .end = iter->end};
    skip_space(&in);
    if (in.at < in.end && *in.at == ',') {
        in.at++;
        skip_space(&in);
    }
    if (in.at >= in.end)
        return false;
    *name = TEXT("");
    if (iter->is_object) {
        const char *from = in.at + 1;
        in.at = skip_string(in.at, in.end);
        *name = (struct text){from, (size_t)(in.at - from) - 1};
        if (memchr(name->at, '\\', name->len) != NULL && name->len <= RELAY_JSON_NAME_BYTES_MAX)
            *name = (struct text){iter->name_bytes, decode(*name, iter->name_bytes)};
        skip_space(&in);
        in.at++; /* the colon */
        skip_space(&in);
    }
    const char *from = in.at;
    iter->at = skip_value(from, in.end);
    *value = (struct relay_json_value){kind_of(*from), {from, (size_t)(iter->at - from)}};
    return true;
}

bool relay_json_member(struct relay_json_value object, struct text name,
                       struct relay_json_value *out)
{
    if (object.kind != RELAY_JSON_OBJECT)
        return false;
    struct relay_json_iter iter = relay_json_iter_of(object);
    struct relay_json_value value;
    for (struct text found; relay_json_next(&iter, &found, &value);)
        if (text_equal(found, name)) {
            *out = value;
            return true;
        }
    return false;
}

struct text relay_json_string(struct arena *arena, struct relay_json_value value)
{
    WEIR_ASSERT(value.kind == RELAY_JSON_STRING);
    struct text inner = {value.raw.at + 1, value.raw.len - 2};
    if (memchr(inner.at, '\\', inner.len) == NULL)
        return inner;
    char *out = arena_alloc(arena, inner.len); /* an escape is never shorter than its character */
    return (struct text){out, decode(inner, out)};
}

bool relay_json_string_into(struct relay_json_value value, char *memory, size_t size,
                            struct text *out)
{
    WEIR_ASSERT(value.kind == RELAY_JSON_STRING);
    struct text inner = {value.raw.at + 1, value.raw.len - 2};
    if (inner.len > size)
        return false;
    *out = (struct text){memory, decode(inner, memory)};
    return true;
}

bool relay_json_i64(struct relay_json_value value, int64_t *out)
{
    double number;
    if (value.kind != RELAY_JSON_NUMBER)
        return false;
    if (text_to_i64(value.raw, out))
        return true;
    /* 2^53: beyond it a double does not hold every whole number, so we do not guess. */
    if (!relay_json_double(value, &number) || number != floor(number) ||
        fabs(number) > 9007199254740992.0)
        return false;
    *out = (int64_t)number;
    return true;
}

bool relay_json_double(struct relay_json_value value, double *out)
{
    double number;
    if (value.kind != RELAY_JSON_NUMBER || !text_to_double(value.raw, &number) || !isfinite(number))
        return false;
    *out = number;
    return true;
}

bool relay_json_is_true(struct relay_json_value value)
{
    return value.kind == RELAY_JSON_BOOL && value.raw.at[0] == 't';
}

const char *relay_json_kind_name(enum relay_json_kind kind)
{
    static const char *const names[] = {"null",     "true or false", "a number",
                                        "a string", "an array",      "an object"};
    static_assert(ARRAY_LEN(names) == RELAY_JSON_KIND_COUNT, "a kind has no name");
    return names[kind];
}

/* --- walking over what was checked ---------------------------------------------------------- */

/* Four digits that were checked. */
static int hex_unit(const char *at)
{
    int unit = 0;
    for (int i = 0; i < 4; i++) {
        int letter = (at[i] | 0x20) - 'a' + 10;
        unit = unit << 4 | (at[i] <= '9' ? at[i] - '0' : letter);
    }
    return unit;
}

static bool is_high(int unit)
{
    return unit >= 0xD800 && unit <= 0xDBFF;
}

static void skip_space(struct reader *in)
{
    while (in->at < in->end &&
           (*in->at == ' ' || *in->at == '\n' || *in->at == '\r' || *in->at == '\t'))
        in->at++;
}

static const char *skip_string(const char *at, const char *end)
{
    at++;
    for (;;) {
        const char *quote = memchr(at, '"', (size_t)(end - at));
        WEIR_ASSERT(quote != NULL);
        size_t escapes = 0;
        while (quote - escapes > at && quote[-(ptrdiff_t)escapes - 1] == '\\')
            escapes++;
        at = quote + 1;
        if (escapes % 2 == 0)
            return at;
    }
}

static const char *skip_value(const char *at, const char *end)
{
    int depth = 0;
    while (at < end) {
        switch (*at) {
        case '"':
            at = skip_string(at, end);
            if (depth == 0)
                return at;
            break;
        case '{':
        case '[':
            depth++;
            at++;
            break;
        case '}':
        case ']':
            if (depth == 0)
                return at;
            at++;
            if (--depth == 0)
                return at;
            break;
        case ',':
        case ' ':
        case '\t':
        case '\n':
        case '\r':
            if (depth == 0)
                return at;
            at++;
            break;
        default:
            at++;
        }
    }
    return at;
}

static enum relay_json_kind kind_of(char first)
{
    switch (first) {
    case '{':
        return RELAY_JSON_OBJECT;
    case '[':
        return RELAY_JSON_ARRAY;
    case '"':
        return RELAY_JSON_STRING;
    case 't':
    case 'f':
        return RELAY_JSON_BOOL;
    case 'n':
        return RELAY_JSON_NULL;
    default:
        return RELAY_JSON_NUMBER;
    }
}

static size_t put_utf8(int code, char *out)
{
    uint32_t c = (uint32_t)code;
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* `escaped` was checked; `out` has room for as many bytes. */
static size_t decode(struct text escaped, char *out)
{
    const char *at = escaped.at, *end = escaped.at + escaped.len;
    size_t len = 0;
    while (at < end) {
        const char *slash = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((slash == NULL ? end : slash) - at);
        memcpy(out + len, at, plain);
        len += plain;
        if (slash == NULL)
            break;
        at = slash + 2;
        switch (slash[1]) {
        case 'b':
            out[len++] = '\b';
            break;
        case 'f':
            out[len++] = '\f';
            break;
        case 'n':
            out[len++] = '\n';
            break;
        case 'r':
            out[len++] = '\r';
            break;
        case 't':
            out[len++] = '\t';
            break;
        case 'u': {
            int code = hex_unit(at);
            at += 4;
            if (is_high(code)) {
                code = 0x10000 + ((code - 0xD800) << 10) + (hex_unit(at + 2) - 0xDC00);
                at += 6;
            }
            len += put_utf8(code, out + len);
            break;
        }
        default:
            out[len++] = slash[1];
        }
    }
    return len;
}
