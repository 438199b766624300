/* json_check: the strict pass over a text before jansson builds anything. A loop with an explicit
 * stack of JSON_DEPTH_MAX levels, so nesting costs nothing but its bytes; line and column are
 * counted only when there is something to say. */
#include "json.h"
#include "json_internal.h"

#include <stdarg.h>
#include <stdio.h>

enum { MEMBERS_MAX = 10 * 1000, VALUES_MAX = 200 * 1000 };

/* What may come next. */
enum want {
    WANT_VALUE,
    WANT_VALUE_OR_END, /* after '[' */
    WANT_NAME,
    WANT_NAME_OR_END, /* after '{' */
    WANT_COLON,
    WANT_COMMA_OR_END,
    WANT_NOTHING,
    WANT_COUNT
};
static const char *const wants[] = {
    [WANT_VALUE] = "expected a value",
    [WANT_VALUE_OR_END] = "expected a value or ']'",
    [WANT_NAME] = "expected a name in double quotes",
    [WANT_NAME_OR_END] = "expected a name in double quotes or '}'",
    [WANT_COLON] = "expected ':'",
    [WANT_COMMA_OR_END] = "expected ',' or the end of the object or array",
    [WANT_NOTHING] = "expected nothing more behind the value",
};
_Static_assert(ARRAY_LEN(wants) == WANT_COUNT, "each has its words");

struct level {
    bool is_object;
    size_t members;
};

struct check {
    struct text text;
    size_t at;
    enum want want;
    struct level levels[JSON_DEPTH_MAX];
    size_t depth, values;
    size_t members_max, values_max;
    struct status *st;
};

static bool check_token(struct check *check);
static bool open_level(struct check *check, bool is_object);
static bool close_level(struct check *check);
static bool count_value(struct check *check);
static bool check_string(struct check *check);
static size_t bad_utf8(struct text text);
static bool check_escape(struct check *check);
static bool check_unicode(struct check *check);
static bool check_number(struct check *check);
static bool check_word(struct check *check, struct text word);
static bool number_is_written_well(struct text number);
static bool hex4(struct text text, unsigned *out);

bool json_check(struct text text, const struct json_limits *limits, struct status *st)
{
    struct check check = {
        .text = text, .st = st, .members_max = MEMBERS_MAX, .values_max = VALUES_MAX};
    if (limits != NULL && limits->members_max > 0)
        check.members_max = limits->members_max;
    if (limits != NULL && limits->values_max > 0)
        check.values_max = limits->values_max;
    while (check.at < text.len) {
        char c = text.at[check.at];
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
            check.at++;
        else if (!check_token(&check))
            return false;
    }
    if (check.want == WANT_NOTHING)
        return true;
    if (check.values == 0)
        return status_fail(st, STATUS_INVALID, "not valid JSON: the text is empty");
    return json_fail_at(text, text.len, st, "the text ends too early: %s", wants[check.want]);
}

bool json_fail_at(struct text text, size_t at, struct status *st, const char *format, ...)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at && i < text.len; i++) {
        if (text.at[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)text.at[i] & 0xC0) != 0x80) {
            column++;
        }
    }
    char what[STATUS_TEXT_BYTES_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    return status_fail(st, STATUS_INVALID, "not valid JSON: line %zu, column %zu: %s", line, column,
                       what);
}

/* One token at `check->at`, which is no white space. */
static bool check_token(struct check *check)
{
    char c = check->text.at[check->at];
    bool value = check->want == WANT_VALUE || check->want == WANT_VALUE_OR_END;
    bool name = check->want == WANT_NAME || check->want == WANT_NAME_OR_END;
    if (value && c != ']')
        return count_value(check);
    if (name && c == '"') {
        check->want = WANT_COLON;
        return check_string(check);
    }
    if ((c == ']' && check->want == WANT_VALUE_OR_END) ||
        (c == '}' && check->want == WANT_NAME_OR_END))
        return close_level(check);
    if (c == ':' && check->want == WANT_COLON) {
        check->at++;
        check->want = WANT_VALUE;
        return true;
    }
    if (check->want == WANT_COMMA_OR_END) {
        bool in_object = check->levels[check->depth - 1].is_object;
        if (c == ',') {
            check->at++;
            check->want = in_object ? WANT_NAME : WANT_VALUE;
            return true;
        }
        if (c == (in_object ? '}' : ']'))
            return close_level(check);
    }
    return json_fail_at(check->text, check->at, check->st, "%s", wants[check->want]);
}

static bool count_value(struct check *check)
{
    size_t *members = check->depth > 0 ? &check->levels[check->depth - 1].members : NULL;
    if (++check->values > check->values_max)
        return status_fail(check->st, STATUS_TOO_LARGE, "the JSON has more than %zu values",
                           check->values_max);
    if (members != NULL && ++*members > check->members_max)
        return status_fail(check->st, STATUS_TOO_LARGE,
                           "an object or array in the JSON has more than %zu members",
                           check->members_max);
    char c = check->text.at[check->at];
    if (c == '{' || c == '[')
        return open_level(check, c == '{');
    enum want before = check->want;
    check->want = check->depth > 0 ? WANT_COMMA_OR_END : WANT_NOTHING;
    switch (c) {
    case '"':
        return check_string(check);
    case 't':
        return check_word(check, TEXT("true"));
    case 'f':
        return check_word(check, TEXT("false"));
    case 'n':
        return check_word(check, TEXT("null"));
    default:
        if (c == '-' || (c >= '0' && c <= '9'))
            return check_number(check);
        return json_fail_at(check->text, check->at, check->st, "%s", wants[before]);
    }
}

