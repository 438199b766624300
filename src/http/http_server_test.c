/* A server and what clients do to it, rightly and wrongly, over real sockets. */
#include "http_test_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HOST "Host: a\r\n"
#define CLOSE "Connection: close\r\n"
#define TEXT_INIT(literal) {"" literal, sizeof(literal) - 1}

static void body_is(struct text response, int status, const char *body)
{
    if (rig_status(response) != status)
        print_error("response: %.*s\n", TEXT_ARG(response));
    assert_int_equal(rig_status(response), status);
    if (body != NULL)
        check_text(rig_body(response), body);
}

static void plain(struct rig *rig)
{
    struct text response = rig_talk(rig, TEXT("GET /hello HTTP/1.1\r\n" HOST CLOSE "\r\n"));
    body_is(response, 200, "/hello");
    assert_int_equal(rig_count(response, TEXT("\r\nDate: ")), 1);
    assert_int_equal(rig_count(response, TEXT("\r\nContent-Length: 6\r\n")), 1);
    assert_int_equal(rig_count(response, TEXT("\r\nConnection: close\r\n")), 1);
    response = rig_talk(rig, TEXT("HEAD /hello HTTP/1.1\r\n" HOST CLOSE "\r\n"));
    body_is(response, 200, "");
    assert_int_equal(rig_count(response, TEXT("\r\nContent-Length: 6\r\n")), 1);
    response = rig_talk(rig, TEXT("POST /204 HTTP/1.1\r\n" HOST CLOSE "\r\n"));
    body_is(response, 204, "");
    assert_int_equal(rig_count(response, TEXT("Content-Length")), 0);
    response = rig_talk(rig, TEXT("GET /hello HTTP/1.0\r\n\r\n"));
    body_is(response, 200, "/hello");
    response = rig_talk(rig, TEXT("GET /a%20b?c HTTP/1.1\r\n" HOST CLOSE "\r\n"));
    body_is(response, 200, "/a b");
    response = rig_talk(rig, TEXT("GET http://a/x HTTP/1.1\r\n" HOST CLOSE "\r\n"));
    body_is(response, 200, "/x");
    response = rig_talk(rig, TEXT("GET /forge HTTP/1.1\r\n" HOST CLOSE "\r\n"));
    assert_int_equal(rig_count(response, TEXT("\r\nX-Forge: a  X-Evil: b\r\n")), 1);
}

static void requests_plain(void **state)
{
    (void)state;
    rig_run(plain, NULL);
}

