/* The writer of events, as a client gets them. */
#include "http_sse.h"

#include <stdlib.h>
#include "http_test_rig.h"

/* Each of CR, LF and CRLF ends a line of the data, so none can end the field (and begin another).
 */
static const struct {
    const char *data, *want;
} events[] = {
    {"plain", "data: plain\n\n"},
    {"", "data: \n\n"},
    {"a\nb", "data: a\ndata: b\n\n"},
    {"a\rb", "data: a\ndata: b\n\n"},
    {"a\r\nb", "data: a\ndata: b\n\n"},
    {"a\n\rb", "data: a\ndata: \ndata: b\n\n"},
    {"a\r\rb", "data: a\ndata: \ndata: b\n\n"},
    {"\r", "data: \ndata: \n\n"},
    {"a\r", "data: a\ndata: \n\n"},
    {"a\r\n", "data: a\ndata: \n\n"},
    {"a\rid: 7\revent: forged", "data: a\ndata: id: 7\ndata: event: forged\n\n"},
};

static void send_all(void *ctx, struct http_request *req, struct http_reply *reply)
{
    struct status st;
    (void)ctx;
    (void)req;
    bool sent = http_sse_start(reply, &st);
    for (size_t i = 0; sent && i < ARRAY_LEN(events); i++)
        sent = http_sse_send(reply, TEXT(""), TEXT(""), text_of(events[i].data), &st);
    sent = sent && http_sse_send(reply, TEXT("named"), TEXT("17"), TEXT("x"), &st) &&
           http_sse_comment(reply, TEXT("hb"), &st) && http_reply_end(reply, &st);
    assert_true(sent);
}

/* The chunks put together again. */
static struct text unchunked(struct rig *rig, struct text body)
{
    struct text_buf out = text_buf_in(rig->arena, MIB);
    for (;;) {
        size_t line = text_find(body, TEXT("\r\n"));
        char *size_text = arena_cstr(rig->arena, text_take(body, line));
        size_t size = strtoul(size_text, NULL, 16);
        if (size == 0)
            return text_buf_text(&out);
        text_buf_add(&out, text_take(text_skip(body, line + 2), size));
        body = text_skip(body, line + 2 + size + 2);
    }
}

static void written(struct rig *rig)
{
    struct text response =
        rig_talk(rig, TEXT("GET /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
    assert_int_equal(rig_status(response), 200);
    assert_int_equal(rig_count(response, TEXT("Content-Type: text/event-stream\r\n")), 1);
    struct text body = unchunked(rig, rig_body(response));
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        struct text want = text_of(events[i].want);
        check_case(events[i].want);
        check_text(text_take(body, want.len), events[i].want);
        body = text_skip(body, want.len);
    }
    check_text(body, "event: named\nid: 17\ndata: x\n\n: hb\n\n");
}

static void line_ends(void **state)
{
    (void)state;
    rig_run(written, &(struct http_server_options){.handler = send_all});
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(line_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
