/* The reader of GBNF: a rule a line, alternatives, groups, literals, classes, repetitions. */
#include "grammar_internal.h"
#include "arena.h"
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64, REPEAT_MAX = 100000 };
static const uint32_t no_limit = UINT32_MAX;

struct symbol {
    struct text name; /* of the source; empty: free */
    uint32_t rule;
};

struct reader {
    struct text source;
    size_t at;
    struct grammar *grammar;
    struct symbol *symbols; /* hashed; a power of two, at most half full */
    uint32_t symbols_count, symbols_size;
    struct arena *arena; /* for lists while they grow */
    struct status *st;
};

/* Elements, or places of elements, while a rule is being read. */
struct list {
    struct grammar_element *at;
    uint32_t count, size;
};
struct starts {
    uint32_t *at;
    uint32_t count, size;
};

static bool read_rule(struct reader *r);
static bool read_alternatives(struct reader *r, uint32_t rule, int depth);
static bool read_sequence(struct reader *r, struct list *out, int depth);
static bool read_item(struct reader *r, struct list *out, int depth);
static bool read_literal(struct reader *r, struct list *out);
static bool read_class(struct reader *r, struct list *out);
static bool read_char(struct reader *r, uint32_t *out);
static bool read_hex(struct reader *r, int digits, uint32_t *out);
static bool read_repeat(struct reader *r, uint32_t *least, uint32_t *most);
static bool read_count(struct reader *r, uint32_t *out);
static bool repeat(struct reader *r, struct list *list, uint32_t from, uint32_t least,
                   uint32_t most);
static bool append(struct reader *r, struct list *list, struct grammar_element element);
static bool add_rule(struct reader *r, uint32_t *out);
static bool define(struct reader *r, uint32_t rule, const struct list *alternatives, size_t count);
static void close_rule(struct reader *r, uint32_t rule, const struct starts *starts);
static bool add_sequence(struct reader *r, const struct list *list, struct starts *starts);
static bool find_rule(struct reader *r, struct text name, uint32_t *out);
static struct symbol *symbol_of(struct symbol *symbols, uint32_t size, struct text name);
static struct text take_name(struct reader *r);
static void skip_space(struct reader *r, bool lines);
static int peek(const struct reader *r, size_t ahead);
static bool fail(struct reader *r, const char *what);

bool grammar_gbnf_read(struct text gbnf, struct grammar *grammar, struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(256 * MIB);
    struct reader r = {.source = gbnf, .grammar = grammar, .arena = arena, .st = st};
    if (gbnf.len > GRAMMAR_BYTES_MAX)
        return status_fail(st, STATUS_TOO_LARGE,
                           "the grammar has %zu bytes; at most %d are allowed", gbnf.len,
                           GRAMMAR_BYTES_MAX);
    r.symbols_size = 256;
    r.symbols = ARENA_ARRAY(arena, r.symbols_size, struct symbol);
    skip_space(&r, true);
    while (r.at < gbnf.len)
        if (!read_rule(&r))
            return false;
    for (uint32_t i = 0; i < r.symbols_size; i++) {
        const struct symbol *symbol = &r.symbols[i];
        if (symbol->name.len > 0 && grammar->rules[symbol->rule].count == 0)
            return status_fail(st, STATUS_INVALID, "the grammar has no rule %.*s",
                               TEXT_ARG(text_take(symbol->name, 64)));
    }
    const struct symbol *root = symbol_of(r.symbols, r.symbols_size, TEXT("root"));
    if (root->name.len == 0)
        return status_fail(st, STATUS_INVALID, "the grammar has no rule root");
    grammar->root = root->rule;
    return true;
}

static bool read_rule(struct reader *r)
{
    uint32_t rule = 0;
    struct text name = take_name(r);
    if (name.len == 0)
        return fail(r, "expected the name of a rule");
    if (!find_rule(r, name, &rule))
        return false;
    if (r->grammar->rules[rule].count > 0)
        return fail(r, "this rule was there before");
    skip_space(r, false);
    if (peek(r, 0) != ':' || peek(r, 1) != ':' || peek(r, 2) != '=')
        return fail(r, "expected ::=");
    r->at += 3;
    skip_space(r, true);
    if (!read_alternatives(r, rule, 0))
        return false;
    if (r->at < r->source.len && peek(r, 0) != '\n' && peek(r, 0) != '\r')
        return fail(r, "expected the end of the rule");
    skip_space(r, true);
    return true;
}

static bool read_alternatives(struct reader *r, uint32_t rule, int depth)
{
    struct starts starts = {0};
    if (depth > DEPTH_MAX)
        return fail(r, "groups nest too deeply");
    for (;;) {
        struct list list = {0};
        if (!read_sequence(r, &list, depth) || !add_sequence(r, &list, &starts))
            return false;
        if (peek(r, 0) != '|')
            break;
        r->at++;
        skip_space(r, true);
    }
    close_rule(r, rule, &starts);
    return true;
}

