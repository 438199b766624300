#include "infer_tools.h"
#include "grammar_schema.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES_MAX = 64, TEXT_BYTES_MAX = 1 << 20 };

static bool read_tool(const struct json_at *item, struct infer_tool *out, struct status *st);
static bool parameters_are_good(const struct json_at *parameters, struct status *st);
static bool name_is_good(struct text name);
static bool read_choice(const struct json_at *in, struct infer_tools *out, struct status *st);
static bool choose(const struct json_at *in, struct text name, struct infer_tools *out,
                   struct status *st);

bool infer_tools_read(const struct json_at *in, struct arena *arena, struct infer_tools *out,
                      struct status *st)
{
    *out = (struct infer_tools){.parallel = true};
    if (!json_get_array(in, "tools", JSON_OPTIONAL, INFER_TOOLS_MAX, &out->list, st) ||
        !json_get_bool(in, "parallel_tool_calls", JSON_OPTIONAL, &out->parallel, st))
        return false;
    size_t count = json_count(&out->list);
    out->at = ARENA_ARRAY(arena, count, struct infer_tool);
    out->choice = count > 0 ? INFER_TOOLS_AUTO : INFER_TOOLS_NONE;
    for (size_t i = 0; i < count; i++) {
        struct infer_tool *tool = &out->at[i];
        if (!json_item_object(&out->list, i, &tool->at, st) || !read_tool(&tool->at, tool, st))
            return false;
        for (size_t k = 0; k < i; k++)
            if (text_equal(out->at[k].name, tool->name))
                return json_fail(&tool->function, "name", st, "is given twice");
    }
    out->count = count;
    return read_choice(in, out, st);
}

static bool read_tool(const struct json_at *item, struct infer_tool *out, struct status *st)
{
    static const char *const types[] = {"function", NULL}, *const known[] = {"type", "function",
                                                                             NULL};
    static const char *const parts[] = {"name", "description", "parameters", "strict", NULL};
    size_t type;
    struct text description;
    if (!json_get_choice(item, "type", JSON_REQUIRED, types, &type, st) ||
        !json_only(item, known, st) ||
        !json_get_object(item, "function", JSON_REQUIRED, &out->function, st) ||
        !json_only(&out->function, parts, st) ||
        !json_get_text(&out->function, "name", JSON_REQUIRED, NAME_BYTES_MAX, &out->name, st) ||
        !json_get_text(&out->function, "description", JSON_OPTIONAL, TEXT_BYTES_MAX, &description,
                       st) ||
        !json_get_bool(&out->function, "strict", JSON_OPTIONAL, &out->strict, st) ||
        !json_get_object(&out->function, "parameters", JSON_OPTIONAL, &out->parameters, st))
        return false;
    if (!name_is_good(out->name))
        return json_fail(&out->function, "name", st,
                         "must have letters, digits, underscores and dashes only");
    return parameters_are_good(&out->parameters, st);
}

/* Arguments are an object, whatever else the schema says of them. */
static bool parameters_are_good(const struct json_at *parameters, struct status *st)
{
    static const char *const object[] = {"object", NULL};
    static const char *const others[] = {"anyOf", "oneOf", "allOf",   "enum",
                                         "const", "$ref",  "nullable"};
    size_t type;
    if (parameters->value == NULL || json_object_size(parameters->value) == 0)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (json_object_get(parameters->value, others[i]) != NULL)
            return json_fail(parameters, others[i], st,
                             "is not supported at the top of parameters");
    return json_get_choice(parameters, "type", JSON_REQUIRED, object, &type, st);
}

static bool name_is_good(struct text name)
{
    for (size_t i = 0; i < name.len; i++) {
        int c = (unsigned char)name.at[i], lower = c | 0x20;
        if (!(c >= '0' && c <= '9') && !(lower >= 'a' && lower <= 'z') && c != '_' && c != '-')
            return false;
    }
    return name.len > 0;
}

