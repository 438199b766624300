/* relay_stub: the upstream of bench/relay, on epoll alone, so that nothing of what is measured
 * stands behind it. Answers every request with 1 KiB of JSON, or, when its body has "stream":true,
 * with "max_tokens" events, one every 20 ms, each carrying the time at which it was sent.
 *     relay_stub PORT      (0: any; prints the port) */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { INTERVAL_MS = 20, REQUEST_BYTES_MAX = 65536, EVENTS_MAX = 256, ANSWER_BYTES = 1024 };

struct client {
    int fd;
    size_t len;
    char *request;
    long events_left;            /* > 0: streams */
    struct client *next, **from; /* in a phase, while it streams */
    char *unsent; /* what a full socket did not take: it goes before the next event */
    size_t unsent_len;
};

static struct client *phases[INTERVAL_MS]; /* who sends in this millisecond of the interval */
static int epoll_fd;
static char answer[4096];
static int answer_len;

static void fail(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static long long now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (long long)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void stream_end(struct client *client)
{
    if (client->from == NULL)
        return;
    *client->from = client->next;
    if (client->next != NULL)
        client->next->from = client->from;
    client->from = NULL;
}

static void client_close(struct client *client)
{
    stream_end(client);
    (void)close(client->fd);
    free(client->unsent);
    free(client->request);
    free(client);
}

/* What does not fit is kept. False when the client is gone. */
static int put(struct client *client, const char *bytes, int len)
{
    ssize_t sent = 0;
    if (client->unsent_len == 0 && (sent = send(client->fd, bytes, (size_t)len, MSG_NOSIGNAL)) < 0)
        sent = errno == EAGAIN ? 0 : -1;
    if (sent < 0 || sent == len)
        return sent == len;
    size_t rest = (size_t)(len - sent);
    char *unsent = realloc(client->unsent, client->unsent_len + rest);
    if (unsent == NULL)
        fail("realloc");
    memcpy(unsent + client->unsent_len, bytes + sent, rest);
    client->unsent = unsent;
    client->unsent_len += rest;
    return 1;
}

/* False when the client is gone. */
static int put_unsent(struct client *client)
{
    ssize_t sent = send(client->fd, client->unsent, client->unsent_len, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN;
    client->unsent_len -= (size_t)sent;
    memmove(client->unsent, client->unsent + sent, client->unsent_len);
    return 1;
}

static int put_event(struct client *client, const char *data)
{
    char text[1024];
    int len = snprintf(text, sizeof(text), "%zx\r\ndata: %s\n\n\r\n", strlen(data) + 8, data);
    return put(client, text, len);
}

static int stream_step(struct client *client)
{
    char data[512];
    if (client->unsent_len > 0 && !put_unsent(client))
        return 0;
    if (client->unsent_len > 0)
        return 1;
    if (client->events_left == 0) {
        stream_end(client);
        return 1;
    }
    if (--client->events_left > 0) {
        (void)snprintf(data, sizeof(data),
                       "{\"id\":\"chatcmpl-stub\",\"object\":\"chat.completion.chunk\","
                       "\"created\":1700000000,\"model\":\"stub\",\"choices\":[{\"index\":0,"
                       "\"delta\":{\"content\":\"T%020lld\"},\"finish_reason\":null}]}",
                       now_ns());
        return put_event(client, data);
    }
    return put_event(client, "{\"id\":\"chatcmpl-stub\",\"object\":\"chat.completion.chunk\","
                             "\"created\":1700000000,\"model\":\"stub\",\"choices\":[{\"index\":0,"
                             "\"delta\":{},\"finish_reason\":\"stop\"}]}") &&
           put_event(client, "{\"id\":\"chatcmpl-stub\",\"object\":\"chat.completion.chunk\","
                             "\"created\":1700000000,\"model\":\"stub\",\"choices\":[],\"usage\":{"
                             "\"prompt_tokens\":3,\"completion_tokens\":9,\"total_tokens\":12}}") &&
           put_event(client, "[DONE]") && put(client, "0\r\n\r\n", 5);
}

static void tick(void)
{
    static unsigned phase;
    struct client *next;
    phase = (phase + 1) % INTERVAL_MS;
    for (struct client *client = phases[phase]; client != NULL; client = next) {
        next = client->next;
        if (!stream_step(client))
            client_close(client);
    }
}

static int stream_start(struct client *client, const char *body)
{
    static unsigned next_phase;
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    const char *count = strstr(body, "\"max_tokens\":");
    client->events_left = count == NULL ? 100 : strtol(count + 13, NULL, 10);
    struct client **phase = &phases[next_phase++ % INTERVAL_MS];
    client->next = *phase;
    client->from = phase;
    if (client->next != NULL)
        client->next->from = &client->next;
    *phase = client;
    return put(client, head, (int)sizeof(head) - 1);
}

/* Answers what is whole. False when the client is to be closed. */
static int serve(struct client *client)
{
    for (;;) {
        client->request[client->len] = '\0';
        char *body = strstr(client->request, "\r\n\r\n");
        if (body == NULL)
            return client->len < REQUEST_BYTES_MAX;
        body += 4;
        const char *length = strcasestr(client->request, "\r\ncontent-length:");
        size_t size = length != NULL && length < body ? strtoul(length + 17, NULL, 10) : 0;
        size_t whole = (size_t)(body - client->request) + size;
        if (client->len < whole)
            return whole <= REQUEST_BYTES_MAX;
        char kept = client->request[whole];
        client->request[whole] = '\0';
        int ok = strstr(body, "\"stream\":true") != NULL ? stream_start(client, body)
                                                         : put(client, answer, answer_len);
        client->request[whole] = kept;
        if (!ok)
            return 0;
        client->len -= whole;
        memmove(client->request, client->request + whole, client->len);
        if (client->len == 0)
            return 1;
    }
}

static void readable(struct client *client)
{
    ssize_t got = recv(client->fd, client->request + client->len, REQUEST_BYTES_MAX - client->len,
                       MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        client_close(client);
        return;
    }
    client->len += (size_t)got;
    if (!serve(client))
        client_close(client);
}

static void watch(int fd, void *data)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = data};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        fail("epoll_ctl");
}

