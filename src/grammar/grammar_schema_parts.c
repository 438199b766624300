/* What a schema says of objects, arrays, strings and numbers. */
#include "grammar_schema_internal.h"
#include <math.h>
#include <string.h>

enum { VALUE_BYTES_MAX = 1 << 16 };
static const double whole_max = 9007199254740992.0; /* 2^53: what JSON's numbers can all say */

static const struct {
    const char *name, *pattern;
} formats[] = {
    {"date", "^\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])$"},
    {"time", "^([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)$"},
    {"date-time",
     "^\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])T([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d"
     "(\\.\\d{1,6})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)$"},
    {"duration", "^P(\\d{1,4}W|(\\d{1,4}Y(\\d{1,4}M)?(\\d{1,4}D)?|\\d{1,4}M(\\d{1,4}D)?|\\d{1,4}D)"
                 "(T\\d{1,4}[HMS])?|T\\d{1,4}[HMS])$"},
    {"uuid", "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"},
    {"email", "^[A-Za-z0-9_+-]{1,32}(\\.[A-Za-z0-9_+-]{1,32}){0,3}"
              "@[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?(\\.[A-Za-z]{2,16}){1,3}$"},
    {"hostname", "^[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?"
                 "(\\.[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?){0,5}$"},
    {"ipv4",
     "^((25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)\\.){3}(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)$"},
    {"ipv6", "^([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}$"},
};

static bool members(struct grammar_schema_maker *m, const struct json_at *at,
                    const struct json_at *properties, const struct json_at *required,
                    uint32_t extra, struct text_buf *out);
static bool check_required(struct grammar_schema_maker *m, const struct json_at *at,
                           const struct json_at *properties, struct json_at *required);
static bool tuple(struct grammar_schema_maker *m, const struct json_at *at,
                  const struct json_at *items, struct text_buf *out);
static bool bounds(struct grammar_schema_maker *m, const struct json_at *at, const char *least,
                   const char *most, int64_t limit, int64_t *min, int64_t *max);

bool grammar_schema_object(struct grammar_schema_maker *m, const struct json_at *at,
                           struct text_buf *out)
{
    struct json_at properties, required, extra;
    uint32_t extra_rule = 0; /* 0: no others; UINT32_MAX: any; no schema's own rule is 0 here */
    bool any_extra = false;
    if (!json_get_object(at, "properties", JSON_OPTIONAL, &properties, m->st) ||
        !check_required(m, at, &properties, &required))
        return false;
    size_t count = properties.value == NULL ? 0 : json_object_size(properties.value);
    if (json_get_any(at, "additionalProperties", &extra)) {
        any_extra = json_is_true(extra.value);
        if (!json_is_boolean(extra.value) && !grammar_schema_node(m, &extra, &extra_rule))
            return false;
    } else {
        any_extra = properties.value == NULL;
    }
    if (count == 0 && any_extra) {
        text_buf_add(out, TEXT("object"));
        return true;
    }
    return members(m, at, &properties, &required, any_extra ? UINT32_MAX : extra_rule, out);
}

/* In their order. For each there are two rules: what follows when nothing was written before it,
 * and when something was, which then begins with a comma. */
