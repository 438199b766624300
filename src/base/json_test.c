#include "json.h"
#include "arena.h"
#include "check.h"
#include "clock.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name, *text, *want; /* the error, or NULL */
} texts[] = {
    {"object", " {\"a\": [1, -0, 2.5e1, true, false, null, \"x\"]}\r\n", NULL},
    {"empty containers", "{\"a\":{},\"b\":[]}", NULL},
    {"scalar", "17", NULL},
    {"escapes", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"", NULL},
    {"empty", "", "not valid JSON: the text is empty"},
    {"white space", " \n ", "not valid JSON: the text is empty"},
    {"byte order mark", "\xef\xbb\xbf{}", "line 1, column 1: expected a value"},
    {"two values", "{} {}", "line 1, column 4: expected nothing more behind the value"},
    {"no end", "{\"a\":\n[1", "line 2, column 3: the text ends too early: expected ',' or"},
    {"no value", "{\"a\":}", "line 1, column 6: expected a value"},
    {"no colon", "{\"a\" 1}", "line 1, column 6: expected ':'"},
    {"comma at the end of an array", "[1,]", "line 1, column 4: expected a value"},
    {"comma at the end of an object", "{\"a\":1,}", "line 1, column 8: expected a name in double"},
    {"wrong bracket", "[1}", "line 1, column 3: expected ',' or"},
    {"number as name", "{1:2}", "line 1, column 2: expected a name in double quotes or '}'"},
    {"single quotes", "['a']", "line 1, column 2: expected a value or ']'"},
    {"comment", "[1] // one", "line 1, column 5: expected nothing more"},
    {"NaN", "[NaN]", "line 1, column 2: expected a value or ']'"},
    {"unknown word", "[nul]", "line 1, column 2: an unknown word"},
    {"word run on", "[truefalse]", "line 1, column 6: expected ',' or"},
    {"leading zero", "[01]", "line 1, column 2: a number is not written well"},
    {"minus alone", "[-]", "line 1, column 2: a number is not written well"},
    {"no digit behind the point", "[1.]", "line 1, column 2: a number is not written well"},
    {"no digit in the exponent", "[1e]", "line 1, column 2: a number is not written well"},
    {"two points", "[1.2.3]", "line 1, column 2: a number is not written well"},
    {"too large", "[1e400]", "line 1, column 2: a number is out of range"},
    {"too small a negative", "[-1.5e+999]", "line 1, column 2: a number is out of range"},
    {"integer of 20 digits", "[12345678901234567890]", "column 2: a number is out of range"},
    {"most negative", "-9223372036854775808", NULL},
    {"nearly zero", "1e-400", NULL},
    {"no end of string", "[\"abc", "line 1, column 2: the string has no end"},
    {"backslash at the end", "\"\\", "line 1, column 2: unknown escape in a string"},
    {"unknown escape", "\"\\x41\"", "line 1, column 2: unknown escape"},
    {"control character", "\"a\nb\"", "line 1, column 3: a control character must be escaped"},
    {"NUL", "\"a\\u0000\"", "line 1, column 3: the character NUL (\\u0000) is not allowed"},
    {"hexadecimal digits", "\"\\u12g4\"", "line 1, column 2: \\u must be followed by four"},
    {"high surrogate alone", "\"\\ud83dx\"", "line 1, column 2: half of a surrogate pair"},
    {"low surrogate alone", "\"\\ude00\"", "line 1, column 2: half of a surrogate pair"},
    {"two high ones", "\"\\ud83d\\ud83d\"", "line 1, column 2: half of a surrogate pair"},
    {"invalid UTF-8", "[\"\xc3\xa9\xff\"]", "line 1, column 4: invalid UTF-8"},
    {"overlong UTF-8", "\"ab\xc0\xaf\"", "line 1, column 4: invalid UTF-8"},
    {"UTF-8 cut by the quote", "\"ab\xe2\x82\"", "column 4: invalid UTF-8"},
    {"columns count characters", "[\"\xc3\xa9\xe2\x82\xac\",]",
     "line 1, column 7: expected a value"},
    {"same name twice", "{\"a\":1,\n\"a\":2}", "line 2, column 3: an object has two members with"},
};
static void reading(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct status st = {0};
        AUTO(json_t) json_t *root = NULL;
        check_case(texts[i].name);
        bool good = json_read(text_of(texts[i].text), NULL, &root, &st);
        if (texts[i].want == NULL && !good)
            fail_msg("refused: %s", st.text);
        assert_int_equal(good, texts[i].want == NULL);
        if (!good) {
            assert_int_equal(st.code, STATUS_INVALID);
            if (strstr(st.text, texts[i].want) == NULL)
                fail_msg("got: %s", st.text);
        }
    }
    struct status st;
    json_t *root = NULL;
    assert_false(json_read((struct text){"\"a\0b\"", 5}, NULL, &root, &st));
    assert_false(json_read((struct text){"1\0", 2}, NULL, &root, &st));
    assert_null(root);
}

