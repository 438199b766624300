/* relay_client: the streaming load of bench/relay. Opens so many streams, waits until all of them
 * run, then measures for so many seconds: how long each event was on its way, the processor time
 * that a process took meanwhile and its resident memory.
 *     relay_client PORT STREAMS SECONDS KEY PID
 * prints one line: events=N p50_us=N p99_us=N max_us=N cpu_us=N rss_kib=N lost=N */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { US_MAX = 2000000, MARK_BYTES = 22, CARRY_BYTES = 21, EVENTS_MAX = 256, READ_BYTES = 65536 };

struct stream {
    int fd;
    char carry[CARRY_BYTES]; /* the end of what was read, in case a mark is cut */
    size_t carry_len;
    int begun;
};

static long histogram[US_MAX + 1];
static long events_seen, begun, lost;
static int measuring;

static void fail(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static long long now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Looks for "T and twenty digits. */
static void scan(struct stream *stream, const char *bytes, size_t len, long long now)
{
    for (size_t i = 0; i + MARK_BYTES <= len; i++) {
        if (bytes[i] != '"' || bytes[i + 1] != 'T')
            continue;
        char digits[21];
        memcpy(digits, bytes + i + 2, 20);
        digits[20] = '\0';
        if (strspn(digits, "0123456789") != 20)
            continue;
        long long us = (now - strtoll(digits, NULL, 10)) / 1000;
        begun += !stream->begun;
        stream->begun = 1;
        i += MARK_BYTES - 1;
        if (!measuring)
            continue;
        histogram[us < 0 ? 0 : us > US_MAX ? US_MAX : us]++;
        events_seen++;
    }
}

static void readable(struct stream *stream)
{
    char bytes[CARRY_BYTES + READ_BYTES];
    memcpy(bytes, stream->carry, stream->carry_len);
    ssize_t got = recv(stream->fd, bytes + stream->carry_len, READ_BYTES, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        lost++;
        (void)close(stream->fd);
        return;
    }
    size_t len = stream->carry_len + (size_t)got;
    scan(stream, bytes, len, now_ns());
    stream->carry_len = len < CARRY_BYTES ? len : CARRY_BYTES;
    memcpy(stream->carry, bytes + len - stream->carry_len, stream->carry_len);
}

static long cpu_us(const char *pid)
{
    clockid_t clock;
    struct timespec used;
    if (clock_getcpuclockid(atoi(pid), &clock) != 0 || clock_gettime(clock, &used) != 0)
        fail("the process's clock");
    return used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

static long rss_kib(const char *pid)
{
    char path[64];
    long pages = 0;
    (void)snprintf(path, sizeof(path), "/proc/%s/statm", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*d %ld", &pages) != 1)
        pages = 0;
    (void)fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static long percentile(double part)
{
    long wanted = (long)((double)events_seen * part), seen = 0;
    for (long us = 0; us <= US_MAX; us++) {
        seen += histogram[us];
        if (seen > wanted)
            return us;
    }
    return US_MAX;
}

static void poll_once(int epoll_fd)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(epoll_fd, events, EVENTS_MAX, 100);
    for (int i = 0; i < count; i++)
        readable(events[i].data.ptr);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        (void)fprintf(stderr, "usage: relay_client PORT STREAMS SECONDS KEY PID\n");
        return EXIT_FAILURE;
    }
    union {
        struct sockaddr_in in;
        struct sockaddr any;
    } address = {.in = {.sin_family = AF_INET}};
    long count = atol(argv[2]), seconds = atol(argv[3]);
    char body[512], request[1024];
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct stream *streams = calloc((size_t)count, sizeof(*streams));
    if (epoll_fd < 0 || streams == NULL)
        fail("relay_client");
    address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.in.sin_port = htons((uint16_t)atoi(argv[1]));
    int body_len = snprintf(body, sizeof(body),
                            "{\"model\":\"stub\",\"stream\":true,\"max_tokens\":%ld,"
                            "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
                            (seconds + 30) * 50);
    int len = snprintf(request, sizeof(request),
                       "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                       "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
                       "Content-Length: %d\r\n\r\n%s",
                       argv[4], body_len, body);
    for (long i = 0; i < count; i++) {
        streams[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (streams[i].fd < 0 ||
            connect(streams[i].fd, &address.any, (socklen_t)sizeof(address.in)) != 0 ||
            send(streams[i].fd, request, (size_t)len, MSG_NOSIGNAL) != len)
            fail("connect");
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &streams[i]};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, streams[i].fd, &event) != 0)
            fail("epoll_ctl");
        if (i % 16 == 0)
            poll_once(epoll_fd);
    }
    long long until = now_ns() + 20000000000;
    while (begun < count && lost == 0 && now_ns() < until)
        poll_once(epoll_fd);
    until = now_ns() + 1000000000; /* the burst of beginnings is over */
    while (now_ns() < until)
        poll_once(epoll_fd);
    long cpu_before = cpu_us(argv[5]);
    measuring = 1;
    until = now_ns() + seconds * 1000000000;
    while (now_ns() < until)
        poll_once(epoll_fd);
    printf("events=%ld p50_us=%ld p99_us=%ld max_us=%ld cpu_us=%ld rss_kib=%ld lost=%ld\n",
           events_seen, percentile(0.5), percentile(0.99), percentile(1.0 - 1e-12),
           cpu_us(argv[5]) - cpu_before, rss_kib(argv[5]), lost + (count - begun));
    return lost == 0 && begun == count ? EXIT_SUCCESS : EXIT_FAILURE;
}
