/* The client against our server, and against a peer that says what it should not. */
#include "http_client.h"

#include <stdio.h>
#include <stdlib.h>
#include "http_test_rig.h"

#define TEXT_INIT(literal) {"" literal, sizeof(literal) - 1}

static struct http_client *client;
static struct http_origin *origin;

static void open_origin(struct rig *rig, uint16_t port)
{
    struct status st;
    struct http_client_options options = {.idle_ms = 60000};
    client = http_client_open(rig->loop, &options);
    struct http_origin_options origin_options = {
        .url = arena_format(rig->arena, "http://127.0.0.1:%u/", port), .connections_max = 3};
    assert_true(http_origin_open(client, &origin_options, &origin, &st));
}

static void close_origin(void)
{
    assert_int_equal(http_origin_in_use(origin), 0);
    http_client_close(client);
    client = NULL;
    origin = NULL;
}

static struct http_call get(const char *target)
{
    return (struct http_call){
        .origin = origin, .method = TEXT("GET"), .target = text_of(target), .total_ms = 10000};
}

/* Calls and reads all; the body, or what went wrong. */
static struct text call_text(struct rig *rig, struct http_call call, int *http_status)
{
    struct status st;
    struct text body = TEXT_NONE;
    AUTO(http_response) struct http_response *response = NULL;
    *http_status = 0;
    if (!http_client_call(client, &call, rig->arena, &response, &st) ||
        !http_response_body(response, 4 * MIB, rig->arena, &body, &st)) {
        rig->last = st;
        return arena_text(rig->arena, status_text(&st));
    }
    *http_status = response->http_status;
    return body;
}

static void calls(struct rig *rig)
{
    int status;
    open_origin(rig, http_server_port(rig->server));
    for (int i = 0; i < 10; i++)
        check_text(call_text(rig, get("/hello"), &status), "/hello");
    struct http_call call = get("/echo");
    call.method = TEXT("POST");
    call.body = TEXT("some text");
    const struct http_header fields[] = {{TEXT("X-A"), TEXT("b\r\nHost: c")},
                                         {TEXT("Host"), TEXT("evil")},
                                         {TEXT("Content-Length"), TEXT("3")}};
    call.headers = (struct http_headers){fields, ARRAY_LEN(fields)};
    check_text(call_text(rig, call, &status), "some text");
    assert_int_equal(status, 200);
    call.body = TEXT("");
    check_text(call_text(rig, call, &status), "");
    check_text(call_text(rig, get("/stream?n=2"), &status), "piece 0\npiece 1\nlast\n");
    call = get("/hello");
    call.method = TEXT("HEAD");
    check_text(call_text(rig, call, &status), "");
    assert_int_equal(status, 200);
    check_text(call_text(rig, get("/204"), &status), "");
    assert_int_equal(status, 204);
    assert_int_equal(call_text(rig, get("/big?n=2000"), &status).len, 2000 * 1024);
    (void)call_text(rig, get("/big?n=8000"), &status);
    assert_int_equal(rig->last.code, STATUS_TOO_LARGE);
    (void)call_text(rig, get("/a b"), &status);
    assert_int_equal(rig->last.code, STATUS_INVALID);
    (void)call_text(rig, get("no-slash"), &status);
    assert_int_equal(rig->last.code, STATUS_INVALID);
    check_text(call_text(rig, get("/hello"), &status), "/hello");
    /* One connection for all, and one more after the reply that was too large to read. */
    assert_int_equal(atomic_load(&rig->counters.connections_total), 2);
    assert_int_equal(http_origin_idle(origin), 1);
    close_origin();
}

static void calls_over_one_connection(void **state)
{
    (void)state;
    rig_run(calls, NULL);
}

static bool next_piece(void *ctx, struct text *piece, struct status *st)
{
    int *left = ctx;
    (void)st;
    *piece = (*left)-- > 0 ? TEXT("some bytes; ") : TEXT("");
    return true;
}

static bool no_piece(void *ctx, struct text *piece, struct status *st)
{
    (void)ctx;
    (void)piece;
    return status_fail(st, STATUS_INVALID, "no more");
}