/* Items with what repeats them, up to what is neither. */
static bool read_sequence(struct reader *r, struct list *out, int depth)
{
    uint32_t last = 0;
    bool any = false;
    for (;;) {
        int next = peek(r, 0);
        if (next == '*' || next == '+' || next == '?' || next == '{') {
            uint32_t least, most;
            if (!any)
                return fail(r, "there is nothing to repeat");
            if (!read_repeat(r, &least, &most) || !repeat(r, out, last, least, most))
                return false;
        } else if (next < 0 || next == '|' || next == ')' || next == '\n' || next == '\r') {
            return true;
        } else {
            last = out->count;
            any = true;
            if (!read_item(r, out, depth))
                return false;
        }
        skip_space(r, depth > 0);
    }
}

static bool read_item(struct reader *r, struct list *out, int depth)
{
    struct grammar *g = r->grammar;
    uint32_t rule = 0;
    switch (peek(r, 0)) {
    case '"':
        return read_literal(r, out);
    case '[':
        return read_class(r, out);
    case '.':
        r->at++;
        g->sets = grammar_grow(g->sets, g->sets_count, &g->sets_size, sizeof *g->sets);
        g->sets[g->sets_count] = (struct grammar_set){.first = g->ranges_count, .inverted = true};
        return append(r, out, (struct grammar_element){GRAMMAR_ELEMENT_SET, g->sets_count++});
    case '(':
        r->at++;
        skip_space(r, true);
        if (!add_rule(r, &rule) || !read_alternatives(r, rule, depth + 1))
            return false;
        if (peek(r, 0) != ')')
            return fail(r, "expected )");
        r->at++;
        return append(r, out, (struct grammar_element){GRAMMAR_ELEMENT_RULE, rule});
    case '<':
    case '!':
        return fail(r, "elements that name tokens are not supported");
    default:
        break;
    }
    struct text name = take_name(r);
    if (name.len == 0)
        return fail(r, "unexpected character");
    return find_rule(r, name, &rule) &&
           append(r, out, (struct grammar_element){GRAMMAR_ELEMENT_RULE, rule});
}

static bool read_literal(struct reader *r, struct list *out)
{
    for (r->at++; peek(r, 0) != '"';) {
        uint32_t code = 0;
        if (!read_char(r, &code) ||
            !append(r, out, (struct grammar_element){GRAMMAR_ELEMENT_CHAR, code}))
            return false;
    }
    r->at++;
    return true;
}

static bool read_class(struct reader *r, struct list *out)
{
    struct grammar *g = r->grammar;
    struct grammar_set set = {.first = g->ranges_count};
    r->at++;
    if (peek(r, 0) == '^') {
        set.inverted = true;
        r->at++;
    }
    while (peek(r, 0) != ']') {
        struct grammar_range range = {0, 0};
        if (!read_char(r, &range.low))
            return false;
        range.high = range.low;
        if (peek(r, 0) == '-' && peek(r, 1) != ']') {
            r->at++;
            if (!read_char(r, &range.high))
                return false;
        }
        if (range.high < range.low)
            return fail(r, "a range of characters is the wrong way round");
        if (g->ranges_count >= GRAMMAR_ELEMENTS_MAX)
            return fail(r, "the grammar is too large");
        g->ranges = grammar_grow(g->ranges, g->ranges_count, &g->ranges_size, sizeof *g->ranges);
        g->ranges[g->ranges_count++] = range;
        set.count++;
    }
    r->at++;
    if (set.count == 0 && !set.inverted)
        return fail(r, "a class of characters is empty");
    g->sets = grammar_grow(g->sets, g->sets_count, &g->sets_size, sizeof *g->sets);
    g->sets[g->sets_count] = set;
    return append(r, out, (struct grammar_element){GRAMMAR_ELEMENT_SET, g->sets_count++});
}

/* One character of a literal or a class, maybe escaped. The source is valid UTF-8. */
static bool read_char(struct reader *r, uint32_t *out)
{
    int first = peek(r, 0);
    if (first < 0 || first == '\n')
        return fail(r, "a literal or a class does not end");
    if (first != '\\') {
        int more = first < 0x80 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
        *out = (uint32_t)(more == 0 ? first : first & (0x3F >> more));
        for (int i = 1; i <= more; i++)
            *out = *out << 6 | ((uint32_t)peek(r, (size_t)i) & 0x3F);
        r->at += (size_t)more + 1;
        return true;
    }
    int kind = peek(r, 1);
    r->at += 2;
    switch (kind) {
    case 'x':
        return read_hex(r, 2, out);
    case 'u':
        return read_hex(r, 4, out);
    case 'U':
        return read_hex(r, 8, out);
    case 't':
        *out = '\t';
        return true;
    case 'r':
        *out = '\r';
        return true;
    case 'n':
        *out = '\n';
        return true;
    case '\\':
    case '"':
    case '[':
    case ']':
    case '-':
        *out = (uint32_t)kind;
        return true;
    default:
        r->at -= 2;
        return fail(r, "this escape is not known");
    }
}

