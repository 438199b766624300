#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "clock.h"
#include "fiber.h"
#include "loop_internal.h"
#include "net_internal.h"

enum { BACKLOG_DEFAULT = 4096, SEND_BUFFER_BYTES = 64 * 1024, SHED_PAUSE_MS = 10 };

struct net_listener {
    uv_poll_t poll; /* first: freed by its address */
    struct loop *loop;
    int fd;
    int reserve_fd; /* given up for a moment to shed a connection; -1: could not be had back */
    bool armed, ready, closed;
    bool shared; /* counted in shared_ports */
    struct fiber *acceptor;
    uint16_t port;
    char path[NET_UNIX_PATH_BYTES_MAX + 1]; /* "" for TCP */
    dev_t device;                           /* of the socket's file, to remove only our own */
    ino_t inode;
};

/* Ports that listeners of this process share by SO_REUSEPORT. The first of them must find its port
 * free, which SO_REUSEPORT alone would not demand of a second process of the same user.
 * Any thread, under the lock. */
static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    uint16_t port;
    int listeners;
} shared_ports[32];

static bool listen_tcp(struct net_listener *listener, const struct net_address *address,
                       bool reuse_port, struct status *st);
static bool listen_unix(struct net_listener *listener, const struct net_address *address, int mode,
                        struct status *st);
static bool bind_tcp(struct net_listener *listener, const union net_sockaddr *bytes, socklen_t len,
                     bool share, struct status *st);
static bool bind_unix(struct net_listener *listener, const union net_sockaddr *bytes, socklen_t len,
                      mode_t mode, struct status *st);
static bool stale_remove(const union net_sockaddr *bytes, struct status *st);
static int connect_error(const union net_sockaddr *bytes);
static int shared_find(uint16_t port);
static bool accept_one(struct net_listener *listener, struct net_conn **out, bool *again,
                       struct status *st);
static void shed_one(struct net_listener *listener);
static int reserve_open(void);
static void on_readable(uv_poll_t *poll, int status, int events);
static void on_closed(uv_handle_t *handle);

bool net_listen(struct loop *loop, const struct net_address *address,
                const struct net_listen_options *options, struct net_listener **out,
                struct status *st)
{
    struct net_listener *listener = calloc(1, sizeof(*listener));
    WEIR_ASSERT(listener != NULL);
    listener->loop = loop;
    listener->fd = listener->reserve_fd = -1;
    bool ok = address->is_unix ? listen_unix(listener, address, options->unix_mode, st)
                               : listen_tcp(listener, address, options->reuse_port, st);
    if (!ok) {
        free(listener);
        return false;
    }
    /* Accepted sockets inherit both. */
    if (!address->is_unix)
        net_set_option(listener->fd, IPPROTO_TCP, TCP_NODELAY, 1);
    net_set_option(listener->fd, SOL_SOCKET, SO_SNDBUF,
                   options->send_buffer_bytes == 0 ? SEND_BUFFER_BYTES
                                                   : options->send_buffer_bytes);
    listener->reserve_fd = reserve_open();
    WEIR_ASSERT(uv_poll_init(loop_uv(loop), &listener->poll, listener->fd) == 0);
    if (listen(listener->fd, options->backlog == 0 ? BACKLOG_DEFAULT : options->backlog) != 0) {
        int error = errno;
        net_listener_close(listener);
        return status_fail_errno(st, error, "could not listen on %.*s", TEXT_ARG(address->host));
    }
    *out = listener;
    return true;
}

uint16_t net_listener_port(const struct net_listener *listener)
{
    return listener->port;
}

bool net_accept(struct net_listener *listener, struct net_conn **out, struct status *st)
{
    WEIR_ASSERT(listener->acceptor == NULL && fiber_current() != NULL);
    if (!fiber_check(CLOCK_NEVER, st))
        return false;
    fiber_breathe();
    listener->acceptor = fiber_current();
    bool again = true, ok = true;
    while (again && ok) {
        if (listener->closed)
            ok = status_fail(st, STATUS_CLOSED, "no longer listening");
        else
            ok = accept_one(listener, out, &again, st);
    }
    listener->acceptor = NULL;
    if (listener->closed)
        uv_close((uv_handle_t *)&listener->poll, on_closed);
    return ok;
}

