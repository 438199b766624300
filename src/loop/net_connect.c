#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "clock.h"
#include "fiber.h"
#include "loop_internal.h"
#include "net_internal.h"

enum {
    BUFFER_BYTES = 64 * 1024,
    ADDRESSES_MAX = 8,
    ADDRESS_TRY_US_MIN = 1000000, /* one that does not answer leaves time for the next */
    BACKLOG_PAUSE_MS = 2,
};

/* Outlives the fiber when that gives up: a lookup cannot be ended. */
struct lookup {
    uv_getaddrinfo_t request;
    struct fiber *waiter; /* NULL: gave up */
    bool ended;
    int error;
    struct addrinfo *found;
};

struct addresses {
    union net_sockaddr at[ADDRESSES_MAX];
    socklen_t len[ADDRESSES_MAX];
    size_t count;
};

static bool connect_unix(struct loop *loop, const struct net_address *address,
                         const struct net_connect_options *options, int64_t deadline_us,
                         struct net_conn **out, struct status *st);
static bool resolve(struct loop *loop, const struct net_address *address, int64_t deadline_us,
                    struct addresses *out, struct status *st);
static bool lookup_wait(struct lookup *lookup, int64_t deadline_us, struct status *st);
static void lookup_free(struct lookup *lookup);
static void on_looked_up(uv_getaddrinfo_t *request, int error, struct addrinfo *found);
static bool connect_one(struct loop *loop, const union net_sockaddr *bytes, socklen_t len,
                        const struct net_connect_options *options, int64_t deadline_us,
                        struct net_conn **out, struct status *st);
static bool connect_finish(struct net_conn *conn, const union net_sockaddr *bytes, socklen_t len,
                           int64_t deadline_us, struct status *st);
static bool unreachable(const struct net_conn *conn, int error, struct status *st);

bool net_connect(struct loop *loop, const struct net_address *address,
                 const struct net_connect_options *options, int64_t deadline_us,
                 struct net_conn **out, struct status *st)
{
    WEIR_ASSERT(fiber_current() != NULL);
    struct addresses found = {.count = 1};
    if (!fiber_check(deadline_us, st))
        return false;
    if (address->is_unix)
        return connect_unix(loop, address, options, deadline_us, out, st);
    if (text_equal_nocase(address->host, TEXT("localhost")) ||
        !net_sockaddr_fill(address, &found.at[0], &found.len[0], st)) {
        if (!resolve(loop, address, deadline_us, &found, st))
            return false;
    }
    for (size_t i = 0; i < found.count; i++) {
        int64_t until_us = deadline_us;
        size_t left = found.count - i;
        if (left > 1) {
            int64_t now_us = clock_mono_us();
            int64_t share_us = deadline_us == CLOCK_NEVER ? 10 * (int64_t)ADDRESS_TRY_US_MIN
                                                          : (deadline_us - now_us) / (int64_t)left;
            if (share_us < ADDRESS_TRY_US_MIN)
                share_us = ADDRESS_TRY_US_MIN;
            if (now_us + share_us < deadline_us)
                until_us = now_us + share_us;
        }
        if (connect_one(loop, &found.at[i], found.len[i], options, until_us, out, st))
            return true;
        bool next = st->code == STATUS_UNAVAILABLE ||
                    (st->code == STATUS_TIMEOUT && until_us != deadline_us);
        if (!next)
            break;
    }
    return false;
}

static bool connect_unix(struct loop *loop, const struct net_address *address,
                         const struct net_connect_options *options, int64_t deadline_us,
                         struct net_conn **out, struct status *st)
{
    union net_sockaddr bytes;
    socklen_t len;
    int folder_fd;
    if (!net_sockaddr_open(address, &bytes, &len, &folder_fd, st)) {
        st->code = STATUS_UNAVAILABLE;
        return status_wrap(st, "could not connect to unix");
    }
    bool connected = connect_one(loop, &bytes, len, options, deadline_us, out, st);
    if (folder_fd >= 0)
        (void)close(folder_fd);
    return connected;
}