static bool read_choice(const struct json_at *in, struct infer_tools *out, struct status *st)
{
    static const char *const words[] = {"none", "auto", "required", NULL};
    static const char *const types[] = {"function", NULL}, *const known[] = {"type", "function",
                                                                             NULL};
    struct json_at choice, function;
    struct text name;
    size_t which;
    if (!json_get_any(in, "tool_choice", &choice))
        return true;
    if (!json_is_object(choice.value)) {
        if (!json_get_choice(in, "tool_choice", JSON_REQUIRED, words, &which, st))
            return false;
        if (which == INFER_TOOLS_REQUIRED && out->count == 0)
            return json_fail(in, "tool_choice", st, "needs tools");
        if (out->count > 0)
            out->choice = (enum infer_tools_choice)which;
        return true;
    }
    if (!json_get_choice(&choice, "type", JSON_REQUIRED, types, &which, st) ||
        !json_only(&choice, known, st) ||
        !json_get_object(&choice, "function", JSON_REQUIRED, &function, st) ||
        !json_get_text(&function, "name", JSON_REQUIRED, NAME_BYTES_MAX, &name, st))
        return false;
    return choose(&function, name, out, st);
}

static bool choose(const struct json_at *in, struct text name, struct infer_tools *out,
                   struct status *st)
{
    for (size_t i = 0; i < out->count; i++) {
        if (!text_equal(out->at[i].name, name))
            continue;
        out->at = &out->at[i];
        out->count = 1;
        out->choice = INFER_TOOLS_REQUIRED;
        out->parallel = false;
        return true;
    }
    return json_fail(in, "name", st, "is the name of no function in tools");
}

void infer_tools_describe(const struct infer_tools *tools, struct text_buf *out)
{
    text_buf_add(out, TEXT("You can call functions. These are the functions, one on each line:\n"));
    for (size_t i = 0; i < tools->count; i++) {
        json_write(tools->at[i].function.value, out);
        text_buf_add(out, TEXT("\n"));
    }
    text_buf_add(out, TEXT("To call a function, write its name and its arguments as JSON between "
                           "tags, and nothing else:\n<tool_call>{\"name\": \"the name\", "
                           "\"arguments\": {\"an argument\": \"its value\"}}</tool_call>"));
}

bool infer_tools_add_grammar(const struct infer_tools *tools, struct text_buf *out,
                             struct status *st)
{
    text_buf_add(out, TEXT("calls ::= call"));
    if (tools->parallel)
        text_buf_addf(out, " (\"\\n\" call){0,%d}", INFER_TOOLS_CALLS_MAX - 1);
    text_buf_add(out, TEXT("\ncall ::= \"<tool_call>{\\\"name\\\": \\\"\" ("));
    for (size_t i = 0; i < tools->count; i++)
        text_buf_addf(out, "%scall-%zu", i > 0 ? " | " : "", i);
    text_buf_add(out, TEXT(") \"}</tool_call>\"\n"));
    for (size_t i = 0; i < tools->count; i++) {
        const struct infer_tool *tool = &tools->at[i];
        char name[32];
        text_buf_addf(out, "call-%zu ::= \"%.*s\\\", \\\"arguments\\\": \" ", i,
                      TEXT_ARG(tool->name));
        if (tool->parameters.value == NULL || json_object_size(tool->parameters.value) == 0) {
            text_buf_add(out, TEXT("\"{}\"\n"));
            continue;
        }
        (void)snprintf(name, sizeof name, "arguments-%zu", i);
        text_buf_addf(out, "%s\n", name);
        if (!grammar_schema_add(&tool->parameters, tool->strict, name, out, st))
            return false;
    }
    return true;
}

struct text infer_tools_trigger(void)
{
    return TEXT("<tool_call>");
}

void infer_tools_add_call(struct text name, struct text arguments, struct text_buf *out)
{
    text_buf_add(out, TEXT("<tool_call>{\"name\": \""));
    text_buf_add(out, name);
    text_buf_add(out, TEXT("\", \"arguments\": "));
    text_buf_add(out, arguments);
    text_buf_add(out, TEXT("}</tool_call>"));
}

/* --- reading ---------------------------------------------------------------------------------- */

enum reading { IN_TEXT, IN_HEAD, IN_NAME, IN_MIDDLE, IN_ARGUMENTS, IN_TAIL, READING_COUNT };

struct reader {
    struct model_reader base;
    enum reading where;
    char *held; /* not told yet */
    size_t len, size;
    uint32_t calls;
    int depth; /* of braces, in the arguments */
    bool quoted, escaped, raw;
};

/* What must stand there; NULL where anything may. */
static const char *const fixed[READING_COUNT] = {
    NULL, "<tool_call>{\"name\": \"", NULL, "\", \"arguments\": ", NULL, "}</tool_call>"};

static void add(struct model_reader *reader, struct text text, bool last, model_part_fn *part,
                void *arg);
static bool go_on(struct reader *r, bool last, model_part_fn *part, void *arg);
static bool text_goes_on(struct reader *r, bool last, model_part_fn *part, void *arg);
static size_t arguments_len(struct reader *r);
static void tell(struct reader *r, enum model_part_kind kind, size_t len, model_part_fn *part,
                 void *arg);