void net_listener_close(struct net_listener *listener)
{
    if (listener == NULL || listener->closed)
        return;
    listener->closed = true;
    (void)uv_poll_stop(&listener->poll);
    (void)close(listener->fd);
    if (listener->reserve_fd >= 0)
        (void)close(listener->reserve_fd);
    struct stat file;
    if (listener->path[0] != '\0' && lstat(listener->path, &file) == 0 &&
        file.st_dev == listener->device && file.st_ino == listener->inode)
        (void)unlink(listener->path);
    if (listener->shared) {
        (void)pthread_mutex_lock(&shared_lock);
        int at = shared_find(listener->port);
        if (at >= 0)
            shared_ports[at].listeners--;
        (void)pthread_mutex_unlock(&shared_lock);
    }
    if (listener->acceptor != NULL)
        fiber_wake(listener->acceptor); /* net_accept frees it when it returns */
    else
        uv_close((uv_handle_t *)&listener->poll, on_closed);
}

static bool listen_tcp(struct net_listener *listener, const struct net_address *address,
                       bool reuse_port, struct status *st)
{
    union net_sockaddr bytes;
    socklen_t len;
    if (!net_sockaddr_fill(address, &bytes, &len, st))
        return status_wrap(st, "could not listen on port %u", (unsigned)address->port);
    if (!reuse_port)
        return bind_tcp(listener, &bytes, len, false, st);
    (void)pthread_mutex_lock(&shared_lock);
    int at = address->port == 0 ? -1 : shared_find(address->port);
    bool ok = true;
    if (address->port != 0 && at < 0) { /* is it free? */
        ok = bind_tcp(listener, &bytes, len, false, st);
        if (ok)
            (void)close(listener->fd);
    }
    ok = ok && bind_tcp(listener, &bytes, len, true, st);
    if (ok) {
        at = shared_find(listener->port);
        for (size_t i = 0; i < ARRAY_LEN(shared_ports) && at < 0; i++)
            if (shared_ports[i].listeners == 0)
                at = (int)i;
        listener->shared = at >= 0;
        if (at >= 0) {
            shared_ports[at].port = listener->port;
            shared_ports[at].listeners++;
        }
    }
    (void)pthread_mutex_unlock(&shared_lock);
    return ok;
}

static bool bind_tcp(struct net_listener *listener, const union net_sockaddr *bytes, socklen_t len,
                     bool share, struct status *st)
{
    char name[NET_NAME_BYTES_MAX];
    int name_len = (int)net_sockaddr_name(bytes, name);
    int fd = socket(bytes->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return status_fail_errno(st, errno, "could not listen on %.*s", name_len, name);
    net_set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (share)
        net_set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    union net_sockaddr bound = {.any.sa_family = bytes->any.sa_family};
    socklen_t bound_len = (socklen_t)sizeof(bound);
    if (bind(fd, &bytes->any, len) != 0 || getsockname(fd, &bound.any, &bound_len) != 0) {
        int error = errno;
        (void)close(fd);
        if (error == EADDRINUSE)
            return status_fail(st, STATUS_CONFLICT,
                               "could not listen on %.*s: another program uses this port", name_len,
                               name);
        return status_fail_errno(st, error, "could not listen on %.*s", name_len, name);
    }
    listener->fd = fd;
    listener->port = ntohs(bound.any.sa_family == AF_INET ? bound.v4.sin_port : bound.v6.sin6_port);
    return true;
}

static bool listen_unix(struct net_listener *listener, const struct net_address *address, int mode,
                        struct status *st)
{
    union net_sockaddr bytes;
    socklen_t len;
    int folder_fd;
    if (!net_sockaddr_open(address, &bytes, &len, &folder_fd, st))
        return status_wrap(st, "could not listen on %.*s", TEXT_ARG(address->host));
    bool bound = stale_remove(&bytes, st) &&
                 bind_unix(listener, &bytes, len, mode == 0 ? 0600 : (mode_t)mode, st);
    if (folder_fd >= 0)
        (void)close(folder_fd);
    if (!bound)
        return status_wrap(st, "could not listen on %.*s", TEXT_ARG(address->host));
    memcpy(listener->path, address->host.at, address->host.len);
    return true;
}

static bool bind_unix(struct net_listener *listener, const union net_sockaddr *bytes, socklen_t len,
                      mode_t mode, struct status *st)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct stat file;
    /* The mode of the socket itself is, on Linux, the one that its file gets (less the umask), so
     * nobody can slip in between bind and chmod. */
    if (fd < 0 || fchmod(fd, mode) != 0 || bind(fd, &bytes->any, len) != 0 ||
        chmod(bytes->un.sun_path, mode) != 0 || lstat(bytes->un.sun_path, &file) != 0) {
        int error = errno;
        if (fd >= 0)
            (void)close(fd);
        return status_fail_errno(st, error, "its file can not be made");
    }
    listener->fd = fd;
    listener->device = file.st_dev;
    listener->inode = file.st_ino;
    return true;
}

