/* What only the next request on a connection shows: when it may be used again, from both sides. */
#include "http_client.h"
#include "http_test_rig.h"

#define HOST "Host: localhost\r\n"
#define NEXT "GET /next HTTP/1.1\r\n" HOST "\r\n"

static struct http_client *client;
static struct http_origin *origin;

/* --- the server's side --------------------------------------------------------------------------
 */

/* The client was never told to send its body, so nobody knows whether what comes is that or a new
 * request: here it is one that is just as long as the body. */
static void body_not_asked_for(struct rig *rig)
{
    bool closed;
    struct net_conn *conn = rig_connect(rig);
    rig_send(conn, arena_format(rig->arena,
                                "POST /hello HTTP/1.1\r\n" HOST
                                "Expect: 100-continue\r\nContent-Length: %zu\r\n\r\n",
                                strlen(NEXT)));
    struct text response = rig_receive_until(rig, conn, TEXT("\r\n\r\n/hello"));
    assert_int_equal(rig_status(response), 200);
    assert_int_equal(rig_count(response, TEXT("100 Continue")), 0);
    assert_int_equal(rig_count(response, TEXT("Connection: close\r\n")), 1);
    rig_send(conn, TEXT(NEXT NEXT));
    response = rig_receive(rig, conn, 3000, &closed);
    assert_true(closed);
    check_text(response, "");
    assert_int_equal(rig->calls, 1);
    net_close(conn);
}

static void unread_body_that_was_not_asked_for(void **state)
{
    (void)state;
    rig_run(body_not_asked_for, NULL);
}

/* The server waits for the body, and gets the next request in the same breath: not one byte of it
 * may be taken for the body. */
static void body_and_next(struct rig *rig)
{
    static const size_t sizes[] = {1, 100, 5000, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 300000};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct net_conn *conn = rig_connect(rig);
        char *bytes = arena_alloc(rig->arena, sizes[i] + strlen(NEXT));
        memset(bytes, 'x', sizes[i]);
        memcpy(bytes + sizes[i], NEXT, strlen(NEXT));
        rig_send(conn, arena_format(rig->arena,
                                    "POST /echo HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n",
                                    sizes[i]));
        rig_sleep(5); /* it is reading now */
        rig_send(conn, (struct text){bytes, sizes[i] + strlen(NEXT)});
        struct text response = rig_receive_until(rig, conn, TEXT("\r\n\r\n/next"));
        assert_int_equal(rig_count(response, TEXT("HTTP/1.1 200 OK\r\n")), 2);
        assert_true(text_find(response, (struct text){bytes, sizes[i]}) < response.len);
        net_close(conn);
    }
}

static void bytes_behind_a_body(void **state)
{
    (void)state;
    rig_run(body_and_next, NULL);
}

/* --- the client's side --------------------------------------------------------------------------
 */

/* A peer that answers each request with the same bytes, and never closes by itself. */
struct peer {
    struct net_listener *listener;
    struct text answer;
    int connections, requests;
    size_t open;
    bool ended;
};
struct peer_conn {
    struct peer *peer;
    struct net_conn *net;
};

static void answer_all(void *arg)
{
    struct peer_conn *conn = arg;
    char bytes[4096];
    size_t len = 0, got;
    struct status st;
    while (
        net_read(conn->net, bytes + len, sizeof(bytes) - len, clock_deadline_ms(5000), &got, &st)) {
        len += got;
        if (!text_ends((struct text){bytes, len}, TEXT("\r\n\r\n")))
            continue;
        len = 0;
        conn->peer->requests++;
        rig_send(conn->net, conn->peer->answer);
    }
    net_close(conn->net);
    conn->peer->open--;
}

static void accept_all(void *arg)
{
    struct peer *peer = arg;
    struct peer_conn conns[8];
    struct status st;
    struct net_conn *net;
    while (net_accept(peer->listener, &net, &st)) {
        struct peer_conn *conn = &conns[peer->connections++];
        *conn = (struct peer_conn){peer, net};
        peer->open++;
        assert_true(fiber_start(loop_current(), "answer", answer_all, conn, &st));
    }
    while (peer->open > 0)
        rig_sleep(1);
    peer->ended = true;
}

#define BODY "\r\nContent-Length: 4\r\n\r\nbody"
static const struct {
    const char *name, *answer;
    size_t read;     /* bytes of the body that are read; SIZE_MAX: to its end */
    int connections; /* for two calls */
} reuses[] = {
    {"read to its end", "HTTP/1.1 200 OK" BODY, SIZE_MAX, 1},
    {"not read at all", "HTTP/1.1 200 OK" BODY, 0, 2},
    {"cut short", "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nhalf", 4, 2},
    {"chunks without their end",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n", 4, 2},
    {"close", "HTTP/1.1 200 OK\r\nConnection: close" BODY, SIZE_MAX, 2},
    {"close in a list", "HTTP/1.1 200 OK\r\nConnection: x, Close" BODY, SIZE_MAX, 2},
    {"1.0", "HTTP/1.0 200 OK" BODY, SIZE_MAX, 2},
    {"1.0 that is kept", "HTTP/1.0 200 OK\r\nConnection: keep-alive" BODY, SIZE_MAX, 1},
    {"bytes behind", "HTTP/1.1 200 OK" BODY "HTTP/1.1 200 OK" BODY, SIZE_MAX, 2},
};

/* One call; the connection is then let go with only `read` bytes of the body taken. */
static void call_once(struct rig *rig, size_t read)
{
    struct status st = {0};
    AUTO(http_response) struct http_response *response = NULL;
    const struct http_call call = {
        .origin = origin, .method = TEXT("GET"), .target = TEXT("/x"), .total_ms = 5000};
    struct text piece;
    size_t got = 0;
    if (!http_client_call(client, &call, rig->arena, &response, &st))
        fail_msg("%s", st.text);
    assert_int_equal(response->http_status, 200);
    while (got < read) {
        assert_true(http_response_read(response, &piece, &st));
        if (piece.len == 0)
            break;
        got += piece.len;
    }
}

static void reuse_all(struct rig *rig)
{
    struct status st;
    const struct net_address address = {.host = TEXT("127.0.0.1")};
    for (size_t i = 0; i < ARRAY_LEN(reuses); i++) {
        check_case(reuses[i].name);
        struct peer peer = {.answer = text_of(reuses[i].answer)};
        assert_true(
            net_listen(rig->loop, &address, &(struct net_listen_options){0}, &peer.listener, &st));
        assert_true(fiber_start(rig->loop, "peer", accept_all, &peer, &st));
        client = http_client_open(rig->loop, &(struct http_client_options){0});
        const struct http_origin_options options = {
            .url =
                arena_format(rig->arena, "http://127.0.0.1:%u", net_listener_port(peer.listener))};
        assert_true(http_origin_open(client, &options, &origin, &st));
        call_once(rig, reuses[i].read);
        assert_int_equal(http_origin_idle(origin), reuses[i].connections == 1 ? 1 : 0);
        call_once(rig, reuses[i].read);
        assert_int_equal(peer.connections, reuses[i].connections);
        assert_int_equal(peer.requests, 2);
        assert_int_equal(http_origin_in_use(origin), 0);
        http_client_close(client);
        net_listener_close(peer.listener);
        while (!peer.ended)
            rig_sleep(1);
    }
}

static void connections_of_the_pool(void **state)
{
    (void)state;
    rig_run(reuse_all, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unread_body_that_was_not_asked_for),
        cmocka_unit_test(bytes_behind_a_body),
        cmocka_unit_test(connections_of_the_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
