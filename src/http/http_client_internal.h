/* What http_client.c (calls) and http_origin.c (connections) share. */
#pragma once
#include "base.h"
#include "http_buffer_internal.h"
#include "http_client.h"
#include "http_message_internal.h"
#include "http_stream_internal.h"
#include "http_url.h"
#include "net.h"

struct fiber;

struct http_client {
    struct loop *loop;
    struct http_client_options options;
    struct http_message_limits limits;
    struct http_buffers buffers;
    struct http_origin *first; /* all that are not closed, or still in use */
    bool sweeping;             /* a fiber closes what was idle for too long */
    struct fiber *sweeper;     /* that fiber, once it has begun */
    bool closed;               /* the sweeper frees the client */
};

struct http_client_conn {
    struct http_stream stream;
    struct http_client_conn *next; /* in the pool */
    int64_t idle_since_us;
};

struct http_origin {
    struct http_client *client;
    struct http_origin *prev, *next;
    char *text; /* what url and tls_name point into */
    struct http_url url;
    struct net_address address;
    struct http_tls *tls;
    struct text tls_name;
    size_t idle_max, connections_max;
    struct http_client_conn *idle; /* the one used last comes first */
    size_t idle_count, in_use;
    size_t held; /* by exchanges: from the call to its end, with a connection or between two */
    bool closed; /* freed when no connection is in use and nobody holds it */
};

/* Keeps the origin, closed or not, until it is dropped; the last drop may free it. */
void http_origin_hold(struct http_origin *origin);
void http_origin_drop(struct http_origin *origin);
/* A pooled connection, or NULL. `sure`: one that is certainly open at this moment. */
struct http_client_conn *http_origin_take(struct http_origin *origin, bool sure);
/* A fresh connection. Waits. */
MUST_CHECK bool http_origin_connect(struct http_origin *origin, int64_t deadline_us,
                                    struct http_client_conn **out, struct status *st);
/* Back to the pool, or closed when `reusable` is false or the pool is full. May free the origin. */
void http_origin_release(struct http_origin *origin, struct http_client_conn *conn, bool reusable);
