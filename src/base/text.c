#include "text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Far more than any number needs that a person or a program writes on purpose. */
enum { TEXT_NUMBER_BYTES_MAX = 400 };

static unsigned char lower(char c);
static bool is_space(char c);
static bool is_digit(char c);
static size_t digits(struct text text);
static bool is_json_number(struct text text);
static size_t utf8_step(const unsigned char *at, size_t len, bool *more);

struct text text_of(const char *cstr)
{
    if (cstr == NULL)
        return TEXT_NONE;
    return (struct text){cstr, strlen(cstr)};
}

bool text_equal(struct text a, struct text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool text_equal_nocase(struct text a, struct text b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.at[i]) != lower(b.at[i]))
            return false;
    }
    return true;
}

bool text_equal_secret(struct text a, struct text b)
{
    if (a.len != b.len)
        return false;
    /* volatile, so that no compiler finds that it may stop at the first difference */
    volatile unsigned char difference = 0;
    for (size_t i = 0; i < a.len; i++)
        difference =
            (unsigned char)(difference | ((unsigned char)a.at[i] ^ (unsigned char)b.at[i]));
    return difference == 0;
}

int text_compare(struct text a, struct text b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common > 0 ? memcmp(a.at, b.at, common) : 0;
    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

bool text_starts(struct text text, struct text prefix)
{
    return text.len >= prefix.len && text_equal(text_take(text, prefix.len), prefix);
}

bool text_ends(struct text text, struct text suffix)
{
    return text.len >= suffix.len && text_equal(text_skip(text, text.len - suffix.len), suffix);
}

struct text text_skip(struct text text, size_t count)
{
    if (count >= text.len)
        return text.at == NULL ? TEXT_NONE : (struct text){text.at + text.len, 0};
    return (struct text){text.at + count, text.len - count};
}

struct text text_take(struct text text, size_t count)
{
    return (struct text){text.at, count < text.len ? count : text.len};
}

struct text text_trim(struct text text)
{
    while (text.len > 0 && is_space(text.at[0]))
        text = text_skip(text, 1);
    while (text.len > 0 && is_space(text.at[text.len - 1]))
        text.len--;
    return text;
}

size_t text_find(struct text text, struct text needle)
{
    if (needle.len == 0)
        return 0;
    if (needle.len > text.len)
        return text.len;
    const char *found = memmem(text.at, text.len, needle.at, needle.len);
    return found == NULL ? text.len : (size_t)(found - text.at);
}

size_t text_find_byte(struct text text, char byte)
{
    const char *found = text.len > 0 ? memchr(text.at, byte, text.len) : NULL;
    return found == NULL ? text.len : (size_t)(found - text.at);
}

/* A text that is used up has at == NULL: so "a," gives "a" and "", and then no more. */
bool text_split(struct text *rest, char separator, struct text *piece)
{
    if (rest->at == NULL)
        return false;
    size_t at = text_find_byte(*rest, separator);
    *piece = text_take(*rest, at);
    *rest = at == rest->len ? TEXT_NONE : text_skip(*rest, at + 1);
    return true;
}

bool text_to_i64(struct text text, int64_t *out)
{
    bool negative = text.len > 0 && text.at[0] == '-';
    if (negative)
        text = text_skip(text, 1);
    if (text.len == 0)
        return false;
    uint64_t most = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.at[i]))
            return false;
        unsigned digit = (unsigned)(text.at[i] - '0');
        if (value > (most - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (negative)
        *out = value == 0 ? 0 : -(int64_t)(value - 1) - 1;
    else
        *out = (int64_t)value;
    return true;
}

bool text_to_double(struct text text, double *out)
{
    char copy[TEXT_NUMBER_BYTES_MAX + 1];
    if (text.len > TEXT_NUMBER_BYTES_MAX || !is_json_number(text))
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    double value = strtod(copy, NULL); /* the program never leaves the locale "C" */
    if (!isfinite(value))
        return false;
    *out = value;
    return true;
}

bool text_utf8_valid(struct text text)
{
    const unsigned char *at = (const unsigned char *)text.at;
    size_t len = text.len;
    bool more;
    while (len > 0) {
        if (len >= 8) {
            uint64_t eight;
            memcpy(&eight, at, sizeof(eight));
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                at += 8;
                len -= 8;
                continue;
            }
        }
        size_t step = utf8_step(at, len, &more);
        if (step == 0)
            return false;
        at += step;
        len -= step;
    }
    return true;
}

