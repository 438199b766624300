#include "http_test_rig.h"

#include <dirent.h>
#include <stdlib.h>
#include "http_sse.h"

struct run {
    struct rig *rig;
    void (*test)(struct rig *rig);
};

static void run_fiber(void *arg);
static void error_body(void *ctx, struct http_request *req, struct http_reply *reply,
                       int http_status, struct text text);
static bool answer(struct rig *rig, struct http_request *req, struct http_reply *reply,
                   struct status *st);
static bool stream(struct rig *rig, struct http_request *req, struct http_reply *reply,
                   struct status *st);
static bool big(struct rig *rig, struct http_request *req, struct http_reply *reply,
                struct status *st);
static bool count_body(struct rig *rig, struct http_request *req, struct http_reply *reply,
                       struct status *st);
static bool events(struct http_reply *reply, struct status *st);
static int64_t number(struct http_request *req, int64_t otherwise);

void rig_run(void (*test)(struct rig *rig), const struct http_server_options *options)
{
    struct status st;
    struct rig *rig = calloc(1, sizeof(*rig));
    struct loop_options loop_options = {.name = "test", .cpu = -1};
    struct run run = {rig, test};
    assert_non_null(rig);
    assert_true(loop_open(&loop_options, &rig->loop, &st)); /* the first opens what stays open */
    loop_close(rig->loop);
    int before = rig_descriptors();
    if (options != NULL)
        rig->options = *options;
    if (rig->options.handler == NULL) {
        rig->options.handler = rig_handler;
        rig->options.ctx = rig;
    }
    if (rig->options.error == NULL)
        rig->options.error = error_body;
    if (rig->options.address.host.len == 0)
        rig->options.address = (struct net_address){.host = TEXT("127.0.0.1")};
    rig->options.counters = &rig->counters;
    rig->arena = arena_open(256 * MIB);
    assert_true(loop_open(&loop_options, &rig->loop, &st));
    assert_true(fiber_start(rig->loop, "test", run_fiber, &run, &st));
    loop_run(rig->loop);
    assert_int_equal(loop_fibers(rig->loop), 0);
    loop_close(rig->loop);
    assert_int_equal(atomic_load(&rig->counters.connections_open), 0);
    assert_int_equal(atomic_load(&rig->counters.requests_running), 0);
    arena_close(rig->arena);
    free(rig);
    assert_int_equal(rig_descriptors(), before);
}

struct net_conn *rig_connect(struct rig *rig)
{
    static const struct net_connect_options options = {0};
    struct net_address address = rig->options.address;
    struct net_conn *conn = NULL;
    struct status st;
    if (!address.is_unix)
        address.port = http_server_port(rig->server);
    assert_true(net_connect(rig->loop, &address, &options, clock_deadline_ms(5000), &conn, &st));
    return conn;
}

/* A server that has closed already is no failure of the test. */
void rig_send(struct net_conn *conn, struct text bytes)
{
    struct status st;
    struct iovec piece = {(void *)(uintptr_t)bytes.at, bytes.len};
    if (!net_write(conn, &piece, 1, clock_deadline_ms(10000), &st))
        assert_int_not_equal(st.code, STATUS_TIMEOUT);
}

struct text rig_receive(struct rig *rig, struct net_conn *conn, int64_t ms, bool *closed)
{
    struct text_buf out = text_buf_in(rig->arena, 64 * MIB);
    int64_t deadline_us = clock_deadline_ms(ms);
    char piece[4096];
    size_t got;
    struct status st;
    while (net_read(conn, piece, sizeof(piece), deadline_us, &got, &st))
        text_buf_add(&out, (struct text){piece, got});
    *closed = st.code != STATUS_TIMEOUT;
    return text_buf_text(&out);
}

