/* Clients that go away, that do not read, that come in crowds, and servers that stop. */
#include "http_test_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST "Host: a\r\n"
#define CLOSE "Connection: close\r\n"

/* Closes after every byte of a request, and after every byte of its reply. */
static void cut_at_each_byte(struct rig *rig)
{
    struct text input = TEXT("POST /stream?n=2 HTTP/1.1\r\n" HOST CLOSE
                             "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    for (size_t len = 0; len <= input.len; len++) {
        struct net_conn *conn = rig_connect(rig);
        if (len > 0)
            rig_send(conn, text_take(input, len));
        if (len % 2 == 0)
            fiber_yield();
        net_close(conn);
    }
    rig_wait_connections(rig, 0);
    for (int len = 0; len < 200; len += 3) {
        char byte;
        size_t got;
        struct status st;
        struct net_conn *conn = rig_connect(rig);
        rig_send(conn, input);
        for (int i = 0; i < len; i++) {
            if (!net_read(conn, &byte, 1, clock_deadline_ms(5000), &got, &st))
                break;
        }
        net_close(conn);
    }
    rig_wait_connections(rig, 0);
}

static void disconnects(void **state)
{
    (void)state;
    rig_run(cut_at_each_byte, NULL);
}

static void close_by_reset(struct net_conn *conn)
{
    struct linger reset = {1, 0};
    assert_int_equal(setsockopt(net_descriptor(conn), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)),
                     0);
}

/* The handler waits for something else when its client goes: by FIN, by RST, by half-close. */
static void gone_while_waiting(struct rig *rig)
{
    for (int how = 0; how < 3; how++) {
        struct net_conn *conn = rig_connect(rig);
        rig_send(conn, TEXT("GET /wait HTTP/1.1\r\n" HOST "\r\n"));
        while (rig->calls <= how)
            rig_sleep(1);
        int64_t start_us = clock_mono_us();
        if (how == 1)
            close_by_reset(conn);
        if (how == 2)
            net_shutdown_write(conn);
        else
            net_close(conn);
        rig_wait_connections(rig, 0);
        assert_true(clock_mono_us() - start_us < 2000000);
        if (how == 2)
            net_close(conn);
        assert_int_equal(rig->cancelled, how + 1);
    }
    assert_int_equal(rig->errors, 0);
    assert_int_equal(atomic_load(&rig->counters.requests_by_class[0]), 3);
}

static void hangup_cancels(void **state)
{
    (void)state;
    rig_run(gone_while_waiting, NULL);
}

static void slow_reader(struct rig *rig)
{
    bool closed;
    struct net_conn *conn = rig_connect(rig);
    rig_send(conn, TEXT("GET /big?n=20480 HTTP/1.1\r\n" HOST CLOSE "\r\n"));
    uint64_t before;
    do { /* until the writer stands still */
        before = rig->written;
        rig_sleep(100);
    } while (before == 0 || rig->written != before);
    assert_true(rig->written < 4 * MIB); /* what the kernel holds on both sides, and no more */
    struct text response = rig_receive(rig, conn, 30000, &closed);
    assert_int_equal(rig_body(response).len, 20480 * 1024);
    net_close(conn);
    /* One that never reads on is given up. */
    conn = rig_connect(rig);
    rig_send(conn, TEXT("GET /big?n=20480 HTTP/1.1\r\n" HOST CLOSE "\r\n"));
    rig_wait_connections(rig, 1);
    rig_wait_connections(rig, 0);
    assert_int_equal(rig->last.code, STATUS_TIMEOUT);
    net_close(conn);
}

static void back_pressure(void **state)
{
    (void)state;
    const struct http_server_options options = {.limits = {.write_ms = 700}};
    rig_run(slow_reader, &options);
}