static bool read_hex(struct reader *r, int digits, uint32_t *out)
{
    uint32_t value = 0;
    for (int i = 0; i < digits; i++, r->at++) {
        int c = peek(r, 0);
        int lower = c | 0x20;
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint32_t)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = value << 4 | (uint32_t)(lower - 'a' + 10);
        else
            return fail(r, "expected a hexadecimal digit");
    }
    *out = value;
    return value <= GRAMMAR_CODE_MAX || fail(r, "there is no such character");
}

/* *, +, ?, {m}, {m,}, {m,n}. */
static bool read_repeat(struct reader *r, uint32_t *least, uint32_t *most)
{
    int kind = peek(r, 0);
    r->at++;
    *least = kind == '+' ? 1 : 0;
    *most = kind == '?' ? 1 : no_limit;
    if (kind != '{')
        return true;
    skip_space(r, true);
    if (!read_count(r, least))
        return false;
    *most = *least;
    skip_space(r, true);
    if (peek(r, 0) == ',') {
        r->at++;
        skip_space(r, true);
        *most = no_limit;
        if (peek(r, 0) != '}' && !read_count(r, most))
            return false;
        skip_space(r, true);
    }
    if (peek(r, 0) != '}')
        return fail(r, "expected }");
    r->at++;
    return *least <= *most || fail(r, "the least number of repetitions is over the most");
}

static bool read_count(struct reader *r, uint32_t *out)
{
    uint32_t value = 0;
    size_t digits = 0;
    for (; peek(r, 0) >= '0' && peek(r, 0) <= '9'; r->at++, digits++) {
        value = value * 10 + (uint32_t)(peek(r, 0) - '0');
        if (value > REPEAT_MAX)
            return fail(r, "too many repetitions");
    }
    *out = value;
    return digits > 0 || fail(r, "expected a number of repetitions");
}

/* What stands in `list` from `from` on becomes `least` to `most` of itself. */
static bool repeat(struct reader *r, struct list *list, uint32_t from, uint32_t least,
                   uint32_t most)
{
    uint32_t rule = 0;
    if (list->count == from)
        return true; /* an empty literal, however often */
    struct grammar_element item = list->at[from];
    if (list->count - from > 1) {
        struct list group = {list->at + from, list->count - from, 0};
        if (!add_rule(r, &rule) || !define(r, rule, &group, 1))
            return false;
        item = (struct grammar_element){GRAMMAR_ELEMENT_RULE, rule};
    }
    list->count = from;
    for (uint32_t i = 0; i < least; i++)
        if (!append(r, list, item))
            return false;
    uint32_t optional = most == no_limit ? 1 : most - least, inner = 0;
    for (uint32_t i = 0; i < optional; i++) { /* the innermost first */
        struct list alternatives[2] = {{0}};
        if (!add_rule(r, &rule) || !append(r, &alternatives[0], item))
            return false;
        struct grammar_element next = {GRAMMAR_ELEMENT_RULE, most == no_limit ? rule : inner};
        if ((i > 0 || most == no_limit) && !append(r, &alternatives[0], next))
            return false;
        if (!define(r, rule, alternatives, 2))
            return false;
        inner = rule;
    }
    return optional == 0 || append(r, list, (struct grammar_element){GRAMMAR_ELEMENT_RULE, inner});
}

static bool append(struct reader *r, struct list *list, struct grammar_element element)
{
    if (list->count >= GRAMMAR_ELEMENTS_MAX)
        return fail(r, "the grammar is too large");
    if (list->count == list->size) {
        uint32_t size = list->size == 0 ? 8 : list->size * 2;
        struct grammar_element *grown = ARENA_ARRAY(r->arena, size, struct grammar_element);
        if (list->count > 0)
            memcpy(grown, list->at, list->count * sizeof *grown);
        list->at = grown;
        list->size = size;
    }
    list->at[list->count++] = element;
    return true;
}

static bool add_rule(struct reader *r, uint32_t *out)
{
    struct grammar *g = r->grammar;
    if (g->rules_count >= GRAMMAR_RULES_MAX)
        return fail(r, "the grammar has too many rules");
    g->rules = grammar_grow(g->rules, g->rules_count, &g->rules_size, sizeof *g->rules);
    g->rules[g->rules_count] = (struct grammar_rule){0, 0};
    *out = g->rules_count++;
    return true;
}

