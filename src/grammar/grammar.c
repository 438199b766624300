#include "grammar.h"
#include "grammar_internal.h"
#include <stdlib.h>
#include <string.h>

/* How often the search for rules that may be empty goes over all of them. Rules made by the reader
 * stand behind those that use them, so it ends after a few rounds unless a grammar is made to
 * need more. */
enum { ROUNDS_MAX = 64 };

/* The search for cycles: Tarjan's, with a stack of its own. */
struct frame {
    uint32_t rule, alternative, element;
};
struct search {
    const struct grammar *grammar;
    bool *empty;              /* by rule: it may match nothing */
    uint32_t *number, *least; /* by rule; number 0: not seen */
    uint32_t *cycle;          /* by rule: which cycle it is in; 0: not known yet */
    uint32_t *open;           /* rules whose cycle is not known yet */
    struct frame *frames;
    uint32_t count, open_count, frames_count, cycles;
};

static void order_sets(struct grammar *grammar);
static int by_low(const void *left, const void *right);
static void make_classes(struct grammar *grammar);
static int by_number(const void *left, const void *right);
static bool find_empty(const struct grammar *grammar, bool *empty);
static bool may_be_empty(const struct grammar *grammar, uint32_t alternative, const bool *empty);
static void visit(struct search *s, uint32_t rule);
static bool next_first(struct search *s, struct frame *frame, uint32_t *rule, bool *grows);
static void enter(struct search *s, uint32_t rule);
static void leave(struct search *s);
static bool grows_in_cycle(struct search *s);

bool grammar_compile(struct text gbnf, struct grammar **out, struct status *st)
{
    AUTO(grammar) struct grammar *grammar = base_alloc(sizeof *grammar);
    atomic_store(&grammar->holders, 1);
    if (!grammar_gbnf_read(gbnf, grammar, st) || !grammar_check_recursion(grammar, st))
        return false;
    order_sets(grammar);
    make_classes(grammar);
    *out = TAKE(grammar);
    return true;
}

struct grammar *grammar_hold(struct grammar *grammar)
{
    if (grammar != NULL)
        atomic_fetch_add(&grammar->holders, 1);
    return grammar;
}

void grammar_release(struct grammar *grammar)
{
    if (grammar == NULL || atomic_fetch_sub(&grammar->holders, 1) != 1)
        return;
    free(grammar->elements);
    free(grammar->alternatives);
    free(grammar->rules);
    free(grammar->sets);
    free(grammar->ranges);
    free(grammar->bounds);
    free(grammar);
}

size_t grammar_bytes(const struct grammar *g)
{
    return sizeof *g + g->elements_size * sizeof *g->elements +
           g->alternatives_size * sizeof *g->alternatives + g->rules_size * sizeof *g->rules +
           g->sets_size * sizeof *g->sets + g->ranges_size * sizeof *g->ranges +
           g->classes * sizeof *g->bounds;
}

/* The ranges of each set in order and apart from each other, for grammar_matches. */
static void order_sets(struct grammar *g)
{
    for (uint32_t i = 0; i < g->sets_count; i++) {
        struct grammar_set *set = &g->sets[i];
        uint32_t count = 0;
        if (set->count == 0)
            continue;
        struct grammar_range *at = &g->ranges[set->first];
        qsort(at, set->count, sizeof *at, by_low);
        for (uint32_t k = 1; k < set->count; k++)
            if (at[k].low > at[count].high)
                at[++count] = at[k];
            else if (at[k].high > at[count].high)
                at[count].high = at[k].high;
        set->count = count + 1;
    }
}

static int by_low(const void *left, const void *right)
{
    const struct grammar_range *a = left, *b = right;
    return a->low < b->low ? -1 : a->low > b->low;
}

static void make_classes(struct grammar *g)
{
    size_t most = 2 * ((size_t)g->elements_count + g->ranges_count) + 1, count = 1;
    uint32_t *bounds = base_alloc(most * sizeof *bounds);
    for (uint32_t i = 0; i < g->elements_count; i++)
        if (g->elements[i].type == GRAMMAR_ELEMENT_CHAR) {
            bounds[count++] = g->elements[i].value;
            bounds[count++] = g->elements[i].value + 1U;
        }
    for (uint32_t i = 0; i < g->ranges_count; i++) {
        bounds[count++] = g->ranges[i].low;
        bounds[count++] = g->ranges[i].high + 1;
    }
    qsort(bounds, count, sizeof *bounds, by_number);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || bounds[i] != bounds[g->classes - 1])
            bounds[g->classes++] = bounds[i];
    g->bounds = base_resize(bounds, g->classes * sizeof *bounds);
    bounds = g->bounds;
    for (uint32_t i = 0; i < ARRAY_LEN(g->ascii); i++) {
        uint32_t class = i > 0 ? g->ascii[i - 1] : 0;
        g->ascii[i] = class + 1 < g->classes && bounds[class + 1] <= i ? class + 1 : class;
    }
}

static int by_number(const void *left, const void *right)
{
    uint32_t a, b;
    memcpy(&a, left, sizeof a);
    memcpy(&b, right, sizeof b);
    return a < b ? -1 : a > b;
}

uint32_t grammar_class(const struct grammar *g, uint32_t code)
{
    if (code < ARRAY_LEN(g->ascii))
        return g->ascii[code];
    uint32_t low = 0, high = g->classes; /* bounds[low] <= code < bounds[high] */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (g->bounds[middle] <= code)
            low = middle;
        else
            high = middle;
    }
    return low;
}