static bool members(struct grammar_schema_maker *m, const struct json_at *at,
                    const struct json_at *properties, const struct json_at *required,
                    uint32_t extra, struct text_buf *out)
{
    size_t count = properties->value == NULL ? 0 : json_object_size(properties->value), i = 0;
    uint32_t first = m->next; /* first + 2i: nothing before; first + 2i + 1: something */
    const char *name;
    json_t *value;
    m->next += (uint32_t)(2 * count + 2);
    text_buf_add(out, TEXT("\"{\" "));
    grammar_schema_add_name(m, out, first);
    text_buf_add(out, TEXT(" \"}\""));
    if (m->nodes + count > GRAMMAR_SCHEMA_NODES_MAX)
        return json_fail(at, "properties", m->st, "has too many members");
    json_object_foreach(properties->value, name, value)
    {
        struct json_at property = {.value = value, .parent = properties, .key = name};
        struct text_buf key = text_buf_in(m->arena, VALUE_BYTES_MAX), pair = key;
        uint32_t rule;
        if (!grammar_schema_node(m, &property, &rule))
            return false;
        text_buf_add_json(&key, text_of(name));
        text_buf_add(&key, TEXT(": "));
        grammar_schema_add_literal(&pair, text_buf_text(&key));
        text_buf_add(&pair, TEXT(" "));
        grammar_schema_add_name(m, &pair, rule);
        if (key.cut || pair.cut)
            return json_fail(&property, "", m->st, "has a name that is too long");
        bool must = false;
        for (size_t k = 0; k < json_count(required) && !must; k++)
            must = strcmp(json_string_value(json_item(required, k).value), name) == 0;
        for (uint32_t after = 0; after < 2; after++) {
            uint32_t here = first + (uint32_t)(2 * i) + after;
            grammar_schema_add_name(m, m->out, here);
            text_buf_addf(m->out, " ::= %s", after ? "\", \" " : "");
            text_buf_add(m->out, text_buf_text(&pair));
            text_buf_add(m->out, TEXT(" "));
            grammar_schema_add_name(m, m->out, first + (uint32_t)(2 * i) + 3);
            if (!must) {
                text_buf_add(m->out, TEXT(" | "));
                grammar_schema_add_name(m, m->out, here + 2);
            }
            text_buf_add(m->out, TEXT("\n"));
        }
        i++;
    }
    for (uint32_t after = 0; after < 2; after++) {
        grammar_schema_add_name(m, m->out, first + (uint32_t)(2 * count) + after);
        text_buf_add(m->out, TEXT(" ::= "));
        if (extra == 0) {
            text_buf_add(m->out, TEXT("\"\"\n"));
            continue;
        }
        struct text_buf of = text_buf_in(m->arena, KIB);
        if (extra == UINT32_MAX)
            text_buf_add(&of, TEXT("value"));
        else
            grammar_schema_add_name(m, &of, extra);
        text_buf_addf(m->out,
                      after ? "(\", \" string \": \" %.*s)*\n"
                            : "(string \": \" %.*s (\", \" string \": \" %.*s)*)?\n",
                      TEXT_ARG(text_buf_text(&of)), TEXT_ARG(text_buf_text(&of)));
    }
    return true;
}

static bool check_required(struct grammar_schema_maker *m, const struct json_at *at,
                           const struct json_at *properties, struct json_at *required)
{
    if (!json_get_array(at, "required", JSON_OPTIONAL, GRAMMAR_SCHEMA_NODES_MAX, required, m->st))
        return false;
    for (size_t i = 0; i < json_count(required); i++) {
        struct text name;
        if (!json_item_text(required, i, VALUE_BYTES_MAX, &name, m->st))
            return false;
        struct json_at item = json_item(required, i);
        if (json_object_get(properties->value, json_string_value(item.value)) == NULL)
            return json_fail(&item, "", m->st, "names no member of properties");
    }
    return true;
}

bool grammar_schema_array(struct grammar_schema_maker *m, const struct json_at *at,
                          struct text_buf *out)
{
    struct json_at items;
    int64_t min = 0, max = INT64_MAX;
    uint32_t rule = 0;
    bool any = !json_get_any(at, "prefixItems", &items);
    if (!any)
        return tuple(m, at, &items, out);
    if (json_get_any(at, "items", &items)) {
        if (json_is_array(items.value))
            return tuple(m, at, &items, out);
        if (!grammar_schema_node(m, &items, &rule))
            return false;
        any = false;
    }
    if (!bounds(m, at, "minItems", "maxItems", GRAMMAR_SCHEMA_ITEMS_MAX, &min, &max))
        return false;
    struct text_buf item = text_buf_in(m->arena, KIB);
    if (any)
        text_buf_add(&item, TEXT("value"));
    else
        grammar_schema_add_name(m, &item, rule);
    struct text of = text_buf_text(&item);
    if (max == 0) {
        text_buf_add(out, TEXT("\"[]\""));
        return true;
    }
    text_buf_addf(out, "\"[\" (%.*s (\", \" %.*s){%lld,", TEXT_ARG(of), TEXT_ARG(of),
                  (long long)(min > 0 ? min - 1 : 0));
    if (max != INT64_MAX)
        text_buf_addf(out, "%lld", (long long)max - 1);
    text_buf_addf(out, "})%s \"]\"", min == 0 ? "?" : "");
    return true;
}

static bool tuple(struct grammar_schema_maker *m, const struct json_at *at,
                  const struct json_at *items, struct text_buf *out)
{
    struct json_at list;
    struct json_at more = {.value = json_object_get(at->value, "items")};
    if (!json_get_array(at, items->key, JSON_REQUIRED, GRAMMAR_SCHEMA_ITEMS_MAX, &list, m->st))
        return false;
    if (more.value != NULL && more.value != items->value && !json_is_false(more.value) && m->strict)
        return json_fail(at, "items", m->st, "is not supported beside prefixItems");
    text_buf_add(out, TEXT("\"[\""));
    for (size_t i = 0; i < json_count(&list); i++) {
        struct json_at item = json_item(&list, i);
        uint32_t rule;
        text_buf_add(out, i > 0 ? TEXT(" \", \" ") : TEXT(" "));
        if (!grammar_schema_node(m, &item, &rule))
            return false;
        grammar_schema_add_name(m, out, rule);
    }
    text_buf_add(out, TEXT(" \"]\""));
    return true;
}