struct text rig_receive_until(struct rig *rig, struct net_conn *conn, struct text end)
{
    struct text_buf out = text_buf_in(rig->arena, 64 * MIB);
    char byte;
    size_t got;
    struct status st;
    while (!text_ends(text_buf_text(&out), end)) {
        if (!net_read(conn, &byte, 1, clock_deadline_ms(5000), &got, &st)) {
            print_error("got \"%.*s\", then: %s\n", TEXT_ARG(text_buf_text(&out)), st.text);
            fail();
        }
        text_buf_add(&out, (struct text){&byte, 1});
    }
    return text_buf_text(&out);
}

struct text rig_talk(struct rig *rig, struct text input)
{
    bool closed;
    struct net_conn *conn = rig_connect(rig);
    rig_send(conn, input);
    struct text response = rig_receive(rig, conn, 10000, &closed);
    assert_true(closed);
    net_close(conn);
    return response;
}

void rig_wait_connections(struct rig *rig, size_t count)
{
    for (int i = 0; i < 2000 && http_server_connections(rig->server) != count; i++)
        rig_sleep(2);
    assert_int_equal(http_server_connections(rig->server), count);
}

void rig_sleep(int64_t ms)
{
    struct status st;
    assert_true(loop_sleep(clock_deadline_ms(ms), &st));
}

int rig_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

int rig_status(struct text response)
{
    int64_t status = 0;
    if (!text_to_i64(text_take(text_skip(response, 9), 3), &status))
        return -1;
    return (int)status;
}

struct text rig_body(struct text response)
{
    return text_skip(response, text_find(response, TEXT("\r\n\r\n")) + 4);
}

size_t rig_count(struct text text, struct text needle)
{
    size_t count = 0, at;
    while ((at = text_find(text, needle)) < text.len) {
        count++;
        text = text_skip(text, at + needle.len);
    }
    return count;
}

void rig_handler(void *ctx, struct http_request *req, struct http_reply *reply)
{
    struct rig *rig = ctx;
    struct status st = {0};
    rig->calls++;
    if (answer(rig, req, reply, &st))
        return;
    rig->last = st;
    if (st.code == STATUS_CANCELLED)
        rig->cancelled++;
    if (!http_reply_started(reply) && !fiber_cancelled())
        (void)!http_reply_send(reply,
                               st.code == STATUS_TIMEOUT ? 408 : http_reply_status_for(st.code),
                               TEXT("text/plain"), status_text(&st), &st);
}

static void run_fiber(void *arg)
{
    struct run *run = arg;
    struct rig *rig = run->rig;
    struct status st;
    assert_true(http_server_open(rig->loop, &rig->options, &rig->server, &st));
    run->test(rig);
    if (rig->server != NULL) {
        http_server_drain(rig->server, 0, 0);
        http_server_close(rig->server);
    }
    loop_stop(rig->loop);
}

static void error_body(void *ctx, struct http_request *req, struct http_reply *reply,
                       int http_status, struct text text)
{
    struct status st;
    struct rig *rig = ctx;
    rig->errors++;
    struct text body = arena_format(req->arena, "error: %.*s", TEXT_ARG(text));
    (void)!http_reply_send(reply, http_status, TEXT("text/plain"), body, &st);
}

