#include "net.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "clock.h"
#include "loop_check.h"

static int64_t soon(void)
{
    return clock_deadline_ms(20000);
}

/* A listener on a free port and one connection to it. */
struct pair {
    struct net_listener *listener;
    struct net_conn *client, *server;
};
static void pair_open(struct pair *pair)
{
    struct status st;
    struct net_address address = {.host = TEXT("127.0.0.1")};
    struct net_listen_options options = {0};
    assert_true(net_listen(loop, &address, &options, &pair->listener, &st));
    address.port = net_listener_port(pair->listener);
    assert_true(address.port > 0);
    assert_true(net_connect(loop, &address, NULL, soon(), &pair->client, &st));
    assert_true(net_accept(pair->listener, &pair->server, &st));
}

static void pair_close(struct pair *pair)
{
    net_close(pair->client);
    net_close(pair->server);
    net_listener_close(pair->listener);
}

static bool write_text(struct net_conn *conn, const char *text, struct status *st)
{
    struct iovec pieces[] = {{NULL, 0}, {(void *)(uintptr_t)text, strlen(text)}, {NULL, 0}};
    return net_write(conn, pieces, (int)ARRAY_LEN(pieces), soon(), st);
}

static const struct {
    const char *text, *host; /* NULL: refused */
    uint16_t port;
    bool is_unix, loopback;
} addresses[] = {
    {"127.0.0.1:8080", "127.0.0.1", 8080, false, true},
    {"127.9.9.9:1", "127.9.9.9", 1, false, true},
    {"0.0.0.0:0", "0.0.0.0", 0, false, false},
    {"[::1]:80", "::1", 80, false, true},
    {"[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1", 80, false, true},
    {"[::]:80", "::", 80, false, false},
    {"LocalHost:443", "LocalHost", 443, false, true},
    {"api.example.org:443", "api.example.org", 443, false, false},
    {"127.0.0.1.example.org:80", "127.0.0.1.example.org", 80, false, false},
    {"unix:/run/weir.sock", "/run/weir.sock", 0, true, true},
    {"", NULL, 0, false, false},
    {":80", NULL, 0, false, false},
    {"127.0.0.1", NULL, 0, false, false},
    {"127.0.0.1:", NULL, 0, false, false},
    {"127.0.0.1:65536", NULL, 0, false, false},
    {"127.0.0.1:-1", NULL, 0, false, false},
    {"127.0.0.1:80x", NULL, 0, false, false},
    {"127.0.0.1:80:80", NULL, 0, false, false},
    {"::1:80", NULL, 0, false, false},
    {"[::1]", NULL, 0, false, false},
    {"[::1:80", NULL, 0, false, false},
    {"[]:80", NULL, 0, false, false},
    {"[host]:80", NULL, 0, false, false},
    {"ho st:80", NULL, 0, false, false},
    {"ho/st:80", NULL, 0, false, false},
    {"unix:", NULL, 0, false, false},
};
static void addresses_are_parsed(void **state)
{
    (void)state;
    struct net_address address;
    struct status st;
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        check_case(addresses[i].text);
        bool ok = net_address_parse(text_of(addresses[i].text), &address, &st);
        assert_int_equal(ok, addresses[i].host != NULL);
        if (!ok) {
            assert_int_equal(st.code, STATUS_INVALID);
            continue;
        }
        check_text(address.host, addresses[i].host);
        assert_int_equal(address.port, addresses[i].port);
        assert_int_equal(address.is_unix, addresses[i].is_unix);
        assert_int_equal(net_address_is_loopback(&address), addresses[i].loopback);
    }
    char text[5 + NET_UNIX_PATH_BYTES_MAX + 1] = "unix:";
    memset(text + 5, 'a', sizeof(text) - 5);
    assert_true(net_address_parse((struct text){text, sizeof(text) - 1}, &address, &st));
    assert_false(net_address_parse((struct text){text, sizeof(text)}, &address, &st));
}

