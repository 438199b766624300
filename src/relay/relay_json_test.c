#include "relay_json.h"
#include "check.h"
#include <stdlib.h>

static const struct {
    const char *name, *input;
    enum relay_json_kind kind;
} good[] = {
    {"an object", "{\"a\":1}", RELAY_JSON_OBJECT},
    {"space everywhere", " \n{ \"a\" : [ 1 , 2 ] , \"b\":{ } }\t", RELAY_JSON_OBJECT},
    {"an empty array", "[]", RELAY_JSON_ARRAY},
    {"nested empties", "[[],{},[[]]]", RELAY_JSON_ARRAY},
    {"a string", "\"x\"", RELAY_JSON_STRING},
    {"escapes", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", RELAY_JSON_STRING},
    {"a pair of surrogates", "\"\\ud83d\\ude00\"", RELAY_JSON_STRING},
    {"characters of 2, 3 and 4 bytes", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
     RELAY_JSON_STRING},
    {"numbers", "[0,-0,1.5,-2e10,3E-2,10]", RELAY_JSON_ARRAY},
    {"words", "[true,false,null]", RELAY_JSON_ARRAY},
    {"a bare number", "7", RELAY_JSON_NUMBER},
    {"a bare null", "null", RELAY_JSON_NULL},
};

static const struct {
    const char *name, *input, *text;
} bad[] = {
    {"nothing", "", "the text is empty"},
    {"only space", "  ", "the text is empty"},
    {"cut object", "{\"a\":", "column 6: the text ends too early: expected a value"},
    {"cut string", "\"abc", "the string has no end"},
    {"cut word", "tru", "an unknown word"},
    {"a comma too many", "[1,]", "line 1, column 4: expected a value"},
    {"a comma too many in an object", "{\"a\":1,}", "a name in double quotes"},
    {"no comma", "[1 2]", "expected ',' or the end"},
    {"no colon", "{\"a\" 1}", "':'"},
    {"a name without quotes", "{a:1}", "a name in double quotes"},
    {"single quotes", "['a']", "a value"},
    {"the wrong bracket", "[1}", "expected ',' or the end"},
    {"more behind it", "{} {}", "nothing more behind the value"},
    {"a second line", "{\n \"a\": x}", "line 2, column 7"},
    {"a leading zero", "01", "a number is not written well"},
    {"a plus", "+1", "a value"},
    {"a dot without digits", "1.", "a number is not written well"},
    {"an exponent without digits", "1e+", "a number is not written well"},
    {"a minus alone", "-", "a number is not written well"},
    {"NaN", "NaN", "a value"},
    {"a raw tab in a string", "\"a\tb\"", "a control character must be escaped"},
    {"an unknown escape", "\"\\x\"", "unknown escape"},
    {"a short \\u", "\"\\u12\"", "four hexadecimal digits"},
    {"a zero character", "\"\\u0000\"", "(\\u0000) is not allowed"},
    {"half a pair", "\"\\ud83d\"", "half of a surrogate pair"},
    {"the other half", "\"\\ude00\"", "half of a surrogate pair"},
    {"a pair of two first halves", "\"\\ud83d\\ud83d\"", "half of a surrogate pair"},
    {"a byte that is not UTF-8", "\"\xff\"", "invalid UTF-8"},
    {"an overlong form", "\"\xc0\xaf\"", "invalid UTF-8"},
    {"a surrogate in UTF-8", "\"\xed\xa0\x80\"", "invalid UTF-8"},
    {"past U+10FFFF", "\"\xf4\x90\x80\x80\"", "invalid UTF-8"},
    {"a cut character", "\"\xe2\x82\"", "invalid UTF-8"},
    {"a comment", "[1/*x*/]", "expected ',' or the end"},
};

static void accepts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct relay_json_value value;
        struct status st = {0};
        check_case(good[i].name);
        assert_true(relay_json_check(text_of(good[i].input), &value, &st));
        assert_int_equal(value.kind, good[i].kind);
    }
}

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct relay_json_value value;
        struct status st = {0};
        check_case(bad[i].name);
        assert_false(relay_json_check(text_of(bad[i].input), &value, &st));
        assert_int_equal(st.code, STATUS_INVALID);
        if (strstr(st.text, bad[i].text) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", st.text, bad[i].text);
    }
}

/* Every prefix of a good text is bad, and none is read past its end (the sanitizer looks). */
static void every_cut(void **state)
{
    (void)state;
    static const char whole[] = "{\"a\":[1.5e3,true,null,\"\\ud83d\\ude00\xc3\xa9\"],\"b\":{}}";
    for (size_t len = 0; len < sizeof(whole) - 1; len++) {
        struct relay_json_value value;
        struct status st = {0};
        char *copy = malloc(len + 1);
        assert_non_null(copy);
        memcpy(copy, whole, len);
        assert_false(relay_json_check((struct text){copy, len}, &value, &st));
        free(copy);
    }
}