static void drop(struct reader *r, size_t len);
static void reader_free(struct model_reader *reader);

struct model_reader *infer_tools_reader_new(void)
{
    static const struct model_reader_ops ops = {add, reader_free};
    struct reader *r = base_alloc(sizeof *r);
    r->base.ops = &ops;
    return &r->base;
}

static void add(struct model_reader *reader, struct text text, bool last, model_part_fn *part,
                void *arg)
{
    struct reader *r = (struct reader *)(void *)reader;
    if (r->len + text.len > r->size) {
        r->size = (r->len + text.len) * 2;
        r->held = base_resize(r->held, r->size);
    }
    if (text.len > 0)
        memcpy(r->held + r->len, text.at, text.len);
    r->len += text.len;
    while (r->len > 0 && go_on(r, last, part, arg))
        continue;
}

/* False when more text is needed. */
static bool go_on(struct reader *r, bool last, model_part_fn *part, void *arg)
{
    size_t len;
    switch (r->where) {
    case IN_TEXT:
        return text_goes_on(r, last, part, arg);
    case IN_NAME:
        len = text_find_byte((struct text){r->held, r->len}, '"');
        if (len == r->len)
            return false;
        tell(r, MODEL_PART_CALL, len, part, arg);
        r->where = IN_MIDDLE;
        return true;
    case IN_ARGUMENTS:
        len = arguments_len(r);
        tell(r, MODEL_PART_ARGUMENTS, len, part, arg);
        return r->where == IN_TAIL;
    case IN_HEAD:
    case IN_MIDDLE:
    case IN_TAIL:
        break;
    case READING_COUNT:
        return false;
    }
    struct text want = text_of(fixed[r->where]), have = {r->held, r->len};
    if (!text_starts(have, text_take(want, have.len))) { /* not our form after all */
        r->raw = true;
        r->where = IN_TEXT;
        return true;
    }
    if (have.len < want.len)
        return false;
    drop(r, want.len);
    r->calls += r->where == IN_TAIL;
    r->depth = 0;
    r->where = r->where == IN_TAIL ? IN_TEXT : (enum reading)(r->where + 1);
    return true;
}

/* Up to the next call. Line breaks between calls are nothing that was said. */
static bool text_goes_on(struct reader *r, bool last, model_part_fn *part, void *arg)
{
    struct text have = {r->held, r->len}, tag = infer_tools_trigger();
    size_t found = r->raw ? r->len : text_find(have, tag), blank = 0;
    while (r->calls > 0 && blank < found && strchr(" \n\r\t", have.at[blank]) != NULL)
        blank++;
    drop(r, blank);
    found -= blank;
    if (found < r->len) {
        tell(r, MODEL_PART_CONTENT, found, part, arg);
        r->where = IN_HEAD;
        return true;
    }
    size_t keep = last || r->raw ? 0 : (r->len < tag.len - 1 ? r->len : tag.len - 1);
    while (keep > 0 && memcmp(r->held + r->len - keep, tag.at, keep) != 0)
        keep--;
    tell(r, MODEL_PART_CONTENT, r->len - keep, part, arg);
    return false;
}

/* How much of what is held belongs to the arguments; past their end it goes on with the tail. */
static size_t arguments_len(struct reader *r)
{
    for (size_t i = 0; i < r->len; i++) {
        char c = r->held[i];
        if (r->escaped) {
            r->escaped = false;
        } else if (r->quoted) {
            r->escaped = c == '\\';
            r->quoted = c != '"';
        } else if (c == '"') {
            r->quoted = true;
        } else if (c == '{' || c == '[') {
            r->depth++;
        } else if ((c == '}' || c == ']') && --r->depth <= 0) {
            r->where = IN_TAIL;
            return i + 1;
        }
    }
    return r->len;
}

static void tell(struct reader *r, enum model_part_kind kind, size_t len, model_part_fn *part,
                 void *arg)
{
    struct model_part told = {kind, r->calls, {r->held, len}};
    if (len > 0)
        part(arg, &told);
    drop(r, len);
}

static void drop(struct reader *r, size_t len)
{
    r->len -= len;
    if (r->len > 0 && len > 0)
        memmove(r->held, r->held + len, r->len);
}

static void reader_free(struct model_reader *reader)
{
    struct reader *r = (struct reader *)(void *)reader;
    free(r->held);
    free(r);
}