static void echo_main(void)
{
    struct pair pair;
    struct status st;
    char into[16];
    size_t got;
    pair_open(&pair);
    for (int i = 0; i < 3; i++) {
        assert_true(write_text(pair.client, "hello", &st));
        assert_true(net_read(pair.server, into, sizeof(into), soon(), &got, &st));
        check_text(((struct text){into, got}), "hello");
    }
    assert_true(text_starts(net_peer_name(pair.server), TEXT("127.0.0.1:")));
    net_shutdown_write(pair.client);
    assert_false(net_read(pair.server, into, sizeof(into), soon(), &got, &st));
    assert_int_equal(st.code, STATUS_CLOSED);
    assert_false(net_read(pair.client, into, sizeof(into), clock_deadline_ms(5), &got, &st));
    assert_int_equal(st.code, STATUS_TIMEOUT);
    pair_close(&pair);
}

static void bytes_come_and_go(void **state)
{
    (void)state;
    on_loop(echo_main);
}

static int option_of(int fd, int level, int name)
{
    int value = 0;
    socklen_t len = (socklen_t)sizeof(value);
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

static void options_main(void)
{
    struct pair pair;
    pair_open(&pair);
    int fds[] = {net_descriptor(pair.server), net_descriptor(pair.client)};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        assert_int_not_equal(option_of(fds[i], IPPROTO_TCP, TCP_NODELAY), 0);
        assert_int_equal(option_of(fds[i], SOL_SOCKET, SO_SNDBUF),
                         2 * 64 * 1024); /* as Linux counts */
        assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
    }
    pair_close(&pair);
}

static void sockets_are_set_up(void **state)
{
    (void)state;
    on_loop(options_main);
}

/* Far more than the buffers hold: the writer waits for a reader that begins late. */
enum { BIG_BYTES = 8 * 1024 * 1024 };
static void big_writer(void *arg)
{
    struct pair *pair = arg;
    struct status st;
    char *bytes = malloc(BIG_BYTES);
    assert_non_null(bytes);
    for (size_t i = 0; i < BIG_BYTES; i++)
        bytes[i] = (char)(i * 31 % 251);
    struct iovec pieces[3] = {
        {bytes, 1}, {bytes + 1, 100000}, {bytes + 100001, BIG_BYTES - 100001}};
    assert_true(net_write(pair->client, pieces, 3, soon(), &st));
    net_shutdown_write(pair->client);
    free(bytes);
}

static void big_main(void)
{
    struct pair pair;
    struct status st;
    struct fiber *writer;
    pair_open(&pair);
    assert_true(fiber_start_joinable(loop, "writer", big_writer, &pair, &writer, &st));
    assert_true(loop_sleep(clock_deadline_ms(20), &st));
    size_t total = 0, got;
    static char into[65536];
    while (net_read(pair.server, into, sizeof(into), soon(), &got, &st))
        for (size_t i = 0; i < got; i++, total++)
            if (into[i] != (char)(total * 31 % 251))
                fail_msg("byte %zu is wrong", total);
    assert_int_equal(st.code, STATUS_CLOSED);
    assert_int_equal(total, BIG_BYTES);
    fiber_join(writer);
    pair_close(&pair);
}

static void a_writer_waits_for_a_slow_reader(void **state)
{
    (void)state;
    on_loop(big_main);
}

/* Cancellation during each wait of net, and the deadline of each. */
static struct pair cut_pair;
static bool cut_read(int64_t deadline_us, struct status *st)
{
    char byte;
    size_t got;
    return net_read(cut_pair.client, &byte, 1, deadline_us, &got, st);
}
static bool cut_write(int64_t deadline_us, struct status *st)
{
    static char bytes[65536];
    for (;;) {
        struct iovec piece = {bytes, sizeof(bytes)};
        if (!net_write(cut_pair.client, &piece, 1, deadline_us, st))
            return false;
    }
}
static bool cut_accept(int64_t deadline_us, struct status *st)
{
    struct net_conn *conn;
    int64_t before_us = fiber_set_deadline(deadline_us);
    bool ok = net_accept(cut_pair.listener, &conn, st);
    (void)fiber_set_deadline(before_us);
    return ok;
}
static bool cut_connect(int64_t deadline_us, struct status *st)
{
    struct net_address address = {.host = TEXT("127.0.0.1")};
    struct net_listen_options options = {.backlog = 1};
    AUTO(net_listener) struct net_listener *listener = NULL;
    if (!net_listen(loop, &address, &options, &listener, st))
        return false;
    address.port = net_listener_port(listener);
    struct net_conn *conns[8] = {
        0}; /* nobody accepts: the backlog fills up, then SYNs are dropped */
    bool ok = true;
    for (size_t i = 0; i < ARRAY_LEN(conns) && ok; i++)
        ok = net_connect(loop, &address, NULL, deadline_us, &conns[i], st);
    for (size_t i = 0; i < ARRAY_LEN(conns); i++)
        net_close(conns[i]);
    return ok;
}

