/* Not recursive: one bit per open container tells whether it is an object, so a million brackets
 * cost nothing but the look at the sixty-fifth. Line and column are counted only when there is
 * something to say. On the path of every relayed request: plain text within strings, which is most
 * of a body, is passed over eight bytes at a time. */
#include "json_scan.h"
#include "json_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct scan {
    const char *start, *at, *end;
    const char *wrong, *wrong_at; /* set once something is wrong; NULL: `st` is set already */
    struct json_scan_rules rules;
    size_t values, members[JSON_DEPTH_MAX + 1]; /* members[0] is of the text itself */
    struct status *st;
};

static const char want_value[] = "expected a value";
static const char want_value_or_end[] = "expected a value or ']'";
static const char want_name[] = "expected a name in double quotes";
static const char want_name_or_end[] = "expected a name in double quotes or '}'";
static const char want_colon[] = "expected ':'";
static const char want_comma[] = "expected ',' or the end of the object or array";
static const char want_nothing[] = "expected nothing more behind the value";

static bool scan_value(struct scan *in);
static bool open_value(struct scan *in, int depth, const char *want);
static bool end_of_value(struct scan *in, uint64_t *objects, int *depth, bool *opened);
static bool scan_name(struct scan *in, bool first);
static bool scan_scalar(struct scan *in, const char *want);
static bool scan_string(struct scan *in);
static const char *skip_plain(const char *at, const char *end);
static bool scan_escape(struct scan *in);
static bool scan_utf8(struct scan *in);
static bool scan_word(struct scan *in, struct text word);
static bool scan_number(struct scan *in);
static bool number_fits(struct text number);
static bool wrong(struct scan *in, const char *at, const char *what);
static void skip_space(struct scan *in);

bool json_scan(struct text input, const struct json_scan_rules *rules, struct text *value,
               struct status *st)
{
    if (input.len == 0)
        return status_fail(st, STATUS_INVALID, "not valid JSON: the text is empty");
    struct scan
        in; /* its counts are set as levels open: clearing them costs more than a short body */
    in.start = in.at = input.at;
    in.end = input.at + input.len;
    in.wrong = in.wrong_at = NULL;
    in.rules = (struct json_scan_rules){0};
    in.values = in.members[0] = 0;
    in.st = st;
    if (rules != NULL)
        in.rules = *rules;
    if (in.rules.members_max == 0)
        in.rules.members_max = SIZE_MAX;
    if (in.rules.values_max == 0)
        in.rules.values_max = SIZE_MAX;
    skip_space(&in);
    if (in.at == in.end)
        return status_fail(st, STATUS_INVALID, "not valid JSON: the text is empty");
    const char *from = in.at;
    bool good = scan_value(&in);
    const char *to = in.at;
    if (good) {
        skip_space(&in);
        good = in.at == in.end || wrong(&in, in.at, want_nothing);
    }
    if (good) {
        if (value != NULL)
            *value = (struct text){from, (size_t)(to - from)};
        return true;
    }
    if (in.wrong == NULL)
        return false;
    bool early = in.wrong_at == in.end;
    return json_fail_at(input, (size_t)(in.wrong_at - in.start), st, "%s%s",
                        early ? "the text ends too early: " : "", in.wrong);
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

static bool scan_value(struct scan *in)
{
    uint64_t objects = 0; /* the lowest bit is the innermost */
    int depth = 0;
    bool opened = false; /* the value before was a bracket that opens */
    for (;;) {
        const char *want = opened ? want_value_or_end : want_value;
        bool bracket = in->at < in->end && (*in->at == '{' || *in->at == '[');
        if (!open_value(in, depth, want))
            return false;
        if (bracket) {
            if (depth == JSON_DEPTH_MAX)
                return wrong(in, in->at, "nested deeper than 64 levels");
            objects = objects << 1 | (*in->at++ == '{');
            in->members[++depth] = 0;
        } else if (!scan_scalar(in, want)) {
            return false;
        }
        opened = bracket;
        if (!end_of_value(in, &objects, &depth, &opened))
            return false;
        if (depth == 0)
            return true;
        if ((objects & 1) != 0 && !scan_name(in, opened))
            return false;
        opened = opened && (objects & 1) == 0; /* behind a name a value must come */
    }
}

/* Counts the value that begins here. */
static bool open_value(struct scan *in, int depth, const char *want)
{
    if (in->at == in->end)
        return wrong(in, in->at, want);
    if (++in->values > in->rules.values_max)
        return status_fail(in->st, STATUS_TOO_LARGE, "the JSON has more than %zu values",
                           in->rules.values_max);
    if (++in->members[depth] > in->rules.members_max)
        return status_fail(in->st, STATUS_TOO_LARGE,
                           "an object or array in the JSON has more than %zu members",
                           in->rules.members_max);
    return true;
}

/* Closes as many containers as end here; then takes the comma, if another value is to come. */
static bool end_of_value(struct scan *in, uint64_t *objects, int *depth, bool *opened)
{
    while (*depth > 0) {
        skip_space(in);
        if (in->at < in->end && *in->at == ((*objects & 1) != 0 ? '}' : ']')) {
            in->at++;
            *objects >>= 1;
            --*depth;
            *opened = false;
            continue;
        }
        if (*opened)
            return true;
        if (in->at == in->end || *in->at != ',')
            return wrong(in, in->at, want_comma);
        in->at++;
        skip_space(in);
        return true;
    }
    return true;
}

/* A name and its colon. */
static bool scan_name(struct scan *in, bool first)
{
    if (in->at == in->end || *in->at != '"')
        return wrong(in, in->at, first ? want_name_or_end : want_name);
    if (!scan_string(in))
        return false;
    skip_space(in);
    if (in->at == in->end || *in->at != ':')
        return wrong(in, in->at, want_colon);
    in->at++;
    skip_space(in);
    return true;
}

static bool scan_scalar(struct scan *in, const char *want)
{
    switch (*in->at) {
    case '"':
        return scan_string(in);
    case 't':
        return scan_word(in, TEXT("true"));
    case 'f':
        return scan_word(in, TEXT("false"));
    case 'n':
        return scan_word(in, TEXT("null"));
    default:
        if (*in->at == '-' || (*in->at >= '0' && *in->at <= '9'))
            return scan_number(in);
        return wrong(in, in->at, want);
    }
}

static bool scan_string(struct scan *in)
{
    const char *from = in->at++;
    for (;;) {
        in->at = skip_plain(in->at, in->end);
        if (in->at == in->end)
            return wrong(in, from, "the string has no end");
        uint8_t byte = (uint8_t)*in->at;
        if (byte == '"') {
            in->at++;
            return true;
        }
        if (byte < 0x20)
            return wrong(in, in->at, "a control character must be escaped");
        if (byte == '\\' ? !scan_escape(in) : !scan_utf8(in))
            return false;
    }
}

/* To the first byte that is not plain: a quote, a backslash, a control character, no ASCII. */
static const char *skip_plain(const char *at, const char *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        uint64_t quote = word ^ (ones * '"'), slash = word ^ (ones * '\\');
        /* Each sets the highest bit of a byte that it looks for, and perhaps of one behind it. */
        uint64_t found = word | (word - ones * 0x20) | (quote - ones) | (slash - ones);
        if ((found & highs) != 0)
            break;
        at += 8;
    }
    while (at < end && (uint8_t)*at >= 0x20 && (uint8_t)*at < 0x80 && *at != '"' && *at != '\\')
        at++;
    return at;
}

