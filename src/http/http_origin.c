#include "http_client_internal.h"

#include <stdlib.h>
#include <string.h>
#include "clock.h"
#include "fiber.h"
#include "loop.h"

enum {
    IDLE_MAX = 64,
    CONNECTIONS_MAX = 4096,
    IDLE_MS = 30000,
    /* A pooled connection idle for less is taken without a look at the socket; if it was closed all
     * the same, the call finds out and is made again. */
    TRUST_US = 100 * 1000,
};

static void free_if_over(struct http_origin *origin);
static void origin_free(struct http_origin *origin);
static void close_conn(struct http_client_conn *conn);
static void close_idle(struct http_origin *origin, int64_t idle_before_us);
static bool start_sweeper(struct http_client *client);
static void sweep_run(void *arg);
static bool anything_idle(const struct http_client *client);
static void client_free(struct http_client *client);

struct http_client *http_client_open(struct loop *loop, const struct http_client_options *options)
{
    struct http_client *client = base_alloc(sizeof(*client));
    client->loop = loop;
    client->options = *options;
    if (client->options.idle_ms == 0)
        client->options.idle_ms = IDLE_MS;
    client->limits = (struct http_message_limits){
        .head_bytes_max = options->head_bytes_max > 0 ? options->head_bytes_max : 32 * KIB,
        .headers_max = options->headers_max > 0 ? options->headers_max : 100,
    };
    return client;
}

void http_client_close(struct http_client *client)
{
    if (client == NULL)
        return;
    while (client->first != NULL) {
        struct http_origin *origin = client->first; /* http_origin_close unlinks what it frees */
        WEIR_ASSERT(origin->in_use + origin->held == 0); // NOLINT(clang-analyzer-unix.Malloc)
        http_origin_close(origin);
    }
    client->closed = true;
    if (client->sweeper != NULL)
        fiber_cancel(client->sweeper);
    else if (!client->sweeping)
        client_free(client);
}

bool http_origin_open(struct http_client *client, const struct http_origin_options *options,
                      struct http_origin **out, struct status *st)
{
    struct http_url url;
    if (!http_url_parse(options->url, &url, st))
        return false;
    if (url.tls && options->tls == NULL)
        return status_fail(st, STATUS_INVALID, "no TLS settings for %.*s", TEXT_ARG(options->url));
    struct http_origin *origin = base_alloc(sizeof(*origin));
    origin->text = base_alloc(options->url.len + options->tls_name.len + 1);
    memcpy(origin->text, options->url.at, options->url.len);
    if (options->tls_name.len > 0)
        memcpy(origin->text + options->url.len, options->tls_name.at, options->tls_name.len);
    bool fine = http_url_parse((struct text){origin->text, options->url.len}, &origin->url, st);
    WEIR_ASSERT(fine);
    origin->address = (struct net_address){
        .is_unix = origin->url.is_unix, .host = origin->url.host, .port = origin->url.port};
    origin->tls = url.tls ? options->tls : NULL;
    origin->tls_name = options->tls_name.len > 0
                           ? (struct text){origin->text + options->url.len, options->tls_name.len}
                           : origin->url.host;
    origin->idle_max = options->idle_max > 0 ? options->idle_max : IDLE_MAX;
    origin->connections_max =
        options->connections_max > 0 ? options->connections_max : CONNECTIONS_MAX;
    origin->client = client;
    origin->next = client->first;
    if (origin->next != NULL)
        origin->next->prev = origin;
    client->first = origin;
    *out = origin;
    return true;
}

void http_origin_close(struct http_origin *origin)
{
    if (origin == NULL)
        return;
    WEIR_ASSERT(!origin->closed);
    origin->closed = true;
    close_idle(origin, INT64_MAX);
    free_if_over(origin);
}

size_t http_origin_idle(const struct http_origin *origin)
{
    return origin->idle_count;
}

size_t http_origin_in_use(const struct http_origin *origin)
{
    return origin->in_use;
}

void http_origin_hold(struct http_origin *origin)
{
    origin->held++;
}

void http_origin_drop(struct http_origin *origin)
{
    WEIR_ASSERT(origin->held > 0);
    origin->held--;
    free_if_over(origin);
}

