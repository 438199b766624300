#include "grammar_schema.h"
#include "grammar_schema_internal.h"
#include <string.h>

enum { DEFS_MAX = 512, VALUE_BYTES_MAX = 1 << 16 };

/* What becomes of a keyword. NARROWS: left out unless strict. SHAPES: always refused. */
enum fate { KEPT, SAYS_NOTHING, NARROWS, SHAPES };
static const struct {
    const char *name;
    enum fate fate;
} keywords[] = {
    {"type", KEPT},
    {"properties", KEPT},
    {"required", KEPT},
    {"additionalProperties", KEPT},
    {"items", KEPT},
    {"prefixItems", KEPT},
    {"minItems", KEPT},
    {"maxItems", KEPT},
    {"enum", KEPT},
    {"const", KEPT},
    {"anyOf", KEPT},
    {"oneOf", KEPT},
    {"allOf", KEPT},
    {"$ref", KEPT},
    {"$defs", KEPT},
    {"definitions", KEPT},
    {"pattern", KEPT},
    {"format", KEPT},
    {"minLength", KEPT},
    {"maxLength", KEPT},
    {"minimum", KEPT},
    {"maximum", KEPT},
    {"exclusiveMinimum", KEPT},
    {"exclusiveMaximum", KEPT},
    {"nullable", KEPT},
    {"title", SAYS_NOTHING},
    {"description", SAYS_NOTHING},
    {"default", SAYS_NOTHING},
    {"example", SAYS_NOTHING},
    {"examples", SAYS_NOTHING},
    {"$schema", SAYS_NOTHING},
    {"$id", SAYS_NOTHING},
    {"id", SAYS_NOTHING},
    {"$comment", SAYS_NOTHING},
    {"deprecated", SAYS_NOTHING},
    {"readOnly", SAYS_NOTHING},
    {"writeOnly", SAYS_NOTHING},
    {"discriminator", SAYS_NOTHING},
    {"contentMediaType", SAYS_NOTHING},
    {"contentEncoding", SAYS_NOTHING},
    {"multipleOf", NARROWS},
    {"uniqueItems", NARROWS},
    {"minProperties", NARROWS},
    {"maxProperties", NARROWS},
    {"minContains", NARROWS},
    {"maxContains", NARROWS},
    {"contains", SHAPES},
    {"not", SHAPES},
    {"if", SHAPES},
    {"then", SHAPES},
    {"else", SHAPES},
    {"patternProperties", SHAPES},
    {"propertyNames", SHAPES},
    {"dependentRequired", SHAPES},
    {"dependentSchemas", SHAPES},
    {"dependencies", SHAPES},
    {"unevaluatedProperties", SHAPES},
    {"unevaluatedItems", SHAPES},
    {"additionalItems", SHAPES},
    {"$dynamicRef", SHAPES},
    {"$recursiveRef", SHAPES},
};

static bool check_keywords(struct grammar_schema_maker *m, const struct json_at *at);
static bool body(struct grammar_schema_maker *m, const struct json_at *at, struct text_buf *out);
static bool by_type(struct grammar_schema_maker *m, const struct json_at *at, const char *type,
                    struct text_buf *out);
static const char *guess_type(const struct json_at *at);
static bool reference(struct grammar_schema_maker *m, const struct json_at *at,
                      struct text_buf *out);
static bool alternatives(struct grammar_schema_maker *m, const struct json_at *at, const char *key,
                         struct text_buf *out);
static bool constants(struct grammar_schema_maker *m, const struct json_at *at,
                      const struct json_at *list, struct text_buf *out);

bool grammar_schema_add(const struct json_at *schema, bool strict, const char *name,
                        struct text_buf *out, struct status *st)
{
    struct grammar_schema_maker m = {
        .out = out, .arena = out->arena, .name = name, .strict = strict, .st = st};
    uint32_t rule;
    m.root = *schema;
    m.definitions = ARENA_ARRAY(m.arena, DEFS_MAX, struct grammar_schema_definition);
    if (json_is_object(schema->value) &&
        (!json_get_object(&m.root, "$defs", JSON_OPTIONAL, &m.homes[0], st) ||
         !json_get_object(&m.root, "definitions", JSON_OPTIONAL, &m.homes[1], st)))
        return false;
    if (!grammar_schema_node(&m, &m.root, &rule))
        return false;
    for (size_t i = 0; i < m.definitions_count; i++) { /* grows meanwhile */
        struct text_buf text = text_buf_in(m.arena, out->bytes_max);
        struct grammar_schema_definition *d = &m.definitions[i];
        if (!check_keywords(&m, &d->at) || !body(&m, &d->at, &text))
            return false;
        grammar_schema_add_name(&m, out, d->rule);
        text_buf_add(out, TEXT(" ::= "));
        text_buf_add(out, text_buf_text(&text));
        text_buf_add(out, TEXT("\n"));
    }
    if (out->cut)
        return json_fail(schema, "", st, "is too large");
    return true;
}