static bool answer(struct rig *rig, struct http_request *req, struct http_reply *reply,
                   struct status *st)
{
    struct text body;
    if (text_equal(req->path, TEXT("/echo")))
        return http_request_body(req, 1 * MIB, &body, st) &&
               http_reply_send(reply, 200, TEXT("text/plain"), body, st);
    if (text_equal(req->path, TEXT("/count")))
        return count_body(rig, req, reply, st);
    if (text_equal(req->path, TEXT("/stream")))
        return stream(rig, req, reply, st);
    if (text_equal(req->path, TEXT("/big")))
        return big(rig, req, reply, st);
    if (text_equal(req->path, TEXT("/sse")))
        return events(reply, st);
    if (text_equal(req->path, TEXT("/wait")))
        return loop_sleep(clock_deadline_ms(60000), st);
    if (text_equal(req->path, TEXT("/limit"))) {
        (void)arena_alloc(req->arena, 8 * MIB);
        fiber_yield();
        return loop_sleep(clock_deadline_ms(1), st);
    }
    if (text_equal(req->path, TEXT("/wait-and-tell"))) {
        struct status told;
        return loop_sleep(clock_deadline_ms(60000), st) ||
               http_reply_send(reply, 503, TEXT("text/plain"), TEXT("cut short"), &told);
    }
    if (text_equal(req->path, TEXT("/stream-and-tell"))) {
        struct status told;
        if (!http_reply_start(reply, 200, st) || !http_reply_write(reply, TEXT("begun, "), st))
            return false;
        bool slept = loop_sleep(clock_deadline_ms(60000), st);
        rig->gone += http_request_gone(req);
        return slept || http_reply_end_with(reply, TEXT("cut short"), &told);
    }
    if (text_equal(req->path, TEXT("/nothing")))
        return true;
    if (text_equal(req->path, TEXT("/half")))
        return http_reply_start(reply, 200, st) && http_reply_write(reply, TEXT("half"), st);
    if (text_equal(req->path, TEXT("/204")))
        return http_reply_send(reply, 204, TEXT_NONE, TEXT_NONE, st);
    if (text_equal(req->path, TEXT("/peer")))
        return http_reply_send(reply, 200, TEXT("text/plain"),
                               arena_format(req->arena, "%.*s %d %.*s", TEXT_ARG(req->peer),
                                            req->is_tls, TEXT_ARG(req->tls_subject)),
                               st);
    if (text_equal(req->path, TEXT("/forge"))) {
        http_reply_header(reply, TEXT("X-Forge"), TEXT("a\r\nX-Evil: b"));
        return http_reply_send(reply, 200, TEXT("text/plain"), TEXT("x"), st);
    }
    return http_reply_send(reply, 200, TEXT("text/plain"), req->path, st);
}

static bool stream(struct rig *rig, struct http_request *req, struct http_reply *reply,
                   struct status *st)
{
    int64_t count = number(req, 3);
    if (!http_reply_start(reply, 200, st))
        return false;
    for (int64_t i = 0; i < count; i++) {
        struct text piece = arena_format(rig->arena, "piece %lld\n", (long long)i);
        if (!http_reply_write(reply, piece, st))
            return false;
        fiber_yield();
    }
    return http_reply_end_with(reply, TEXT("last\n"), st);
}

/* n KiB, written piece by piece and counted. */
static bool big(struct rig *rig, struct http_request *req, struct http_reply *reply,
                struct status *st)
{
    static const char block[1024] = {'x'};
    int64_t count = number(req, 1024);
    if (!http_reply_start_sized(reply, 200, (uint64_t)count * sizeof(block), st))
        return false;
    for (int64_t i = 0; i < count; i++) {
        if (!http_reply_write(reply, (struct text){block, sizeof(block)}, st))
            return false;
        rig->written += sizeof(block);
    }
    return http_reply_end(reply, st);
}

static bool count_body(struct rig *rig, struct http_request *req, struct http_reply *reply,
                       struct status *st)
{
    struct text piece;
    uint64_t bytes = 0, pieces = 0;
    (void)rig;
    do {
        if (!http_request_read(req, 16 * MIB, &piece, st))
            return false;
        bytes += piece.len;
        pieces++;
    } while (piece.len > 0);
    struct text body = arena_format(req->arena, "%llu", (unsigned long long)bytes);
    return http_reply_send(reply, 200, TEXT("text/plain"), body, st) && pieces > 0;
}

static bool events(struct http_reply *reply, struct status *st)
{
    return http_sse_start(reply, st) &&
           http_sse_send(reply, TEXT_NONE, TEXT_NONE, TEXT("{\"a\":1}"), st) &&
           http_sse_comment(reply, TEXT("ping"), st) &&
           http_sse_send(reply, TEXT("done"), TEXT("7"), TEXT("two\r\nlines\rand more"), st) &&
           http_reply_end(reply, st);
}

static int64_t number(struct http_request *req, int64_t otherwise)
{
    struct text text;
    struct status st;
    int64_t value;
    if (http_request_query(req, TEXT("n"), &text, &st) && text_to_i64(text, &value))
        return value;
    return otherwise;
}
