#include "relay_json.h"
#include <assert.h>
#include <math.h>
#include <string.h>

struct reader {
    const char *start, *at, *end;
    const char *wrong; /* what was expected at `at`, once something was wrong */
};

static bool check_value(struct reader *in, enum relay_json_kind *kind);
static bool check_containers(struct reader *in);
static bool check_scalar(struct reader *in, enum relay_json_kind *kind);
static bool check_string(struct reader *in);
static bool check_number(struct reader *in);
static bool check_escape(struct reader *in);
static bool check_utf8(struct reader *in);
static bool check_word(struct reader *in, const char *word);
static bool report(const struct reader *in, struct status *st);
static bool wrong(struct reader *in, const char *expected);
static void skip_space(struct reader *in);
static const char *skip_value(const char *at, const char *end);
static const char *skip_string(const char *at, const char *end);
static enum relay_json_kind kind_of(char first);
static size_t decode(struct text escaped, char *out);

bool relay_json_check(struct text input, struct relay_json_value *out, struct status *st)
{
    struct reader in = {.start = input.at, .at = input.at, .end = input.at + input.len};
    enum relay_json_kind kind;
    if (input.len == 0)
        return status_fail(st, STATUS_INVALID, "expected JSON, found nothing");
    skip_space(&in);
    const char *from = in.at;
    if (!check_value(&in, &kind))
        return report(&in, st);
    const char *to = in.at;
    skip_space(&in);
    if (in.at != in.end) {
        (void)wrong(&in, "nothing more after the value");
        return report(&in, st);
    }
    *out = (struct relay_json_value){kind, {from, (size_t)(to - from)}};
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
    struct reader in = {.start = iter->at, .at = iter->at, .end = iter->end};
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

/* --- checking ------------------------------------------------------------------------------- */

static bool check_value(struct reader *in, enum relay_json_kind *kind)
{
    if (in->at == in->end)
        return wrong(in, "a value");
    if (*in->at == '{' || *in->at == '[') {
        *kind = kind_of(*in->at);
        return check_containers(in);
    }
    return check_scalar(in, kind);
}

/* Not recursive: one bit per open container tells whether it is an object, so a million brackets
 * cost nothing but the look at the sixty-fifth. */
static bool check_containers(struct reader *in)
{
    uint64_t objects = 0; /* the lowest bit is the innermost */
    int depth = 0;
    enum relay_json_kind kind;
    for (;;) {
        bool opened = false;
        if (in->at < in->end && (*in->at == '{' || *in->at == '[')) {
            if (depth == RELAY_JSON_DEPTH_MAX)
                return wrong(in, "at most 64 levels of nesting");
            depth++;
            objects = objects << 1 | (*in->at == '{');
            in->at++;
            opened = true;
        } else if (!check_scalar(in, &kind)) {
            return false;
        }
        for (;;) { /* after a value: closes as many containers as end here */
            skip_space(in);
            if (in->at == in->end)
                return wrong(in, objects & 1 ? "',' or '}'" : "',' or ']'");
            if (*in->at != (objects & 1 ? '}' : ']'))
                break;
            in->at++;
            objects >>= 1;
            opened = false;
            if (--depth == 0)
                return true;
        }
        if (!opened) {
            if (*in->at != ',')
                return wrong(in, objects & 1 ? "',' or '}'" : "',' or ']'");
            in->at++;
            skip_space(in);
        }
        if (objects & 1) {
            if (in->at == in->end || *in->at != '"')
                return wrong(in, "a name in quotes");
            if (!check_string(in))
                return false;
            skip_space(in);
            if (in->at == in->end || *in->at != ':')
                return wrong(in, "':'");
            in->at++;
            skip_space(in);
        }
    }
}

static bool check_scalar(struct reader *in, enum relay_json_kind *kind)
{
    if (in->at == in->end)
        return wrong(in, "a value");
    *kind = kind_of(*in->at);
    switch (*in->at) {
    case '"':
        return check_string(in);
    case 't':
        return check_word(in, "true");
    case 'f':
        return check_word(in, "false");
    case 'n':
        return check_word(in, "null");
    default:
        return check_number(in);
    }
}

static bool check_string(struct reader *in)
{
    in->at++;
    while (in->at < in->end) {
        uint8_t byte = (uint8_t)*in->at;
        if (byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\') {
            in->at++;
        } else if (byte == '"') {
            in->at++;
            return true;
        } else if (byte == '\\') {
            if (!check_escape(in))
                return false;
        } else if (byte >= 0x80) {
            if (!check_utf8(in))
                return false;
        } else {
            return wrong(in, "no control character in a string");
        }
    }
    return wrong(in, "the end of a string");
}

static int hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Four digits at `at`; -1 when they are none. */
static int hex_unit(const char *at, const char *end)
{
    int unit = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(at[i]);
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

static bool is_high(int unit)
{
    return unit >= 0xD800 && unit <= 0xDBFF;
}

static bool is_low(int unit)
{
    return unit >= 0xDC00 && unit <= 0xDFFF;
}

static bool check_escape(struct reader *in)
{
    const char *at = in->at + 1;
    if (at == in->end)
        return wrong(in, "an escape");
    if (*at != 'u') {
        if (*at == '\0' || strchr("\"\\/bfnrt", *at) == NULL)
            return wrong(in, "an escape of JSON");
        in->at += 2;
        return true;
    }
    int unit = hex_unit(at + 1, in->end);
    if (unit < 0)
        return wrong(in, "four hexadecimal digits after \\u");
    if (unit == 0)
        return wrong(in, "no \\u0000");
    if (is_low(unit))
        return wrong(in, "no half of a surrogate pair");
    in->at += 6;
    if (!is_high(unit))
        return true;
    if (in->end - in->at < 6 || in->at[0] != '\\' || in->at[1] != 'u' ||
        !is_low(hex_unit(in->at + 2, in->end)))
        return wrong(in, "the second half of a surrogate pair");
    in->at += 6;
    return true;
}

static bool check_utf8(struct reader *in)
{
    const uint8_t *at = (const uint8_t *)in->at;
    size_t left = (size_t)(in->end - in->at), size = 0;
    uint8_t low = 0x80, high = 0xBF; /* bounds of the second byte (RFC 3629, section 4) */
    if (at[0] >= 0xC2 && at[0] <= 0xDF) {
        size = 2;
    } else if (at[0] >= 0xE0 && at[0] <= 0xEF) {
        size = 3;
        low = at[0] == 0xE0 ? 0xA0 : 0x80;
        high = at[0] == 0xED ? 0x9F : 0xBF;
    } else if (at[0] >= 0xF0 && at[0] <= 0xF4) {
        size = 4;
        low = at[0] == 0xF0 ? 0x90 : 0x80;
        high = at[0] == 0xF4 ? 0x8F : 0xBF;
    }
    if (size == 0 || left < size || at[1] < low || at[1] > high)
        return wrong(in, "valid UTF-8");
    for (size_t i = 2; i < size; i++)
        if ((at[i] & 0xC0) != 0x80)
            return wrong(in, "valid UTF-8");
    in->at += size;
    return true;
}

static bool check_word(struct reader *in, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(in->end - in->at) < len || memcmp(in->at, word, len) != 0)
        return wrong(in, "a value");
    in->at += len;
    return true;
}

static bool digits(struct reader *in)
{
    const char *from = in->at;
    while (in->at < in->end && *in->at >= '0' && *in->at <= '9')
        in->at++;
    return in->at > from;
}

static bool check_number(struct reader *in)
{
    const char *from = in->at;
    if (*in->at == '-')
        in->at++;
    if (in->at < in->end && *in->at == '0')
        in->at++;
    else if (!digits(in))
        return wrong(in, in->at == from ? "a value" : "a digit");
    if (in->at < in->end && *in->at == '.') {
        in->at++;
        if (!digits(in))
            return wrong(in, "a digit");
    }
    if (in->at < in->end && (*in->at | 0x20) == 'e') {
        in->at++;
        if (in->at < in->end && (*in->at == '+' || *in->at == '-'))
            in->at++;
        if (!digits(in))
            return wrong(in, "a digit");
    }
    return true;
}

static bool report(const struct reader *in, struct status *st)
{
    size_t line = 1, column = 1, at = (size_t)(in->at - in->start);
    for (const char *p = in->start; p < in->at; p++) {
        column++;
        if (*p == '\n') {
            line++;
            column = 1;
        }
    }
    return status_fail(st, STATUS_INVALID,
                       "not valid JSON at line %zu, column %zu (byte %zu): "
                       "expected %s%s",
                       line, column, at, in->wrong, in->at == in->end ? ", found the end" : "");
}

static bool wrong(struct reader *in, const char *expected)
{
    in->wrong = expected;
    return false;
}

static void skip_space(struct reader *in)
{
    while (in->at < in->end &&
           (*in->at == ' ' || *in->at == '\n' || *in->at == '\r' || *in->at == '\t'))
        in->at++;
}

/* --- walking over what was checked ---------------------------------------------------------- */

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
            int code = hex_unit(at, end);
            at += 4;
            if (is_high(code)) {
                code = 0x10000 + ((code - 0xD800) << 10) + (hex_unit(at + 2, end) - 0xDC00);
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
