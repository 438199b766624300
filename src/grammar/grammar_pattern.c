/* Regular expressions as grammars. Taken: what the dialects agree on and a grammar can say; look
 * ahead, back references and word borders are not. Each character is written as it stands in a
 * JSON string, so a quote is a backslash and a quote. */
#include "grammar_schema.h"
#include <string.h>

enum { DEPTH_MAX = 32, RANGES_MAX = 256, REPEAT_MAX = 2000, CODE_MAX = 0x10FFFF };

struct range {
    uint32_t low, high;
};
struct set {
    struct range at[RANGES_MAX];
    size_t count;
};
struct reader {
    struct text pattern;
    size_t at;
    struct text_buf *out;
    const char *why; /* NULL while all is well */
};

static void read_alternatives(struct reader *r, int depth);
static void read_sequence(struct reader *r, int depth);
static void read_item(struct reader *r, int depth);
static void read_repeat(struct reader *r);
static bool read_number(struct reader *r, uint32_t *out);
static void read_class(struct reader *r, struct set *set);
static bool read_escape(struct reader *r, struct set *set, uint32_t *code);
static uint32_t read_code(struct reader *r);
static uint32_t read_hex(struct reader *r, int digits);
static void add_range(struct reader *r, struct set *set, uint32_t low, uint32_t high);
static void add_named(struct reader *r, struct set *set, char name);
static void invert(struct set *set);
static void sort(struct set *set);
static void write_set(struct reader *r, struct set *set);
static bool has(const struct set *set, uint32_t code);
static int peek(const struct reader *r, size_t ahead);
static void fail(struct reader *r, const char *why);

bool grammar_pattern_add(struct text pattern, struct text_buf *out, const char **why)
{
    struct reader r = {.pattern = pattern, .out = out};
    bool begins = text_starts(pattern, TEXT("^")), ends = false;
    if (pattern.len > GRAMMAR_PATTERN_BYTES_MAX) {
        *why = "is too long";
        return false;
    }
    if (pattern.len > (begins ? 1U : 0U) && pattern.at[pattern.len - 1] == '$') {
        size_t slashes = 0; /* an odd number of them makes it a dollar sign */
        while (slashes + 1 < pattern.len && pattern.at[pattern.len - 2 - slashes] == '\\')
            slashes++;
        ends = slashes % 2 == 0;
    }
    r.at = begins ? 1 : 0;
    r.pattern.len -= ends ? 1 : 0;
    text_buf_add(out, begins ? TEXT("(") : TEXT("char* ("));
    read_alternatives(&r, 0);
    text_buf_add(out, ends ? TEXT(")") : TEXT(") char*"));
    if (r.why == NULL && r.at < r.pattern.len)
        fail(&r, "has a ) too many");
    *why = r.why;
    return r.why == NULL;
}

static void read_alternatives(struct reader *r, int depth)
{
    if (depth > DEPTH_MAX) {
        fail(r, "has groups that nest too deeply");
        return;
    }
    read_sequence(r, depth);
    while (r->why == NULL && peek(r, 0) == '|') {
        r->at++;
        text_buf_add(r->out, TEXT(" | "));
        read_sequence(r, depth);
    }
}

static void read_sequence(struct reader *r, int depth)
{
    text_buf_add(r->out, TEXT("\"\"")); /* so that an empty one is something */
    for (int next = peek(r, 0); r->why == NULL && next >= 0 && next != '|' && next != ')';
         next = peek(r, 0)) {
        text_buf_add(r->out, TEXT(" "));
        read_item(r, depth);
        if (r->why == NULL)
            read_repeat(r);
    }
}

static void read_item(struct reader *r, int depth)
{
    struct set set = {.count = 0};
    uint32_t code;
    switch (peek(r, 0)) {
    case '(':
        r->at++;
        if (peek(r, 0) == '?') {
            if (peek(r, 1) != ':') {
                fail(r, "has a group of a kind that is not supported");
                return;
            }
            r->at += 2;
        }
        text_buf_add(r->out, TEXT("("));
        read_alternatives(r, depth + 1);
        if (r->why == NULL && peek(r, 0) != ')')
            fail(r, "has a ( too many");
        r->at++;
        text_buf_add(r->out, TEXT(")"));
        return;
    case '[':
        read_class(r, &set);
        break;
    case '.':
        r->at++;
        add_range(r, &set, '\n', '\n');
        add_range(r, &set, '\r', '\r');
        invert(&set);
        break;
    case '^':
    case '$':
        fail(r, "has an anchor inside, which is not supported");
        return;
    case '*':
    case '+':
    case '?':
    case '{':
        fail(r, "repeats nothing");
        return;
    case '\\':
        if (read_escape(r, &set, &code))
            add_range(r, &set, code, code);
        break;
    default:
        code = read_code(r);
        add_range(r, &set, code, code);
    }
    if (r->why == NULL)
        write_set(r, &set);
}