/* Bytes that a client sends while its reply runs stay in the kernel. */
static void flood(struct rig *rig)
{
    char block[16384];
    struct status st;
    uint64_t sent = 0;
    struct net_conn *conn = rig_connect(rig);
    rig_send(conn, TEXT("GET /wait HTTP/1.1\r\n" HOST "\r\n"));
    memset(block, 'x', sizeof(block));
    for (;;) {
        struct iovec piece = {block, sizeof(block)};
        if (!net_write(conn, &piece, 1, clock_deadline_ms(300), &st))
            break;
        sent += sizeof(block);
    }
    assert_int_equal(st.code, STATUS_TIMEOUT);
    assert_true(sent < 16 * MIB);
    close_by_reset(conn); /* a FIN would wait behind the bytes that nobody reads */
    net_close(conn);
    rig_wait_connections(rig, 0);
    assert_int_equal(rig->cancelled, 1);
}

static void floods_bounded(void **state)
{
    (void)state;
    rig_run(flood, NULL);
}

static void cut_replies(struct rig *rig)
{
    struct text response = rig_talk(rig, TEXT("GET /half HTTP/1.1\r\n" HOST "\r\n"));
    assert_int_equal(rig_status(response), 200);
    assert_true(text_ends(response, TEXT("half\r\n"))); /* no last chunk: seen to be cut */
    response = rig_talk(rig, TEXT("GET /stream?n=2 HTTP/1.0\r\n\r\n"));
    check_text(rig_body(response), "piece 0\npiece 1\nlast\n");
    assert_int_equal(rig_count(response, TEXT("chunked")), 0);
    response = rig_talk(rig, TEXT("HEAD /stream?n=2 HTTP/1.1\r\n" HOST CLOSE "\r\n"));
    check_text(rig_body(response), "");
    response = rig_talk(rig, TEXT("GET /sse HTTP/1.0\r\n\r\n"));
    check_text(rig_body(response), "data: {\"a\":1}\n\n: ping\n\nevent: done\nid: 7\ndata: two\n"
                                   "data: lines\ndata: and more\n\n");
    assert_int_equal(rig_count(response, TEXT("Content-Type: text/event-stream\r\n")), 1);
}

static void replies_as_they_come(void **state)
{
    (void)state;
    rig_run(cut_replies, NULL);
}

static void crowd(struct rig *rig)
{
    bool closed;
    struct net_conn *conns[3];
    for (size_t i = 0; i < ARRAY_LEN(conns); i++)
        conns[i] = rig_connect(rig);
    rig_wait_connections(rig, 3);
    struct net_conn *more = rig_connect(rig);
    rig_send(more, TEXT("GET /x HTTP/1.1\r\n" HOST "\r\n"));
    struct text response = rig_receive(rig, more, 5000, &closed);
    assert_int_equal(rig_status(response), 503);
    check_text(rig_body(response), "error: too many connections");
    assert_int_equal(rig_count(response, TEXT("Retry-After: 1\r\n")), 1);
    assert_true(closed);
    net_close(more);
    rig_send(conns[0], TEXT("GET /x HTTP/1.1\r\n" HOST "\r\n"));
    (void)rig_receive_until(rig, conns[0], TEXT("/x"));
    for (size_t i = 0; i < ARRAY_LEN(conns); i++)
        net_close(conns[i]);
    rig_wait_connections(rig, 0);
    assert_int_equal(rig_status(rig_talk(rig, TEXT("GET /x HTTP/1.1\r\n" HOST CLOSE "\r\n"))), 200);
    assert_int_equal(atomic_load(&rig->counters.connections_refused), 1);
    /* Far more than are accepted to be refused: they wait, and none is lost. */
    struct net_conn *many[100];
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        many[i] = rig_connect(rig);
        rig_send(many[i], TEXT("GET /x HTTP/1.1\r\n" HOST CLOSE "\r\n"));
    }
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        int status = rig_status(rig_receive(rig, many[i], 10000, &closed));
        assert_true(closed && (status == 200 || status == 503));
        net_close(many[i]);
    }
}

static void connections_bounded(void **state)
{
    (void)state;
    const struct http_server_options options = {.limits = {.connections_max = 3}};
    rig_run(crowd, &options);
}

/* Stops while one connection is idle, one has half a head, one streams and one waits for ever. */
struct drain {
    struct rig *rig;
    int64_t stream_us, drain_us;
    bool done;
};

