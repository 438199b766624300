#include "text.h"
#include "check.h"

#include <math.h>

static void equality(void **state)
{
    (void)state;
    assert_true(text_equal(TEXT_NONE, TEXT("")));
    assert_true(text_equal(text_of(NULL), text_of("")));
    assert_true(text_equal(TEXT("ab"), TEXT("ab")));
    assert_false(text_equal(TEXT("ab"), TEXT("aB")));
    assert_false(text_equal(TEXT("ab"), TEXT("abc")));
    assert_true(text_equal_nocase(TEXT("Content-Length"), TEXT("content-LENGTH")));
    assert_false(text_equal_nocase(TEXT("[a]"), TEXT("{a}"))); /* 0x5b and 0x7b differ by 0x20 */
    assert_false(text_equal_nocase(TEXT("\xc3\x84"), TEXT("\xc3\xa4")));
    assert_true(text_equal_secret(TEXT("secret"), TEXT("secret")));
    assert_false(text_equal_secret(TEXT("secret"), TEXT("secreT")));
    assert_false(text_equal_secret(TEXT("secret"), TEXT("secre")));
    assert_true(text_equal_secret(TEXT_NONE, TEXT_NONE));
}

static void order(void **state)
{
    (void)state;
    assert_true(text_compare(TEXT("a"), TEXT("b")) < 0);
    assert_true(text_compare(TEXT("a"), TEXT("ab")) < 0);
    assert_true(text_compare(TEXT("b"), TEXT("ab")) > 0);
    assert_true(text_compare(TEXT("\xff"), TEXT("a")) > 0);
    assert_int_equal(text_compare(TEXT_NONE, TEXT("")), 0);
}

static void pieces(void **state)
{
    (void)state;
    check_text(text_skip(TEXT("abc"), 1), "bc");
    check_text(text_skip(TEXT("abc"), 9), "");
    check_text(text_skip(TEXT_NONE, 1), "");
    check_text(text_take(TEXT("abc"), 2), "ab");
    check_text(text_take(TEXT("abc"), 9), "abc");
    check_text(text_trim(TEXT(" \t a b\r\n")), "a b");
    check_text(text_trim(TEXT(" \r\n")), "");
    assert_true(text_starts(TEXT("weir_sk_x"), TEXT("weir_sk_")));
    assert_false(text_starts(TEXT("weir"), TEXT("weir_sk_")));
    assert_true(text_ends(TEXT("a.gguf"), TEXT(".gguf")));
    assert_false(text_ends(TEXT("gguf"), TEXT(".gguf")));
    assert_int_equal(text_find(TEXT("abcabc"), TEXT("ca")), 2);
    assert_int_equal(text_find(TEXT("abc"), TEXT("x")), 3);
    assert_int_equal(text_find(TEXT("abc"), TEXT("abcd")), 3);
    assert_int_equal(text_find(TEXT_NONE, TEXT("")), 0);
    assert_int_equal(text_find_byte(TEXT("a\0b"), '\0'), 1);
    assert_int_equal(text_find_byte(TEXT_NONE, 'x'), 0);
}

static void splitting(void **state)
{
    (void)state;
    struct text rest = TEXT("a,,b,"), piece;
    assert_true(text_split(&rest, ',', &piece));
    check_text(piece, "a");
    assert_true(text_split(&rest, ',', &piece));
    check_text(piece, "");
    assert_true(text_split(&rest, ',', &piece));
    check_text(piece, "b");
    assert_true(text_split(&rest, ',', &piece));
    check_text(piece, "");
    assert_false(text_split(&rest, ',', &piece));
    rest = TEXT("");
    assert_true(text_split(&rest, ',', &piece)); /* one empty piece */
    assert_false(text_split(&rest, ',', &piece));
}

static const struct {
    const char *input;
    bool valid;
    int64_t want;
} integers[] = {
    {"0", true, 0},
    {"-0", true, 0},
    {"007", true, 7},
    {"9223372036854775807", true, INT64_MAX},
    {"-9223372036854775808", true, INT64_MIN},
    {"9223372036854775808", false, 0},
    {"-9223372036854775809", false, 0},
    {"99999999999999999999", false, 0},
    {"", false, 0},
    {"-", false, 0},
    {"+1", false, 0},
    {" 1", false, 0},
    {"1x", false, 0},
    {"--1", false, 0},
};
static void to_i64(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(integers); i++) {
        int64_t got = 77;
        check_case(integers[i].input);
        assert_int_equal(text_to_i64(text_of(integers[i].input), &got), integers[i].valid);
        assert_true(got == (integers[i].valid ? integers[i].want : 77));
    }
    int64_t got = 77;
    assert_false(text_to_i64((struct text){"1\0", 2}, &got));
}