bool grammar_matches(const struct grammar *g, struct grammar_element element, uint32_t class)
{
    uint32_t code = g->bounds[class];
    if (element.type == GRAMMAR_ELEMENT_CHAR)
        return element.value == code;
    const struct grammar_set *set = &g->sets[element.value];
    uint32_t low = 0, high = set->count; /* only one of these can have it */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (g->ranges[set->first + middle].low <= code)
            low = middle;
        else
            high = middle;
    }
    bool found = low < high && g->ranges[set->first + low].low <= code &&
                 code <= g->ranges[set->first + low].high;
    return found != set->inverted;
}

void *grammar_grow(void *array, uint32_t count, uint32_t *size, size_t item)
{
    if (count < *size)
        return array;
    *size = *size == 0 ? 64 : *size * 2;
    return base_resize(array, *size * item);
}

/* A rule that comes back to itself before anything is read costs nothing when it does so as the
 * last element: then it is where it was. As any other it would wait for itself without an end. */
bool grammar_check_recursion(const struct grammar *g, struct status *st)
{
    size_t n = g->rules_count;
    struct search s = {.grammar = g};
    s.empty = base_alloc(n * sizeof *s.empty);
    s.number = base_alloc(n * sizeof *s.number);
    s.least = base_alloc(n * sizeof *s.least);
    s.cycle = base_alloc(n * sizeof *s.cycle);
    s.open = base_alloc(n * sizeof *s.open);
    s.frames = base_alloc(n * sizeof *s.frames);
    bool known = find_empty(g, s.empty), bad = false;
    for (uint32_t rule = 0; known && rule < n; rule++)
        if (s.number[rule] == 0)
            visit(&s, rule);
    bad = known && grows_in_cycle(&s);
    free(s.empty);
    free(s.number);
    free(s.least);
    free(s.cycle);
    free(s.open);
    free(s.frames);
    if (!known)
        return status_fail(st, STATUS_TOO_LARGE, "the grammar's rules nest too deeply");
    if (bad)
        return status_fail(st, STATUS_INVALID,
                           "the grammar has a rule that begins with itself (left recursion)");
    return true;
}

static bool find_empty(const struct grammar *g, bool *empty)
{
    bool changed = true;
    for (int round = 0; changed && round < ROUNDS_MAX; round++) {
        changed = false;
        for (uint32_t rule = g->rules_count; rule-- > 0;)
            for (uint32_t i = 0; i < g->rules[rule].count && !empty[rule]; i++)
                if (may_be_empty(g, g->rules[rule].first + i, empty))
                    empty[rule] = changed = true;
    }
    return !changed;
}

static bool may_be_empty(const struct grammar *g, uint32_t alternative, const bool *empty)
{
    const struct grammar_element *e = &g->elements[g->alternatives[alternative]];
    while (e->type == GRAMMAR_ELEMENT_RULE && empty[e->value])
        e++;
    return e->type == GRAMMAR_ELEMENT_END;
}

static void visit(struct search *s, uint32_t rule)
{
    enter(s, rule);
    while (s->frames_count > 0) {
        struct frame *frame = &s->frames[s->frames_count - 1];
        uint32_t next;
        bool grows;
        if (!next_first(s, frame, &next, &grows))
            leave(s);
        else if (s->number[next] == 0)
            enter(s, next);
        else if (s->cycle[next] == 0 && s->number[next] < s->least[frame->rule])
            s->least[frame->rule] = s->number[next];
    }
}

/* The next rule that `frame`'s can begin with; `*grows`: something waits behind it. */
static bool next_first(struct search *s, struct frame *frame, uint32_t *rule, bool *grows)
{
    const struct grammar *g = s->grammar;
    const struct grammar_rule *of = &g->rules[frame->rule];
    for (; frame->alternative < of->count; frame->alternative++, frame->element = 0) {
        const struct grammar_element *e =
            &g->elements[g->alternatives[of->first + frame->alternative]];
        if (frame->element > 0 && !s->empty[e[frame->element - 1].value])
            continue;
        e += frame->element;
        if (e->type != GRAMMAR_ELEMENT_RULE)
            continue;
        frame->element++;
        *rule = e->value;
        *grows = e[1].type != GRAMMAR_ELEMENT_END;
        return true;
    }
    return false;
}

static void enter(struct search *s, uint32_t rule)
{
    s->number[rule] = s->least[rule] = ++s->count;
    s->open[s->open_count++] = rule;
    s->frames[s->frames_count++] = (struct frame){.rule = rule};
}

static void leave(struct search *s)
{
    uint32_t rule = s->frames[--s->frames_count].rule;
    if (s->frames_count > 0) {
        uint32_t above = s->frames[s->frames_count - 1].rule;
        if (s->least[rule] < s->least[above])
            s->least[above] = s->least[rule];
    }
    if (s->least[rule] != s->number[rule])
        return;
    s->cycles++;
    uint32_t member;
    do {
        member = s->open[--s->open_count];
        s->cycle[member] = s->cycles;
    } while (member != rule);
}

static bool grows_in_cycle(struct search *s)
{
    for (uint32_t rule = 0; rule < s->grammar->rules_count; rule++) {
        struct frame frame = {.rule = rule};
        uint32_t next;
        bool grows;
        while (next_first(s, &frame, &next, &grows))
            if (grows && s->cycle[next] == s->cycle[rule])
                return true;
    }
    return false;
}