static void drain_fiber(void *arg)
{
    struct drain *drain = arg;
    http_server_drain(drain->rig->server, drain->stream_us, drain->drain_us);
    drain->done = true;
}

static void drained(struct rig *rig)
{
    bool closed;
    struct status st;
    struct drain drain = {rig, clock_deadline_ms(500), CLOCK_NEVER, false};
    struct net_conn *idle = rig_connect(rig), *half = rig_connect(rig), *slow = rig_connect(rig),
                    *endless = rig_connect(rig);
    rig_send(idle, TEXT("GET /x HTTP/1.1\r\n" HOST "\r\n"));
    (void)rig_receive_until(rig, idle, TEXT("/x"));
    rig_send(half, TEXT("GET /x HTTP/1.1\r\n"));
    rig_send(slow, TEXT("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\no"));
    rig_send(endless, TEXT("GET /wait HTTP/1.1\r\n" HOST "\r\n"));
    rig_wait_connections(rig, 4);
    while (rig->calls < 3)
        rig_sleep(1);
    uint16_t port = http_server_port(rig->server);
    assert_true(fiber_start(rig->loop, "drain", drain_fiber, &drain, &st));
    check_text(rig_receive(rig, idle, 2000, &closed), "");
    assert_true(closed);
    struct net_address address = {.host = TEXT("127.0.0.1"), .port = port};
    struct net_conn *late;
    assert_false(net_connect(rig->loop, &address, &(struct net_connect_options){0},
                             clock_deadline_ms(1000), &late, &st));
    rig_send(slow, TEXT("k"));
    struct text response = rig_receive(rig, slow, 2000, &closed);
    assert_int_equal(rig_status(response), 200);
    assert_int_equal(rig_count(response, TEXT("Connection: close\r\n")), 1);
    assert_true(closed);
    rig_send(half, TEXT(HOST "\r\n"));
    response = rig_receive(rig, half, 2000, &closed);
    assert_int_equal(rig_status(response), 200);
    assert_true(closed);
    assert_false(drain.done);
    response = rig_receive(rig, endless, 5000, &closed); /* its 500 ms have passed */
    assert_int_equal(rig_status(response), 503);
    check_text(rig_body(response), "error: the server is stopping");
    assert_true(closed);
    while (!drain.done)
        rig_sleep(1);
    assert_int_equal(rig->cancelled, 1);
    net_close(idle);
    net_close(half);
    net_close(slow);
    net_close(endless);
    http_server_close(rig->server);
    rig->server = NULL;
}

static void stops_gently(void **state)
{
    (void)state;
    rig_run(drained, NULL);
}

static void drain_bound(struct rig *rig)
{
    struct net_conn *conn = rig_connect(rig);
    rig_send(conn, TEXT("GET /wait HTTP/1.1\r\n" HOST "\r\n"));
    while (rig->calls < 1)
        rig_sleep(1);
    int64_t start_us = clock_mono_us();
    http_server_drain(rig->server, CLOCK_NEVER, clock_deadline_ms(200));
    assert_in_range(clock_mono_us() - start_us, 150000, 5000000);
    net_close(conn);
}

static void stops_in_time(void **state)
{
    (void)state;
    rig_run(drain_bound, NULL);
}

/* A handler that is cancelled by a drain may still say so; not when its client has gone. */
static void last_words(struct rig *rig)
{
    bool closed;
    struct net_conn *conn = rig_connect(rig), *gone = rig_connect(rig);
    rig_send(conn, TEXT("GET /wait-and-tell HTTP/1.1\r\n" HOST "\r\n"));
    rig_send(gone, TEXT("GET /wait-and-tell HTTP/1.1\r\n" HOST "\r\n"));
    while (rig->calls < 2)
        rig_sleep(1);
    net_close(gone);
    rig_wait_connections(rig, 1);
    assert_int_equal(atomic_load(&rig->counters.requests_by_class[0]), 1);
    http_server_drain(rig->server, 0, 0);
    struct text response = rig_receive(rig, conn, 2000, &closed);
    assert_int_equal(rig_status(response), 503);
    check_text(rig_body(response), "cut short");
    assert_int_equal(rig_count(response, TEXT("Connection: close\r\n")), 1);
    assert_true(closed);
    net_close(conn);
}