bool grammar_schema_string(struct grammar_schema_maker *m, const struct json_at *at,
                           struct text_buf *out)
{
    struct text pattern = TEXT_NONE, format = TEXT_NONE;
    int64_t min = 0, max = INT64_MAX;
    const char *why = NULL;
    bool limited = grammar_schema_has(at, "minLength") || grammar_schema_has(at, "maxLength");
    if (!json_get_text(at, "pattern", JSON_OPTIONAL, VALUE_BYTES_MAX, &pattern, m->st) ||
        !json_get_text(at, "format", JSON_OPTIONAL, 64, &format, m->st) ||
        !bounds(m, at, "minLength", "maxLength", GRAMMAR_SCHEMA_LENGTH_MAX, &min, &max))
        return false;
    if (pattern.at != NULL) {
        size_t before = out->len;
        if (m->strict && (limited || format.at != NULL))
            return json_fail(at, "pattern", m->st, "is not supported beside %s",
                             limited ? "lengths" : "format");
        text_buf_add(out, TEXT("\"\\\"\" "));
        if (grammar_pattern_add(pattern, out, &why)) {
            text_buf_add(out, TEXT(" \"\\\"\""));
            return true;
        }
        if (m->strict)
            return json_fail(at, "pattern", m->st, "%s", why);
        out->len = before;
    }
    for (size_t i = 0; format.at != NULL && i < ARRAY_LEN(formats); i++) {
        if (!text_equal(format, text_of(formats[i].name)))
            continue;
        if (m->strict && limited)
            return json_fail(at, "format", m->st, "is not supported beside lengths");
        text_buf_add(out, TEXT("\"\\\"\" "));
        bool fits = grammar_pattern_add(text_of(formats[i].pattern), out, &why);
        WEIR_ASSERT(fits);
        text_buf_add(out, TEXT(" \"\\\"\""));
        return true;
    }
    if (format.at != NULL && m->strict)
        return json_fail(at, "format", m->st, "is not one that is supported by this server");
    if (!limited) {
        text_buf_add(out, TEXT("string"));
        return true;
    }
    text_buf_addf(out, "\"\\\"\" char{%lld,", (long long)min);
    if (max != INT64_MAX)
        text_buf_addf(out, "%lld", (long long)max);
    text_buf_add(out, TEXT("} \"\\\"\""));
    return true;
}

/* Of numbers with a fraction only "not negative" can be kept. */
bool grammar_schema_number(struct grammar_schema_maker *m, const struct json_at *at, bool whole,
                           struct text_buf *out)
{
    static const char *const names[] = {"minimum", "exclusiveMinimum", "maximum",
                                        "exclusiveMaximum"};
    int64_t min = INT64_MIN, max = INT64_MAX;
    bool positive = false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        double bound = 0;
        bool exclusive = i % 2 == 1;
        if (!grammar_schema_has(at, names[i]))
            continue;
        if (!json_get_number(at, names[i], JSON_REQUIRED, -whole_max, whole_max, &bound, m->st))
            return false;
        if (!whole) {
            positive |= i < 2 && bound >= 0;
            if (m->strict && (i > 1 || bound < 0 || bound > 0 || exclusive))
                return json_fail(at, names[i], m->st,
                                 "is supported for integers, and as a minimum of 0");
        } else if (i < 2) {
            int64_t low = (int64_t)ceil(bound);
            low += exclusive && (double)low <= bound ? 1 : 0;
            min = low > min ? low : min;
        } else {
            int64_t high = (int64_t)floor(bound);
            high -= exclusive && (double)high >= bound ? 1 : 0;
            max = high < max ? high : max;
        }
    }
    if (min > max)
        return json_fail(at, "", m->st, "allows no number");
    if (!whole)
        text_buf_add(out, positive ? TEXT("positive") : TEXT("number"));
    else if (min == INT64_MIN && max == INT64_MAX)
        text_buf_add(out, TEXT("integer"));
    else
        grammar_schema_add_integer(min, max, out);
    return true;
}

/* What is over the limit is refused, or is no limit at all where not strict. */
static bool bounds(struct grammar_schema_maker *m, const struct json_at *at, const char *least,
                   const char *most, int64_t limit, int64_t *min, int64_t *max)
{
    if (!json_get_int(at, least, JSON_OPTIONAL, 0, limit, min, m->st) ||
        !json_get_int(at, most, JSON_OPTIONAL, 0, m->strict ? limit : INT64_MAX, max, m->st))
        return false;
    if (*max != INT64_MAX && *max > limit)
        *max = INT64_MAX;
    return *min <= *max || json_fail(at, least, m->st, "is over %s", most);
}
