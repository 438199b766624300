/* Ranges of whole numbers, digit by digit; and the basic rules of JSON. */
#include "grammar_schema.h"
#include <stdio.h>
#include <string.h>

enum { DIGITS_MAX = 16 };

static void add_range(struct text_buf *out, uint64_t low, uint64_t high);
static void add_digits(struct text_buf *out, const char *low, const char *high, size_t len);
static bool all(const char *digits, char digit, size_t len);

void grammar_schema_add_basics(struct text_buf *out)
{
    text_buf_add(
        out, TEXT("value ::= object | array | string | number | \"true\" | \"false\" | \"null\"\n"
                  "object ::= \"{\" (string \": \" value (\", \" string \": \" value)*)? \"}\"\n"
                  "array ::= \"[\" (value (\", \" value)*)? \"]\"\n"
                  "string ::= \"\\\"\" char* \"\\\"\"\n"
                  "char ::= [^\"\\\\\\x00-\\x1F\\x7F] | \"\\\\\" ([\"\\\\/bfnrt] | \"u\" hex{4})\n"
                  "hex ::= [0-9a-fA-F]\n"
                  "natural ::= \"0\" | [1-9] [0-9]{0,15}\n"
                  "fraction ::= (\".\" [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?\n"
                  "integer ::= \"-\"? natural\n"
                  "number ::= \"-\"? natural fraction\n"
                  "positive ::= natural fraction\n"));
}

void grammar_schema_add_integer(int64_t min, int64_t max, struct text_buf *out)
{
    static const uint64_t most = 9999999999999999U;
    bool alternative = false;
    text_buf_add(out, TEXT("("));
    if (min < 0) {
        uint64_t low = max < 0 && max != INT64_MIN ? (uint64_t)-max : 1;
        uint64_t high = min == INT64_MIN ? most : (uint64_t)-min;
        text_buf_add(out, TEXT("\"-\" ("));
        add_range(out, low, high < most ? high : most);
        text_buf_add(out, TEXT(")"));
        alternative = true;
    }
    if (max >= 0) {
        uint64_t low = min > 0 ? (uint64_t)min : 0;
        text_buf_add(out, alternative ? TEXT(" | ") : TEXT(""));
        add_range(out, low, (uint64_t)max < most ? (uint64_t)max : most);
    }
    text_buf_add(out, TEXT(")"));
}

/* One alternative for each number of digits. */
static void add_range(struct text_buf *out, uint64_t low, uint64_t high)
{
    uint64_t first = 0, next = 10;
    bool alternative = false;
    for (int digits = 1; digits <= DIGITS_MAX; digits++, first = next, next *= 10) {
        char from[DIGITS_MAX + 8], to[DIGITS_MAX + 8];
        uint64_t least = low > first ? low : first, most = high < next - 1 ? high : next - 1;
        if (least > most)
            continue;
        (void)snprintf(from, sizeof from, "%llu", (unsigned long long)least);
        (void)snprintf(to, sizeof to, "%llu", (unsigned long long)most);
        text_buf_add(out, alternative ? TEXT(" | ") : TEXT(""));
        add_digits(out, from, to, strlen(from));
        alternative = true;
    }
}

/* Both have `len` digits, and low <= high. */
static void add_digits(struct text_buf *out, const char *low, const char *high, size_t len)
{
    size_t rest = len - 1;
    if (len == 0)
        return;
    if (all(low, '0', len) && all(high, '9', len)) {
        text_buf_addf(out, "[0-9]{%zu}", len);
        return;
    }
    if (low[0] == high[0]) {
        text_buf_addf(out, "\"%c\" ", low[0]);
        add_digits(out, low + 1, high + 1, rest);
        return;
    }
    char nines[DIGITS_MAX + 1], zeros[DIGITS_MAX + 1];
    memset(nines, '9', sizeof nines);
    memset(zeros, '0', sizeof zeros);
    char from = low[0], to = high[0];
    const char *before = "";
    text_buf_add(out, TEXT("("));
    if (!all(low + 1, '0', rest)) {
        text_buf_addf(out, "\"%c\" ", from++);
        add_digits(out, low + 1, nines, rest);
        before = " | ";
    }
    bool end_whole = all(high + 1, '9', rest);
    to = (char)(end_whole ? to : to - 1);
    if (from <= to) {
        text_buf_addf(out, "%s[%c-%c]", before, from, to);
        if (rest > 0)
            text_buf_addf(out, " [0-9]{%zu}", rest);
        before = " | ";
    }
    if (!end_whole) {
        text_buf_addf(out, "%s\"%c\" ", before, high[0]);
        add_digits(out, zeros, high + 1, rest);
    }
    text_buf_add(out, TEXT(")"));
}

static bool all(const char *digits, char digit, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (digits[i] != digit)
            return false;
    return true;
}

void grammar_schema_add_literal(struct text_buf *out, struct text text)
{
    text_buf_add(out, TEXT("\""));
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c == '"' || c == '\\')
            text_buf_addf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7F)
            text_buf_addf(out, "\\x%02X", c);
        else
            text_buf_add(out, text_take(text_skip(text, i), 1));
    }
    text_buf_add(out, TEXT("\""));
}