static void read_repeat(struct reader *r)
{
    int kind = peek(r, 0);
    if (kind == '*' || kind == '+' || kind == '?') {
        r->at++;
        text_buf_addf(r->out, "%c", kind);
    } else if (kind == '{') {
        uint32_t least = 0, most = 0;
        r->at++;
        if (!read_number(r, &least))
            return;
        if (peek(r, 0) == '}') {
            text_buf_addf(r->out, "{%u}", least);
        } else if (peek(r, 0) == ',' && peek(r, 1) == '}') {
            r->at++;
            text_buf_addf(r->out, "{%u,}", least);
        } else {
            if (peek(r, 0) != ',') {
                fail(r, "has braces that are no repetition");
                return;
            }
            r->at++;
            if (!read_number(r, &most))
                return;
            if (peek(r, 0) != '}' || most < least) {
                fail(r, "has braces that are no repetition");
                return;
            }
            text_buf_addf(r->out, "{%u,%u}", least, most);
        }
        r->at++;
    } else {
        return;
    }
    if (peek(r, 0) == '?') /* as few as possible: the same strings match */
        r->at++;
}

static bool read_number(struct reader *r, uint32_t *out)
{
    size_t from = r->at;
    for (*out = 0; peek(r, 0) >= '0' && peek(r, 0) <= '9' && *out <= REPEAT_MAX; r->at++)
        *out = *out * 10 + (uint32_t)(peek(r, 0) - '0');
    if (r->at == from)
        fail(r, "has braces that are no repetition");
    else if (*out > REPEAT_MAX)
        fail(r, "has too many repetitions");
    return r->why == NULL;
}

static void read_class(struct reader *r, struct set *set)
{
    bool inverted = peek(r, 1) == '^';
    r->at += inverted ? 2 : 1;
    while (r->why == NULL && peek(r, 0) != ']') {
        uint32_t low = 0, high;
        if (peek(r, 0) < 0) {
            fail(r, "has a [ too many");
            return;
        }
        if (peek(r, 0) == '\\') {
            if (!read_escape(r, set, &low))
                continue; /* a named class, or a failure */
        } else {
            low = read_code(r);
        }
        high = low;
        if (peek(r, 0) == '-' && peek(r, 1) != ']' && peek(r, 1) >= 0) {
            r->at++;
            if (peek(r, 0) != '\\')
                high = read_code(r);
            else if (!read_escape(r, set, &high)) {
                fail(r, "has a range that ends in a class");
                return;
            }
        }
        if (high < low)
            fail(r, "has a range that is the wrong way round");
        add_range(r, set, low, high);
    }
    r->at++;
    if (inverted)
        invert(set);
}

/* True: one character, `*code`. False: a named class, which is in `set` now, or a failure. */
static bool read_escape(struct reader *r, struct set *set, uint32_t *code)
{
    int name = peek(r, 1);
    r->at += 2;
    switch (name) {
    case 'd':
    case 'D':
    case 'w':
    case 'W':
    case 's':
    case 'S':
        add_named(r, set, (char)name);
        return false;
    case 'n':
        *code = '\n';
        return true;
    case 'r':
        *code = '\r';
        return true;
    case 't':
        *code = '\t';
        return true;
    case 'f':
        *code = '\f';
        return true;
    case 'x':
        *code = read_hex(r, 2);
        return r->why == NULL;
    case 'u':
        *code = read_hex(r, 4);
        return r->why == NULL;
    default:
        break;
    }
    bool plain = name > 0x20 && name < 0x7F && !(name >= '0' && name <= '9') &&
                 !((name | 0x20) >= 'a' && (name | 0x20) <= 'z');
    *code = (uint32_t)name;
    if (!plain)
        fail(r, "has an escape that is not supported");
    return plain;
}

/* The next character; the pattern is valid UTF-8. */
static uint32_t read_code(struct reader *r)
{
    uint32_t first = (uint32_t)peek(r, 0);
    uint32_t more = first < 0x80 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
    uint32_t code = more == 0 ? first : first & (0x3FU >> more);
    for (uint32_t i = 1; i <= more; i++)
        code = code << 6 | ((uint32_t)peek(r, i) & 0x3F);
    r->at += more + 1;
    return code;
}

