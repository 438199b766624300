/* net: byte streams over TCP and unix sockets, for fibers. No TLS, no protocol: that is http's.
 * On the loop's thread. A socket has at most one fiber reading and one writing at a time.
 * Reads and writes try the system call first and wait for readiness only on EAGAIN; the watch on a
 * descriptor is left in place between waits, so that a busy connection makes no epoll_ctl calls. */
#pragma once
#include "base.h"
#include "status.h"
#include "text.h"
#include <sys/uio.h>

struct fiber;
struct loop;
struct net_listener;
struct net_conn;

enum { NET_NAME_BYTES_MAX = 64, NET_UNIX_PATH_BYTES_MAX = 1023 };

/* The kernel takes 107 bytes of a unix socket's path; a longer one is reached by a handle on its
 * folder (/proc/self/fd), and only the file's name is bounded then, by NET_UNIX_NAME_BYTES_MAX. */
enum { NET_UNIX_NAME_BYTES_MAX = 80 };
/* Where to listen or to connect: "127.0.0.1:8080", "[::1]:8080", "localhost:80", "unix:/run/x". */
struct net_address {
    bool is_unix;
    struct text host; /* or the path */
    uint16_t port;
};
/* Fails: STATUS_INVALID. The texts point into `text`. */
MUST_CHECK bool net_address_parse(struct text text, struct net_address *out, struct status *st);
/* Whether bytes to this address stay on this machine: a unix socket, 127.0.0.0/8, ::1. "localhost"
 * counts as loopback. */
bool net_address_is_loopback(const struct net_address *address);

struct net_listen_options {
    bool reuse_port; /* several loops of this process listen on the same port; the first finds it
                        free */
    int backlog;     /* 0: 4,096 */
    int send_buffer_bytes; /* SO_SNDBUF of accepted sockets; 0: 64 KiB */
    int unix_mode;         /* mode of a unix socket's file; 0: 0600 */
};
/* Does not wait; only numeric hosts and "localhost". A unix socket's stale file (nobody answers
 * there) is replaced; one that answers is STATUS_CONFLICT.
 * Fails: STATUS_CONFLICT port in use; STATUS_SYSTEM; STATUS_INVALID. */
MUST_CHECK bool net_listen(struct loop *loop, const struct net_address *address,
                           const struct net_listen_options *options, struct net_listener **out,
                           struct status *st);
uint16_t net_listener_port(const struct net_listener *listener);
/* Waits. Keeps one descriptor in reserve, so that running out of them sheds connections instead of
 * spinning. Fails: fiber.h; STATUS_CLOSED after net_listener_close. */
MUST_CHECK bool net_accept(struct net_listener *listener, struct net_conn **out, struct status *st);
void net_listener_close(struct net_listener *listener); /* wakes the fiber in net_accept */
AUTO_DEFINE(net_listener, net_listener_close)

/* Whether somebody listens at this path now; a file that a dead process has left is nobody. Does
 * not wait. */
bool net_unix_answers(struct text path);

struct net_connect_options {
    int receive_buffer_bytes; /* SO_RCVBUF; 0: 64 KiB */
};
/* Waits; names are resolved in the pool, addresses tried in turn.
 * Fails: STATUS_UNAVAILABLE nobody there; fiber.h. */
MUST_CHECK bool net_connect(struct loop *loop, const struct net_address *address,
                            const struct net_connect_options *options, int64_t deadline_us,
                            struct net_conn **out, struct status *st);
void net_close(struct net_conn *conn);
AUTO_DEFINE(net_conn, net_close)

/* Reads at least one byte, up to `size`. Waits. Fails: STATUS_CLOSED at the end of the stream;
 * STATUS_SYSTEM when the peer reset; fiber.h. */
MUST_CHECK bool net_read(struct net_conn *conn, void *into, size_t size, int64_t deadline_us,
                         size_t *got, struct status *st);
/* Writes all of `pieces` (their contents are changed to track progress). Waits while the peer is
 * slow. Fails: STATUS_CLOSED when the peer is gone; fiber.h (bytes may then be half written). */
MUST_CHECK bool net_write(struct net_conn *conn, struct iovec *pieces, int pieces_count,
                          int64_t deadline_us, struct status *st);
/* One try without waiting, for TLS. `*got`/`*put` is 0 when it would block. */
MUST_CHECK bool net_try_read(struct net_conn *conn, void *into, size_t size, size_t *got,
                             struct status *st);
MUST_CHECK bool net_try_write(struct net_conn *conn, const void *from, size_t size, size_t *put,
                              struct status *st);
MUST_CHECK bool net_wait_readable(struct net_conn *conn, int64_t deadline_us, struct status *st);
MUST_CHECK bool net_wait_writable(struct net_conn *conn, int64_t deadline_us, struct status *st);
/* While on, a peer that hangs up (FIN or RST) cancels `fiber` within one turn of the loop, though
 * nobody reads. NULL ends it. Bytes that arrive meanwhile stay in the kernel. */
void net_watch_hangup(struct net_conn *conn, struct fiber *fiber);
bool net_hung_up(const struct net_conn *conn);
void net_shutdown_write(struct net_conn *conn);
/* "127.0.0.1:50000" or "unix"; written once at accept. */
struct text net_peer_name(const struct net_conn *conn);
int net_descriptor(const struct net_conn *conn);
