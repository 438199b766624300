/* What the files of net share. All on the loop's thread. */
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <uv.h>
#include "net.h"

/* The watch on a descriptor. libuv's epoll is level-triggered; `armed` is what it watches now. An
 * event that nobody waits for is disarmed when it comes, not when the wait ends, so a descriptor
 * that is waited for again and again stays armed and costs no epoll_ctl. */
struct net_watch {
    uv_poll_t poll;
    bool open; /* `poll` was initialised */
    int armed; /* UV_READABLE, UV_WRITABLE, UV_DISCONNECT */
    int ready; /* those of them that have come since the wait began */
    struct fiber *reader, *writer;
};

struct net_conn {
    struct net_watch watch; /* first: freed by the address of its poll */
    struct loop *loop;
    int fd;
    bool hung_up;
    struct fiber *hangup_fiber;
    char peer_name[NET_NAME_BYTES_MAX];
    size_t peer_name_len;
};

union net_sockaddr {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un un;
};

/* Takes over `fd`, which is non-blocking; `peer` names the other side. */
struct net_conn *net_conn_new(struct loop *loop, int fd, const union net_sockaddr *peer);
/* Waits until `event` (UV_READABLE or UV_WRITABLE) comes on the connection. */
MUST_CHECK bool net_conn_wait(struct net_conn *conn, int event, int64_t deadline_us,
                              struct status *st);
/* Address and its length for bind and connect. A host must be numeric or "localhost". The path of a
 * unix socket may be long: then `*folder_fd` is a handle that the address goes through, which the
 * caller closes when it is done with the address; else it is -1. */
MUST_CHECK bool net_sockaddr_open(const struct net_address *address, union net_sockaddr *out,
                                  socklen_t *out_len, int *folder_fd, struct status *st);
/* The same for what has no long path. */
MUST_CHECK bool net_sockaddr_fill(const struct net_address *address, union net_sockaddr *out,
                                  socklen_t *out_len, struct status *st);
/* As text: "127.0.0.1:80", "[::1]:80" or "unix". Returns its length. */
size_t net_sockaddr_name(const union net_sockaddr *address, char out[NET_NAME_BYTES_MAX]);
void net_set_option(int fd, int level, int option, int value);
