/* Schemas and patterns as grammars: texts that fit are followed to the end, others are not. */
#include "grammar_schema.h"
#include "check.h"
#include "clock.h"
#include "grammar_matcher.h"
#include <stdlib.h>
#include <string.h>

static struct grammar_pieces *bytes;
enum { END_TOKEN = 256 };

static size_t byte_of(void *arg, int32_t token, char *out)
{
    (void)arg;
    *out = (char)token;
    return token == END_TOKEN ? 0 : 1;
}

static int setup(void **state)
{
    (void)state;
    int32_t end = END_TOKEN;
    bytes = grammar_pieces_new(END_TOKEN + 1, byte_of, NULL, &end, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    grammar_pieces_free(bytes);
    return 0;
}

static bool make(struct arena *arena, const char *schema, bool strict, struct text *gbnf,
                 struct status *st)
{
    json_t *root;
    struct text_buf out = text_buf_in(arena, GRAMMAR_BYTES_MAX);
    if (!json_read_in(arena, text_of(schema), NULL, &root, st))
        fail_msg("%s", st->text);
    struct json_at top = json_at_root(root);
    struct json_at at = {.value = json_object_get(root, "s"), .parent = &top, .key = "s"};
    if (!grammar_schema_add(&at, strict, "root", &out, st))
        return false;
    grammar_schema_add_basics(&out);
    *gbnf = text_buf_text(&out);
    return true;
}

static struct grammar *compiled(struct arena *arena, const char *schema, bool strict)
{
    struct text gbnf;
    struct grammar *grammar;
    struct status st = {0};
    const char *whole = arena_cstr(arena, arena_format(arena, "{\"s\":%s}", schema));
    if (!make(arena, whole, strict, &gbnf, &st))
        fail_msg("%s", st.text);
    if (!grammar_compile(gbnf, &grammar, &st))
        fail_msg("%s\n%.*s", st.text, TEXT_ARG(gbnf));
    return grammar;
}

static bool follows(struct grammar *grammar, const char *text)
{
    AUTO(grammar_matcher) struct grammar_matcher *m = grammar_matcher_new(grammar, bytes, NULL);
    for (; *text != 0; text++) {
        if (!grammar_matcher_allows(m, (unsigned char)*text))
            return false;
        grammar_matcher_accept(m, (unsigned char)*text);
    }
    return grammar_matcher_allows(m, END_TOKEN);
}

static void fits(void **state)
{
    (void)state;
    static const struct {
        const char *schema, *yes[4], *no[5];
    } cases[] = {
        {"{\"type\":\"boolean\"}", {"true", "false"}, {"null", "\"true\"", " true"}},
        {"{\"type\":\"null\"}", {"null"}, {"0"}},
        {"{\"type\":\"string\"}",
         {"\"\"", "\"a\\n\\u00e9 \xe6\x97\xa5\"", "\"\\\"\""},
         {"\"a", "a", "\"\n\"", "\"\\q\""}},
        {"{\"type\":\"number\"}", {"0", "-1.5", "2e10", "0.25"}, {"01", ".5", "1.", "-", "NaN"}},
        {"{\"type\":\"integer\"}", {"0", "-12", "1234567"}, {"1.0", "00", "+1"}},
        {"{\"type\":\"integer\",\"minimum\":5,\"maximum\":123}",
         {"5", "99", "100", "123"},
         {"4", "124", "05", "-5", "1000"}},
        {"{\"type\":\"integer\",\"minimum\":-20,\"exclusiveMaximum\":7}",
         {"-20", "-1", "0", "6"},
         {"-21", "7", "-0", "10"}},
        {"{\"type\":\"integer\",\"exclusiveMinimum\":4095}",
         {"4096", "99999"},
         {"4095", "-1", "12"}},
        {"{\"type\":\"integer\",\"maximum\":-3}", {"-3", "-300"}, {"-2", "3", "0"}},
        {"{\"type\":\"integer\",\"minimum\":1.5,\"maximum\":3.5}", {"2", "3"}, {"1", "4"}},
        {"{\"type\":\"number\",\"minimum\":0}", {"0", "1.5"}, {"-1"}},
        {"{\"enum\":[\"a\",1,null,{\"b\":[2]},\"\\\"\\\\\\n\"]}",
         {"\"a\"", "null", "{\"b\":[2]}", "\"\\\"\\\\\\n\""},
         {"a", "2", "\"b\""}},
        {"{\"const\":\"x\"}", {"\"x\""}, {"\"y\""}},
        {"{\"const\":null}", {"null"}, {"0"}},
        {"{\"type\":[\"string\",\"null\"]}", {"\"a\"", "null"}, {"1"}},
        {"{\"type\":\"integer\",\"nullable\":true}", {"7", "null"}, {"\"\""}},
        {"{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"boolean\"}]}", {"1", "true"}, {"\"\""}},
        {"{\"allOf\":[{\"type\":\"integer\"}]}", {"1"}, {"true"}},
        {"{}", {"1", "[1, {\"a\": null}]", "\"x\""}, {"x", "[1,2]"}},
        {"{\"type\":\"array\"}", {"[]", "[1, \"a\"]"}, {"[", "{}"}},
        {"{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":2,\"maxItems\":3}",
         {"[1, 2]", "[1, 2, 3]"},
         {"[1]", "[1, 2, 3, 4]", "[]", "[\"a\", 1]"}},
        {"{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"maxItems\":1}",
         {"[]", "[1]"},
         {"[1, 2]"}},
        {"{\"type\":\"array\",\"maxItems\":0}", {"[]"}, {"[1]"}},
        {"{\"type\":\"array\",\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"string\"}],"
         "\"items\":false}",
         {"[1, \"a\"]"},
         {"[1]", "[\"a\", 1]"}},
        {"{\"type\":\"object\"}", {"{}", "{\"a\": 1, \"b\": {\"c\": []}}"}, {"{\"a\"}", "[]"}},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":"
         "\"string\"}},\"required\":[\"a\",\"b\"],\"additionalProperties\":false}",
         {"{\"a\": 1, \"b\": \"x\"}"},
         {"{}", "{\"a\": 1}", "{\"b\": \"x\", \"a\": 1}", "{\"a\": 1, \"b\": \"x\", \"c\": 1}"}},
        {"{\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{\"type\":\"integer\"},\"c\":{"
         "\"type\":"
         "\"integer\"}},\"required\":[\"b\"]}",
         {"{\"b\": 1}", "{\"a\": [], \"b\": 1}", "{\"b\": 1, \"c\": 2}",
          "{\"a\": 1, \"b\": 2, \"c\": 3}"},
         {"{}", "{\"a\": 1}", "{\"c\": 1}", "{\"b\": 1, }", "{, \"b\": 1}"}},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}}}",
         {"{}", "{\"a\": 1}"},
         {"{\"b\": 1}"}},
        {"{\"type\":\"object\",\"properties\":{}}", {"{}"}, {"{\"a\": 1}"}},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}},\"required\":[\"a\"],"
         "\"additionalProperties\":{\"type\":\"boolean\"}}",
         {"{\"a\": 1}", "{\"a\": 1, \"b\": true, \"c\": false}"},
         {"{\"b\": true}", "{\"a\": 1, \"b\": 1}"}},
        {"{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}}",
         {"{}", "{\"x\": 1, \"y\": 2}"},
         {"{\"x\": true}"}},
        {"{\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"integer\"},"
         "\"next\":"
         "{\"anyOf\":[{\"$ref\":\"#/$defs/"
         "n\"},{\"type\":\"null\"}]}},\"required\":[\"v\",\"next\"]}},"
         "\"$ref\":\"#/$defs/n\"}",
         {"{\"v\": 1, \"next\": null}", "{\"v\": 1, \"next\": {\"v\": 2, \"next\": null}}"},
         {"{\"v\": 1}", "null"}},
        {"{\"type\":\"object\",\"properties\":{\"c\":{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}"
         "}},"
         "\"required\":[\"c\"]}",
         {"{\"c\": []}", "{\"c\": [{\"c\": []}]}"},
         {"{\"c\": [1]}"}},
        {"{\"type\":\"string\",\"minLength\":1,\"maxLength\":3}",
         {"\"a\"", "\"\xe6\x97\xa5\\n\xc3\xa9\""},
         {"\"\"", "\"abcd\""}},
        {"{\"type\":\"string\",\"format\":\"date\"}",
         {"\"2026-11-25\""},
         {"\"2026-13-01\"", "\"x\""}},
        {"{\"type\":\"string\",\"format\":\"date-time\"}",
         {"\"2026-11-25T10:00:00Z\"", "\"2026-11-25T23:59:59.5+01:00\""},
         {"\"2026-11-25\"", "\"2026-11-25T25:00:00Z\""}},
        {"{\"type\":\"string\",\"format\":\"ipv4\"}", {"\"192.168.0.1\""}, {"\"256.1.1.1\""}},
        {"{\"type\":\"string\",\"format\":\"email\"}",
         {"\"a.b+c@d-e.org\""},
         {"\"a@b\"", "\"@b.c\""}},
        {"{\"type\":\"string\",\"format\":\"uuid\"}",
         {"\"01234567-89ab-cdef-0123-456789abcdef\""},
         {"\"0123\""}},
        {"{\"type\":\"string\",\"pattern\":\"^[a-z]{2,3}-\\\\d+$\"}",
         {"\"ab-1\"", "\"abc-123\""},
         {"\"a-1\"", "\"ab-\"", "\"ab-1x\"", "\"AB-1\""}},
        {"{\"type\":\"string\",\"pattern\":\"b|c\"}", {"\"abc\"", "\"b\""}, {"\"a\"", "\"b"}},
        /* what would end or break the string comes escaped or not at all */
        {"{\"type\":\"string\",\"pattern\":\"^.*$\"}",
         {"\"\"", "\"say \\\"hi\\\"\"", "\"\xe6\x97\xa5\\\\\""},
         {"\"a\"b\"", "\"\\\"", "\"\n\""}},
        {"{\"type\":\"string\",\"pattern\":\"^(\\\\w|[^a-f\\\\s])+?(?:x{2}|)$\"}",
         {"\"gxx\"", "\"_9Z\""},
         {"\"\"", "\"g h\""}},
        {"{\"type\":\"string\",\"pattern\":\"^\\\\$\\\\u00e9[\\\\]\\\\-\\\\\\\\]$\"}",
         {"\"$\xc3\xa9]\"", "\"$\xc3\xa9-\"", "\"$\xc3\xa9\\\\\""},
         {"\"$e]\""}},
        {"{\"title\":\"T\",\"type\":\"object\",\"properties\":{\"\xe6\x97\xa5 \\\"\":{\"type\":"
         "\"integer\",\"description\":\"d\",\"default\":3}}}",
         {"{\"\xe6\x97\xa5 \\\"\": 5}"},
         {"{\"x\": 5}"}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) struct arena *arena = arena_open(64 * MIB);
        check_case(cases[i].schema);
        AUTO(grammar) struct grammar *g = compiled(arena, cases[i].schema, true);
        for (size_t k = 0; k < ARRAY_LEN(cases[i].yes) && cases[i].yes[k] != NULL; k++)
            if (!follows(g, cases[i].yes[k]))
                fail_msg("should fit: %s", cases[i].yes[k]);
        for (size_t k = 0; k < ARRAY_LEN(cases[i].no) && cases[i].no[k] != NULL; k++)
            if (follows(g, cases[i].no[k]))
                fail_msg("should not fit: %s", cases[i].no[k]);
    }
}