struct cut {
    const char *name;
    bool (*wait)(int64_t deadline_us, struct status *st);
};
static void cut_fiber(void *arg)
{
    const struct cut *cut = arg;
    struct status st;
    assert_false(cut->wait(clock_deadline_ms(5), &st));
    assert_int_equal(st.code, STATUS_TIMEOUT);
    assert_false(cut->wait(soon(), &st));
    assert_int_equal(st.code, STATUS_CANCELLED);
}

static void cut_main(void)
{
    static struct cut cuts[] = {
        {"read", cut_read}, {"write", cut_write}, {"accept", cut_accept}, {"connect", cut_connect}};
    struct status st;
    pair_open(&cut_pair);
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        struct fiber *fiber;
        check_case(cuts[i].name);
        assert_true(fiber_start_joinable(loop, "cut", cut_fiber, &cuts[i], &fiber, &st));
        assert_true(loop_sleep(clock_deadline_ms(60), &st));
        fiber_cancel(fiber);
        fiber_join(fiber);
    }
    pair_close(&cut_pair);
}

static void every_wait_can_be_cut(void **state)
{
    (void)state;
    on_loop(cut_main);
}

/* A client that goes away cancels the fiber that works for it, though that does not read. */
static void hangup_worker(void *arg)
{
    struct net_conn *conn = arg;
    struct status st;
    net_watch_hangup(conn, fiber_current());
    assert_false(loop_sleep(soon(), &st));
    assert_int_equal(st.code, STATUS_CANCELLED);
    net_watch_hangup(conn, NULL);
    assert_true(net_hung_up(conn));
}

static void hangup_main(void)
{
    static const char *const ways[] = {"close", "reset", "half-close", "close with unread bytes",
                                       "closed before the watch"};
    struct status st;
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct pair pair;
        struct fiber *worker;
        struct linger linger = {1, 0};
        check_case(ways[i]);
        pair_open(&pair);
        assert_false(net_hung_up(pair.server));
        if (i == 4) {
            net_close(TAKE(pair.client));
            assert_true(net_wait_readable(pair.server, soon(), &st));
        }
        assert_true(fiber_start_joinable(loop, "worker", hangup_worker, pair.server, &worker, &st));
        assert_true(loop_sleep(clock_deadline_ms(5), &st));
        if (i == 1)
            assert_int_equal(setsockopt(net_descriptor(pair.client), SOL_SOCKET, SO_LINGER, &linger,
                                        (socklen_t)sizeof(linger)),
                             0);
        if (i == 2)
            net_shutdown_write(pair.client);
        if (i == 3)
            assert_true(write_text(pair.client, "more", &st));
        if (i != 2 && i != 4)
            net_close(TAKE(pair.client));
        fiber_join(worker);
        if (i == 3) { /* what came before is still to be read */
            char into[8];
            size_t got;
            assert_true(net_read(pair.server, into, sizeof(into), soon(), &got, &st));
            assert_int_equal(got, 4);
        }
        pair_close(&pair);
    }
}

static void a_hangup_cancels(void **state)
{
    (void)state;
    on_loop(hangup_main);
}

static void write_to_gone_main(void)
{
    struct pair pair;
    struct status st;
    pair_open(&pair);
    net_close(TAKE(pair.client));
    bool ok = true;
    for (int i = 0; i < 100 && ok; i++)
        ok = write_text(pair.server, "into the void", &st) && loop_sleep(clock_deadline_ms(1), &st);
    assert_false(ok);
    assert_int_equal(st.code, STATUS_CLOSED);
    pair_close(&pair);
}

static void writing_to_a_peer_that_is_gone(void **state)
{
    (void)state;
    on_loop(write_to_gone_main);
}