static void keep_alive(struct rig *rig)
{
    struct net_conn *conn = rig_connect(rig);
    for (int i = 0; i < 20; i++) {
        rig_send(conn, TEXT("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nwhat"));
        body_is(rig_receive_until(rig, conn, TEXT("what")), 200, "what");
    }
    rig_send(conn, TEXT("GET /1.0 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    struct text response = rig_receive_until(rig, conn, TEXT("/1.0"));
    assert_int_equal(rig_count(response, TEXT("Connection: keep-alive")), 1);
    net_close(conn);
    assert_int_equal(atomic_load(&rig->counters.connections_total), 1);
    assert_int_equal(rig->calls, 21);
    rig_wait_connections(rig, 0);
    assert_int_equal(atomic_load(&rig->counters.requests_by_class[2]), 21);
}

static void connection_kept(void **state)
{
    (void)state;
    rig_run(keep_alive, NULL);
}

static const struct {
    const char *name;
    struct text input;
    int status;
    const char *body;
} odd[] = {
    {"bad chunk size",
     TEXT_INIT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\n"), 400,
     NULL},
    {"chunk size 0xd",
     TEXT_INIT("POST /echo HTTP/1.1\r\n" HOST
               "Transfer-Encoding: chunked\r\n\r\n0xd\r\nhello, world!\r\n0\r\n\r\n"),
     400, NULL},
    {"chunk size overflow",
     TEXT_INIT("POST /echo HTTP/1.1\r\n" HOST
               "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"),
     400, NULL},
    {"chunk size -1",
     TEXT_INIT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n-1\r\n"), 400,
     NULL},
    {"two lengths",
     TEXT_INIT("POST /echo HTTP/1.1\r\n" HOST
               "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
     400, NULL},
    {"both framings",
     TEXT_INIT("POST /echo HTTP/1.1\r\n" HOST
               "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     400, NULL},
    {"xchunked",
     TEXT_INIT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), 501,
     NULL},
    {"length +13",
     TEXT_INIT("POST /echo HTTP/1.1\r\n" HOST "Content-Length: +13\r\n\r\nhello, world!"), 400,
     NULL},
    {"space before colon",
     TEXT_INIT("POST /echo HTTP/1.1\r\n" HOST "Content-Length : 13\r\n\r\nhello, world!"), 400,
     NULL},
    {"NUL in value", TEXT_INIT("GET / HTTP/1.1\r\n" HOST "X: a\0b\r\n\r\n"), 400, NULL},
    {"bare CR", TEXT_INIT("GET / HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n"), 400, NULL},
    {"bare LF", TEXT_INIT("GET / HTTP/1.1\n" HOST "\n"), 400, NULL},
    {"space in name", TEXT_INIT("GET / HTTP/1.1\r\n" HOST "X Y: a\r\n\r\n"), 400, NULL},
    {"folded", TEXT_INIT("GET / HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n"), 400, NULL},
    {"no host", TEXT_INIT("GET / HTTP/1.1\r\n\r\n"), 400, NULL},
    {"two hosts", TEXT_INIT("GET / HTTP/1.1\r\n" HOST HOST "\r\n"), 400, NULL},
    {"NUL in path", TEXT_INIT("GET /echo%00x HTTP/1.1\r\n" HOST "\r\n"), 400, NULL},
    {"dot segments", TEXT_INIT("GET /a/../b HTTP/1.1\r\n" HOST "\r\n"), 400, NULL},
    {"star for GET", TEXT_INIT("GET * HTTP/1.1\r\n" HOST "\r\n"), 400, NULL},
    {"unknown method", TEXT_INIT("BREW / HTTP/1.1\r\n" HOST "\r\n"), 501, NULL},
    {"HTTP/2.0", TEXT_INIT("GET / HTTP/2.0\r\n" HOST "\r\n"), 505, NULL},
    {"other expectation",
     TEXT_INIT("POST /echo HTTP/1.1\r\n" HOST "Expect: tea\r\nContent-Length: 2\r\n\r\nok"), 417,
     NULL},
    {"garbage", TEXT_INIT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 400, NULL},
    {"smuggled",
     TEXT_INIT(
         "POST /echo HTTP/1.1\r\n" HOST
         "Content-Length: 4\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n" HOST
         "\r\n"),
     400, NULL},
    {"chunk extension",
     TEXT_INIT("POST /echo HTTP/1.1\r\n" HOST CLOSE
               "Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\n\r\n"),
     200, "ok"},
    {"trailer",
     TEXT_INIT("POST /echo HTTP/1.1\r\n" HOST CLOSE
               "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n"),
     200, "ok"},
    {"leading CRLF", TEXT_INIT("\r\nGET /x HTTP/1.1\r\n" HOST CLOSE "\r\n"), 200, "/x"},
    {"OPTIONS *", TEXT_INIT("OPTIONS * HTTP/1.1\r\n" HOST CLOSE "\r\n"), 200, "*"},
    {"expect",
     TEXT_INIT("POST /echo HTTP/1.1\r\n" HOST CLOSE
               "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nok"),
     200, "ok"},
    {"no reply made", TEXT_INIT("GET /nothing HTTP/1.1\r\n" HOST "\r\n"), 500,
     "error: no answer was made"},
};

static void odd_inputs(struct rig *rig)
{
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        check_case(odd[i].name);
        struct text response = rig_talk(rig, odd[i].input);
        body_is(response, odd[i].status, odd[i].body);
        assert_int_equal(rig_count(response, TEXT("HTTP/1.1 ")), 1);
        assert_int_equal(rig_count(response, TEXT("\r\nConnection: close\r\n")), 1);
    }
    plain(rig); /* it is still well */
}

static void requests_odd(void **state)
{
    (void)state;
    rig_run(odd_inputs, NULL);
}

static struct text fields(struct rig *rig, const char *line, int count, size_t value_bytes)
{
    struct text_buf out = text_buf_in(rig->arena, 4 * MIB);
    text_buf_add(&out, text_of(line));
    char *value = arena_alloc(rig->arena, value_bytes + 1);
    memset(value, 'v', value_bytes);
    for (int i = 0; i < count; i++)
        text_buf_addf(&out, "X-%d: %s\r\n", i, value);
    text_buf_add(&out, TEXT(CLOSE "\r\n"));
    return text_buf_text(&out);
}

static void large_heads(struct rig *rig)
{
    static const char line[] = "GET /x HTTP/1.1\r\n" HOST;
    body_is(rig_talk(rig, fields(rig, line, 1, 1000)), 200, "/x");
    body_is(rig_talk(rig, fields(rig, line, 1, 31000)), 200, "/x"); /* moves to the large buffer */
    body_is(rig_talk(rig, fields(rig, line, 98, 10)), 200, "/x");
    body_is(rig_talk(rig, fields(rig, line, 101, 10)), 431, NULL);
    body_is(rig_talk(rig, fields(rig, line, 10000, 10)), 431, NULL);
    body_is(rig_talk(rig, fields(rig, line, 1, 1000000)), 431, NULL);
    char *path = arena_alloc(rig->arena, 1000000);
    memset(path, 'a', 1000000);
    body_is(rig_talk(rig, arena_format(rig->arena, "GET /%.*s HTTP/1.1\r\n" HOST CLOSE "\r\n", 8000,
                                       path)),
            200, NULL);
    body_is(rig_talk(rig, arena_format(rig->arena, "GET /%.*s HTTP/1.1\r\n" HOST CLOSE "\r\n",
                                       1000000, path)),
            414, NULL);
}

static void heads_bounded(void **state)
{
    (void)state;
    rig_run(large_heads, NULL);
}

/* A request in two pieces, cut at every byte, with a pause that makes two reads of it. */
static void cut_anywhere(struct rig *rig)
{
    struct text input = TEXT("POST /echo?x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                             "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n");
    for (size_t cut = 1; cut < input.len; cut++) {
        bool closed;
        struct net_conn *conn = rig_connect(rig);
        rig_send(conn, text_take(input, cut));
        for (int i = 0; i < 4; i++)
            fiber_yield();
        rig_send(conn, text_skip(input, cut));
        body_is(rig_receive(rig, conn, 5000, &closed), 200, "hello!");
        net_close(conn);
    }
}

static void request_cut_anywhere(void **state)
{
    (void)state;
    rig_run(cut_anywhere, NULL);
}

static void pipelined(struct rig *rig)
{
    struct text response = rig_talk(
        rig,
        TEXT("GET /1 HTTP/1.1\r\n" HOST "\r\n"
             "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n2"
             "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\n3\r\n0\r\n\r\n"
             "\r\nHEAD /4 HTTP/1.1\r\n" HOST "\r\n"
             "GET /stream?n=1 HTTP/1.1\r\n" HOST "\r\n"
             "POST /hello HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nxyz" /* left unread */
             "GET /7 HTTP/1.1\r\n" HOST CLOSE "\r\n"
             "GET /never HTTP/1.1\r\n" HOST "\r\n"));
    assert_int_equal(rig_count(response, TEXT("HTTP/1.1 200 OK\r\n")), 7);
    assert_int_equal(rig->calls, 7);
    check_text(rig_body(response).at == NULL ? TEXT_NONE : text_take(rig_body(response), 2), "/1");
    assert_int_equal(rig_count(response, TEXT("8\r\npiece 0\n\r\n5\r\nlast\n\r\n0\r\n\r\n")), 1);
    assert_true(text_ends(response, TEXT("\r\n\r\n/7")));
    struct text_buf many = text_buf_in(rig->arena, MIB);
    for (int i = 0; i < 500; i++)
        text_buf_add(&many, TEXT("GET /m HTTP/1.1\r\n" HOST "\r\n"));
    text_buf_add(&many, TEXT("GET /m HTTP/1.1\r\n" HOST CLOSE "\r\n"));
    response = rig_talk(rig, text_buf_text(&many));
    assert_int_equal(rig_count(response, TEXT("\r\n\r\n/m")), 501);
}

static void requests_pipelined(void **state)
{
    (void)state;
    rig_run(pipelined, NULL);
}

static void expects(struct rig *rig)
{
    bool closed;
    struct net_conn *conn = rig_connect(rig);
    rig_send(conn, TEXT("POST /echo HTTP/1.1\r\n" HOST
                        "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"));
    check_text(rig_receive_until(rig, conn, TEXT("\r\n\r\n")), "HTTP/1.1 100 Continue\r\n\r\n");
    rig_send(conn, TEXT("ok"));
    body_is(rig_receive_until(rig, conn, TEXT("ok")), 200, "ok");
    /* A body that nobody reads is not asked for, and the connection is of no use after. */
    rig_send(conn, TEXT("POST /hello HTTP/1.1\r\n" HOST
                        "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"));
    struct text response = rig_receive(rig, conn, 5000, &closed);
    body_is(response, 200, "/hello");
    assert_true(closed);
    net_close(conn);
    /* Nor one that is too large. */
    response = rig_talk(rig, TEXT("POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n"
                                  "Content-Length: 99999999\r\n\r\n"));
    body_is(response, 413, NULL);
    assert_int_equal(rig_count(response, TEXT("100 Continue")), 0);
}

static void expect_continue(void **state)
{
    (void)state;
    rig_run(expects, NULL);
}

static void large_bodies(struct rig *rig)
{
    static const size_t sizes[] = {1, 4000, 5000, 65535, 65536, 65537, 131072, 1000000, MIB};
    char *bytes = arena_alloc(rig->arena, 4 * MIB);
    memset(bytes, 'b', 4 * MIB);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct text body = {bytes, sizes[i]};
        struct text_buf input = text_buf_in(rig->arena, 4 * MIB);
        text_buf_addf(&input, "POST /echo HTTP/1.1\r\n" HOST CLOSE "Content-Length: %zu\r\n\r\n",
                      body.len);
        text_buf_add(&input, body);
        assert_true(text_equal(rig_body(rig_talk(rig, text_buf_text(&input))), body));
        input = text_buf_in(rig->arena, 4 * MIB);
        text_buf_addf(&input,
                      "POST /echo HTTP/1.1\r\n" HOST CLOSE
                      "Transfer-Encoding: chunked\r\n\r\n%zx\r\n",
                      body.len);
        text_buf_add(&input, body);
        text_buf_add(&input, TEXT("\r\n0\r\n\r\n"));
        assert_true(text_equal(rig_body(rig_talk(rig, text_buf_text(&input))), body));
    }
    struct text_buf input = text_buf_in(rig->arena, 8 * MIB);
    text_buf_add(&input, TEXT("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 4000000\r\n\r\n"));
    text_buf_add(&input, (struct text){bytes, 4000000});
    body_is(rig_talk(rig, text_buf_text(&input)), 413, NULL); /* the answer gets through */
    input = text_buf_in(rig->arena, 8 * MIB);
    text_buf_add(&input, TEXT("POST /echo HTTP/1.1\r\n" HOST
                              "Transfer-Encoding: chunked\r\n\r\n3d0900\r\n"));
    text_buf_add(&input, (struct text){bytes, 4000000});
    body_is(rig_talk(rig, text_buf_text(&input)), 413, NULL);
    input = text_buf_in(rig->arena, 8 * MIB);
    text_buf_add(&input,
                 TEXT("POST /count HTTP/1.1\r\n" HOST CLOSE "Content-Length: 4000000\r\n\r\n"));
    text_buf_add(&input, (struct text){bytes, 4000000});
    body_is(rig_talk(rig, text_buf_text(&input)), 200, "4000000");
}

/* A client that is still sending when it is refused hears the answer, not a reset. */
static void refused_while_sending(struct rig *rig)
{
    struct status st = {0};
    char block[64 * 1024] = {0};
    struct iovec piece = {block, sizeof(block)};
    size_t got;
    struct net_conn *conn = rig_connect(rig);
    rig_send(conn, TEXT("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 4000000\r\n\r\n"));
    rig_send(conn, (struct text){block, sizeof(block)});
    body_is(rig_receive_until(rig, conn, TEXT("bytes")), 413, NULL);
    rig_sleep(20);
    assert_true(net_write(conn, &piece, 1, clock_deadline_ms(5000), &st));
    rig_sleep(20);
    piece = (struct iovec){block, sizeof(block)};
    assert_true(net_write(conn, &piece, 1, clock_deadline_ms(5000), &st));
    assert_false(net_read(conn, block, 1, clock_deadline_ms(5000), &got, &st));
    assert_int_equal(st.code, STATUS_CLOSED); /* in good order */
    net_close(conn);
    rig_wait_connections(rig, 0);
}

static void refusals_heard(void **state)
{
    (void)state;
    rig_run(refused_while_sending, NULL);
}

static void bodies_bounded(void **state)
{
    (void)state;
    rig_run(large_bodies, NULL);
}

static void slow_clients(struct rig *rig)
{
    bool closed;
    struct status st;
    struct net_conn *conn = rig_connect(rig);
    body_is(rig_receive(rig, conn, 5000, &closed), -1, ""); /* says nothing: closed in silence */
    assert_true(closed);
    net_close(conn);
    conn = rig_connect(rig);
    rig_send(conn, TEXT("GET / HTTP/1.1\r\nHo"));
    body_is(rig_receive(rig, conn, 5000, &closed), 408, NULL);
    assert_true(closed);
    net_close(conn);
    conn = rig_connect(rig); /* drips a byte at a time: the deadline is for the whole head */
    int sent = 0;
    while (sent < 300 && net_wait_writable(conn, CLOCK_NEVER, &st)) {
        char byte = sent < 19 ? "GET / HTTP/1.1\r\nX: "[sent] : 'a';
        struct iovec piece = {&byte, 1};
        if (!net_write(conn, &piece, 1, CLOCK_NEVER, &st))
            break;
        rig_sleep(10);
        sent++;
    }
    assert_true(sent < 250); /* 200 ms, and the second in which it may still be sending */
    net_close(conn);
    conn = rig_connect(rig);
    rig_send(conn, TEXT("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\nabc"));
    body_is(rig_receive(rig, conn, 5000, &closed), 408, NULL);
    assert_true(closed);
    net_close(conn);
    conn = rig_connect(rig); /* faster than the least rate: no deadline for the whole */
    rig_send(conn, TEXT("POST /count HTTP/1.1\r\n" HOST CLOSE "Content-Length: 8000\r\n\r\n"));
    for (int i = 0; i < 40; i++) {
        char piece[200] = {0};
        rig_send(conn, (struct text){piece, sizeof(piece)});
        rig_sleep(10);
    }
    body_is(rig_receive(rig, conn, 5000, &closed), 200, "8000");
    net_close(conn);
    conn = rig_connect(rig);
    rig_send(conn, TEXT("GET /x HTTP/1.1\r\n" HOST "\r\n"));
    body_is(rig_receive(rig, conn, 5000, &closed), 200, "/x"); /* and then idle for too long */
    assert_true(closed);
    net_close(conn);
}

static void deadlines(void **state)
{
    (void)state;
    const struct http_server_options options = {
        .limits = {
            .head_ms = 200, .idle_ms = 200, .body_grace_ms = 200, .body_bytes_per_second = 10000}};
    rig_run(slow_clients, &options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_plain),
        cmocka_unit_test(connection_kept),
        cmocka_unit_test(requests_odd),
        cmocka_unit_test(heads_bounded),
        cmocka_unit_test(request_cut_anywhere),
        cmocka_unit_test(requests_pipelined),
        cmocka_unit_test(expect_continue),
        cmocka_unit_test(bodies_bounded),
        cmocka_unit_test(deadlines),
        cmocka_unit_test(refusals_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