static bool open_level(struct check *check, bool is_object)
{
    if (check->depth == JSON_DEPTH_MAX)
        return json_fail_at(check->text, check->at, check->st, "nested deeper than %d levels",
                            JSON_DEPTH_MAX);
    check->levels[check->depth++] = (struct level){.is_object = is_object};
    check->want = is_object ? WANT_NAME_OR_END : WANT_VALUE_OR_END;
    check->at++;
    return true;
}

static bool close_level(struct check *check)
{
    check->depth--;
    check->want = check->depth > 0 ? WANT_COMMA_OR_END : WANT_NOTHING;
    check->at++;
    return true;
}

/* From its first quote; leaves `at` behind the last. */
static bool check_string(struct check *check)
{
    size_t start = check->at++;
    bool ascii = true;
    while (check->at < check->text.len) {
        unsigned char c = (unsigned char)check->text.at[check->at];
        if (c == '"')
            break;
        if (c < 0x20)
            return json_fail_at(check->text, check->at, check->st,
                                "a control character must be escaped, here \\u%04x", c);
        if (c == '\\') {
            if (!check_escape(check))
                return false;
            continue;
        }
        ascii = ascii && c < 0x80;
        check->at++;
    }
    if (check->at == check->text.len)
        return json_fail_at(check->text, start, check->st, "the string has no end");
    struct text string = {check->text.at + start, check->at - start};
    check->at++;
    if (ascii || text_utf8_valid(string))
        return true;
    return json_fail_at(check->text, start + bad_utf8(string), check->st, "invalid UTF-8");
}

/* Where the first character begins that is none; there is one. */
static size_t bad_utf8(struct text text)
{
    for (size_t at = 0; at < text.len;) {
        unsigned char lead = (unsigned char)text.at[at];
        size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
        struct text piece = text_take(text_skip(text, at), size);
        if (piece.len < size || !text_utf8_valid(piece))
            return at;
        at += size;
    }
    return text.len;
}

/* At a backslash. */
static bool check_escape(struct check *check)
{
    char kind = check->at + 1 < check->text.len ? check->text.at[check->at + 1] : '\0';
    switch (kind) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        check->at += 2;
        return true;
    case 'u':
        return check_unicode(check);
    default:
        return json_fail_at(check->text, check->at, check->st, "unknown escape in a string");
    }
}

static bool check_unicode(struct check *check)
{
    unsigned code, low;
    struct text rest = text_skip(check->text, check->at);
    if (!hex4(text_skip(rest, 2), &code))
        return json_fail_at(check->text, check->at, check->st,
                            "\\u must be followed by four hexadecimal digits");
    if (code == 0)
        return json_fail_at(check->text, check->at, check->st,
                            "the character NUL (\\u0000) is not allowed");
    check->at += 6;
    if (code < 0xD800 || code > 0xDFFF)
        return true;
    rest = text_skip(rest, 6);
    bool pair = code < 0xDC00 && text_starts(rest, TEXT("\\u")) && hex4(text_skip(rest, 2), &low) &&
                low >= 0xDC00 && low <= 0xDFFF;
    if (!pair)
        return json_fail_at(check->text, check->at - 6, check->st,
                            "half of a surrogate pair (\\u%04x)", code);
    check->at += 6;
    return true;
}

static bool hex4(struct text text, unsigned *out)
{
    *out = 0;
    for (size_t i = 0; i < 4; i++) {
        char c = i < text.len ? text.at[i] : '\0';
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F')
            digit = (unsigned)(c - 'A') + 10;
        else
            return false;
        *out = *out * 16 + digit;
    }
    return true;
}

static bool check_number(struct check *check)
{
    struct text number = text_skip(check->text, check->at);
    size_t len = 0;
    bool whole = true;
    for (; len < number.len; len++) {
        char c = number.at[len];
        bool fraction = c == '.' || c == 'e' || c == 'E' || c == '+';
        if (!fraction && c != '-' && (c < '0' || c > '9'))
            break;
        whole = whole && !fraction;
    }
    number.len = len;
    if (!number_is_written_well(number))
        return json_fail_at(check->text, check->at, check->st, "a number is not written well");
    int64_t integer;
    double real;
    if (whole ? !text_to_i64(number, &integer) : !text_to_double(number, &real))
        return json_fail_at(check->text, check->at, check->st, "a number is out of range");
    check->at += len;
    return true;
}

/* Whether only its size can be wrong: text_to_double does not say which it was. The digits of the
 * exponent are what can make a short number too large, so one is enough to look at. */
static bool number_is_written_well(struct text number)
{
    double real;
    if (text_to_double(number, &real))
        return true;
    char copy[64];
    struct text_out out = text_out_over(copy, sizeof(copy));
    size_t digits = 0;
    for (size_t i = 0; i < number.len; i++) { /* runs of digits are cut to two */
        bool digit = number.at[i] >= '0' && number.at[i] <= '9';
        digits = digit ? digits + 1 : 0;
        if (digits <= 2)
            text_out_add(&out, (struct text){number.at + i, 1});
    }
    return !out.cut && text_to_double(text_out_text(&out), &real);
}

static bool check_word(struct check *check, struct text word)
{
    if (!text_starts(text_skip(check->text, check->at), word))
        return json_fail_at(check->text, check->at, check->st, "an unknown word");
    check->at += word.len;
    return true;
}