static void taken_main(void)
{
    struct status st;
    struct net_address address = {.host = TEXT("127.0.0.1")};
    struct net_listen_options alone = {0}, share = {.reuse_port = true};
    struct net_listener *first, *second, *none;
    /* Not shared: the port is taken. */
    assert_true(net_listen(loop, &address, &alone, &first, &st));
    address.port = net_listener_port(first);
    assert_false(net_listen(loop, &address, &alone, &none, &st));
    assert_int_equal(st.code, STATUS_CONFLICT);
    assert_false(net_listen(loop, &address, &share, &none, &st));
    assert_int_equal(st.code, STATUS_CONFLICT);
    net_listener_close(first);
    /* Shared within this process, */
    assert_true(net_listen(loop, &address, &share, &first, &st));
    assert_true(net_listen(loop, &address, &share, &second, &st));
    assert_int_equal(net_listener_port(second), address.port);
    net_listener_close(first);
    net_listener_close(second);
    /* but not with another, though that would share it as well. */
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    assert_true(fd >= 0);
    struct sockaddr_in bytes = {.sin_family = AF_INET, .sin_port = htons(address.port)};
    bytes.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    union {
        struct sockaddr_in in;
        struct sockaddr any;
    } where = {.in = bytes};
    assert_int_equal(bind(fd, &where.any, (socklen_t)sizeof(bytes)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_false(net_listen(loop, &address, &share, &none, &st));
    assert_int_equal(st.code, STATUS_CONFLICT);
    (void)close(fd);
}

static void a_port_in_use(void **state)
{
    (void)state;
    on_loop(taken_main);
}

static void unix_main(void)
{
    struct status st;
    char dir[] = "/tmp/weir-net-test-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/s", dir);
    struct net_address address = {.is_unix = true, .host = text_of(path)};
    struct net_listen_options options = {0};
    struct net_listener *listener, *none;
    struct net_conn *client, *server;
    struct stat file;
    assert_false(net_connect(loop, &address, NULL, soon(), &client, &st));
    assert_int_equal(st.code, STATUS_UNAVAILABLE);
    assert_true(net_listen(loop, &address, &options, &listener, &st));
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    assert_false(net_listen(loop, &address, &options, &none, &st)); /* somebody answers there */
    assert_int_equal(st.code, STATUS_CONFLICT);
    assert_true(net_accept(listener, &server, &st)); /* that was the probe */
    net_close(server);
    assert_true(net_connect(loop, &address, NULL, soon(), &client, &st));
    assert_true(net_accept(listener, &server, &st));
    check_text(net_peer_name(server), "unix");
    assert_true(write_text(client, "x", &st));
    char byte;
    size_t got;
    assert_true(net_read(server, &byte, 1, soon(), &got, &st));
    net_close(client);
    net_close(server);
    net_listener_close(listener);
    assert_int_equal(stat(path, &file), -1); /* it takes its file along */
    /* A socket that a dead process has left is replaced; a file is not. */
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    union {
        struct sockaddr_un un;
        struct sockaddr any;
    } where = {.un = {.sun_family = AF_UNIX}};
    memcpy(where.un.sun_path, path, strlen(path));
    assert_int_equal(bind(fd, &where.any, (socklen_t)sizeof(where.un)), 0);
    (void)close(fd);
    options.unix_mode = 0660;
    assert_true(net_listen(loop, &address, &options, &listener, &st));
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0660);
    net_listener_close(listener);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    (void)close(fd);
    assert_false(net_listen(loop, &address, &options, &none, &st));
    assert_int_equal(st.code, STATUS_CONFLICT);
    (void)unlink(path);
    (void)rmdir(dir);
}

static void unix_sockets(void **state)
{
    (void)state;
    on_loop(unix_main);
}

