/* http_test_rig: a loop, a server on it and raw clients, all in one thread. A test is a function
 * that runs in a fiber; afterwards the server is drained, and nothing may be left behind. */
#pragma once
#include "arena.h"
#include "check.h"
#include "clock.h"
#include "fiber.h"
#include "http_server.h"
#include "loop.h"
#include "net.h"

struct rig {
    struct loop *loop;
    struct http_server *server;
    struct http_counters counters;
    struct arena *arena;
    struct http_server_options options;
    /* What the handler of http_test_handler.c saw. */
    int calls, gone, cancelled, errors;
    uint64_t written;
    struct status last; /* of what failed in the handler */
    void *user;
};

/* Runs `test(rig)` in a fiber, on a server with `options` (NULL: none). Handler, address and
 * counters are the rig's own unless set. Asserts that afterwards no fiber and no descriptor more is
 * there than before. */
void rig_run(void (*test)(struct rig *rig), const struct http_server_options *options);

/* A raw connection to the server. */
struct net_conn *rig_connect(struct rig *rig);
void rig_send(struct net_conn *conn, struct text bytes);
/* Reads until the server closes, or for `ms` at most; `*closed` says which. */
struct text rig_receive(struct rig *rig, struct net_conn *conn, int64_t ms, bool *closed);
/* Reads until `end` has been read. Asserts that it comes. */
struct text rig_receive_until(struct rig *rig, struct net_conn *conn, struct text end);
/* Sends, reads until the server closes (asserted), and closes. */
struct text rig_talk(struct rig *rig, struct text input);
/* Waits until the server has `count` connections. */
void rig_wait_connections(struct rig *rig, size_t count);
void rig_sleep(int64_t ms);
int rig_descriptors(void);                  /* open in this process */
int rig_status(struct text response);       /* of "HTTP/1.1 200 OK" */
struct text rig_body(struct text response); /* what follows the head */
size_t rig_count(struct text text, struct text needle);

/* GET /hello, POST /echo, /count (streams the body in), /stream?n=N, /sse, /wait (until cancelled),
 * /nothing (no reply), /half (a reply that is not ended), /big?n=N, /peer, /path. */
void rig_handler(void *ctx, struct http_request *req, struct http_reply *reply);