size_t text_utf8_whole(struct text text)
{
    for (size_t back = 1; back <= 3 && back <= text.len; back++) {
        const unsigned char *at = (const unsigned char *)text.at + text.len - back;
        if ((*at & 0xC0) == 0x80)
            continue; /* the character began before */
        bool more = false;
        (void)utf8_step(at, back, &more);
        return more ? text.len - back : text.len;
    }
    return text.len;
}

struct text text_utf8_take(struct text text, size_t bytes_max)
{
    if (text.len <= bytes_max)
        return text;
    struct text front = text_take(text, bytes_max);
    return text_take(front, text_utf8_whole(front));
}

struct text_out text_out_over(char *memory, size_t size)
{
    WEIR_ASSERT(memory != NULL && size > 0);
    return (struct text_out){.at = memory, .size = size};
}

void text_out_add(struct text_out *out, struct text text)
{
    size_t room = out->size - out->len;
    if (text.len > room) {
        out->cut = true;
        text.len = room;
    }
    if (text.len > 0)
        memcpy(out->at + out->len, text.at, text.len);
    out->len += text.len;
}

/* vsnprintf wants room for a final zero that we do not need: the last byte is written by hand when
 * a text fills the memory to the brim, which costs a second formatting into a byte more. */
void text_out_addf(struct text_out *out, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    size_t room = out->size - out->len;
    char *end = out->at + out->len;
    int written = vsnprintf(end, room, format, args);
    va_end(args);
    WEIR_ASSERT(written >= 0);
    size_t len = (size_t)written;
    if (len >= room && room > 0) {
        char *whole = base_alloc(len + 1);
        (void)vsnprintf(whole, len + 1, format, again);
        memcpy(end, whole, room);
        free(whole);
    }
    va_end(again);
    if (len > room) {
        out->cut = true;
        len = room;
    }
    out->len += len;
}

struct text text_out_text(const struct text_out *out)
{
    return (struct text){out->at, out->len};
}

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t digits(struct text text)
{
    size_t count = 0;
    while (count < text.len && is_digit(text.at[count]))
        count++;
    return count;
}

/* RFC 8259, section 6: -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? */
static bool is_json_number(struct text text)
{
    if (text.len > 0 && text.at[0] == '-')
        text = text_skip(text, 1);
    size_t whole = digits(text);
    if (whole == 0 || (whole > 1 && text.at[0] == '0'))
        return false;
    text = text_skip(text, whole);
    if (text.len > 0 && text.at[0] == '.') {
        text = text_skip(text, 1);
        size_t fraction = digits(text);
        if (fraction == 0)
            return false;
        text = text_skip(text, fraction);
    }
    if (text.len > 0 && (text.at[0] == 'e' || text.at[0] == 'E')) {
        text = text_skip(text, 1);
        if (text.len > 0 && (text.at[0] == '+' || text.at[0] == '-'))
            text = text_skip(text, 1);
        size_t exponent = digits(text);
        if (exponent == 0)
            return false;
        text = text_skip(text, exponent);
    }
    return text.len == 0;
}

/* The length of the character at the front, or 0 when there is none; then `*more` says whether
 * bytes to come could make it one. RFC 3629, section 4: only the second byte has limits of its own.
 */
static size_t utf8_step(const unsigned char *at, size_t len, bool *more)
{
    unsigned char lead = at[0], low = 0x80, high = 0xBF;
    size_t size;
    *more = false;
    if (lead < 0x80)
        return 1;
    if (lead >= 0xC2 && lead <= 0xDF) {
        size = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        size = 3;
        low = lead == 0xE0 ? 0xA0 : 0x80;
        high = lead == 0xED ? 0x9F : 0xBF;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        size = 4;
        low = lead == 0xF0 ? 0x90 : 0x80;
        high = lead == 0xF4 ? 0x8F : 0xBF;
    } else {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if (i == len) {
            *more = true;
            return 0;
        }
        if (at[i] < low || at[i] > high)
            return 0;
        low = 0x80;
        high = 0xBF;
    }
    return size;
}