static void nobody_main(void)
{
    struct status st;
    struct net_conn *conn;
    struct net_listener *listener;
    struct net_listen_options options = {0};
    struct net_address address = {.host = TEXT("127.0.0.1")};
    assert_true(net_listen(loop, &address, &options, &listener, &st));
    address.port = net_listener_port(listener);
    net_listener_close(listener);
    assert_false(net_connect(loop, &address, NULL, soon(), &conn, &st));
    assert_int_equal(st.code, STATUS_UNAVAILABLE);
    address.host = TEXT("no-such-host.invalid");
    assert_false(net_connect(loop, &address, NULL, soon(), &conn, &st));
    assert_int_equal(st.code, STATUS_UNAVAILABLE);
    assert_false(net_connect(loop, &address, NULL, 1, &conn, &st));
    assert_int_equal(st.code, STATUS_TIMEOUT);
    address.host = TEXT("example.org");
    assert_false(net_listen(loop, &address, &options, &listener, &st));
    assert_int_equal(st.code, STATUS_INVALID);
    /* By name. */
    address.host = TEXT("127.0.0.1");
    address.port = 0;
    assert_true(net_listen(loop, &address, &options, &listener, &st));
    address.port = net_listener_port(listener);
    address.host = TEXT("localhost");
    assert_true(net_connect(loop, &address, NULL, soon(), &conn, &st));
    net_close(conn);
    net_listener_close(listener);
}

static void nobody_there(void **state)
{
    (void)state;
    on_loop(nobody_main);
}

static void acceptor(void *arg)
{
    struct status st;
    struct net_conn *conn;
    assert_false(net_accept(arg, &conn, &st));
    assert_int_equal(st.code, STATUS_CLOSED);
}

static void close_listener_main(void)
{
    struct status st;
    struct net_listener *listener;
    struct net_listen_options options = {0};
    struct net_address address = {.host = TEXT("[::1]")};
    struct fiber *fiber;
    address.host = TEXT("::1");
    if (!net_listen(loop, &address, &options, &listener, &st)) { /* a machine without IPv6 */
        address.host = TEXT("127.0.0.1");
        assert_true(net_listen(loop, &address, &options, &listener, &st));
    }
    assert_true(fiber_start_joinable(loop, "acceptor", acceptor, listener, &fiber, &st));
    fiber_yield();
    fiber_yield();
    net_listener_close(listener);
    fiber_join(fiber);
}

static void closing_a_listener_wakes_its_fiber(void **state)
{
    (void)state;
    on_loop(close_listener_main);
}

/* Out of descriptors: the connection that is too much is closed, and when there are some again,
 * the next is accepted. */
static void shed_main(void)
{
    struct status st;
    struct net_listener *listener;
    struct net_listen_options options = {0};
    struct net_address address = {.host = TEXT("127.0.0.1")};
    struct net_conn *clients[2], *server;
    struct rlimit before, limit;
    assert_true(net_listen(loop, &address, &options, &listener, &st));
    address.port = net_listener_port(listener);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        assert_true(net_connect(loop, &address, NULL, soon(), &clients[i], &st));
    int lowest = dup(0);
    (void)close(lowest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)lowest;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    (void)fiber_set_deadline(clock_deadline_ms(50));
    bool accepted = net_accept(listener, &server, &st);
    (void)fiber_set_deadline(CLOCK_NEVER);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_false(accepted);
    assert_int_equal(st.code, STATUS_TIMEOUT);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        char byte;
        size_t got;
        assert_false(net_read(clients[i], &byte, 1, soon(), &got, &st));
        assert_int_equal(st.code, STATUS_CLOSED);
        net_close(clients[i]);
    }
    assert_true(net_connect(loop, &address, NULL, soon(), &clients[0], &st));
    assert_true(net_accept(listener, &server, &st));
    net_close(server);
    net_close(clients[0]);
    net_listener_close(listener);
}

static void out_of_descriptors(void **state)
{
    (void)state;
    on_loop(shed_main);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_parsed),
        cmocka_unit_test(bytes_come_and_go),
        cmocka_unit_test(sockets_are_set_up),
        cmocka_unit_test(a_writer_waits_for_a_slow_reader),
        cmocka_unit_test(every_wait_can_be_cut),
        cmocka_unit_test(a_hangup_cancels),
        cmocka_unit_test(writing_to_a_peer_that_is_gone),
        cmocka_unit_test(a_port_in_use),
        cmocka_unit_test(unix_sockets),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(closing_a_listener_wakes_its_fiber),
        cmocka_unit_test(out_of_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
