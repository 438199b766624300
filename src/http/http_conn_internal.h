/* http_conn: one connection of a server, which is one fiber: reads a head, runs the handler, sends
 * the reply, and again. http_request and http_reply work on it; http_server owns the list. */
#pragma once
#include "base.h"
#include "http_buffer_internal.h"
#include "http_message_internal.h"
#include "http_reply.h"
#include "http_request.h"
#include "http_server.h"
#include "http_stream_internal.h"
#include "fiber.h"

enum { HTTP_DATE_BYTES = 29 }; /* "Wed, 25 Nov 2026 04:10:35 GMT" */

struct http_server {
    struct loop *loop;
    struct http_server_options options;
    struct http_message_limits message_limits;
    struct http_counters *counters, own_counters;
    struct net_listener *listener;
    struct http_buffers buffers;
    struct http_conn *first; /* all connections */
    size_t count;
    struct wait_list changed; /* a connection has gone, or the accepting fiber has ended */
    bool accepting, draining;
    int64_t date_s; /* the second that `date` tells */
    char date[HTTP_DATE_BYTES + 1];
};

struct http_reply {
    struct http_conn *conn;
    char *fields; /* lines of the head, each with its CRLF; in the request's arena */
    size_t fields_len, fields_size;
    int status;
    bool started, ended, failed, close_after;
    bool head_sent; /* handed to the kernel */
    bool no_body, chunked, sized;
    uint64_t left; /* sized: bytes still to be written */
    uint64_t bytes;
    int64_t started_us;
};

/* How the body of the running request is being read. */
struct http_conn_body {
    bool continue_wanted; /* "100 Continue" is to be sent before the first read */
    bool failed;
    bool whole_known;
    struct text whole;
    uint64_t bytes;
    int64_t waited_us; /* in reads so far */
};

struct http_conn {
    struct http_server *server;
    struct http_conn *prev, *next;
    struct fiber *fiber; /* NULL until it runs */
    struct http_stream stream;
    char *buf; /* of buf_size bytes: what was read and not yet taken is at [buf_at, buf_end) */
    size_t buf_size, buf_at, buf_end;
    int64_t accepted_us;
    uint64_t requests;
    bool idle;    /* waits for the first byte of a request */
    bool refused; /* over the limit of connections: gets a 503 */
    bool cut;     /* the drain has cancelled it */
    bool linger;  /* closes behind a reply while the client may still be sending */
    struct http_message msg;
    struct http_conn_body body;
    struct http_request req;
    struct http_reply reply;
};

/* The fiber's function; `conn` is in the server's list, and leaves it at the end. */
void http_conn_run(void *conn);
/* Takes the connection off the server's list, closes it and frees it. */
void http_conn_free(struct http_conn *conn);
/* Gives the buffer back when nothing is left in it. */
void http_conn_release_buffer(struct http_conn *conn);
/* Reads into the (empty or taken) buffer. Waits. Fails: as http_stream_read. */
MUST_CHECK bool http_conn_fill(struct http_conn *conn, int64_t deadline_us, struct status *st);

/* http_request.c: reads and drops what is left of the body, if that is little. */
bool http_request_skip_body(struct http_conn *conn);
/* http_server.c: the value of Date now. */
struct text http_server_date(struct http_server *server);
