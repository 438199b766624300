#include "http_forwarded.h"
#include "arena.h"
#include "check.h"

static struct http_forwarded *make(const char *list, enum http_forwarded_header header)
{
    struct text proxies[8], rest = text_of(list), item;
    size_t count = 0;
    struct http_forwarded *forwarded = NULL;
    struct status st = {0};
    while (text_split(&rest, ' ', &item))
        if (item.len > 0)
            proxies[count++] = item;
    if (!http_forwarded_new(proxies, count, header, &forwarded, &st))
        fail_msg("%s", st.text);
    return forwarded;
}

/* The header may come in two fields. */
static const struct {
    const char *name, *proxies, *peer, *first, *second, *want;
} cases[] = {
    {"nobody is trusted", "", "10.0.0.1:1", "1.2.3.4", NULL, "10.0.0.1"},
    {"nobody is trusted, unix", "", "unix", "1.2.3.4", NULL, ""},
    {"a stranger's word", "10.0.0.0/8", "11.0.0.1:1", "1.2.3.4", NULL, "11.0.0.1"},
    {"a stranger by unix", "10.0.0.0/8", "unix", "1.2.3.4", NULL, ""},
    {"one proxy", "10.0.0.0/8", "10.9.8.7:1", "1.2.3.4", NULL, "1.2.3.4"},
    {"a proxy that says nothing", "10.0.0.0/8", "10.9.8.7:1", NULL, NULL, "10.9.8.7"},
    {"what the client wrote itself", "10.0.0.0/8", "10.9.8.7:1", "6.6.6.6, 1.2.3.4", NULL,
     "1.2.3.4"},
    {"two proxies", "10.0.0.0/8", "10.9.8.7:1", "6.6.6.6, 1.2.3.4, 10.1.1.1", NULL, "1.2.3.4"},
    {"two fields", "10.0.0.0/8", "10.9.8.7:1", "6.6.6.6", "1.2.3.4, 10.1.1.1", "1.2.3.4"},
    {"all are proxies", "10.0.0.0/8", "10.9.8.7:1", "10.1.1.1, 10.2.2.2", NULL, "10.1.1.1"},
    {"nonsense behind a proxy", "10.0.0.0/8", "10.9.8.7:1", "1.2.3.4, unknown, 10.2.2.2", NULL,
     "10.2.2.2"},
    {"nonsense alone", "10.0.0.0/8", "10.9.8.7:1", "unknown", NULL, "10.9.8.7"},
    {"empty elements", "10.0.0.0/8", "10.9.8.7:1", ", 1.2.3.4 ,, ", NULL, "1.2.3.4"},
    {"a quote left open", "10.0.0.0/8", "10.9.8.7:1", "\"6.6.6.6, 1.2.3.4", NULL, "1.2.3.4"},
    {"by unix", "unix", "unix", "1.2.3.4", NULL, "1.2.3.4"},
    {"with a port", "unix", "unix", "1.2.3.4:555", NULL, "1.2.3.4"},
    {"version 6", "fd00::/8", "[fd12::1]:80", "2001:DB8::0:7", NULL, "2001:db8::7"},
    {"version 6, brackets and port", "::1", "[::1]:80", "[2001:db8::7]:99", NULL, "2001:db8::7"},
    {"mapped version 4", "10.0.0.0/8", "[::ffff:10.1.2.3]:80", "::ffff:1.2.3.4", NULL, "1.2.3.4"},
    {"bits within a byte, inside", "10.128.0.0/9", "10.200.0.1:1", "1.2.3.4", NULL, "1.2.3.4"},
    {"bits within a byte, outside", "10.128.0.0/9", "10.100.0.1:1", "1.2.3.4", NULL, "10.100.0.1"},
    {"version 4 is not in ::/96", "::/96", "10.1.1.1:1", "1.2.3.4", NULL, "10.1.1.1"},
    {"everybody", "0.0.0.0/0 ::/0", "9.9.9.9:1", "1.2.3.4", NULL, "1.2.3.4"},
};

