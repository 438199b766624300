#include "http_conn_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "clock.h"
#include "loop.h"
#include "net.h"

enum {
    /* Beyond connections_max so many are still accepted, to be told so; then accepting pauses. */
    REFUSED_MAX = 64,
    ACCEPT_PAUSE_MS = 10, /* after an accept that went wrong */
    DRAIN_LOOK_MS = 50,
};

static void set_defaults(struct http_limits *limits);
static void accept_run(void *arg);
static void accept_one(struct http_server *server, struct net_conn *net);
static void cancel_all(struct http_server *server);

bool http_server_open(struct loop *loop, const struct http_server_options *options,
                      struct http_server **out, struct status *st)
{
    WEIR_ASSERT(options->handler != NULL);
    AUTO(http_server) struct http_server *server = base_alloc(sizeof(*server));
    server->loop = loop;
    server->options = *options;
    server->options.listener = NULL;
    server->counters = options->counters != NULL ? options->counters : &server->own_counters;
    set_defaults(&server->options.limits);
    server->message_limits = (struct http_message_limits){
        .head_bytes_max = server->options.limits.head_bytes_max,
        .target_bytes_max = server->options.limits.target_bytes_max,
        .headers_max = server->options.limits.headers_max,
    };
    server->listener = options->listener;
    if (server->listener == NULL &&
        !net_listen(loop, &options->address, &options->listen, &server->listener, st))
        return false;
    if (!fiber_start(loop, "http accept", accept_run, server, st))
        return false;
    server->accepting = true;
    *out = TAKE(server);
    return true;
}

uint16_t http_server_port(const struct http_server *server)
{
    return net_listener_port(server->listener);
}

size_t http_server_connections(const struct http_server *server)
{
    return server->count;
}

void http_server_drain(struct http_server *server, int64_t stream_deadline_us,
                       int64_t drain_deadline_us)
{
    struct status st;
    int64_t deadline_us =
        stream_deadline_us < drain_deadline_us ? stream_deadline_us : drain_deadline_us;
    server->draining = true;
    if (server->listener != NULL)
        net_listener_close(server->listener);
    server->listener = NULL;
    wait_list_wake_all(&server->changed); /* an accept that is pausing */
    for (struct http_conn *conn = server->first; conn != NULL; conn = conn->next) {
        if (conn->idle && conn->fiber != NULL)
            fiber_cancel(conn->fiber);
    }
    /* Whoever is cancelled, or late, still has to see the others off. */
    int64_t before_us = fiber_set_deadline(CLOCK_NEVER);
    fiber_shield();
    while (server->count > 0 || server->accepting) {
        bool due = fiber_cancelled() || clock_mono_us() >= deadline_us;
        if (due)
            cancel_all(server);
        /* Cancelled while it waits, a shielded fiber is not woken: it looks now and then. */
        int64_t look_us = clock_deadline_ms(DRAIN_LOOK_MS);
        (void)!wait_list_wait(&server->changed,
                              due || look_us < deadline_us ? look_us : deadline_us, &st);
    }
    fiber_unshield();
    (void)fiber_set_deadline(before_us);
}

void http_server_close(struct http_server *server)
{
    if (server == NULL)
        return;
    WEIR_ASSERT(server->count == 0 && !server->accepting);
    if (server->listener != NULL)
        net_listener_close(server->listener);
    http_buffers_end(&server->buffers);
    free(server);
}

struct text http_server_date(struct http_server *server)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = (time_t)(clock_wall_us() / 1000000);
    if ((int64_t)now != server->date_s) {
        struct tm tm;
        gmtime_r(&now, &tm);
        char text[64];
        (void)snprintf(text, sizeof(text), "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
                       days + (ptrdiff_t)3 * tm.tm_wday, tm.tm_mday,
                       months + (ptrdiff_t)3 * tm.tm_mon, 1900 + tm.tm_year, tm.tm_hour, tm.tm_min,
                       tm.tm_sec);
        memcpy(server->date, text, HTTP_DATE_BYTES);
        server->date_s = (int64_t)now;
    }
    return (struct text){server->date, HTTP_DATE_BYTES};
}

static void set_defaults(struct http_limits *limits)
{
    static const struct http_limits defaults = {
        .connections_max = 16384,
        .head_bytes_max = 32 * KIB,
        .target_bytes_max = 8 * KIB,
        .headers_max = 100,
        .arena_bytes_max = 64 * MIB,
        .head_ms = 10000,
        .idle_ms = 75000,
        .body_grace_ms = 10000,
        .body_bytes_per_second = KIB,
        .write_ms = 30000,
    };
#define DEFAULT(name) limits->name = limits->name != 0 ? limits->name : defaults.name
    DEFAULT(connections_max);
    DEFAULT(head_bytes_max);
    DEFAULT(target_bytes_max);
    DEFAULT(headers_max);
    DEFAULT(arena_bytes_max);
    DEFAULT(head_ms);
    DEFAULT(idle_ms);
    DEFAULT(body_grace_ms);
    DEFAULT(body_bytes_per_second);
    DEFAULT(write_ms);
#undef DEFAULT
}

static void accept_run(void *arg)
{
    struct http_server *server = arg;
    struct status st;
    size_t most = server->options.limits.connections_max + REFUSED_MAX;
    while (!server->draining) {
        struct net_conn *net;
        if (server->count >= most) {
            if (!wait_list_wait(&server->changed, CLOCK_NEVER, &st))
                break;
        } else if (net_accept(server->listener, &net, &st)) {
            accept_one(server, net);
        } else if (st.code == STATUS_CLOSED || st.code == STATUS_CANCELLED ||
                   !loop_sleep(clock_deadline_ms(ACCEPT_PAUSE_MS), &st)) {
            break;
        }
    }
    server->accepting = false;
    wait_list_wake_all(&server->changed);
}

static void accept_one(struct http_server *server, struct net_conn *net)
{
    struct http_counters *counters = server->counters;
    struct status st;
    struct http_conn *conn = base_alloc(sizeof(*conn));
    conn->server = server;
    conn->stream.net = net;
    conn->refused = server->count >= server->options.limits.connections_max;
    conn->next = server->first;
    if (conn->next != NULL)
        conn->next->prev = conn;
    server->first = conn;
    server->count++;
    atomic_fetch_add_explicit(&counters->connections_open, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counters->connections_total, 1, memory_order_relaxed);
    if (conn->refused)
        atomic_fetch_add_explicit(&counters->connections_refused, 1, memory_order_relaxed);
    if (!fiber_start(server->loop, "http connection", http_conn_run, conn, &st)) {
        if (!conn->refused)
            atomic_fetch_add_explicit(&counters->connections_refused, 1, memory_order_relaxed);
        http_conn_free(conn);
    }
}

/* Once each; one that has not begun sees `draining` when it does. */
static void cancel_all(struct http_server *server)
{
    for (struct http_conn *conn = server->first; conn != NULL; conn = conn->next) {
        if (conn->cut || conn->fiber == NULL)
            continue;
        conn->cut = true;
        fiber_cancel(conn->fiber);
    }
}