static void streams(struct rig *rig)
{
    struct status st;
    struct text piece;
    int status, left = 1000, pieces = 0;
    open_origin(rig, http_server_port(rig->server));
    struct http_call call = get("/count");
    call.method = TEXT("POST");
    call.body_next = next_piece;
    call.body_ctx = &left;
    check_text(call_text(rig, call, &status), "12000");
    call.body_next = no_piece;
    (void)call_text(rig, call, &status);
    assert_int_equal(rig->last.code, STATUS_INVALID);
    struct http_response *response;
    call = get("/stream?n=5");
    assert_true(http_client_call(client, &call, rig->arena, &response, &st));
    assert_int_equal(response->content_length, -1);
    check_text(http_header_get(response->headers, TEXT("transfer-encoding")), "chunked");
    assert_true(response->head_us >= response->sent_us);
    do {
        assert_true(http_response_read(response, &piece, &st));
        pieces++;
    } while (piece.len > 0);
    assert_true(pieces > 2); /* as they came */
    assert_true(http_response_read(response, &piece, &st) && piece.len == 0);
    http_response_close(response);
    /* One that is left in the middle is closed, and the other side notices. */
    rig_wait_connections(rig, 1);
    call = get("/big?n=20000");
    assert_true(http_client_call(client, &call, rig->arena, &response, &st));
    assert_true(http_response_read(response, &piece, &st));
    http_response_close(response);
    http_response_close(NULL);
    assert_int_equal(http_origin_in_use(origin), 0);
    assert_int_equal(http_origin_idle(origin), 0);
    rig_wait_connections(rig, 0);
    close_origin();
}

static void bodies_as_they_come(void **state)
{
    (void)state;
    rig_run(streams, NULL);
}

/* The server closes what is idle; a call notices that and goes over a fresh connection. */
static void stale(struct rig *rig)
{
    int status;
    open_origin(rig, http_server_port(rig->server));
    check_text(call_text(rig, get("/1"), &status), "/1");
    rig_wait_connections(rig, 0);
    rig_sleep(120);
    assert_int_equal(http_origin_idle(origin), 1);
    struct http_call call = get("/2");
    call.no_resend = true;
    check_text(call_text(rig, call, &status), "/2");
    assert_int_equal(atomic_load(&rig->counters.connections_total), 2);
    close_origin();
}

static void idle_connection_closed_by_server(void **state)
{
    (void)state;
    const struct http_server_options options = {.limits = {.idle_ms = 20}};
    rig_run(stale, &options);
}

/* A peer that reads a request and then does what its script says, connection by connection. */
struct script {
    const char *name;
    struct text answers[3]; /* to the requests of one connection */
    bool stay;              /* does not close after the last */
};

struct peer {
    struct rig *rig;
    struct net_listener *listener;
    const struct script *script;
    int connections, requests;
    bool ended;
    struct http_origin *close_at_2; /* is closed when the second request has come */
};

static bool read_request(struct net_conn *conn)
{
    char bytes[8192];
    size_t len = 0, got;
    struct status st;
    while (net_read(conn, bytes + len, sizeof(bytes) - len, clock_deadline_ms(5000), &got, &st)) {
        len += got;
        if (text_ends((struct text){bytes, len}, TEXT("\r\n\r\n")))
            return true;
    }
    return false;
}

static void peer_conn(void *arg)
{
    struct peer *peer = arg;
    struct net_conn *conn;
    struct status st;
    while (net_accept(peer->listener, &conn, &st)) {
        const struct script *script = peer->script;
        peer->connections++;
        for (size_t i = 0; i < ARRAY_LEN(script->answers); i++) {
            if (script->answers[i].at == NULL && !script->stay)
                break;
            if (!read_request(conn))
                break;
            if (++peer->requests == 2 && peer->close_at_2 != NULL)
                http_origin_close(peer->close_at_2);
            if (script->answers[i].len > 0)
                rig_send(conn, script->answers[i]);
        }
        net_close(conn);
    }
    peer->ended = true;
}

static void peer_start(struct rig *rig, struct peer *peer)
{
    struct status st;
    const struct net_address address = {.host = TEXT("127.0.0.1")};
    *peer = (struct peer){.rig = rig};
    assert_true(
        net_listen(rig->loop, &address, &(struct net_listen_options){0}, &peer->listener, &st));
    assert_true(fiber_start(rig->loop, "peer", peer_conn, peer, &st));
    open_origin(rig, net_listener_port(peer->listener));
}

