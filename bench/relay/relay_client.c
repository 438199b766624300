/* relay_client: the streaming load of bench/relay. Opens so many streams, waits until all of them
 * run, then measures for so many seconds: how long each event was on its way, the processor time
 * that a process took meanwhile and its resident memory.
 *
 * An event carries the time at which it was sent, and the kernel notes when a segment has arrived
 * (SO_TIMESTAMPNS). So the client need not be quick: it reads each stream every 20 ms, which costs
 * a fraction of being woken for each event, and its own delays are in no figure. Where a read finds
 * several events, the note is that of the last. The others count with it, an upper bound, if they
 * were sent before the last read, which did not find them; else they are only counted.
 *     relay_client PORT STREAMS SECONDS KEY PID
 * prints one line: events=N p50_us=N p99_us=N max_us=N cpu_us=N rss_kib=N lost=N idle=N (streams
 * that were closed, and that never began). */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    US_MAX = 2000000,
    MARK_BYTES = 22,
    CARRY_BYTES = 21,
    STAMPS_MAX = 256, /* of one read */
    READ_BYTES = 65536,
    GROUPS = 20, /* one is read in each millisecond */
};

struct stream {
    int fd;
    char carry[CARRY_BYTES]; /* the end of what was read, in case a mark is cut */
    size_t carry_len;
    int begun;
    long long read_ns; /* when it was read last */
};

static struct stream *streams;
static long streams_count;
static long histogram[US_MAX + 1];
static long events_seen, noted, begun, lost;
static int measuring;

static void fail(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static long long ns_of(const struct timespec *time)
{
    return (long long)time->tv_sec * 1000000000 + time->tv_nsec;
}

static long long now_ns(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return ns_of(&now);
}

/* The time in "T and twenty digits; 0: it is no mark. */
static long long mark(const char *at)
{
    char digits[21];
    if (at[0] != '"' || at[1] != 'T')
        return 0;
    memcpy(digits, at + 2, 20);
    digits[20] = '\0';
    return strspn(digits, "0123456789") == 20 ? strtoll(digits, NULL, 10) : 0;
}

static void note(long long ns)
{
    long long us = ns / 1000;
    histogram[us < 0 ? 0 : us > US_MAX ? US_MAX : us]++;
    noted++;
}

static void scan(struct stream *stream, const char *bytes, size_t len, long long arrived_ns)
{
    long long stamps[STAMPS_MAX];
    int count = 0;
    for (size_t i = 0; i + MARK_BYTES <= len && count < STAMPS_MAX; i++) {
        long long stamp = mark(bytes + i);
        if (stamp == 0)
            continue;
        stamps[count++] = stamp;
        i += MARK_BYTES - 1;
    }
    begun += !stream->begun && count > 0;
    stream->begun |= count > 0;
    if (!measuring)
        return;
    events_seen += count;
    for (int i = 0; i < count; i++) {
        if (i == count - 1 || stamps[i] < stream->read_ns)
            note(arrived_ns - stamps[i]);
    }
}

static void read_stream(struct stream *stream)
{
    static char bytes[CARRY_BYTES + READ_BYTES];
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(struct timespec))];
    } control;
    struct iovec piece = {bytes + stream->carry_len, READ_BYTES};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    memcpy(bytes, stream->carry, stream->carry_len);
    if (stream->fd < 0)
        return;
    ssize_t got = recvmsg(stream->fd, &message, MSG_DONTWAIT);
    long long read_ns = now_ns(CLOCK_REALTIME), arrived_ns = read_ns;
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        stream->read_ns = read_ns;
        return;
    }
    if (got <= 0) {
        if (lost++ == 0)
            (void)fprintf(stderr, "a stream was closed: %s\n", got == 0 ? "end" : strerror(errno));
        (void)close(stream->fd);
        stream->fd = -1;
        return;
    }
    for (struct cmsghdr *at = CMSG_FIRSTHDR(&message); at != NULL; at = CMSG_NXTHDR(&message, at)) {
        struct timespec when;
        if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_TIMESTAMPNS)
            continue;
        memcpy(&when, CMSG_DATA(at), sizeof(when));
        arrived_ns = ns_of(&when);
    }
    size_t len = stream->carry_len + (size_t)got;
    scan(stream, bytes, len, arrived_ns);
    stream->read_ns = read_ns;
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
    long wanted = (long)((double)noted * part), seen = 0;
    for (long us = 0; us <= US_MAX; us++) {
        seen += histogram[us];
        if (seen > wanted)
            return us;
    }
    return US_MAX;
}

/* Reads a group in each millisecond, until `until_ns` or, if `all`, until all streams run. */
static void run_until(long long until_ns, int all)
{
    static unsigned group;
    long long next_ns = now_ns(CLOCK_MONOTONIC);
    while (next_ns < until_ns && !(all && (begun == streams_count || lost > 0))) {
        struct timespec next = {next_ns / 1000000000, next_ns % 1000000000};
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
        for (long i = group; i < streams_count; i += GROUPS)
            read_stream(&streams[i]);
        group = (group + 1) % GROUPS;
        next_ns += 1000000;
    }
}

static void open_stream(struct stream *stream, const char *port, const char *request, size_t len)
{
    union {
        struct sockaddr_in in;
        struct sockaddr any;
    } address = {.in = {.sin_family = AF_INET}};
    int one = 1;
    address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.in.sin_port = htons((uint16_t)atoi(port));
    stream->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (stream->fd < 0 ||
        setsockopt(stream->fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)) != 0 ||
        connect(stream->fd, &address.any, (socklen_t)sizeof(address.in)) != 0 ||
        send(stream->fd, request, len, MSG_NOSIGNAL) != (ssize_t)len)
        fail("connect");
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        (void)fprintf(stderr, "usage: relay_client PORT STREAMS SECONDS KEY PID\n");
        return EXIT_FAILURE;
    }
    long count = atol(argv[2]), seconds = atol(argv[3]);
    char body[512], request[1024];
    streams = calloc((size_t)count, sizeof(*streams));
    if (streams == NULL)
        fail("relay_client");
    int body_len = snprintf(body, sizeof(body),
                            "{\"model\":\"stub\",\"stream\":true,\"max_tokens\":%ld,"
                            "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
                            (seconds + 30) * 50);
    int len = snprintf(request, sizeof(request),
                       "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                       "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
                       "Content-Length: %d\r\n\r\n%s",
                       argv[4], body_len, body);
    for (; streams_count < count; streams_count++) {
        open_stream(&streams[streams_count], argv[1], request, (size_t)len);
        if (streams_count % 16 == 0)
            run_until(now_ns(CLOCK_MONOTONIC) + 1000000, 0);
    }
    run_until(now_ns(CLOCK_MONOTONIC) + 20000000000, 1);
    run_until(now_ns(CLOCK_MONOTONIC) + 1000000000, 0); /* the burst of beginnings is over */
    long cpu_before = cpu_us(argv[5]);
    measuring = 1;
    run_until(now_ns(CLOCK_MONOTONIC) + seconds * 1000000000, 0);
    printf("events=%ld p50_us=%ld p99_us=%ld max_us=%ld cpu_us=%ld rss_kib=%ld lost=%ld idle=%ld\n",
           events_seen, percentile(0.5), percentile(0.99), percentile(1.0 - 1e-12),
           cpu_us(argv[5]) - cpu_before, rss_kib(argv[5]), lost, count - begun);
    return lost + (count - begun) > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