static struct text repeat(struct arena *arena, struct text piece, size_t count)
{
    struct text_buf buf = text_buf_in(arena, SIZE_MAX);
    for (size_t i = 0; i < count; i++)
        text_buf_add(&buf, piece);
    return text_buf_text(&buf);
}

static void limits(void **state)
{
    (void)state;
    struct status st;
    AUTO(arena) struct arena *arena = arena_open(SIZE_MAX);
    struct text open = repeat(arena, TEXT("["), 1000 * 1000);
    int64_t before = clock_mono_us();
    assert_false(json_check(open, NULL, &st));
    assert_true(clock_mono_us() - before < 20000);
    assert_int_equal(st.code, STATUS_INVALID);
    check_text(status_text(&st), "not valid JSON: line 1, column 65: nested deeper than 64 levels");
    assert_false(json_check(repeat(arena, TEXT("{\"a\":"), 100000), NULL, &st));
    assert_non_null(strstr(st.text, "deeper than 64"));
    struct text deep =
        arena_format(arena, "%.*s%.*s", 64, open.at, 64, repeat(arena, TEXT("]"), 64).at);
    assert_true(json_check(deep, NULL, &st));

    struct text zeros = repeat(arena, TEXT("0,"), 9999);
    assert_true(json_check(arena_format(arena, "[%.*s0]", TEXT_ARG(zeros)), NULL, &st));
    assert_false(json_check(arena_format(arena, "[%.*s0,0]", TEXT_ARG(zeros)), NULL, &st));
    assert_int_equal(st.code, STATUS_TOO_LARGE);
    check_text(status_text(&st), "an object or array in the JSON has more than 10000 members");
    struct text arrays = repeat(arena, TEXT("[0,0,0],"), 60);
    const struct json_limits small = {.members_max = 61, .values_max = 242};
    assert_true(json_check(arena_format(arena, "[%.*s0]", TEXT_ARG(arrays)), &small, &st));
    assert_false(json_check(arena_format(arena, "[%.*s[0]]", TEXT_ARG(arrays)), &small, &st));
    check_text(status_text(&st), "the JSON has more than 242 values");
}

static const char body[] =
    "{\"model\":\"m\",\"n\":2,\"real\":3.0,\"half\":0.5,\"yes\":true,\"none\":null,"
    "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":7},9],\"big\":1e300,"
    "\"options\":{\"deep\":{\"x\":-1}}}";