static void accept_all(int listener)
{
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct client *client = calloc(1, sizeof(*client));
        if (client == NULL || (client->request = malloc(REQUEST_BYTES_MAX + 1)) == NULL)
            fail("malloc");
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        client->fd = fd;
        watch(fd, client);
    }
}

static void answer_make(void)
{
    char content[ANSWER_BYTES];
    int frame;
    memset(content, 'x', sizeof(content));
    char body[2 * ANSWER_BYTES];
    frame =
        snprintf(body, sizeof(body),
                 "{\"id\":\"chatcmpl-stub\",\"object\":\"chat.completion\",\"created\":1700000000,"
                 "\"model\":\"stub\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
                 "\"content\":\"\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,"
                 "\"completion_tokens\":9,\"total_tokens\":12}}");
    int len = snprintf(
        body, sizeof(body),
        "{\"id\":\"chatcmpl-stub\",\"object\":\"chat.completion\",\"created\":1700000000,"
        "\"model\":\"stub\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
        "\"content\":\"%.*s\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,"
        "\"completion_tokens\":9,\"total_tokens\":12}}",
        ANSWER_BYTES - frame, content);
    answer_len = snprintf(answer, sizeof(answer),
                          "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                          "Content-Length: %d\r\n\r\n%s",
                          len, body);
}

int main(int argc, char **argv)
{
    union {
        struct sockaddr_in in;
        struct sockaddr any;
    } address = {.in = {.sin_family = AF_INET}};
    socklen_t address_len = sizeof(address.in);
    struct itimerspec every = {.it_interval = {.tv_nsec = 1000000},
                               .it_value = {.tv_nsec = 1000000}};
    address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.in.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0));
    answer_make();
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* it ends with the script that started it */
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(listener, &address.any, address_len) != 0 || listen(listener, 4096) != 0 ||
        getsockname(listener, &address.any, &address_len) != 0)
        fail("listen");
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (timer < 0 || epoll_fd < 0 || timerfd_settime(timer, 0, &every, NULL) != 0)
        fail("timer");
    watch(listener, &listener);
    watch(timer, &timer);
    printf("%d\n", ntohs(address.in.sin_port));
    (void)fflush(stdout);
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
        int ticked = 0;
        for (int i = 0; i < count; i++) {
            unsigned long long times = 0;
            if (events[i].data.ptr == &listener) {
                accept_all(listener);
            } else if (events[i].data.ptr == &timer) {
                if (read(timer, &times, sizeof(times)) == (ssize_t)sizeof(times))
                    ticked = (int)times;
            } else {
                readable(events[i].data.ptr);
            }
        }
        while (ticked-- > 0) /* after the events, whose clients it may close */
            tick();
    }
}
