/* grammar_schema: a JSON schema as the grammar of the texts that fit it (grammar.h), and the
 * same for a schema's `pattern`.
 * Written here and not taken from llama.cpp's `common`, which lets quotes stand unescaped where a
 * pattern has a dot, accepts any string for a pattern that it does not know (with a line on
 * stderr), and does not see bounds of numbers or keywords that it does not know.
 * The text is JSON on one line, ", " between members and ": " behind names; members in the order of
 * `properties`. What a schema says and this cannot keep is refused by name when the schema is
 * strict; else what only narrows a value (multipleOf, an unknown format) is left out. What would
 * change a value's shape (not, if, patternProperties, an allOf of several) is always refused.
 * Bounded: depth, nodes, lengths. Any thread; nothing here waits. */
#pragma once
#include "arena.h"
#include "json.h"
#include "status.h"
#include "text.h"

enum {
    GRAMMAR_SCHEMA_DEPTH_MAX = 32,
    GRAMMAR_SCHEMA_NODES_MAX = 3000,
    GRAMMAR_SCHEMA_ENUM_MAX = 1000, /* values, of the whole schema */
    GRAMMAR_SCHEMA_ITEMS_MAX = 1000,
    GRAMMAR_SCHEMA_LENGTH_MAX = 10000,
    GRAMMAR_PATTERN_BYTES_MAX = 2000,
};

/* Adds rules to `out`, the first one called `name`, the others `name` and a number; and names that
 * grammar_schema_add_basics defines, once per grammar. Where the schema is no object:
 * STATUS_INVALID. Fails: STATUS_INVALID with the path of the keyword at fault. */
MUST_CHECK bool grammar_schema_add(const struct json_at *schema, bool strict, const char *name,
                                   struct text_buf *out, struct status *st);
void grammar_schema_add_basics(struct text_buf *out);

/* Adds an expression for the strings that match, between their quotes. `why` is set when it cannot:
 * a static text that begins with a verb. */
bool grammar_pattern_add(struct text pattern, struct text_buf *out, const char **why);
/* An expression for the whole numbers of a range, which may be open: INT64_MIN, INT64_MAX. */
void grammar_schema_add_integer(int64_t min, int64_t max, struct text_buf *out);
/* A literal of GBNF. */
void grammar_schema_add_literal(struct text_buf *out, struct text text);