struct http_client_conn *http_origin_take(struct http_origin *origin, bool sure)
{
    int64_t now_us = clock_mono_us();
    while (origin->idle != NULL) {
        struct http_client_conn *conn = origin->idle;
        origin->idle = conn->next;
        origin->idle_count--;
        conn->next = NULL;
        if ((!sure && now_us - conn->idle_since_us < TRUST_US) ||
            http_stream_quiet(&conn->stream)) {
            origin->in_use++;
            return conn;
        }
        close_conn(conn);
    }
    return NULL;
}

bool http_origin_connect(struct http_origin *origin, int64_t deadline_us,
                         struct http_client_conn **out, struct status *st)
{
    static const struct net_connect_options options = {0};
    if (origin->in_use >= origin->connections_max)
        return status_fail(st, STATUS_UNAVAILABLE, "%zu connections to %.*s already",
                           origin->in_use, TEXT_ARG(origin->url.authority));
    struct http_client_conn *conn = base_alloc(sizeof(*conn));
    origin->in_use++; /* while connecting, too: keeps the origin alive */
    bool fine = net_connect(origin->client->loop, &origin->address, &options, deadline_us,
                            &conn->stream.net, st);
    if (fine && origin->tls != NULL)
        fine =
            http_stream_tls_connect(&conn->stream, origin->tls, origin->tls_name, deadline_us, st);
    if (!fine) {
        http_origin_release(origin, conn, false);
        return false;
    }
    *out = conn;
    return true;
}

void http_origin_release(struct http_origin *origin, struct http_client_conn *conn, bool reusable)
{
    WEIR_ASSERT(origin->in_use > 0);
    origin->in_use--;
    if (reusable && !origin->closed && origin->idle_count < origin->idle_max &&
        start_sweeper(origin->client)) {
        conn->idle_since_us = clock_mono_us();
        conn->next = origin->idle;
        origin->idle = conn;
        origin->idle_count++;
        return;
    }
    close_conn(conn);
    free_if_over(origin);
}

static void free_if_over(struct http_origin *origin)
{
    if (origin->closed && origin->in_use == 0 && origin->held == 0)
        origin_free(origin);
}

static void origin_free(struct http_origin *origin)
{
    if (origin->prev != NULL)
        origin->prev->next = origin->next;
    else
        origin->client->first = origin->next;
    if (origin->next != NULL)
        origin->next->prev = origin->prev;
    free(origin->text);
    free(origin);
}

static void close_conn(struct http_client_conn *conn)
{
    http_stream_close(&conn->stream);
    free(conn);
}

/* The pool is in the order of last use, so those that are due stand at its end. */
static void close_idle(struct http_origin *origin, int64_t idle_before_us)
{
    struct http_client_conn **at = &origin->idle;
    while (*at != NULL && (*at)->idle_since_us >= idle_before_us)
        at = &(*at)->next;
    struct http_client_conn *due = *at;
    *at = NULL;
    while (due != NULL) {
        struct http_client_conn *next = due->next;
        close_conn(due);
        origin->idle_count--;
        due = next;
    }
}

static bool start_sweeper(struct http_client *client)
{
    struct status st;
    if (client->sweeping)
        return true;
    client->sweeping = fiber_start(client->loop, "http sweeper", sweep_run, client, &st);
    return client->sweeping;
}

static void sweep_run(void *arg)
{
    struct http_client *client = arg;
    struct status st;
    bool go_on = !client->closed;
    client->sweeper = fiber_current();
    while (go_on && anything_idle(client)) {
        go_on = loop_sleep(clock_deadline_ms(client->options.idle_ms / 2 + 1), &st);
        int64_t before_us = clock_mono_us() - client->options.idle_ms * 1000;
        for (struct http_origin *origin = client->first; origin != NULL; origin = origin->next)
            close_idle(origin, go_on ? before_us : INT64_MAX);
    }
    client->sweeper = NULL;
    client->sweeping = false;
    if (client->closed)
        client_free(client);
}

static bool anything_idle(const struct http_client *client)
{
    for (const struct http_origin *origin = client->first; origin != NULL; origin = origin->next) {
        if (origin->idle_count > 0)
            return true;
    }
    return false;
}

static void client_free(struct http_client *client)
{
    http_buffers_end(&client->buffers);
    free(client);
}