static uint32_t read_hex(struct reader *r, int digits)
{
    uint32_t value = 0;
    for (int i = 0; i < digits; i++, r->at++) {
        int c = peek(r, 0), lower = c | 0x20;
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint32_t)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = value << 4 | (uint32_t)(lower - 'a' + 10);
        else
            fail(r, "has an escape that is not complete");
    }
    return value;
}

static void add_range(struct reader *r, struct set *set, uint32_t low, uint32_t high)
{
    if (set->count >= RANGES_MAX - 8)
        fail(r, "has a class with too many characters");
    else
        set->at[set->count++] = (struct range){low, high};
}

static void add_named(struct reader *r, struct set *set, char name)
{
    struct set named = {.count = 0};
    switch (name | 0x20) {
    case 'w':
        add_range(r, &named, 'A', 'Z');
        add_range(r, &named, 'a', 'z');
        add_range(r, &named, '_', '_');
        add_range(r, &named, '0', '9');
        break;
    case 'd':
        add_range(r, &named, '0', '9');
        break;
    default:
        add_range(r, &named, ' ', ' ');
        add_range(r, &named, '\t', '\r');
        break;
    }
    if ((name & 0x20) == 0)
        invert(&named);
    for (size_t i = 0; i < named.count; i++)
        add_range(r, set, named.at[i].low, named.at[i].high);
}

/* At most one range more than there were. */
static void invert(struct set *set)
{
    struct set out = {.count = 0};
    uint32_t next = 0;
    sort(set);
    for (size_t i = 0; i < set->count; i++) {
        if (set->at[i].low > next)
            out.at[out.count++] = (struct range){next, set->at[i].low - 1};
        if (set->at[i].high + 1 > next)
            next = set->at[i].high + 1;
    }
    if (next <= CODE_MAX)
        out.at[out.count++] = (struct range){next, CODE_MAX};
    *set = out;
}

static void sort(struct set *set)
{
    for (size_t i = 1; i < set->count; i++)
        for (size_t j = i; j > 0 && set->at[j].low < set->at[j - 1].low; j--) {
            struct range held = set->at[j];
            set->at[j] = set->at[j - 1];
            set->at[j - 1] = held;
        }
}

/* What may stand in a JSON string as it is goes into a class of GBNF, the rest is written with a
 * backslash; control characters without a short escape are left out. */
static void write_set(struct reader *r, struct set *set)
{
    static const struct {
        uint32_t code;
        const char *text;
    } escapes[] = {{'"', "\"\\\\\\\"\""}, {'\\', "\"\\\\\\\\\""}, {'\n', "\"\\\\n\""},
                   {'\r', "\"\\\\r\""},   {'\t', "\"\\\\t\""},    {'\f', "\"\\\\f\""}};
    static const struct range safe[] = {
        {' ', '!'}, {'#', '['}, {']', '~'}, {0x80, 0xD7FF}, {0xE000, CODE_MAX}};
    size_t alternatives = 0;
    text_buf_add(r->out, TEXT("("));
    for (size_t i = 0; i < set->count; i++)
        for (size_t k = 0; k < ARRAY_LEN(safe); k++) {
            uint32_t low = set->at[i].low > safe[k].low ? set->at[i].low : safe[k].low;
            uint32_t high = set->at[i].high < safe[k].high ? set->at[i].high : safe[k].high;
            if (low > high)
                continue;
            text_buf_add(r->out, alternatives++ == 0 ? TEXT("[") : TEXT(""));
            text_buf_addf(r->out, "\\U%08X-\\U%08X", low, high);
        }
    if (alternatives > 0)
        text_buf_add(r->out, TEXT("]"));
    for (size_t i = 0; i < ARRAY_LEN(escapes); i++)
        if (has(set, escapes[i].code))
            text_buf_addf(r->out, "%s%s", alternatives++ == 0 ? "" : " | ", escapes[i].text);
    if (alternatives == 0)
        fail(r, "has a class that no character is in");
    text_buf_add(r->out, TEXT(")"));
}

static bool has(const struct set *set, uint32_t code)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->at[i].low <= code && code <= set->at[i].high)
            return true;
    return false;
}

static int peek(const struct reader *r, size_t ahead)
{
    return r->at + ahead < r->pattern.len ? (unsigned char)r->pattern.at[r->at + ahead] : -1;
}

static void fail(struct reader *r, const char *why)
{
    if (r->why == NULL)
        r->why = why;
}
