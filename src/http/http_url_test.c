#include "http_url.h"

#include <stdlib.h>
#include "arena.h"
#include "check.h"
#include "http_header.h"

static void decodes(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        bool plus;
        const char *want; /* NULL: refused */
    } rows[] = {
        {"", false, ""},         {"abc", false, "abc"},   {"a%20b", false, "a b"},
        {"a+b", false, "a+b"},   {"a+b", true, "a b"},    {"%c3%A4", false, "\xc3\xa4"},
        {"%2", false, NULL},     {"%", false, NULL},      {"%2x", false, NULL},
        {"%00", false, NULL},    {"%ff", false, NULL},    {"%ed%a0%80", false, NULL},
        {"%2541", false, "%41"}, {"a%2Fb", false, "a/b"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(arena) struct arena *arena = arena_open(MIB);
        struct status st = {0};
        struct text out;
        check_case(rows[i].raw);
        bool fine = http_url_decode(text_of(rows[i].raw), rows[i].plus, arena, &out, &st);
        assert_int_equal(fine, rows[i].want != NULL);
        if (fine)
            check_text(out, rows[i].want);
        else
            assert_int_equal(st.code, STATUS_INVALID);
    }
}

static void encodes(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(MIB);
    check_text(http_url_encode(TEXT("a b/\xc3\xa4~-._"), arena), "a%20b%2F%C3%A4~-._");
    check_text(http_url_encode(TEXT(""), arena), "");
}

static void queries(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(MIB);
    struct status st = {0};
    struct text out, query = TEXT("a=1&b=two+w%C3%B6rds&empty=&flag&a=2&bad=%zz&n%61me=x&&%zz=1");
    assert_true(http_url_query(query, TEXT("a"), arena, &out, &st));
    check_text(out, "1");
    assert_true(http_url_query(query, TEXT("b"), arena, &out, &st));
    check_text(out, "two w\xc3\xb6rds");
    assert_true(http_url_query(query, TEXT("empty"), arena, &out, &st));
    check_text(out, "");
    assert_true(http_url_query(query, TEXT("flag"), arena, &out, &st));
    check_text(out, "");
    assert_true(http_url_query(query, TEXT("name"), arena, &out, &st));
    check_text(out, "x");
    assert_false(http_url_query(query, TEXT("c"), arena, &out, &st));
    assert_int_equal(st.code, STATUS_NOT_FOUND);
    assert_false(http_url_query(query, TEXT("bad"), arena, &out, &st));
    assert_int_equal(st.code, STATUS_INVALID);
    assert_string_equal(st.field, "bad");
}