static void x_forwarded_for(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) struct arena *arena = arena_open(64 * KIB);
        AUTO(http_forwarded)
        struct http_forwarded *forwarded = make(cases[i].proxies, HTTP_FORWARDED_X_FORWARDED_FOR);
        const struct http_header fields[] = {
            {TEXT("Forwarded"), TEXT("for=7.7.7.7")},
            {TEXT("X-Forwarded-For"), text_of(cases[i].first)},
            {TEXT("x-forwarded-for"), text_of(cases[i].second)},
        };
        struct http_headers headers = {fields, 1 + (size_t)(cases[i].first != NULL) +
                                                   (size_t)(cases[i].second != NULL)};
        check_case(cases[i].name);
        check_text(http_forwarded_client(forwarded, text_of(cases[i].peer), headers, arena),
                   cases[i].want);
    }
}

static const struct {
    const char *value, *want;
} elements[] = {
    {"for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"},
    {"proto=http; For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"},
    {"for=6.6.6.6, for=192.0.2.1", "192.0.2.1"},
    {"for=192.0.2.1, for=10.1.1.1;by=10.2.2.2", "192.0.2.1"},
    {"for=\"6.6.6.6, for=7.7.7.7\", for=192.0.2.1", "192.0.2.1"},
    {"for=\"6.6.6.6, for=192.0.2.1", "192.0.2.1"},
    {"for=192.0.2.1, for=_hidden", "10.0.0.1"},
    {"for=unknown", "10.0.0.1"},
    {"by=1.2.3.4", "10.0.0.1"},
    {"for=", "10.0.0.1"},
    {"for=\"", "10.0.0.1"},
    {"", "10.0.0.1"},
};

static void rfc7239(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    AUTO(http_forwarded)
    struct http_forwarded *forwarded = make("10.0.0.0/8", HTTP_FORWARDED_RFC7239);
    for (size_t i = 0; i < ARRAY_LEN(elements); i++) {
        const struct http_header fields[] = {
            {TEXT("X-Forwarded-For"), TEXT("7.7.7.7")},
            {TEXT("Forwarded"), text_of(elements[i].value)},
        };
        check_case(elements[i].value);
        check_text(http_forwarded_client(forwarded, TEXT("10.0.0.1:99"),
                                         (struct http_headers){fields, 2}, arena),
                   elements[i].want);
    }
}

/* More hops than are looked at: the nearest count. */
static void many_hops(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(MIB);
    AUTO(http_forwarded)
    struct http_forwarded *forwarded = make("unix", HTTP_FORWARDED_X_FORWARDED_FOR);
    struct text_buf buf = text_buf_in(arena, 64 * KIB);
    for (int i = 0; i < 2000; i++)
        text_buf_add(&buf, TEXT("6.6.6.6,"));
    text_buf_add(&buf, TEXT("1.2.3.4"));
    const struct http_header field = {TEXT("x-forwarded-for"), text_buf_text(&buf)};
    check_text(
        http_forwarded_client(forwarded, TEXT("unix"), (struct http_headers){&field, 1}, arena),
        "1.2.3.4");
}

static void wrong_proxies(void **state)
{
    (void)state;
    static const char *const wrong[] = {"proxy",  "10.0.0.0/33", "10.0.0.0/-1",
                                        "::/129", "10.0.0.0/",   "10.0.0/8",
                                        "/8",     "10.0.0.1:80", "10.0.0.0/8x"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct text item = text_of(wrong[i]);
        struct http_forwarded *forwarded = NULL;
        struct status st = {0};
        check_case(wrong[i]);
        assert_false(http_forwarded_new(&item, 1, HTTP_FORWARDED_X_FORWARDED_FOR, &forwarded, &st));
        assert_int_equal(st.code, STATUS_INVALID);
        assert_true(text_ends(status_text(&st), item));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(x_forwarded_for),
        cmocka_unit_test(rfc7239),
        cmocka_unit_test(many_hops),
        cmocka_unit_test(wrong_proxies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