static void getting(void **state)
{
    (void)state;
    struct status st = {0};
    AUTO(json_t) json_t *root = NULL;
    assert_true(json_read(text_of(body), NULL, &root, &st));
    struct json_at at = json_at_root(root), messages, first, options, deep;
    struct text text = TEXT("before");
    int64_t integer = 77;
    double number = 77;
    bool yes = false;
    size_t choice = 9;
    static const char *const roles[] = {"system", "user", NULL};
    assert_true(json_get_text(&at, "model", JSON_REQUIRED, 1, &text, &st));
    check_text(text, "m");
    assert_true(json_get_text(&at, "none", JSON_OPTIONAL, 1, &text, &st));
    assert_true(json_get_text(&at, "absent", JSON_OPTIONAL, 1, &text, &st));
    check_text(text, "m"); /* as it was */
    assert_true(json_get_int(&at, "n", JSON_REQUIRED, 2, 2, &integer, &st));
    assert_int_equal(integer, 2);
    assert_true(json_get_int(&at, "real", JSON_REQUIRED, 0, 9, &integer, &st));
    assert_int_equal(integer, 3);
    assert_true(json_get_number(&at, "half", JSON_REQUIRED, 0, 0.5, &number, &st));
    assert_true(number > 0.49 && number < 0.51);
    assert_true(json_get_number(&at, "n", JSON_REQUIRED, 0, 2, &number, &st));
    assert_true(number > 1.9 && number < 2.1);
    assert_true(json_get_bool(&at, "yes", JSON_REQUIRED, &yes, &st));
    assert_true(yes);
    assert_true(json_get_array(&at, "messages", JSON_REQUIRED, 3, &messages, &st));
    assert_int_equal(json_count(&messages), 3);
    assert_true(json_item_object(&messages, 0, &first, &st));
    assert_true(json_get_choice(&first, "role", JSON_REQUIRED, roles, &choice, &st));
    assert_int_equal(choice, 1);
    assert_true(json_get_object(&at, "options", JSON_REQUIRED, &options, &st));
    assert_true(json_get_object(&options, "deep", JSON_REQUIRED, &deep, &st));
    assert_false(json_get_int(&deep, "x", JSON_REQUIRED, 0, 5, &integer, &st));
    assert_string_equal(st.field, "options.deep.x");
    assert_true(json_get_object(&at, "absent", JSON_OPTIONAL, &deep, &st));
    assert_null(deep.value);
    assert_true(json_get_any(&at, "n", &deep));
    assert_false(json_get_any(&at, "none", &deep));
    assert_int_equal(json_count(&at), 0);
}

#define CHECK_FAILS(call, field_, text_)                                                           \
    do {                                                                                           \
        struct status st = {0};                                                                    \
        assert_false(call);                                                                        \
        assert_int_equal(st.code, STATUS_INVALID);                                                 \
        assert_string_equal(st.field, (field_));                                                   \
        assert_string_equal(st.text, (text_));                                                     \
    } while (0)

