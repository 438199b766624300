/* The parser; the writer is tried in http_sse_reply_test.c. */
#include "http_sse.h"

#include <stdio.h>
#include <stdlib.h>
#include "arena.h"
#include "check.h"

/* Each event as "event|id|retry|data;" */
static struct text parse_all(struct text input, size_t step, struct arena *arena,
                             enum http_sse_result *last, bool *idle)
{
    AUTO(http_sse_parser) struct http_sse_parser *parser = http_sse_parser_new();
    struct text_buf out = text_buf_in(arena, MIB);
    *last = HTTP_SSE_MORE;
    for (size_t at = 0; at < input.len && *last != HTTP_SSE_BAD; at += step) {
        struct text piece = arena_text(arena, text_take(text_skip(input, at), step));
        struct http_sse_event event;
        while ((*last = http_sse_feed(parser, &piece, &event)) == HTTP_SSE_EVENT)
            text_buf_addf(&out, "%.*s|%.*s|%lld|%.*s;", TEXT_ARG(event.event), TEXT_ARG(event.id),
                          (long long)event.retry_ms, TEXT_ARG(event.data));
        assert_true(*last == HTTP_SSE_BAD || piece.len == 0);
    }
    *idle = http_sse_parser_idle(parser);
    return text_buf_text(&out);
}

static void events(void **state)
{
    (void)state;
    static const struct {
        const char *name, *input, *want;
        bool idle;
    } rows[] = {
        {"one", "data: hello\n\n", "||-1|hello;", true},
        {"two", "data: 1\n\ndata: 2\n\n", "||-1|1;||-1|2;", true},
        {"crlf", "data: 1\r\n\r\ndata: 2\r\n\r\n", "||-1|1;||-1|2;", true},
        {"cr", "data: 1\r\rdata: 2\r\r", "||-1|1;||-1|2;", true},
        {"no space", "data:x\n\n", "||-1|x;", true},
        {"two spaces", "data:  x\n\n", "||-1| x;", true},
        {"lines", "data: a\ndata\ndata: b\n\n", "||-1|a\n\nb;", true},
        {"empty data", "data\n\n", "||-1|;", true},
        {"named", "event: ping\ndata: x\n\ndata: y\n\n", "ping||-1|x;||-1|y;", true},
        {"id stays", "id: 7\ndata: x\n\ndata: y\n\n", "|7|-1|x;|7|-1|y;", true},
        {"id emptied", "id: 7\ndata: x\n\nid\ndata: y\n\n", "|7|-1|x;||-1|y;", true},
        {"retry", "retry: 1500\ndata: x\n\n", "||1500|x;", true},
        {"bad retry", "retry: 1s\nretry: -1\ndata: x\n\n", "||-1|x;", true},
        {"comments", ": ping\n\n:\n\ndata: x\n\n", "||-1|x;", true},
        {"unknown field", "foo: bar\ndata: x\nfoo\n\n", "||-1|x;", true},
        {"event without data", "event: a\n\ndata: x\n\n", "||-1|x;", true},
        {"mark",
         "\xEF\xBB\xBF"
         "data: x\n\n",
         "||-1|x;", true},
        {"half a mark",
         "\xEF\xBB"
         "data: x\n\ndata: y\n\n",
         "||-1|y;", true},
        {"cut in a line", "data: x\n\ndata: y", "||-1|x;", false},
        {"cut before the empty line", "data: x\n", "", false},
        {"empty", "", "", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        check_case(rows[i].name);
        for (size_t step = 1; step <= 40; step++) {
            AUTO(arena) struct arena *arena = arena_open(MIB);
            enum http_sse_result last;
            bool idle;
            check_text(parse_all(text_of(rows[i].input), step, arena, &last, &idle), rows[i].want);
            assert_int_equal(last, HTTP_SSE_MORE);
            assert_int_equal(idle, rows[i].idle);
        }
    }
}

static void too_large(void **state)
{
    (void)state;
    static const size_t steps[] = {1000, 4096, 4 * MIB};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        AUTO(arena) struct arena *arena = arena_open(16 * MIB);
        char *many = arena_alloc(arena, 2 * MIB);
        enum http_sse_result last;
        bool idle;
        memset(many, 'x', 2 * MIB);
        (void)parse_all((struct text){many, 2 * MIB}, steps[i], arena, &last, &idle); /* a line */
        assert_int_equal(last, HTTP_SSE_BAD);
        assert_false(idle);
        for (size_t at = 0; at + 64 <= 2 * MIB; at += 64) { /* many lines of one event */
            memset(many + at, 'y', 64);
            memcpy(many + at, "data: ", 6);
            many[at + 63] = '\n';
        }
        (void)parse_all((struct text){many, 2 * MIB}, steps[i], arena, &last, &idle);
        assert_int_equal(last, HTTP_SSE_BAD);
    }
}

/* An event that lies whole in the input is not copied. */
static void in_place(void **state)
{
    (void)state;
    AUTO(http_sse_parser) struct http_sse_parser *parser = http_sse_parser_new();
    struct text all = TEXT("data: hello\n\n"), input = all;
    struct http_sse_event event;
    assert_int_equal(http_sse_feed(parser, &input, &event), HTTP_SSE_EVENT);
    assert_ptr_equal(event.data.at, all.at + 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(events), cmocka_unit_test(too_large),
                                       cmocka_unit_test(in_place)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
