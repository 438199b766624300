/* What the answer can be: its form, its functions, and what is told of its tokens. */
#include "infer_call_internal.h"
#include "grammar_schema.h"

enum {
    GIVEN_BYTES_MAX = 64 * 1024, /* a grammar given as such */
    MADE_BYTES_MAX = GIVEN_BYTES_MAX,
    NAME_BYTES_MAX = 64,
    TEXT_BYTES_MAX = 1 << 20
};

/* The forms of response_format. */
enum form { FORM_TEXT, FORM_OBJECT, FORM_SCHEMA };

static bool read_logprobs(const struct json_at *in, struct infer_call *out, struct status *st);
static bool read_form(const struct json_at *in, enum form *form, struct json_at *schema,
                      bool *strict, struct status *st);
static bool read_schema(const struct json_at *format, struct json_at *schema, bool *strict,
                        struct status *st);
static bool make_grammar(const struct json_at *in, enum form form, const struct json_at *schema,
                         bool strict, struct arena *arena, struct infer_call *out,
                         struct status *st);

bool infer_call_read_output(const struct json_at *in, struct arena *arena, struct infer_call *out,
                            struct status *st)
{
    enum form form = FORM_TEXT;
    struct json_at schema = {0};
    bool strict = false;
    struct text given = TEXT_NONE;
    if (!read_logprobs(in, out, st) || !infer_tools_read(in, arena, &out->tools, st) ||
        !read_form(in, &form, &schema, &strict, st) ||
        !json_get_text(in, "grammar", JSON_OPTIONAL, GIVEN_BYTES_MAX, &given, st))
        return false;
    if (given.at == NULL)
        return make_grammar(in, form, &schema, strict, arena, out, st);
    if (form != FORM_TEXT)
        return json_fail(in, "grammar", st, "cannot stand beside response_format");
    if (out->tools.choice != INFER_TOOLS_NONE)
        return json_fail(in, "grammar", st, "cannot stand beside tools");
    if (given.len == 0)
        return json_fail(in, "grammar", st, "must not be empty");
    out->grammar = given;
    out->grammar_from = "grammar";
    return true;
}

static bool read_logprobs(const struct json_at *in, struct infer_call *out, struct status *st)
{
    int64_t tops = 0;
    if (!json_get_bool(in, "logprobs", JSON_OPTIONAL, &out->logprobs, st) ||
        !json_get_int(in, "top_logprobs", JSON_OPTIONAL, 0, ENGINE_LIKELY_MAX, &tops, st))
        return false;
    if (tops > 0 && !out->logprobs)
        return json_fail(in, "top_logprobs", st, "needs \"logprobs\": true");
    out->tops = (uint32_t)tops;
    return true;
}

static bool read_form(const struct json_at *in, enum form *form, struct json_at *schema,
                      bool *strict, struct status *st)
{
    static const char *const types[] = {"text", "json_object", "json_schema", NULL};
    static const char *const plain[] = {"type", NULL}, *const full[] = {"type", "json_schema",
                                                                        NULL};
    struct json_at format;
    size_t type;
    if (!json_get_object(in, "response_format", JSON_OPTIONAL, &format, st))
        return false;
    if (format.value == NULL)
        return true;
    if (!json_get_choice(&format, "type", JSON_REQUIRED, types, &type, st) ||
        !json_only(&format, type == FORM_SCHEMA ? full : plain, st))
        return false;
    *form = (enum form)type;
    return type != FORM_SCHEMA || read_schema(&format, schema, strict, st);
}

/* `schema` points at what is in `format`'s own root, so that both may go. */
static bool read_schema(const struct json_at *format, struct json_at *schema, bool *strict,
                        struct status *st)
{
    static const char *const known[] = {"name", "description", "schema", "strict", NULL};
    struct json_at outer, inner;
    struct text name, description;
    if (!json_get_object(format, "json_schema", JSON_REQUIRED, &outer, st) ||
        !json_only(&outer, known, st) ||
        !json_get_text(&outer, "name", JSON_REQUIRED, NAME_BYTES_MAX, &name, st) ||
        !json_get_text(&outer, "description", JSON_OPTIONAL, TEXT_BYTES_MAX, &description, st) ||
        !json_get_bool(&outer, "strict", JSON_OPTIONAL, strict, st) ||
        !json_get_object(&outer, "schema", JSON_OPTIONAL, &inner, st))
        return false;
    if (name.len == 0)
        return json_fail(&outer, "name", st, "must not be empty");
    schema->value = inner.value;
    return true;
}

/* What must be called, what the answer must be, or one of both. */
static bool make_grammar(const struct json_at *in, enum form form, const struct json_at *schema,
                         bool strict, struct arena *arena, struct infer_call *out,
                         struct status *st)
{
    static const char path[] = "response_format.json_schema.schema";
    bool calls = out->tools.choice != INFER_TOOLS_NONE;
    bool must_call = out->tools.choice == INFER_TOOLS_REQUIRED;
    struct text_buf made = text_buf_in(arena, MADE_BYTES_MAX);
    if (form == FORM_TEXT && !calls)
        return true;
    bool answers = form != FORM_TEXT && !must_call;
    text_buf_addf(&made, "root ::= %s%s%s\n", answers ? "answer" : "",
                  answers && calls ? " | " : "", calls ? "calls" : "");
    out->grammar_from = "response_format";
    if (answers && schema->value == NULL) {
        text_buf_add(&made, TEXT("answer ::= object\n"));
    } else if (answers) {
        /* With the way to it, for errors. */
        struct json_at format = {json_object_get(in->value, "response_format"), in,
                                 "response_format", 0};
        struct json_at outer = {json_object_get(format.value, "json_schema"), &format,
                                "json_schema", 0};
        struct json_at inner = {schema->value, &outer, "schema", 0};
        struct text_buf text = text_buf_in(arena, MADE_BYTES_MAX);
        out->grammar_from = path;
        if (!grammar_schema_add(&inner, strict, "answer", &made, st))
            return false;
        json_write(schema->value, &text);
        out->schema = arena_cstr(arena, text_buf_text(&text));
    }
    if (calls) {
        out->grammar_from = "tools";
        if (!infer_tools_add_grammar(&out->tools, &made, st))
            return false;
    }
    grammar_schema_add_basics(&made);
    if (made.cut)
        return json_fail(in, out->grammar_from, st, "is too large");
    out->grammar = text_buf_text(&made);
    out->grammar_lazy = calls && !answers && !must_call;
    return true;
}
