/* grammar_internal: a compiled grammar, as its reader, its checks and its matcher share it.
 * A rule is a list of alternatives, an alternative a run of elements with an END behind it. What
 * repeats has become rules of its own: x* is r ::= x r | (nothing). */
#pragma once
#include <stdatomic.h>
#include "grammar.h"

enum {
    GRAMMAR_RULES_MAX = 1 << 15,
    GRAMMAR_ELEMENTS_MAX = 1 << 18,
    GRAMMAR_CODE_MAX = 0x10FFFF,
};

enum grammar_element_type {
    GRAMMAR_ELEMENT_END,
    GRAMMAR_ELEMENT_RULE,
    GRAMMAR_ELEMENT_CHAR,
    GRAMMAR_ELEMENT_SET
};

/* A type and a number: of a rule, a code point, of a set. */
struct grammar_element {
    uint32_t type; /* enum grammar_element_type */
    uint32_t value;
};
struct grammar_rule {
    uint32_t first, count; /* in `alternatives`; a count of 0: not defined */
};
struct grammar_range {
    uint32_t low, high; /* code points, both included */
};
struct grammar_set {
    uint32_t first, count; /* in `ranges`; once compiled, in order and apart from each other */
    bool inverted;
};

struct grammar {
    _Atomic int holders;
    struct grammar_element *elements;
    uint32_t *alternatives; /* where each begins in `elements` */
    struct grammar_rule *rules;
    struct grammar_set *sets;
    struct grammar_range *ranges;
    uint32_t elements_count, alternatives_count, rules_count, sets_count, ranges_count;
    uint32_t elements_size, alternatives_size, rules_size, sets_size, ranges_size;
    uint32_t root;
    /* Code points that no element tells apart are one class: class i begins at bounds[i]. */
    uint32_t *bounds;
    uint32_t classes;
    uint32_t ascii[128]; /* the class of each */
};

/* Fills all but the classes. */
MUST_CHECK bool grammar_gbnf_read(struct text gbnf, struct grammar *grammar, struct status *st);
/* That no rule can begin with itself before anything was read, in whatever way. */
MUST_CHECK bool grammar_check_recursion(const struct grammar *grammar, struct status *st);
uint32_t grammar_class(const struct grammar *grammar, uint32_t code);
/* Whether a CHAR or SET matches the code points of a class. */
bool grammar_matches(const struct grammar *grammar, struct grammar_element element, uint32_t class);
/* Room for `count` + 1 items: the same array, or a bigger copy. */
void *grammar_grow(void *array, uint32_t count, uint32_t *size, size_t item);