static const struct {
    const char *schema, *field;
    bool always; /* also when not strict */
} refusals[] = {
    {"{\"type\":\"text\"}", "s.type", true},
    {"{\"type\":1}", "s.type", true},
    {"{\"type\":[]}", "s.type", true},
    {"{\"type\":[\"object\",\"object\"]}", "s.type", true},
    {"[1]", "s", true},
    {"{\"properties\":{\"a\":1}}", "s.properties.a", true},
    {"{\"properties\":[]}", "s.properties", true},
    {"{\"type\":\"object\",\"required\":[\"a\"]}", "s.required[0]", true},
    {"{\"type\":\"object\",\"required\":\"a\"}", "s.required", true},
    {"{\"type\":\"array\",\"items\":{\"not\":{}}}", "s.items.not", true},
    {"{\"if\":{}}", "s.if", true},
    {"{\"type\":\"object\",\"patternProperties\":{}}", "s.patternProperties", true},
    {"{\"allOf\":[{},{}]}", "s.allOf", true},
    {"{\"anyOf\":[]}", "s.anyOf", true},
    {"{\"anyOf\":[{}],\"properties\":{}}", "s.properties", true},
    {"{\"enum\":[]}", "s.enum", true},
    {"{\"$ref\":\"http://x/y\"}", "s.$ref", true},
    {"{\"$ref\":\"#/$defs/none\",\"$defs\":{}}", "s.$ref", true},
    {"{\"$ref\":5}", "s.$ref", true},
    {"{\"type\":\"array\",\"minItems\":-1}", "s.minItems", true},
    {"{\"type\":\"array\",\"minItems\":2,\"maxItems\":1}", "s.minItems", true},
    {"{\"type\":\"array\",\"minItems\":1000000000}", "s.minItems", true},
    {"{\"type\":\"string\",\"minLength\":1.5}", "s.minLength", true},
    {"{\"type\":\"integer\",\"minimum\":1e300}", "s.minimum", true},
    {"{\"type\":\"integer\",\"minimum\":\"1\"}", "s.minimum", true},
    {"{\"type\":\"integer\",\"minimum\":3,\"maximum\":2}", "s", true},
    {"{\"type\":\"array\",\"maxItems\":1000000000}", "s.maxItems", false},
    {"{\"type\":\"string\",\"maxLength\":1000000000}", "s.maxLength", false},
    {"{\"type\":\"string\",\"format\":\"iri\"}", "s.format", false},
    {"{\"type\":\"string\",\"pattern\":\"^(?=a)$\"}", "s.pattern", false},
    {"{\"type\":\"string\",\"pattern\":\"^a^$\"}", "s.pattern", false},
    {"{\"type\":\"string\",\"pattern\":\"(\"}", "s.pattern", false},
    {"{\"type\":\"string\",\"pattern\":\"a)\"}", "s.pattern", false},
    {"{\"type\":\"string\",\"pattern\":\"[a\"}", "s.pattern", false},
    {"{\"type\":\"string\",\"pattern\":\"*\"}", "s.pattern", false},
    {"{\"type\":\"string\",\"pattern\":\"a{999999}\"}", "s.pattern", false},
    {"{\"type\":\"string\",\"pattern\":\"\\\\1\"}", "s.pattern", false},
    {"{\"type\":\"string\",\"pattern\":\"\\\\\"}", "s.pattern", false},
    {"{\"type\":\"string\",\"pattern\":\"\\\\b\"}", "s.pattern", false},
    {"{\"type\":\"number\",\"multipleOf\":2}", "s.multipleOf", false},
    {"{\"type\":\"number\",\"maximum\":2}", "s.maximum", false},
    {"{\"uniqueItems\":true}", "s.uniqueItems", false},
    {"{\"nonsense\":true}", "s.nonsense", false},
};