/* Removes the socket that a dead process has left at the path. */
static bool stale_remove(const union net_sockaddr *bytes, struct status *st)
{
    struct stat file;
    if (lstat(bytes->un.sun_path, &file) != 0)
        return true; /* nothing there, or bind will say what is wrong */
    if (!S_ISSOCK(file.st_mode))
        return status_fail(st, STATUS_CONFLICT, "a file is in the way");
    int error = connect_error(bytes);
    if (error == ECONNREFUSED) {
        (void)unlink(bytes->un.sun_path);
        return true;
    }
    return status_fail(st, STATUS_CONFLICT, "another program listens there");
}

bool net_unix_answers(struct text path)
{
    const struct net_address address = {.is_unix = true, .host = path};
    union net_sockaddr bytes;
    socklen_t len;
    int folder_fd;
    struct status st;
    if (path.len == 0 || path.len > NET_UNIX_PATH_BYTES_MAX ||
        !net_sockaddr_open(&address, &bytes, &len, &folder_fd, &st))
        return false;
    int error = connect_error(&bytes);
    if (folder_fd >= 0)
        (void)close(folder_fd);
    return error == 0 || error == EAGAIN; /* EAGAIN: its queue is full */
}

static int connect_error(const union net_sockaddr *bytes)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = fd >= 0 && connect(fd, &bytes->any, (socklen_t)sizeof(bytes->un)) == 0 ? 0 : errno;
    if (fd >= 0)
        (void)close(fd);
    return error;
}

static int shared_find(uint16_t port)
{
    for (size_t i = 0; i < ARRAY_LEN(shared_ports); i++)
        if (shared_ports[i].listeners > 0 && shared_ports[i].port == port)
            return (int)i;
    return -1;
}

/* One try; waits when nobody is there. `*again` is false when there is a connection. */
static bool accept_one(struct net_listener *listener, struct net_conn **out, bool *again,
                       struct status *st)
{
    union net_sockaddr peer;
    socklen_t peer_len = (socklen_t)sizeof(peer);
    memset(&peer, 0, sizeof(peer));
    int fd = accept4(listener->fd, &peer.any, &peer_len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        *out = net_conn_new(listener->loop, fd, &peer);
        *again = false;
        return true;
    }
    int error = errno;
    switch (error) {
    case EAGAIN:
        listener->ready = false;
        if (!listener->armed) {
            WEIR_ASSERT(uv_poll_start(&listener->poll, UV_READABLE, on_readable) == 0);
            listener->armed = true;
        }
        while (!listener->ready && !listener->closed)
            if (!fiber_wait(CLOCK_NEVER, st))
                return false;
        return true;
    case EMFILE:
    case ENFILE:
        shed_one(listener);
        return loop_sleep(clock_deadline_ms(SHED_PAUSE_MS), st);
    case ENOBUFS:
    case ENOMEM:
        return loop_sleep(clock_deadline_ms(SHED_PAUSE_MS), st);
    case EBADF:
    case EFAULT:
    case EINVAL:
    case ENOTSOCK:
        return status_fail_errno(st, error, "could not accept a connection");
    default: /* of this one connection: it was reset, or its network is down */
        return true;
    }
}

/* Out of descriptors: takes the oldest waiting connection and closes it, so that its client knows
 * at once, instead of leaving it in the queue and the loop spinning. */
static void shed_one(struct net_listener *listener)
{
    if (listener->reserve_fd < 0) {
        listener->reserve_fd = reserve_open();
        return;
    }
    (void)close(listener->reserve_fd);
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        (void)close(fd);
    listener->reserve_fd = reserve_open();
}

static int reserve_open(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct net_listener *listener = (struct net_listener *)poll;
    (void)status;
    (void)events;
    listener->ready = true;
    if (listener->acceptor != NULL) {
        fiber_wake(listener->acceptor);
        return;
    }
    (void)uv_poll_stop(poll);
    listener->armed = false;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}