static bool resolve(struct loop *loop, const struct net_address *address, int64_t deadline_us,
                    struct addresses *out, struct status *st)
{
    char host[256], port[8];
    WEIR_ASSERT(address->host.len < sizeof(host));
    memcpy(host, address->host.at, address->host.len);
    host[address->host.len] = '\0';
    (void)snprintf(port, sizeof(port), "%u", (unsigned)address->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    WEIR_ASSERT(lookup != NULL);
    lookup->waiter = fiber_current();
    int error = uv_getaddrinfo(loop_uv(loop), &lookup->request, on_looked_up, host, port, &hints);
    if (error != 0) {
        free(lookup);
        return status_fail(st, STATUS_UNAVAILABLE, "could not look up %s: %s", host,
                           uv_strerror(error));
    }
    if (!lookup_wait(lookup, deadline_us, st))
        return status_wrap(st, "could not look up %s", host);
    out->count = 0;
    for (const struct addrinfo *one = lookup->found; one != NULL; one = one->ai_next) {
        if (out->count == ADDRESSES_MAX || one->ai_addrlen > sizeof(out->at[0]))
            break;
        memset(&out->at[out->count], 0, sizeof(out->at[0]));
        memcpy(&out->at[out->count], one->ai_addr, one->ai_addrlen);
        out->len[out->count++] = one->ai_addrlen;
    }
    error = lookup->error;
    lookup_free(lookup);
    if (error != 0 || out->count == 0)
        return status_fail(st, STATUS_UNAVAILABLE, "could not look up %s: %s", host,
                           error != 0 ? uv_strerror(error) : "it has no address");
    return true;
}

/* False: the fiber gave up, and the lookup frees itself when it ends. */
static bool lookup_wait(struct lookup *lookup, int64_t deadline_us, struct status *st)
{
    while (!lookup->ended) {
        if (fiber_wait(deadline_us, st))
            continue;
        if (lookup->ended) {
            lookup_free(lookup);
            return false;
        }
        lookup->waiter = NULL;
        (void)uv_cancel((uv_req_t *)&lookup->request);
        return false;
    }
    return true;
}

static void lookup_free(struct lookup *lookup)
{
    uv_freeaddrinfo(lookup->found);
    free(lookup);
}

static void on_looked_up(uv_getaddrinfo_t *request, int error, struct addrinfo *found)
{
    struct lookup *lookup = (struct lookup *)request;
    lookup->ended = true;
    lookup->error = error;
    lookup->found = found;
    if (lookup->waiter != NULL)
        fiber_wake(lookup->waiter);
    else
        lookup_free(lookup);
}

static bool connect_one(struct loop *loop, const union net_sockaddr *bytes, socklen_t len,
                        const struct net_connect_options *options, int64_t deadline_us,
                        struct net_conn **out, struct status *st)
{
    int fd = socket(bytes->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return status_fail_errno(st, errno, "could not open a socket");
    int receive_bytes = options != NULL && options->receive_buffer_bytes > 0
                            ? options->receive_buffer_bytes
                            : BUFFER_BYTES;
    net_set_option(fd, SOL_SOCKET, SO_RCVBUF, receive_bytes);
    net_set_option(fd, SOL_SOCKET, SO_SNDBUF, BUFFER_BYTES);
    if (bytes->any.sa_family != AF_UNIX)
        net_set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    AUTO(net_conn) struct net_conn *conn = net_conn_new(loop, fd, bytes);
    if (!connect_finish(conn, bytes, len, deadline_us, st))
        return false;
    *out = TAKE(conn);
    return true;
}

static bool connect_finish(struct net_conn *conn, const union net_sockaddr *bytes, socklen_t len,
                           int64_t deadline_us, struct status *st)
{
    int fd = net_descriptor(conn);
    int error = 0;
    do {
        if (error == EAGAIN && !loop_sleep(clock_deadline_ms(BACKLOG_PAUSE_MS), st))
            return false;
        if (!fiber_check(deadline_us, st))
            return false;
        error = connect(fd, &bytes->any, len) == 0 ? 0 : errno;
    } while (error == EAGAIN && bytes->any.sa_family == AF_UNIX); /* its backlog is full */
    if (error == EINPROGRESS || error == EINTR) {
        if (!net_wait_writable(conn, deadline_us, st))
            return status_wrap(st, "could not connect to %.*s", TEXT_ARG(net_peer_name(conn)));
        socklen_t error_len = (socklen_t)sizeof(error);
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len) != 0)
            error = errno;
    }
    return error == 0 || unreachable(conn, error, st);
}

static bool unreachable(const struct net_conn *conn, int error, struct status *st)
{
    (void)status_fail_errno(st, error, "could not connect to %.*s", TEXT_ARG(net_peer_name(conn)));
    st->code = STATUS_UNAVAILABLE;
    return false;
}