static void targets(void **state)
{
    (void)state;
    static const struct {
        const char *target, *path, *query, *authority; /* path NULL: refused */
    } rows[] = {
        {"/", "/", "", ""},
        {"/a/b?c=d?e", "/a/b", "c=d?e", ""},
        {"/a%20b", "/a b", "", ""},
        {"//a", "//a", "", ""},
        {"/...", "/...", "", ""},
        {"/.well-known/x", "/.well-known/x", "", ""},
        {"*", "*", "", ""},
        {"http://h:80/p?q", "/p", "q", "h:80"},
        {"HTTPS://h", "/", "", "h"},
        {"http://h?q", "/", "q", "h"},
        {"/a/../b", NULL, NULL, NULL},
        {"/a/./b", NULL, NULL, NULL},
        {"/..", NULL, NULL, NULL},
        {"/a%2f..%2fb", NULL, NULL, NULL},
        {"/%2e%2e/x", NULL, NULL, NULL},
        {"/echo%00x", NULL, NULL, NULL},
        {"/%zz", NULL, NULL, NULL},
        {"/%ff", NULL, NULL, NULL},
        {"/a#b", NULL, NULL, NULL},
        {"/a b", NULL, NULL, NULL},
        {"/\xc3\xa4", NULL, NULL, NULL},
        {"", "/", "", ""},
        {"a", NULL, NULL, NULL},
        {"a:80", NULL, NULL, NULL},
        {"ftp://h/", NULL, NULL, NULL},
        {"http://", NULL, NULL, NULL},
        {"http://u@h/", NULL, NULL, NULL},
        {"http://h:99999/", NULL, NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(arena) struct arena *arena = arena_open(MIB);
        struct status st = {0};
        struct http_target out;
        check_case(rows[i].target);
        bool fine = http_target_parse(text_of(rows[i].target), arena, &out, &st);
        assert_int_equal(fine, rows[i].path != NULL);
        if (!fine) {
            assert_int_equal(st.code, STATUS_INVALID);
            continue;
        }
        check_text(out.path, rows[i].path);
        check_text(out.query, rows[i].query);
        check_text(out.authority, rows[i].authority);
    }
}

static void urls(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host, *authority, *path;
        int port;
        bool tls, is_unix;
    } rows[] = {
        {"http://h", "h", "h", "", 80, false, false},
        {"https://h.example:8443/v1/", "h.example", "h.example:8443", "/v1", 8443, true, false},
        {"http://[::1]:8080/a/b", "::1", "[::1]:8080", "/a/b", 8080, false, false},
        {"unix:/run/x.sock", "/run/x.sock", "localhost", "", 0, false, true},
        {"unix:x", NULL, NULL, NULL, 0, false, false},
        {"http://", NULL, NULL, NULL, 0, false, false},
        {"http://h:", "h", "h:", "", 80, false, false},
        {"http://h:0", NULL, NULL, NULL, 0, false, false},
        {"http://h:1x", NULL, NULL, NULL, 0, false, false},
        {"http://h:-1", NULL, NULL, NULL, 0, false, false},
        {"http://u:p@h", NULL, NULL, NULL, 0, false, false},
        {"http://[::1", NULL, NULL, NULL, 0, false, false},
        {"http://[::1]x", NULL, NULL, NULL, 0, false, false},
        {"http://h/a?b", NULL, NULL, NULL, 0, false, false},
        {"http://h/a b", NULL, NULL, NULL, 0, false, false},
        {"ftp://h", NULL, NULL, NULL, 0, false, false},
        {"h:80", NULL, NULL, NULL, 0, false, false},
        {"", NULL, NULL, NULL, 0, false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct status st = {0};
        struct http_url out;
        check_case(rows[i].url);
        bool fine = http_url_parse(text_of(rows[i].url), &out, &st);
        assert_int_equal(fine, rows[i].host != NULL);
        if (!fine)
            continue;
        check_text(out.host, rows[i].host);
        check_text(out.authority, rows[i].authority);
        check_text(out.path, rows[i].path);
        assert_int_equal(out.port, rows[i].port);
        assert_int_equal(out.tls, rows[i].tls);
        assert_int_equal(out.is_unix, rows[i].is_unix);
    }
}

static void header_lookups(void **state)
{
    (void)state;
    const struct http_header fields[] = {
        {TEXT("Accept"), TEXT("a")},
        {TEXT("accept"), TEXT("b, C ,d")},
        {TEXT("Empty"), TEXT("")},
    };
    const struct http_headers headers = {fields, ARRAY_LEN(fields)};
    check_text(http_header_get(headers, TEXT("ACCEPT")), "a");
    assert_true(http_header_has(headers, TEXT("empty")));
    assert_non_null(http_header_get(headers, TEXT("empty")).at);
    assert_null(http_header_get(headers, TEXT("other")).at);
    assert_true(http_header_has_token(headers, TEXT("accept"), TEXT("c")));
    assert_false(http_header_has_token(headers, TEXT("accept"), TEXT("x")));
    size_t at = 0, count = 0;
    for (struct text value; http_header_next(headers, TEXT("accept"), &at, &value);)
        count++;
    assert_int_equal(count, 2);
    assert_true(http_header_is_token(TEXT("x-Request-Id")));
    assert_false(http_header_is_token(TEXT("")));
    assert_false(http_header_is_token(TEXT("a b")));
    assert_false(http_header_is_token(TEXT("a:")));
    assert_false(http_header_is_token(TEXT("\xc3\xa4")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes), cmocka_unit_test(encodes), cmocka_unit_test(queries),
        cmocka_unit_test(targets), cmocka_unit_test(urls),    cmocka_unit_test(header_lookups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