/* A schema becomes a rule of its own. */
bool grammar_schema_node(struct grammar_schema_maker *m, const struct json_at *at, uint32_t *rule)
{
    struct text_buf text = text_buf_in(m->arena, m->out->bytes_max);
    *rule = m->next++;
    if (json_is_true(at->value)) {
        text_buf_add(&text, TEXT("value"));
    } else {
        if (m->depth >= GRAMMAR_SCHEMA_DEPTH_MAX)
            return json_fail(at, "", m->st, "nests too deeply; at most %d levels are allowed",
                             GRAMMAR_SCHEMA_DEPTH_MAX);
        m->depth++;
        if (!check_keywords(m, at) || !body(m, at, &text))
            return false;
        m->depth--;
    }
    grammar_schema_add_name(m, m->out, *rule);
    text_buf_add(m->out, TEXT(" ::= "));
    text_buf_add(m->out, text_buf_text(&text));
    text_buf_add(m->out, TEXT("\n"));
    m->out->cut |= text.cut;
    return true;
}

static bool check_keywords(struct grammar_schema_maker *m, const struct json_at *at)
{
    const char *name;
    json_t *value;
    if (!json_is_object(at->value))
        return json_fail(at, "", m->st, "must be an object that is a schema");
    if (++m->nodes > GRAMMAR_SCHEMA_NODES_MAX)
        return json_fail(at, "", m->st, "is one schema too many; at most %d are allowed",
                         GRAMMAR_SCHEMA_NODES_MAX);
    json_object_foreach(at->value, name, value)
    {
        size_t i = 0;
        while (i < ARRAY_LEN(keywords) && strcmp(keywords[i].name, name) != 0)
            i++;
        bool known = i < ARRAY_LEN(keywords);
        if (known ? keywords[i].fate == SHAPES || (keywords[i].fate == NARROWS && m->strict)
                  : m->strict)
            return json_fail(at, name, m->st, "is not supported by this server");
    }
    return true;
}

static bool body(struct grammar_schema_maker *m, const struct json_at *at, struct text_buf *out)
{
    struct json_at list, any, type;
    bool nullable = false;
    if (!json_get_bool(at, "nullable", JSON_OPTIONAL, &nullable, m->st))
        return false;
    if (nullable)
        text_buf_add(out, TEXT("\"null\" | "));
    if (grammar_schema_has(at, "$ref"))
        return reference(m, at, out);
    if (grammar_schema_has(at, "anyOf") || grammar_schema_has(at, "oneOf"))
        return alternatives(m, at, grammar_schema_has(at, "anyOf") ? "anyOf" : "oneOf", out);
    if (grammar_schema_has(at, "allOf"))
        return alternatives(m, at, "allOf", out);
    if ((any = (struct json_at){.value = json_object_get(at->value, "const"),
                                .parent = at,
                                .key = "const"})
            .value != NULL)
        return constants(m, &any, NULL, out);
    if (grammar_schema_has(at, "enum"))
        return json_get_array(at, "enum", JSON_REQUIRED, GRAMMAR_SCHEMA_ENUM_MAX, &list, m->st) &&
               constants(m, at, &list, out);
    if (!json_get_any(at, "type", &type))
        return by_type(m, at, guess_type(at), out);
    if (json_is_string(type.value))
        return by_type(m, at, json_string_value(type.value), out);
    if (!json_get_array(at, "type", JSON_REQUIRED, 7, &list, m->st))
        return false;
    if (json_count(&list) == 0)
        return json_fail(at, "type", m->st, "must not be empty");
    for (size_t i = 0; i < json_count(&list); i++) {
        struct text name;
        for (size_t k = 0; k < i; k++)
            if (json_equal(json_item(&list, i).value, json_item(&list, k).value))
                return json_fail(at, "type", m->st, "has a type twice");
        if (!json_item_text(&list, i, 32, &name, m->st))
            return false;
        text_buf_add(out, i > 0 ? TEXT(" | ") : TEXT(""));
        if (!by_type(m, at, arena_cstr(m->arena, name), out))
            return false;
    }
    return true;
}

static bool by_type(struct grammar_schema_maker *m, const struct json_at *at, const char *type,
                    struct text_buf *out)
{
    if (strcmp(type, "object") == 0)
        return grammar_schema_object(m, at, out);
    if (strcmp(type, "array") == 0)
        return grammar_schema_array(m, at, out);
    if (strcmp(type, "string") == 0)
        return grammar_schema_string(m, at, out);
    if (strcmp(type, "integer") == 0 || strcmp(type, "number") == 0)
        return grammar_schema_number(m, at, type[0] == 'i', out);
    if (strcmp(type, "boolean") == 0)
        text_buf_add(out, TEXT("\"true\" | \"false\""));
    else if (strcmp(type, "null") == 0)
        text_buf_add(out, TEXT("\"null\""));
    else if (type[0] == 0)
        text_buf_add(out, TEXT("value"));
    else
        return json_fail(at, "type", m->st,
                         "is none of object, array, string, number, integer, "
                         "boolean and null");
    return true;
}