static void peer_stop(struct peer *peer)
{
    close_origin();
    net_listener_close(peer->listener);
    while (!peer->ended)
        rig_sleep(1);
}

#define OK(body) "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" body

static const struct {
    struct script script;
    enum status_code want; /* STATUS_OK: the body is "ok" */
} answers[] = {
    {{"plain", {TEXT_INIT(OK("ok"))}, false}, STATUS_OK},
    {{"no reason", {TEXT_INIT("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok")}, false}, STATUS_OK},
    {{"until close", {TEXT_INIT("HTTP/1.1 200 OK\r\n\r\nok")}, false}, STATUS_OK},
    {{"1.0", {TEXT_INIT("HTTP/1.0 200 OK\r\n\r\nok")}, false}, STATUS_OK},
    {{"interim",
      {TEXT_INIT(
          "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK("ok"))},
      false},
     STATUS_OK},
    {{"chunks and trailer",
      {TEXT_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: "
                 "chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\nX: y\r\n\r\n")},
      false},
     STATUS_OK},
    {{"bytes behind", {TEXT_INIT(OK("ok") "HTTP/1.1 200 OK\r\n\r\n")}, false}, STATUS_OK},
    {{"closed at once", {TEXT_INIT("")}, false}, STATUS_UPSTREAM},
    {{"cut in the head", {TEXT_INIT("HTTP/1.1 200 OK\r\nContent-Le")}, false}, STATUS_UPSTREAM},
    {{"cut in the body", {TEXT_INIT("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok")}, false},
     STATUS_UPSTREAM},
    {{"cut in the chunks",
      {TEXT_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")},
      false},
     STATUS_UPSTREAM},
    {{"bad chunks",
      {TEXT_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n")},
      false},
     STATUS_UPSTREAM},
    {{"no HTTP", {TEXT_INIT("SSH-2.0-OpenSSH_9.2\r\n")}, false}, STATUS_UPSTREAM},
    {{"both framings",
      {TEXT_INIT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: "
                 "chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")},
      false},
     STATUS_UPSTREAM},
    {{"two lengths",
      {TEXT_INIT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok")},
      false},
     STATUS_UPSTREAM},
    {{"switching",
      {TEXT_INIT("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")},
      false},
     STATUS_UPSTREAM},
    {{"interim for ever",
      {TEXT_INIT(
          "HTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\n"
          "HTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 "
          "A\r\n\r\nHTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\n")},
      false},
     STATUS_UPSTREAM},
    {{"silent", {TEXT_INIT("")}, true}, STATUS_TIMEOUT},
    {{"half a head and silent", {TEXT_INIT("HTTP/1.1 200 OK\r\n")}, true}, STATUS_TIMEOUT},
    {{"half a body and silent",
      {TEXT_INIT("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok")},
      true},
     STATUS_TIMEOUT},
};

static void odd_answers(struct rig *rig)
{
    struct peer peer;
    int status;
    peer_start(rig, &peer);
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        check_case(answers[i].script.name);
        peer.script = &answers[i].script;
        int before = peer.connections;
        struct http_call call = get("/x");
        call.first_byte_ms = call.idle_ms = 100;
        struct text body = call_text(rig, call, &status);
        if (answers[i].want == STATUS_OK)
            check_text(body, "ok");
        else
            assert_int_equal(rig->last.code, answers[i].want);
        assert_int_equal(peer.connections, before + 1); /* none is made again */
        assert_int_equal(http_origin_in_use(origin), 0);
        rig_sleep(2); /* until its end has come, too, so that none is taken from the pool */
        while (http_origin_idle(origin) > 0) {
            http_origin_close(origin);
            origin = NULL;
            http_client_close(client);
            open_origin(rig, net_listener_port(peer.listener));
        }
    }
    peer_stop(&peer);
}

static void answers_odd(void **state)
{
    (void)state;
    rig_run(odd_answers, NULL);
}

/* When a call is made again, and when it is not. */
static void resend(struct rig *rig)
{
    static const struct script closes_quietly = {"", {TEXT_INIT(OK("ok"))}, false};
    static const struct script reads_and_closes = {"", {TEXT_INIT(OK("ok")), TEXT_INIT("")}, false};
    static const struct script begins_and_closes = {
        "", {TEXT_INIT(OK("ok")), TEXT_INIT("HTTP/1.1 200")}, false};
    struct peer peer;
    int status;
    peer_start(rig, &peer);
    peer.script = &closes_quietly;
    check_text(call_text(rig, get("/1"), &status), "ok");
    check_text(call_text(rig, get("/2"), &status), "ok"); /* whether the FIN was seen or not */
    assert_int_equal(peer.requests, 2);
    rig_sleep(2);
    peer.script = &reads_and_closes;
    check_text(call_text(rig, get("/3"), &status), "ok");
    int before = peer.requests;
    check_text(call_text(rig, get("/4"), &status), "ok"); /* read, not answered, and made again */
    assert_int_equal(peer.requests, before + 2);
    struct http_call call = get("/5");
    call.no_resend = true;
    before = peer.requests;
    (void)call_text(rig, call, &status);
    assert_int_equal(rig->last.code, STATUS_UPSTREAM);
    assert_int_equal(peer.requests, before + 1);
    peer.script = &begins_and_closes;
    check_text(call_text(rig, get("/6"), &status), "ok");
    before = peer.requests;
    (void)call_text(rig, get("/7"), &status);
    assert_int_equal(rig->last.code, STATUS_UPSTREAM);
    assert_int_equal(peer.requests, before + 1);
    peer_stop(&peer);
}

static void calls_made_again(void **state)
{
    (void)state;
    rig_run(resend, NULL);
}

struct cancelled_call {
    struct rig *rig;
    struct status st;
    bool fine, done;
};

static void call_fiber(void *arg)
{
    struct cancelled_call *self = arg;
    struct http_call call = get("/wait");
    struct http_response *response;
    self->fine = http_client_call(client, &call, self->rig->arena, &response, &self->st);
    self->done = true;
}

static void given_up(struct rig *rig)
{
    struct status st;
    struct fiber *fiber;
    struct cancelled_call call = {.rig = rig};
    int status;
    open_origin(rig, http_server_port(rig->server));
    assert_true(fiber_start_joinable(rig->loop, "call", call_fiber, &call, &fiber, &st));
    while (rig->calls == 0)
        rig_sleep(1);
    fiber_cancel(fiber);
    fiber_join(fiber);
    assert_true(call.done && !call.fine);
    assert_int_equal(call.st.code, STATUS_CANCELLED);
    rig_wait_connections(rig, 0); /* and so the server's handler was cancelled */
    assert_int_equal(rig->cancelled, 1);
    /* The total is a bound over all phases. */
    struct http_call slow = get("/wait");
    slow.total_ms = 100;
    slow.first_byte_ms = 60000;
    (void)call_text(rig, slow, &status);
    assert_int_equal(rig->last.code, STATUS_TIMEOUT);
    /* No more than connections_max. */
    struct http_response *responses[3], *none;
    struct http_call stream = get("/big?n=20000");
    for (size_t i = 0; i < ARRAY_LEN(responses); i++)
        assert_true(http_client_call(client, &stream, rig->arena, &responses[i], &st));
    assert_false(http_client_call(client, &stream, rig->arena, &none, &st));
    assert_int_equal(st.code, STATUS_UNAVAILABLE);
    for (size_t i = 0; i < ARRAY_LEN(responses); i++)
        http_response_close(responses[i]);
    close_origin();
    open_origin(rig, 1); /* nobody there */
    (void)call_text(rig, get("/"), &status);
    assert_int_equal(rig->last.code, STATUS_UNAVAILABLE);
    close_origin();
}

static void calls_given_up(void **state)
{
    (void)state;
    rig_run(given_up, NULL);
}

/* The upstream answers before it has read the whole request, and closes. */
static void early(struct rig *rig)
{
    int status;
    char *large = arena_alloc(rig->arena, 8 * MIB);
    open_origin(rig, http_server_port(rig->server));
    struct http_call call = get("/echo");
    call.method = TEXT("POST");
    call.body = (struct text){large, 8 * MIB};
    (void)call_text(rig, call, &status);
    assert_true(status == 413 || rig->last.code == STATUS_UPSTREAM);
    close_origin();
    /* An origin that is closed while a response of it is read. */
    struct status st;
    struct http_response *response;
    struct text body;
    open_origin(rig, http_server_port(rig->server));
    call = get("/stream?n=4");
    assert_true(http_client_call(client, &call, rig->arena, &response, &st));
    http_origin_close(origin);
    assert_true(http_response_body(response, MIB, rig->arena, &body, &st));
    http_response_close(response);
    http_client_close(client);
}

static void early_ends(void **state)
{
    (void)state;
    rig_run(early, NULL);
}

/* The row of an upstream is removed while a call to it fails: the origin must outlive the call. */
static void closed_and_failed(struct rig *rig)
{
    struct peer peer;
    struct status st;
    struct text body;
    struct http_response *response;
    int status;
    static const struct script cut = {
        "", {TEXT_INIT("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")}, false};
    static const struct script broken = {
        "", {TEXT_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz")}, true};
    static const struct script answers_one = {"", {TEXT_INIT(OK("ok")), TEXT_INIT("")}, false};
    const struct script *scripts[] = {&cut, &broken};
    peer_start(rig, &peer);
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        peer.script = scripts[i];
        struct http_call call = get("/x");
        assert_true(http_client_call(client, &call, rig->arena, &response, &st));
        http_origin_close(origin);
        assert_false(http_response_body(response, MIB, rig->arena, &body, &st));
        assert_int_equal(st.code, STATUS_UPSTREAM);
        assert_true(text_starts(status_text(&st), TEXT("127.0.0.1:")));
        http_response_close(response);
        http_client_close(client);
        open_origin(rig, net_listener_port(peer.listener));
    }
    /* Between two connections, too: the first was closed unheard, and the call is made again. */
    for (int no_resend = 0; no_resend < 2; no_resend++) {
        peer.requests = 0;
        peer.script = &answers_one;
        peer.close_at_2 = origin;
        check_text(call_text(rig, get("/1"), &status), "ok");
        struct http_call call = get("/2");
        call.no_resend = no_resend == 1;
        struct text text = call_text(rig, call, &status);
        if (no_resend == 0)
            check_text(text, "ok");
        else
            assert_int_equal(rig->last.code, STATUS_UPSTREAM);
        http_client_close(client);
        open_origin(rig, net_listener_port(peer.listener));
    }
    peer_stop(&peer);
}

static void origins_closed_under_a_failing_call(void **state)
{
    (void)state;
    rig_run(closed_and_failed, NULL);
}

static void swept(struct rig *rig)
{
    int status;
    struct status st;
    struct http_client_options options = {.idle_ms = 50};
    client = http_client_open(rig->loop, &options);
    struct http_origin_options origin_options = {
        .url = arena_format(rig->arena, "http://127.0.0.1:%u", http_server_port(rig->server))};
    assert_true(http_origin_open(client, &origin_options, &origin, &st));
    check_text(call_text(rig, get("/1"), &status), "/1");
    assert_int_equal(http_origin_idle(origin), 1);
    rig_wait_connections(rig, 0);
    assert_int_equal(http_origin_idle(origin), 0);
    check_text(call_text(rig, get("/1"), &status), "/1");
    close_origin(); /* under the sweeper */
}

static void idle_connections_swept(void **state)
{
    (void)state;
    rig_run(swept, NULL);
}

static void bad_origins(struct rig *rig)
{
    static const char *const urls[] = {"",          "ftp://a", "http://",
                                       "https://a", "unix:",   "http://a?b"};
    struct http_client_options options = {0};
    AUTO(http_client) struct http_client *own = http_client_open(rig->loop, &options);
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct status st;
        struct http_origin *out;
        struct http_origin_options origin_options = {.url = text_of(urls[i])};
        check_case(urls[i]);
        assert_false(http_origin_open(own, &origin_options, &out, &st));
        assert_int_equal(st.code, STATUS_INVALID);
    }
}

static void origins_refused(void **state)
{
    (void)state;
    rig_run(bad_origins, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_over_one_connection),
        cmocka_unit_test(bodies_as_they_come),
        cmocka_unit_test(idle_connection_closed_by_server),
        cmocka_unit_test(answers_odd),
        cmocka_unit_test(calls_made_again),
        cmocka_unit_test(calls_given_up),
        cmocka_unit_test(early_ends),
        cmocka_unit_test(origins_closed_under_a_failing_call),
        cmocka_unit_test(idle_connections_swept),
        cmocka_unit_test(origins_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