static void refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        AUTO(arena) struct arena *arena = arena_open(64 * MIB);
        struct text gbnf;
        struct status st = {0};
        check_case(refusals[i].schema);
        const char *whole =
            arena_cstr(arena, arena_format(arena, "{\"s\":%s}", refusals[i].schema));
        assert_false(make(arena, whole, true, &gbnf, &st));
        assert_int_equal(st.code, STATUS_INVALID);
        assert_string_equal(st.field, refusals[i].field);
        status_clear(&st);
        assert_int_equal(make(arena, whole, false, &gbnf, &st), !refusals[i].always);
    }
}

/* Depth, alternatives, cycles, sizes: an answer in bounded time. */
static void hostile(void **state)
{
    (void)state;
    enum { CASES = 7 };
    for (int i = 0; i < CASES; i++) {
        AUTO(arena) struct arena *arena = arena_open(512 * MIB);
        struct text_buf text = text_buf_in(arena, 32 * MIB);
        struct text gbnf;
        struct status st = {0};
        int64_t began = clock_mono_us();
        text_buf_add(&text, TEXT("{\"s\":"));
        switch (i) {
        case 0: /* as deep as a body may be */
            for (int k = 0; k < 29; k++)
                text_buf_add(&text, TEXT("{\"type\":[\"array\",\"object\"],\"items\":"));
            text_buf_add(&text, TEXT("{}"));
            for (int k = 0; k < 29; k++)
                text_buf_add(&text, TEXT("}"));
            break;
        case 1:
            text_buf_add(&text, TEXT("{\"enum\":[0"));
            for (int k = 1; k < 9000; k++)
                text_buf_addf(&text, ",%d", k);
            text_buf_add(&text, TEXT("]}"));
            break;
        case 2: /* each refers to the next twice */
            text_buf_add(&text, TEXT("{\"$ref\":\"#/$defs/d0\",\"$defs\":{"));
            for (int k = 0; k < 500; k++)
                text_buf_addf(&text,
                              "\"d%d\":{\"anyOf\":[{\"$ref\":\"#/$defs/d%d\"},{\"$ref\":\"#/$defs/"
                              "d%d\"}]},",
                              k, k + 1, k + 1);
            text_buf_add(&text, TEXT("\"d500\":{\"type\":\"null\"}}}"));
            break;
        case 3:
            text_buf_add(&text, TEXT("{\"type\":\"object\",\"properties\":{\"p\":{}"));
            for (int k = 0; k < 2900; k++)
                text_buf_addf(&text, ",\"p%d\":{\"type\":\"string\",\"maxLength\":10000}", k);
            text_buf_add(&text, TEXT("}}"));
            break;
        case 4:
            text_buf_add(&text,
                         TEXT("{\"type\":\"array\",\"minItems\":1000,\"items\":{\"type\":\"array\","
                              "\"minItems\":1000,\"items\":{\"type\":\"array\",\"maxItems\":1000,"
                              "\"items\":{\"type\":\"string\",\"minLength\":9999}}}}"));
            break;
        case 5:
            text_buf_add(&text,
                         TEXT("{\"type\":\"string\",\"pattern\":\"^((((a*)*)*)*b)*((a|a)*)*c$\"}"));
            break;
        default:
            text_buf_add(&text, TEXT("{\"type\":\"string\",\"pattern\":\""));
            for (int k = 0; k < 1999; k++)
                text_buf_add(&text, TEXT("("));
            text_buf_add(&text, TEXT("\"}"));
        }
        text_buf_add(&text, TEXT("}"));
        const char *whole = arena_cstr(arena, text_buf_text(&text));
        bool ok = make(arena, whole, true, &gbnf, &st);
        AUTO(grammar) struct grammar *grammar = NULL;
        if (ok && grammar_compile(gbnf, &grammar, &st)) {
            AUTO(grammar_matcher)
            struct grammar_matcher *m = grammar_matcher_new(grammar, bytes, NULL);
            const char *tries = "{\"[aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
            for (; *tries != 0 && !grammar_matcher_stuck(m); tries++)
                if (grammar_matcher_allows(m, *tries))
                    grammar_matcher_accept(m, *tries);
        } else {
            assert_true(st.code == STATUS_INVALID || st.code == STATUS_TOO_LARGE);
        }
        print_message("hostile %d: %lld ms %s\n", i, (long long)(clock_mono_us() - began) / 1000,
                      st.text);
        assert_true(clock_mono_us() - began < 5000000);
    }
}