static void getting_wrong(void **state)
{
    (void)state;
    struct status good = {0};
    AUTO(json_t) json_t *root = NULL;
    assert_true(json_read(text_of(body), NULL, &root, &good));
    struct json_at at = json_at_root(root), out = {0}, messages, item;
    struct text text = TEXT_NONE;
    int64_t i = 77;
    double d = 77;
    bool b = false;
    size_t choice = 9;
    static const char *const two[] = {"low", "high", NULL}, *const one[] = {"text", NULL},
                             *const three[] = {"a", "b", "c", NULL},
                             *const keys[] = {"model", "n", NULL};
    CHECK_FAILS(json_get_text(&at, "absent", JSON_REQUIRED, 9, &text, &st), "absent",
                "absent is required");
    CHECK_FAILS(json_get_text(&at, "none", JSON_REQUIRED, 9, &text, &st), "none",
                "none is required");
    CHECK_FAILS(json_get_text(&at, "n", JSON_OPTIONAL, 9, &text, &st), "n", "n must be a string");
    CHECK_FAILS(json_get_text(&at, "model", JSON_OPTIONAL, 0, &text, &st), "model",
                "model must have at most 0 bytes");
    CHECK_FAILS(json_get_int(&at, "n", JSON_OPTIONAL, 3, 9, &i, &st), "n",
                "n must be an integer between 3 and 9");
    CHECK_FAILS(json_get_int(&at, "n", JSON_OPTIONAL, -9, 1, &i, &st), "n",
                "n must be an integer between -9 and 1");
    CHECK_FAILS(json_get_int(&at, "half", JSON_OPTIONAL, 0, INT64_MAX, &i, &st), "half",
                "half must be an integer of at least 0");
    CHECK_FAILS(json_get_int(&at, "big", JSON_OPTIONAL, INT64_MIN, INT64_MAX, &i, &st), "big",
                "big must be an integer");
    CHECK_FAILS(json_get_int(&at, "yes", JSON_OPTIONAL, 0, 1, &i, &st), "yes",
                "yes must be an integer between 0 and 1");
    CHECK_FAILS(json_get_number(&at, "n", JSON_OPTIONAL, 0, 1.5, &d, &st), "n",
                "n must be a number between 0 and 1.5");
    CHECK_FAILS(json_get_number(&at, "model", JSON_OPTIONAL, 0, 2, &d, &st), "model",
                "model must be a number between 0 and 2");
    CHECK_FAILS(json_get_bool(&at, "n", JSON_OPTIONAL, &b, &st), "n", "n must be true or false");
    CHECK_FAILS(json_get_array(&at, "n", JSON_OPTIONAL, 5, &out, &st), "n", "n must be an array");
    CHECK_FAILS(json_get_array(&at, "messages", JSON_OPTIONAL, 2, &out, &st), "messages",
                "messages must have at most 2 items");
    CHECK_FAILS(json_get_object(&at, "messages", JSON_OPTIONAL, &out, &st), "messages",
                "messages must be an object");
    CHECK_FAILS(json_get_choice(&at, "model", JSON_OPTIONAL, two, &choice, &st), "model",
                "model must be 'low' or 'high'");
    CHECK_FAILS(json_get_choice(&at, "n", JSON_OPTIONAL, three, &choice, &st), "n",
                "n must be 'a', 'b' or 'c'");
    CHECK_FAILS(json_get_choice(&at, "model", JSON_OPTIONAL, one, &choice, &st), "model",
                "model must be 'text'");
    CHECK_FAILS(json_only(&at, keys, &st), "real", "real is not a known field");
    assert_true(json_get_array(&at, "messages", JSON_REQUIRED, 9, &messages, &good));
    CHECK_FAILS(json_item_object(&messages, 2, &item, &st), "messages[2]",
                "messages[2] must be an object");
    CHECK_FAILS(json_item_text(&messages, 2, 9, &text, &st), "messages[2]",
                "messages[2] must be a string");
    assert_true(json_item_object(&messages, 1, &item, &good));
    CHECK_FAILS(json_get_text(&item, "role", JSON_REQUIRED, 9, &text, &st), "messages[1].role",
                "messages[1].role must be a string");
    CHECK_FAILS(json_fail(&item, "", &st, "is %s", "odd"), "messages[1]", "messages[1] is odd");
    assert_true(i == 77 && d > 76 && !b && choice == 9 && text.len == 0); /* nothing was written */
    AUTO(json_t) json_t *array = json_array();
    at = json_at_root(array);
    CHECK_FAILS(json_get_text(&at, "model", JSON_OPTIONAL, 9, &text, &st), "",
                "the JSON value must be an object");
}

static void ending_and_writing(void **state)
{
    (void)state;
    struct status st;
    AUTO(arena) struct arena *arena = arena_open(MIB);
    json_t *root = NULL;
    assert_true(
        json_read_in(arena, TEXT("{ \"z\": [1, \"\\u00e9\\n\"], \"a\": {} }"), NULL, &root, &st));
    struct text_buf buf = text_buf_in(arena, KIB);
    json_write(root, &buf);
    check_text(text_buf_text(&buf), "{\"z\":[1,\"\xc3\xa9\\n\"],\"a\":{}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading),
        cmocka_unit_test(limits),
        cmocka_unit_test(getting),
        cmocka_unit_test(getting_wrong),
        cmocka_unit_test(ending_and_writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