static void last_words_are_heard(void **state)
{
    (void)state;
    rig_run(last_words, NULL);
}

/* The same for a reply that has begun: its last piece still goes out, and it ends as a whole. */
static void last_piece(struct rig *rig)
{
    bool closed;
    struct net_conn *conn = rig_connect(rig), *gone = rig_connect(rig);
    rig_send(conn, TEXT("GET /stream-and-tell HTTP/1.1\r\n" HOST "\r\n"));
    rig_send(gone, TEXT("GET /stream-and-tell HTTP/1.1\r\n" HOST "\r\n"));
    while (rig->calls < 2)
        rig_sleep(1);
    net_close(gone);
    rig_wait_connections(rig, 1);
    assert_int_equal(rig->gone, 1);
    http_server_drain(rig->server, 0, 0);
    assert_int_equal(rig->gone, 1);
    struct text response = rig_receive(rig, conn, 2000, &closed);
    assert_int_equal(rig_status(response), 200);
    assert_int_equal(rig_count(response, TEXT("\r\n9\r\ncut short\r\n0\r\n\r\n")), 1);
    assert_true(closed);
    net_close(conn);
}

static void last_piece_is_heard(void **state)
{
    (void)state;
    rig_run(last_piece, NULL);
}

/* Nor does an arena over its limit keep the answer back. */
static void over_limit(struct rig *rig)
{
    struct text response = rig_talk(rig, TEXT("GET /limit HTTP/1.1\r\n" HOST "\r\n"));
    assert_int_equal(rig_status(response), 413);
    assert_int_equal(rig->last.code, STATUS_LIMIT);
    response = rig_talk(rig, TEXT("GET /x HTTP/1.1\r\n" HOST CLOSE "\r\n"));
    assert_int_equal(rig_status(response), 200);
}

static void requests_bounded(void **state)
{
    (void)state;
    const struct http_server_options options = {.limits = {.arena_bytes_max = MIB}};
    rig_run(over_limit, &options);
}

/* The loop is stopped under a server that is busy: all ends by cancellation. */
static void loop_stopped(struct rig *rig)
{
    static struct net_conn *conns[2];
    conns[0] = rig_connect(rig);
    conns[1] = rig_connect(rig);
    rig_send(conns[0], TEXT("GET /wait HTTP/1.1\r\n" HOST "\r\n"));
    while (rig->calls < 1)
        rig_sleep(1);
    loop_stop(rig->loop);
    http_server_drain(rig->server, CLOCK_NEVER, CLOCK_NEVER);
    net_close(conns[0]);
    net_close(conns[1]);
}

static void stops_with_the_loop(void **state)
{
    (void)state;
    rig_run(loop_stopped, NULL);
}

static void over_unix(struct rig *rig)
{
    struct text response = rig_talk(rig, TEXT("GET /peer HTTP/1.1\r\n" HOST CLOSE "\r\n"));
    check_text(rig_body(response), "unix 0 ");
}

static void unix_socket(void **state)
{
    (void)state;
    char folder[] = "/tmp/weir-http-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/s", folder);
    const struct http_server_options options = {
        .address = {.is_unix = true, .host = text_of(path)}};
    rig_run(over_unix, &options);
    (void)unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(disconnects),          cmocka_unit_test(hangup_cancels),
        cmocka_unit_test(back_pressure),        cmocka_unit_test(floods_bounded),
        cmocka_unit_test(replies_as_they_come), cmocka_unit_test(connections_bounded),
        cmocka_unit_test(stops_gently),         cmocka_unit_test(stops_in_time),
        cmocka_unit_test(last_words_are_heard), cmocka_unit_test(last_piece_is_heard),
        cmocka_unit_test(requests_bounded),     cmocka_unit_test(stops_with_the_loop),
        cmocka_unit_test(unix_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