/* "" for anything. */
static const char *guess_type(const struct json_at *at)
{
    if (grammar_schema_has(at, "properties") || grammar_schema_has(at, "additionalProperties") ||
        grammar_schema_has(at, "required"))
        return "object";
    if (grammar_schema_has(at, "items") || grammar_schema_has(at, "prefixItems"))
        return "array";
    if (grammar_schema_has(at, "pattern") || grammar_schema_has(at, "format") ||
        grammar_schema_has(at, "minLength") || grammar_schema_has(at, "maxLength"))
        return "string";
    if (grammar_schema_has(at, "minimum") || grammar_schema_has(at, "maximum") ||
        grammar_schema_has(at, "exclusiveMinimum") || grammar_schema_has(at, "exclusiveMaximum"))
        return "number";
    return "";
}

static bool reference(struct grammar_schema_maker *m, const struct json_at *at,
                      struct text_buf *out)
{
    static const struct text homes[] = {{"#/$defs/", 8}, {"#/definitions/", 14}};
    struct text ref;
    if (!json_get_text(at, "$ref", JSON_REQUIRED, 256, &ref, m->st))
        return false;
    if (text_equal(ref, TEXT("#"))) {
        grammar_schema_add_name(m, out, 0);
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(homes); i++) {
        if (!text_starts(ref, homes[i]) || m->homes[i].value == NULL)
            continue;
        const char *key = arena_cstr(m->arena, text_skip(ref, homes[i].len));
        struct json_at target = {
            .value = json_object_get(m->homes[i].value, key), .parent = &m->homes[i], .key = key};
        if (target.value == NULL)
            break;
        size_t d = 0;
        while (d < m->definitions_count && m->definitions[d].at.value != target.value)
            d++;
        if (d == DEFS_MAX)
            return json_fail(at, "$ref", m->st, "is one definition too many");
        if (d == m->definitions_count)
            m->definitions[m->definitions_count++] =
                (struct grammar_schema_definition){target, m->next++};
        grammar_schema_add_name(m, out, m->definitions[d].rule);
        return true;
    }
    return json_fail(at, "$ref", m->st,
                     "must be #, or name a member of the schema's own $defs or definitions");
}

/* What stands beside them says nothing more, or is refused. */
static bool alternatives(struct grammar_schema_maker *m, const struct json_at *at, const char *key,
                         struct text_buf *out)
{
    static const char *const siblings[] = {"properties", "items", "enum",  "const",
                                           "pattern",    "anyOf", "oneOf", "allOf"};
    struct json_at list;
    for (size_t i = 0; i < ARRAY_LEN(siblings); i++)
        if (strcmp(siblings[i], key) != 0 && grammar_schema_has(at, siblings[i]))
            return json_fail(at, siblings[i], m->st, "is not supported beside %s", key);
    if (!json_get_array(at, key, JSON_REQUIRED, GRAMMAR_SCHEMA_ENUM_MAX, &list, m->st))
        return false;
    if (json_count(&list) == 0)
        return json_fail(at, key, m->st, "must not be empty");
    if (strcmp(key, "allOf") == 0 && json_count(&list) > 1)
        return json_fail(at, key, m->st, "is supported with one schema only");
    for (size_t i = 0; i < json_count(&list); i++) {
        struct json_at item = json_item(&list, i);
        uint32_t rule;
        text_buf_add(out, i > 0 ? TEXT(" | ") : TEXT(""));
        if (!grammar_schema_node(m, &item, &rule))
            return false;
        grammar_schema_add_name(m, out, rule);
    }
    return true;
}

/* One value, `at`, or those of `list`. */
static bool constants(struct grammar_schema_maker *m, const struct json_at *at,
                      const struct json_at *list, struct text_buf *out)
{
    size_t count = list == NULL ? 1 : json_count(list);
    if (count == 0)
        return json_fail(list, "", m->st, "must not be empty");
    m->values += count;
    if (m->values > GRAMMAR_SCHEMA_ENUM_MAX)
        return json_fail(list == NULL ? at : list, "", m->st,
                         "has too many values; at most %d are allowed in all",
                         GRAMMAR_SCHEMA_ENUM_MAX);
    for (size_t i = 0; i < count; i++) {
        struct json_at value = list == NULL ? *at : json_item(list, i);
        struct text_buf text = text_buf_in(m->arena, VALUE_BYTES_MAX);
        json_write(value.value, &text);
        if (text.cut)
            return json_fail(&value, "", m->st, "is too long");
        text_buf_add(out, i > 0 ? TEXT(" | ") : TEXT(""));
        grammar_schema_add_literal(out, text_buf_text(&text));
    }
    return true;
}

bool grammar_schema_has(const struct json_at *at, const char *key)
{
    struct json_at any;
    return json_get_any(at, key, &any);
}

void grammar_schema_add_name(struct grammar_schema_maker *m, struct text_buf *out, uint32_t rule)
{
    text_buf_add(out, text_of(m->name));
    if (rule > 0)
        text_buf_addf(out, "-%u", rule);
}