static const struct {
    const char *input;
    bool valid;
    double want;
} doubles[] = {
    {"0", true, 0},        {"-1.5", true, -1.5}, {"1e3", true, 1000}, {"1E+3", true, 1000},
    {"25e-2", true, 0.25}, {"1e-999", true, 0},  {"1e400", false, 0}, {"01", false, 0},
    {".5", false, 0},      {"5.", false, 0},     {"+1", false, 0},    {"1e", false, 0},
    {"nan", false, 0},     {"inf", false, 0},    {"0x10", false, 0},  {"1,5", false, 0},
    {"", false, 0},        {"-", false, 0},      {"1 ", false, 0},
};
static void to_double(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(doubles); i++) {
        double got = 77;
        check_case(doubles[i].input);
        assert_int_equal(text_to_double(text_of(doubles[i].input), &got), doubles[i].valid);
        assert_true(fabs(got - (doubles[i].valid ? doubles[i].want : 77)) < 1e-12);
    }
    char zeros[1000];
    memset(zeros, '1', sizeof(zeros));
    double got = 77;
    assert_false(text_to_double((struct text){zeros, sizeof(zeros)}, &got));
}

static const struct {
    const char *name, *bytes;
    bool valid;
    size_t whole;
} utf8[] = {
    {"empty", "", true, 0},
    {"ascii", "plain text of some length", true, 25},
    {"two bytes", "\xc3\xa9", true, 2},
    {"three bytes", "\xe2\x82\xac", true, 3},
    {"four bytes", "\xf0\x9f\x98\x80", true, 4},
    {"last code point", "\xf4\x8f\xbf\xbf", true, 4},
    {"a bad byte behind eight good ones", "01234567\xff", false, 9},
    {"past the last code point", "\xf4\x90\x80\x80", false, 4},
    {"overlong two", "\xc0\xaf", false, 2},
    {"overlong three", "\xe0\x80\xaf", false, 3},
    {"overlong four", "\xf0\x80\x80\xaf", false, 4},
    {"surrogate", "\xed\xa0\x80", false, 3},
    {"lone continuation", "a\x80", false, 2},
    {"cut after one of two", "a\xc3", false, 1},
    {"cut after one of three", "a\xe2", false, 1},
    {"cut after two of three", "a\xe2\x82", false, 1},
    {"cut after three of four", "a\xf0\x9f\x98", false, 1},
    {"cut, but a surrogate already", "a\xed\xa0", false, 3},
    {"cut, but overlong already", "a\xe0\x80", false, 3},
    {"only continuations", "\x80\x80\x80\x80", false, 4},
    {"whole, then continuation", "\xc3\xa9\x80", false, 3},
};
static void utf8_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(utf8); i++) {
        check_case(utf8[i].name);
        assert_int_equal(text_utf8_valid(text_of(utf8[i].bytes)), utf8[i].valid);
        assert_int_equal(text_utf8_whole(text_of(utf8[i].bytes)), utf8[i].whole);
    }
}

/* Every text up to three bytes over a set that has each kind of byte in it, against a decoder that
 * is written another way. */
static bool utf8_reference(const unsigned char *at, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t size = at[i] < 0x80 ? 1 : (at[i] >> 5) == 6 ? 2 : (at[i] >> 4) == 14 ? 3 : 0;
        if (size == 0 || size > len - i)
            return false;
        unsigned code = size == 1 ? at[i] : size == 2 ? at[i] & 31u : at[i] & 15u;
        for (size_t k = 1; k < size; k++) {
            if ((at[i + k] >> 6) != 2)
                return false;
            code = code << 6 | (at[i + k] & 63u);
        }
        static const unsigned least[] = {0, 0, 0x80, 0x800};
        if (code < least[size] || (code >= 0xD800 && code <= 0xDFFF))
            return false;
        i += size;
    }
    return true;
}
static void utf8_exhaustive(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 1u << 24; n += 1 + (n & 3)) {
        unsigned char bytes[3] = {(unsigned char)(n >> 16), (unsigned char)(n >> 8),
                                  (unsigned char)n};
        if (bytes[0] >= 0xF0)
            break; /* four bytes have rows of their own */
        if ((bytes[0] >= 0xF0) || bytes[1] >= 0xF0 || bytes[2] >= 0xF0)
            continue;
        bool got = text_utf8_valid((struct text){(const char *)bytes, sizeof(bytes)});
        if (got != utf8_reference(bytes, sizeof(bytes)))
            fail_msg("%02x %02x %02x", bytes[0], bytes[1], bytes[2]);
    }
}

static void out(void **state)
{
    (void)state;
    char memory[8];
    struct text_out out = text_out_over(memory, sizeof(memory));
    text_out_add(&out, TEXT("abc"));
    text_out_addf(&out, "%05d", 42); /* to the brim */
    check_text(text_out_text(&out), "abc00042");
    assert_false(out.cut);
    text_out_addf(&out, "%s", "");
    assert_false(out.cut);
    text_out_addf(&out, "%s", "x");
    assert_true(out.cut);
    out = text_out_over(memory, sizeof(memory));
    text_out_addf(&out, "%s", "0123456789");
    check_text(text_out_text(&out), "01234567");
    assert_true(out.cut);
    out = text_out_over(memory, sizeof(memory));
    text_out_add(&out, TEXT("0123456789"));
    check_text(text_out_text(&out), "01234567");
    assert_true(out.cut);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality),   cmocka_unit_test(order),
        cmocka_unit_test(pieces),     cmocka_unit_test(splitting),
        cmocka_unit_test(to_i64),     cmocka_unit_test(to_double),
        cmocka_unit_test(utf8_rules), cmocka_unit_test(utf8_exhaustive),
        cmocka_unit_test(out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