static bool define(struct reader *r, uint32_t rule, const struct list *alternatives, size_t count)
{
    struct starts starts = {0};
    for (size_t i = 0; i < count; i++)
        if (!add_sequence(r, &alternatives[i], &starts))
            return false;
    close_rule(r, rule, &starts);
    return true;
}

static void close_rule(struct reader *r, uint32_t rule, const struct starts *starts)
{
    struct grammar *g = r->grammar;
    g->rules[rule] = (struct grammar_rule){g->alternatives_count, starts->count};
    for (uint32_t i = 0; i < starts->count; i++) {
        g->alternatives = grammar_grow(g->alternatives, g->alternatives_count,
                                       &g->alternatives_size, sizeof *g->alternatives);
        g->alternatives[g->alternatives_count++] = starts->at[i];
    }
}

/* The elements go to the grammar, with an END. */
static bool add_sequence(struct reader *r, const struct list *list, struct starts *starts)
{
    struct grammar *g = r->grammar;
    if (g->elements_count + list->count + 1 > GRAMMAR_ELEMENTS_MAX)
        return fail(r, "the grammar is too large");
    if (starts->count == starts->size) {
        uint32_t size = starts->size == 0 ? 4 : starts->size * 2;
        uint32_t *grown = ARENA_ARRAY(r->arena, size, uint32_t);
        if (starts->count > 0)
            memcpy(grown, starts->at, starts->count * sizeof *grown);
        starts->at = grown;
        starts->size = size;
    }
    starts->at[starts->count++] = g->elements_count;
    for (uint32_t i = 0; i <= list->count; i++) {
        g->elements =
            grammar_grow(g->elements, g->elements_count, &g->elements_size, sizeof *g->elements);
        g->elements[g->elements_count++] =
            i < list->count ? list->at[i] : (struct grammar_element){GRAMMAR_ELEMENT_END, 0};
    }
    return true;
}

/* The rule of that name, which may be defined later. */
static bool find_rule(struct reader *r, struct text name, uint32_t *out)
{
    struct symbol *symbol = symbol_of(r->symbols, r->symbols_size, name);
    if (symbol->name.len > 0) {
        *out = symbol->rule;
        return true;
    }
    if (!add_rule(r, out))
        return false;
    *symbol = (struct symbol){name, *out};
    if (++r->symbols_count * 2 < r->symbols_size)
        return true;
    struct symbol *bigger = ARENA_ARRAY(r->arena, (size_t)r->symbols_size * 2, struct symbol);
    for (uint32_t i = 0; i < r->symbols_size; i++)
        if (r->symbols[i].name.len > 0)
            *symbol_of(bigger, r->symbols_size * 2, r->symbols[i].name) = r->symbols[i];
    r->symbols = bigger;
    r->symbols_size *= 2;
    return true;
}

static struct symbol *symbol_of(struct symbol *symbols, uint32_t size, struct text name)
{
    uint32_t hash = 0x811c9dc5U; /* FNV-1a */
    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (unsigned char)name.at[i]) * 0x01000193U;
    for (uint32_t i = hash;; i++) {
        struct symbol *symbol = &symbols[i & (size - 1)];
        if (symbol->name.len == 0 || text_equal(symbol->name, name))
            return symbol;
    }
}

static struct text take_name(struct reader *r)
{
    size_t from = r->at;
    for (int c = peek(r, 0);
         (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' || c == '_';
         c = peek(r, 0))
        r->at++;
    return text_take(text_skip(r->source, from), r->at - from);
}

/* Blanks and comments. */
static void skip_space(struct reader *r, bool lines)
{
    for (int c = peek(r, 0);
         c == ' ' || c == '\t' || c == '#' || (lines && (c == '\n' || c == '\r')); c = peek(r, 0)) {
        if (c == '#')
            while (r->at < r->source.len && peek(r, 0) != '\n' && peek(r, 0) != '\r')
                r->at++;
        else
            r->at++;
    }
}

/* -1 past the end. */
static int peek(const struct reader *r, size_t ahead)
{
    return r->at + ahead < r->source.len ? (unsigned char)r->source.at[r->at + ahead] : -1;
}

static bool fail(struct reader *r, const char *what)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < r->at && i < r->source.len; i++) {
        column = r->source.at[i] == '\n' ? 1 : column + 1;
        line += r->source.at[i] == '\n';
    }
    return status_fail(r->st, STATUS_INVALID, "line %zu, column %zu of the grammar: %s", line,
                       column, what);
}
