/* grammar_schema_internal: a schema being made into rules, as the files that do it share it. */
#pragma once
#include "grammar_schema.h"

/* A definition that something refers to; its rule is written when its turn comes, so that
 * definitions which refer to each other need no depth. */
struct grammar_schema_definition {
    struct json_at at;
    uint32_t rule;
};

struct grammar_schema_maker {
    struct text_buf *out;
    struct arena *arena;
    const char *name;
    bool strict;
    struct json_at root;
    struct json_at homes[2]; /* $defs, definitions */
    struct grammar_schema_definition *definitions;
    size_t definitions_count, nodes, values;
    uint32_t next;
    int depth;
    struct status *st;
};

/* A schema becomes a rule of its own. */
MUST_CHECK bool grammar_schema_node(struct grammar_schema_maker *m, const struct json_at *at,
                                    uint32_t *rule);
void grammar_schema_add_name(struct grammar_schema_maker *m, struct text_buf *out, uint32_t rule);
bool grammar_schema_has(const struct json_at *at, const char *key);
/* What the schema `at` says of values of one type, as an expression. */
MUST_CHECK bool grammar_schema_object(struct grammar_schema_maker *m, const struct json_at *at,
                                      struct text_buf *out);
MUST_CHECK bool grammar_schema_array(struct grammar_schema_maker *m, const struct json_at *at,
                                     struct text_buf *out);
MUST_CHECK bool grammar_schema_string(struct grammar_schema_maker *m, const struct json_at *at,
                                      struct text_buf *out);
MUST_CHECK bool grammar_schema_number(struct grammar_schema_maker *m, const struct json_at *at,
                                      bool whole, struct text_buf *out);