/* Four digits at `at`; -1 when they are none. */
static int hex_unit(const char *at, const char *end)
{
    int unit = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

static bool scan_escape(struct scan *in)
{
    const char *at = in->at + 1;
    if (at == in->end || *at == '\0' || strchr("\"\\/bfnrtu", *at) == NULL)
        return wrong(in, in->at, "unknown escape in a string");
    if (*at != 'u') {
        in->at += 2;
        return true;
    }
    int unit = hex_unit(at + 1, in->end);
    if (unit < 0)
        return wrong(in, in->at, "\\u must be followed by four hexadecimal digits");
    if (unit == 0)
        return wrong(in, in->at, "the character NUL (\\u0000) is not allowed");
    if (unit < 0xD800 || unit > 0xDFFF) {
        in->at += 6;
        return true;
    }
    int low = in->end - in->at >= 12 && in->at[6] == '\\' && in->at[7] == 'u'
                  ? hex_unit(in->at + 8, in->end)
                  : -1;
    if (unit > 0xDBFF || low < 0xDC00 || low > 0xDFFF)
        return wrong(in, in->at, "half of a surrogate pair");
    in->at += 12;
    return true;
}

static bool scan_utf8(struct scan *in)
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
    bool good = size > 0 && left >= size && at[1] >= low && at[1] <= high;
    for (size_t i = 2; good && i < size; i++)
        good = (at[i] & 0xC0) == 0x80;
    if (!good)
        return wrong(in, in->at, "invalid UTF-8");
    in->at += size;
    return true;
}

static bool scan_word(struct scan *in, struct text word)
{
    if ((size_t)(in->end - in->at) < word.len || memcmp(in->at, word.at, word.len) != 0)
        return wrong(in, in->at, "an unknown word");
    in->at += word.len;
    return true;
}

static bool digits(struct scan *in)
{
    const char *from = in->at;
    while (in->at < in->end && *in->at >= '0' && *in->at <= '9')
        in->at++;
    return in->at > from;
}

static bool goes_on(char c)
{
    return (c >= '0' && c <= '9') || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-';
}

static bool scan_number(struct scan *in)
{
    const char *from = in->at;
    bool good = true;
    if (*in->at == '-')
        in->at++;
    if (in->at < in->end && *in->at == '0')
        in->at++;
    else
        good = digits(in);
    if (good && in->at < in->end && *in->at == '.') {
        in->at++;
        good = digits(in);
    }
    if (good && in->at < in->end && (*in->at | 0x20) == 'e') {
        in->at++;
        if (in->at < in->end && (*in->at == '+' || *in->at == '-'))
            in->at++;
        good = digits(in);
    }
    if (in->at < in->end && goes_on(*in->at)) /* 01, 1.2.3 */
        good = false;
    if (!good)
        return wrong(in, from, "a number is not written well");
    if (in->rules.numbers_fit && !number_fits((struct text){from, (size_t)(in->at - from)}))
        return wrong(in, from, "a number is out of range");
    return true;
}

static bool number_fits(struct text number)
{
    int64_t integer;
    double real;
    for (size_t i = 0; i < number.len; i++)
        if (number.at[i] == '.' || number.at[i] == 'e' || number.at[i] == 'E')
            return text_to_double(number, &real);
    return text_to_i64(number, &integer);
}

static bool wrong(struct scan *in, const char *at, const char *what)
{
    in->wrong = what;
    in->wrong_at = at;
    return false;
}

static void skip_space(struct scan *in)
{
    while (in->at < in->end &&
           (*in->at == ' ' || *in->at == '\n' || *in->at == '\r' || *in->at == '\t'))
        in->at++;
}