/* Every range of small numbers, number by number. */
static void integers(void **state)
{
    (void)state;
    static const int64_t marks[] = {-1200, -999, -101, -100, -99, -10, -9,  -1,  0,    1,   7,
                                    9,     10,   11,   99,   100, 101, 205, 999, 1000, 1201};
    const char *whole = getenv("WEIR_TEST_LONG");
    size_t step = whole != NULL && strcmp(whole, "1") == 0 ? 1 : 10, pair = 0;
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        for (size_t k = i; k < ARRAY_LEN(marks); k++) {
            if (pair++ % step != 0) /* a tenth of the pairs, each mark among them */
                continue;
            AUTO(arena) struct arena *arena = arena_open(MIB);
            struct text_buf out = text_buf_in(arena, 64 * KIB);
            struct grammar *made = NULL;
            struct status st = {0};
            text_buf_add(&out, TEXT("root ::= "));
            grammar_schema_add_integer(marks[i], marks[k], &out);
            assert_true(grammar_compile(text_buf_text(&out), &made, &st));
            AUTO(grammar) struct grammar *grammar = made;
            for (int64_t n = -1250; n <= 1250; n += n > -15 && n < 15 ? 1 : 7) {
                const char *text = arena_cstr(arena, arena_format(arena, "%lld", (long long)n));
                if (follows(grammar, text) != (n >= marks[i] && n <= marks[k]))
                    fail_msg("%s in %lld to %lld: %.*s", text, (long long)marks[i],
                             (long long)marks[k], TEXT_ARG(text_buf_text(&out)));
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fits), cmocka_unit_test(refused),
                                       cmocka_unit_test(hostile), cmocka_unit_test(integers)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
