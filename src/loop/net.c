#include "net.h"
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "fiber.h"
#include "loop_internal.h"
#include "net_internal.h"

static void watch_arm(struct net_conn *conn, int events);
static void on_event(uv_poll_t *poll, int status, int events);
static void on_closed(uv_handle_t *handle);
static void hangup_seen(struct net_conn *conn);
static bool read_failed(int error, struct status *st);
static bool write_failed(int error, struct status *st);
static void pieces_advance(struct iovec **pieces, int *count, size_t done);

struct net_conn *net_conn_new(struct loop *loop, int fd, const union net_sockaddr *peer)
{
    struct net_conn *conn = calloc(1, sizeof(*conn));
    WEIR_ASSERT(conn != NULL);
    conn->loop = loop;
    conn->fd = fd;
    conn->peer_name_len = net_sockaddr_name(peer, conn->peer_name);
    return conn;
}

void net_close(struct net_conn *conn)
{
    if (conn == NULL)
        return;
    WEIR_ASSERT(conn->watch.reader == NULL && conn->watch.writer == NULL);
    int fd = conn->fd;
    if (conn->watch.open)
        uv_close((uv_handle_t *)&conn->watch.poll, on_closed); /* stops the watch at once */
    else
        free(conn);
    (void)close(fd);
}

bool net_read(struct net_conn *conn, void *into, size_t size, int64_t deadline_us, size_t *got,
              struct status *st)
{
    WEIR_ASSERT(size > 0);
    if (!fiber_check(deadline_us, st))
        return false;
    fiber_breathe();
    for (;;) {
        size_t count;
        if (!net_try_read(conn, into, size, &count, st))
            return false;
        if (count > 0) {
            *got = count;
            return true;
        }
        if (!net_wait_readable(conn, deadline_us, st))
            return false;
    }
}

bool net_write(struct net_conn *conn, struct iovec *pieces, int pieces_count, int64_t deadline_us,
               struct status *st)
{
    if (!fiber_check(deadline_us, st))
        return false;
    pieces_advance(&pieces, &pieces_count, 0);
    while (pieces_count > 0) {
        struct msghdr message = {.msg_iov = pieces,
                                 .msg_iovlen =
                                     (size_t)(pieces_count < IOV_MAX ? pieces_count : IOV_MAX)};
        ssize_t put = sendmsg(conn->fd, &message, MSG_NOSIGNAL);
        if (put >= 0) {
            pieces_advance(&pieces, &pieces_count, (size_t)put);
            fiber_breathe();
        } else if (errno == EAGAIN) {
            if (!net_wait_writable(conn, deadline_us, st))
                return false;
        } else if (errno != EINTR) {
            return write_failed(errno, st);
        }
    }
    return true;
}

bool net_try_read(struct net_conn *conn, void *into, size_t size, size_t *got, struct status *st)
{
    ssize_t count;
    do
        count = recv(conn->fd, into, size, 0);
    while (count < 0 && errno == EINTR);
    if (count == 0)
        return status_fail(st, STATUS_CLOSED, "the peer has closed the connection");
    if (count < 0 && errno != EAGAIN)
        return read_failed(errno, st);
    *got = count < 0 ? 0 : (size_t)count;
    return true;
}

bool net_try_write(struct net_conn *conn, const void *from, size_t size, size_t *put,
                   struct status *st)
{
    ssize_t count;
    do
        count = send(conn->fd, from, size, MSG_NOSIGNAL);
    while (count < 0 && errno == EINTR);
    if (count < 0 && errno != EAGAIN)
        return write_failed(errno, st);
    *put = count < 0 ? 0 : (size_t)count;
    return true;
}

bool net_wait_readable(struct net_conn *conn, int64_t deadline_us, struct status *st)
{
    return net_conn_wait(conn, UV_READABLE, deadline_us, st);
}

bool net_wait_writable(struct net_conn *conn, int64_t deadline_us, struct status *st)
{
    return net_conn_wait(conn, UV_WRITABLE, deadline_us, st);
}

