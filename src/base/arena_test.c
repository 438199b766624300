#include "arena.h"
#include "check.h"

#include <stdio.h>

static void allocating(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(MIB);
    unsigned char *pieces[200];
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        size_t size = i * 37 % 3000;
        pieces[i] = arena_alloc(arena, size);
        assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        for (size_t k = 0; k < size; k++)
            assert_int_equal(pieces[i][k], 0);
        memset(pieces[i], (int)i + 1, size);
    }
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        for (size_t k = 0; k < i * 37 % 3000; k++)
            assert_int_equal(pieces[i][k], (unsigned char)(i + 1)); /* nobody wrote over it */
    }
    assert_ptr_not_equal(arena_alloc(arena, 0), arena_alloc(arena, 0));
    struct status_like {
        int64_t a;
        char b;
    } *one = ARENA_NEW(arena, struct status_like),
      *many = ARENA_ARRAY(arena, 3, struct status_like);
    assert_true(one->a == 0 && many[2].b == 0);
}

static void limit(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(1000);
    assert_false(arena_over_limit(arena));
    memset(arena_alloc(arena, 900), 1, 900);
    assert_false(arena_over_limit(arena));
    assert_true(arena_used(arena) >= 900);
    memset(arena_alloc(arena, 100000), 1, 100000); /* never NULL, but told */
    assert_true(arena_over_limit(arena));
}

static char order[8];
static void end_note(void *what)
{
    strcat(order, what);
}
static struct arena *end_arena;
static void end_adds(void *what)
{
    end_note(what);
    arena_at_end(end_arena, end_note, arena_cstr(end_arena, TEXT("z")));
}
static void ends(void **state)
{
    (void)state;
    order[0] = '\0';
    end_arena = arena_open(KIB);
    arena_at_end(end_arena, end_note, arena_cstr(end_arena, TEXT("a")));
    arena_at_end(end_arena, end_adds, arena_cstr(end_arena, TEXT("b")));
    arena_at_end(end_arena, end_note, arena_cstr(end_arena, TEXT("c")));
    arena_close(end_arena);
    assert_string_equal(order, "cbza");
    arena_close(NULL);
}

static void texts(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(MIB);
    struct text copy = arena_text(arena, TEXT("abc"));
    check_text(copy, "abc");
    assert_int_equal(copy.at[3], '\0');
    assert_string_equal(arena_cstr(arena, TEXT_NONE), "");
    check_text(arena_format(arena, "%d %s", 7, "x"), "7 x");
    struct text wide = arena_format(arena, "%0300d", 5);
    assert_int_equal(wide.len, 300);
    assert_int_equal(wide.at[299], '5');
}

static void growing(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(MIB);
    struct text_buf buf = text_buf_in(arena, 100000);
    check_text(text_buf_text(&buf), "");
    char *between[100];
    for (int i = 0; i < 9999; i++) {
        text_buf_addf(&buf, "%05d,", i);
        if (i % 100 == 0) { /* ends growth in place */
            between[i / 100] = arena_alloc(arena, 10);
            memset(between[i / 100], 'b', 10);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(between); i++)
        assert_memory_equal(between[i], "bbbbbbbbbb", 10); /* nobody grew over it */
    assert_int_equal(buf.len, 59994);
    assert_false(buf.cut);
    for (int i = 0; i < 9999; i++) {
        char want[16];
        (void)snprintf(want, sizeof(want), "%05d,", i);
        check_text(text_take(text_skip(text_buf_text(&buf), (size_t)i * 6), 6), want);
    }
    text_buf_addf(&buf, "%0400d", 1);
    assert_int_equal(buf.len, 60394);
}

static void cutting(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(MIB);
    struct text_buf buf = text_buf_in(arena, 10);
    text_buf_add(&buf, TEXT("12345678"));
    assert_false(buf.cut);
    text_buf_add(&buf, TEXT("90"));
    assert_false(buf.cut);
    text_buf_add(&buf, TEXT(""));
    assert_false(buf.cut);
    text_buf_add(&buf, TEXT("x"));
    assert_true(buf.cut);
    check_text(text_buf_text(&buf), "1234567890");
    buf = text_buf_in(arena, 3);
    text_buf_addf(&buf, "%s", "abcdef");
    check_text(text_buf_text(&buf), "abc");
    assert_true(buf.cut);
}

static const struct {
    const char *name, *text, *want;
} strings[] = {
    {"empty", "", "\"\""},
    {"plain", "a b/c", "\"a b/c\""},
    {"quotes", "\"a\\b\"", "\"\\\"a\\\\b\\\"\""},
    {"short escapes", "\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\""},
    {"control characters", "\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\""},
    {"UTF-8 stays", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
     "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
    {"line separators", "a\xe2\x80\xa8\xe2\x80\xa9z", "\"a\\u2028\\u2029z\""},
    {"their neighbours", "\xe2\x80\xa7\xe2\x80\xaa", "\"\xe2\x80\xa7\xe2\x80\xaa\""},
};
static void json_strings(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(MIB);
    for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
        check_case(strings[i].name);
        struct text_buf buf = text_buf_in(arena, KIB);
        text_buf_add_json(&buf, text_of(strings[i].text));
        check_text(text_buf_text(&buf), strings[i].want);
    }
    struct text_buf buf = text_buf_in(arena, KIB);
    text_buf_add_json(&buf, (struct text){"a\0b", 3});
    check_text(text_buf_text(&buf), "\"a\\u0000b\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocating),   cmocka_unit_test(limit),   cmocka_unit_test(ends),
        cmocka_unit_test(texts),        cmocka_unit_test(growing), cmocka_unit_test(cutting),
        cmocka_unit_test(json_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
