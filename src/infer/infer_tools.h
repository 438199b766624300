/* infer_tools: the functions that a caller offers to the model, as a request tells them; and a form
 * of our own to tell and call them, for models whose chat template knows nothing of functions:
 * they are described in the system message, and a call is
 *     <tool_call>{"name": "f", "arguments": {...}}</tool_call>
 * which a grammar sees to. Any thread; nothing here waits. */
#pragma once
#include "arena.h"
#include "model_reader.h"
#include "json.h"
#include "status.h"
#include "text.h"

enum { INFER_TOOLS_MAX = 128, INFER_TOOLS_CALLS_MAX = 16 };

enum infer_tools_choice {
    INFER_TOOLS_NONE,     /* none may be called, or none is offered */
    INFER_TOOLS_AUTO,     /* the model decides */
    INFER_TOOLS_REQUIRED, /* at least one call and nothing else */
    INFER_TOOLS_CHOICE_COUNT
};

struct infer_tool {
    struct text name;
    struct json_at at;         /* the item of `tools` */
    struct json_at function;   /* its member `function` */
    struct json_at parameters; /* a schema; `value` is NULL when it takes none */
    bool strict;
};
struct infer_tools {
    struct json_at list;
    struct infer_tool *at; /* those that may be called: one when it is named */
    size_t count;
    enum infer_tools_choice choice;
    bool parallel; /* more than one call in an answer */
};

/* Reads tools, tool_choice and parallel_tool_calls of a request.
 * Owns: `*out` points into `in`'s root and `arena`. Of its json_at only the values outlive `in`.
 * Fails: STATUS_INVALID with the field at fault. */
MUST_CHECK bool infer_tools_read(const struct json_at *in, struct arena *arena,
                                 struct infer_tools *out, struct status *st);

/* Adds what the system message says of them; plain text, not guarded. */
void infer_tools_describe(const struct infer_tools *tools, struct text_buf *out);
/* Adds rules for calls, the first named `calls`. grammar_schema_add_basics must be added too. */
MUST_CHECK bool infer_tools_add_grammar(const struct infer_tools *tools, struct text_buf *out,
                                        struct status *st);
/* What a call begins with: the text from which on the grammar counts when the model decides. */
struct text infer_tools_trigger(void);
/* A call of the past, as the model would have written it. `arguments` is JSON. */
void infer_tools_add_call(struct text name, struct text arguments, struct text_buf *out);
/* Reads answers in this form. */
struct model_reader *infer_tools_reader_new(void);