static void depth(void **state)
{
    (void)state;
    struct relay_json_value value;
    struct status st = {0};
    static char brackets[1000000];
    memset(brackets, '[', sizeof(brackets));
    assert_false(relay_json_check((struct text){brackets, sizeof(brackets)}, &value, &st));
    assert_non_null(strstr(st.text, "64 levels"));
    memset(brackets + RELAY_JSON_DEPTH_MAX, ']', RELAY_JSON_DEPTH_MAX);
    assert_true(relay_json_check((struct text){brackets, 2 * RELAY_JSON_DEPTH_MAX}, &value, &st));
    memset(brackets + RELAY_JSON_DEPTH_MAX + 1, ']', RELAY_JSON_DEPTH_MAX + 1);
    brackets[RELAY_JSON_DEPTH_MAX] = '[';
    assert_false(
        relay_json_check((struct text){brackets, 2 * RELAY_JSON_DEPTH_MAX + 2}, &value, &st));
}

static void walks(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    struct relay_json_value root, value;
    struct status st = {0};
    static const char input[] =
        " { \"a\" : \"x\\\"}\" , \"m\\u006fdel\":[1,{\"b\":[2]}, \"]\" ],\"c\":-1.5e1,\"d\":{} } ";
    assert_true(relay_json_check(text_of(input), &root, &st));
    struct relay_json_iter iter = relay_json_iter_of(root);
    struct text name;
    assert_true(relay_json_next(&iter, &name, &value));
    check_text(name, "a");
    check_text(relay_json_string(arena, value), "x\"}");
    assert_true(relay_json_next(&iter, &name, &value));
    check_text(name, "model");
    check_text(value.raw, "[1,{\"b\":[2]}, \"]\" ]");
    struct relay_json_iter items = relay_json_iter_of(value);
    struct relay_json_value item;
    assert_true(relay_json_next(&items, &name, &item));
    check_text(item.raw, "1");
    assert_true(relay_json_next(&items, &name, &item));
    check_text(item.raw, "{\"b\":[2]}");
    assert_true(relay_json_next(&items, &name, &item));
    check_text(item.raw, "\"]\"");
    assert_false(relay_json_next(&items, &name, &item));
    assert_true(relay_json_next(&iter, &name, &value));
    double number;
    int64_t whole;
    assert_true(relay_json_double(value, &number));
    assert_true(number < -14.9 && number > -15.1);
    assert_true(relay_json_i64(value, &whole));
    assert_int_equal(whole, -15);
    assert_true(relay_json_member(root, TEXT("d"), &value));
    struct relay_json_iter none = relay_json_iter_of(value);
    assert_false(relay_json_next(&none, &name, &item));
    assert_false(relay_json_member(root, TEXT("e"), &value));
}

static void strings(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    struct relay_json_value value;
    struct status st = {0};
    char memory[4];
    struct text text;
    assert_true(relay_json_check(TEXT("\"a\\n\\u00e9\\ud83d\\ude00\\/z\""), &value, &st));
    check_text(relay_json_string(arena, value), "a\n\xc3\xa9\xf0\x9f\x98\x80/z");
    assert_false(relay_json_string_into(value, memory, sizeof(memory), &text));
    assert_true(relay_json_check(TEXT("\"\\\\\\\\\""), &value, &st));
    assert_true(relay_json_string_into(value, memory, sizeof(memory), &text));
    check_text(text, "\\\\");
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *input;
        bool is_whole;
        int64_t whole;
    } table[] = {
        {"0", true, 0},      {"9223372036854775807", true, INT64_MAX},
        {"1e3", true, 1000}, {"2.0", true, 2},
        {"2.5", false, 0},   {"1e400", false, 0},
        {"1e17", false, 0},  {"9223372036854775808", false, 0},
        {"\"1\"", false, 0}, {"null", false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct relay_json_value value;
        struct status st = {0};
        int64_t whole = 0;
        check_case(table[i].input);
        assert_true(relay_json_check(text_of(table[i].input), &value, &st));
        assert_int_equal(relay_json_i64(value, &whole), table[i].is_whole);
        assert_int_equal(whole, table[i].whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts), cmocka_unit_test(refuses), cmocka_unit_test(every_cut),
        cmocka_unit_test(depth),   cmocka_unit_test(walks),   cmocka_unit_test(strings),
        cmocka_unit_test(numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