bool net_conn_wait(struct net_conn *conn, int event, int64_t deadline_us, struct status *st)
{
    struct net_watch *watch = &conn->watch;
    struct fiber **waiter = event == UV_READABLE ? &watch->reader : &watch->writer;
    WEIR_ASSERT(*waiter == NULL && fiber_current() != NULL);
    *waiter = fiber_current();
    watch->ready &= ~event;
    /* A watch for reading watches for the hang-up as well: a server will want to know it, and
     * adding it later would cost two calls for every connection. */
    watch_arm(conn, event | (event == UV_READABLE && !conn->hung_up ? UV_DISCONNECT : 0));
    bool ok = true;
    while (!(watch->ready & event) && ok)
        ok = fiber_wait(deadline_us, st);
    *waiter = NULL;
    return ok;
}

void net_watch_hangup(struct net_conn *conn, struct fiber *fiber)
{
    conn->hangup_fiber = fiber;
    if (fiber == NULL)
        return;
    if (conn->hung_up)
        fiber_cancel(fiber);
    else
        watch_arm(conn, UV_DISCONNECT);
}

bool net_hung_up(const struct net_conn *conn)
{
    return conn->hung_up;
}

void net_shutdown_write(struct net_conn *conn)
{
    (void)shutdown(conn->fd, SHUT_WR); /* fails only when the peer is gone already */
}

struct text net_peer_name(const struct net_conn *conn)
{
    return (struct text){conn->peer_name, conn->peer_name_len};
}

int net_descriptor(const struct net_conn *conn)
{
    return conn->fd;
}

void net_set_option(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof(value)); /* a wish: buffers, delays */
}

/* Watches for `events` besides what is watched already. */
static void watch_arm(struct net_conn *conn, int events)
{
    struct net_watch *watch = &conn->watch;
    if (!watch->open) {
        WEIR_ASSERT(uv_poll_init(loop_uv(conn->loop), &watch->poll, conn->fd) == 0);
        watch->open = true;
    }
    if ((events & ~watch->armed) == 0)
        return;
    watch->armed |= events;
    WEIR_ASSERT(uv_poll_start(&watch->poll, watch->armed, on_event) == 0);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct net_conn *conn = (struct net_conn *)poll;
    struct net_watch *watch = &conn->watch;
    if (status < 0) { /* the socket has failed (a reset): libuv has stopped the watch */
        watch->armed = 0;
        events = UV_READABLE | UV_WRITABLE | UV_DISCONNECT;
    }
    int unwanted = 0;
    if (events & UV_READABLE) {
        watch->ready |= UV_READABLE;
        if (watch->reader != NULL)
            fiber_wake(watch->reader);
        else
            unwanted |= UV_READABLE;
    }
    if (events & UV_WRITABLE) {
        watch->ready |= UV_WRITABLE;
        if (watch->writer != NULL)
            fiber_wake(watch->writer);
        else
            unwanted |= UV_WRITABLE;
    }
    if (events & UV_DISCONNECT) {
        hangup_seen(conn);
        unwanted |= UV_DISCONNECT; /* it would be reported for ever */
    }
    unwanted &= watch->armed;
    if (unwanted == 0)
        return;
    watch->armed &= ~unwanted;
    WEIR_ASSERT(uv_poll_start(&watch->poll, watch->armed, on_event) == 0); /* 0 stops it */
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void hangup_seen(struct net_conn *conn)
{
    conn->hung_up = true;
    if (conn->hangup_fiber != NULL)
        fiber_cancel(conn->hangup_fiber);
}

static bool read_failed(int error, struct status *st)
{
    return status_fail_errno(st, error, "could not read from the connection");
}

static bool write_failed(int error, struct status *st)
{
    if (error == EPIPE || error == ECONNRESET)
        return status_fail(st, STATUS_CLOSED, "the peer has closed the connection");
    return status_fail_errno(st, error, "could not write to the connection");
}

/* Takes `done` bytes off the front, and pieces that are empty then. */
static void pieces_advance(struct iovec **pieces, int *count, size_t done)
{
    while (*count > 0 && done >= (*pieces)->iov_len) {
        done -= (*pieces)->iov_len;
        (*pieces)++;
        (*count)--;
    }
    if (*count > 0) {
        (*pieces)->iov_base = (char *)(*pieces)->iov_base + done;
        (*pieces)->iov_len -= done;
    }
}
