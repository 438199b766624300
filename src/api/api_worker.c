/* One worker: a thread that listens, serves, and sees its requests off when the service ends. The
 * first one also runs what a process needs once: the supervisor of local models, the look-out for
 * changed rows, account housekeeping, the control socket and the metrics page. It is the last to
 * go, so that local models answer until every request has ended. */
#include <signal.h>
#include <stdio.h>
#include "api_internal.h"
#include "arena.h"
#include "chat.h"
#include "clock.h"
#include "fiber.h"
#include "log.h"
#include "loop.h"
#include "net.h"

enum { OTHERS_POLL_MS = 10 };

struct drain {
    struct api_worker *worker;
    struct http_server *server;
    struct fiber *fiber;
    int64_t stream_deadline_us, drain_deadline_us;
    bool ended;
};

static void main_fiber(void *arg);
static bool set_up(struct api_worker *worker, struct relay_local **local, struct status *st);
static bool listen_all(struct api_worker *worker, struct status *st);
static bool listen_on(struct api_worker *worker, struct text at, uint16_t port,
                      const struct api_listener *kind, struct status *st);
static bool start_background(struct api_worker *worker, struct relay_local **local,
                             struct status *st);
static void report(struct api_worker *worker, bool ok, const struct status *st);
static void wait_for_stop(struct api_worker *worker);
static void drain_all(struct api_worker *worker);
static void drain_run(void *arg);

struct main_args {
    struct api_worker *worker;
    struct relay_local *local;
};

void *api_worker_main(void *arg)
{
    struct api_worker *worker = arg;
    struct api *api = worker->api;
    struct status st = {0};
    char name[16];
    struct main_args args = {.worker = worker};
    sigset_t signals; /* are for the thread that waits for them; SIGCHLD is the loop's */
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)snprintf(name, sizeof(name), "worker-%d", worker->index);
    /* A connection is a fiber; the other half is for jobs. */
    struct loop_options options = {
        .name = name, .cpu = -1, .fibers_max = 65536 + api->options.http.connections_max};
    if (!loop_open(&options, &worker->loop, &st)) {
        report(worker, false, &st);
        atomic_fetch_sub(&api->workers_alive, 1);
        return NULL;
    }
    if (fiber_start(worker->loop, "worker", main_fiber, &args, &st))
        loop_run(worker->loop);
    else
        report(worker, false, &st);
    for (size_t i = 0; i < worker->listeners_count; i++)
        http_server_close(worker->listeners[i].server);
    relay_local_close(args.local);
    relay_worker_close(worker->relay);
    (void)pthread_mutex_lock(&api->lock); /* api_stop may be signalling just now */
    notify_free(worker->stop);
    worker->stop = NULL;
    (void)pthread_mutex_unlock(&api->lock);
    loop_close(worker->loop);
    atomic_fetch_sub(&api->workers_alive, 1);
    return NULL;
}

static void main_fiber(void *arg)
{
    struct main_args *args = arg;
    struct api_worker *worker = args->worker;
    struct status st = {0};
    bool ok = set_up(worker, &args->local, &st);
    report(worker, ok, &st);
    if (ok) {
        wait_for_stop(worker);
        drain_all(worker);
        while (worker->index == 0 && atomic_load(&worker->api->workers_alive) > 1 &&
               loop_sleep(clock_deadline_ms(OTHERS_POLL_MS), &st))
            ;
    }
    loop_stop(worker->loop);
}

static bool set_up(struct api_worker *worker, struct relay_local **local, struct status *st)
{
    struct api *api = worker->api;
    worker->stop = notify_new(worker->loop);
    worker->relay = relay_worker_open(worker->loop, &(struct relay_worker_options){
                                                        .registry = api->registry,
                                                        .metrics = api->relay_metrics,
                                                        .tls = api->client_tls,
                                                        .limits = api->options.relay,
                                                    });
    return listen_all(worker, st) && (worker->index != 0 || start_background(worker, local, st));
}

static bool listen_all(struct api_worker *worker, struct status *st)
{
    struct api *api = worker->api;
    const struct api_options *options = &api->options;
    for (size_t i = 0; i < options->listen_count; i++) {
        struct net_address address;
        if (!net_address_parse(options->listen[i], &address, st))
            return false;
        if (address.is_unix && worker->index != 0)
            continue; /* one file, one listener */
        struct api_listener kind = {.loopback = net_address_is_loopback(&address)};
        uint16_t port = worker->index == 0 ? address.port : api->ports[i];
        if (!listen_on(worker, options->listen[i], port, &kind, st))
            return false;
        if (worker->index == 0)
            api->ports[i] = http_server_port(worker->listeners[worker->listeners_count - 1].server);
    }
    if (worker->index != 0)
        return true;
    if (options->metrics_listen.len > 0) {
        struct net_address address;
        struct api_listener kind = {.metrics = true};
        if (!net_address_parse(options->metrics_listen, &address, st) ||
            !listen_on(worker, options->metrics_listen, address.port, &kind, st))
            return status_wrap(st, "metrics");
    }
    if (options->control_path.len > 0) {
        char path[NET_UNIX_PATH_BYTES_MAX + 8];
        struct api_listener kind = {.control = true};
        (void)snprintf(path, sizeof(path), "unix:%.*s", TEXT_ARG(options->control_path));
        if (!listen_on(worker, text_of(path), 0, &kind, st))
            return status_wrap(st, "could not open the control socket %.*s",
                               TEXT_ARG(options->control_path));
    }
    return true;
}

static bool listen_on(struct api_worker *worker, struct text at, uint16_t port,
                      const struct api_listener *kind, struct status *st)
{
    struct api *api = worker->api;
    struct api_listener *listener = &worker->listeners[worker->listeners_count];
    struct http_server_options options = {
        .handler = api_handle,
        .error = api_handle_error,
        .ctx = listener,
        .counters = &api->counters,
    };
    *listener = *kind;
    listener->worker = worker;
    if (!net_address_parse(at, &options.address, st))
        return false;
    options.address.port = port;
    options.listen.reuse_port = !options.address.is_unix && !kind->metrics;
    options.listen.unix_mode = 0600;
    if (!kind->control) /* the operator's own door keeps to what is usual */
        options.limits = api->options.http;
    if (!kind->control)
        options.tls = api->server_tls;
    if (!http_server_open(worker->loop, &options, &listener->server, st))
        return false;
    worker->listeners_count++;
    return true;
}

static bool start_background(struct api_worker *worker, struct relay_local **local,
                             struct status *st)
{
    struct api *api = worker->api;
    if (api->options.supervise) {
        AUTO(arena) struct arena *arena = arena_open(16 * KIB);
        struct relay_local_options options = {
            .registry = api->registry,
            .infer_path = api->options.infer_path,
            .model_check = api->options.model_check,
            .model_facts = api->options.model_facts,
            .metrics = api->relay_metrics,
            .memory_max = api->options.model_memory_max,
            .idle_ms = api->options.model_idle_ms,
            .args = api->options.infer_args,
            .args_count = api->options.infer_args_count,
            .run_folder = arena_format(arena, "%.*s/run", TEXT_ARG(api->options.data_folder)),
        };
        if (!relay_local_open(worker->loop, &options, local, st) ||
            !fiber_start(worker->loop, "local models", relay_local_run, *local, st))
            return false;
    }
    return fiber_start(worker->loop, "registry", relay_registry_watch, api->registry, st) &&
           fiber_start(worker->loop, "account", account_background, api->account, st) &&
           fiber_start(worker->loop, "health", api_health_watch, api, st) &&
           fiber_start(worker->loop, "chat", chat_background, api->chat, st);
}

static void report(struct api_worker *worker, bool ok, const struct status *st)
{
    struct api *api = worker->api;
    (void)pthread_mutex_lock(&api->lock);
    if (ok) {
        api->started_count++;
    } else {
        api->start_failed = true;
        api->start_status = *st;
    }
    (void)pthread_cond_signal(&api->started);
    (void)pthread_mutex_unlock(&api->lock);
}

static void wait_for_stop(struct api_worker *worker)
{
    struct status st = {0};
    while (atomic_load(&worker->api->state) == API_STATE_RUNNING)
        if (!notify_wait(worker->stop, CLOCK_NEVER, &st))
            return; /* cancelled */
}

/* Lets what runs end within its limits; a second stop ends it at once. */
static void drain_all(struct api_worker *worker)
{
    struct api *api = worker->api;
    struct status st = {0};
    struct drain drains[ARRAY_LEN(worker->listeners)] = {0};
    size_t count = 0;
    int64_t deadline_us = clock_deadline_ms(api->options.drain_max_ms);
    for (size_t i = 0; i < worker->listeners_count; i++) {
        struct drain *drain = &drains[count];
        *drain = (struct drain){
            .worker = worker,
            .server = worker->listeners[i].server,
            .stream_deadline_us = clock_deadline_ms(api->options.relay.stream_max_ms),
            .drain_deadline_us = deadline_us,
        };
        if (fiber_start_joinable(worker->loop, "drain", drain_run, drain, &drain->fiber, &st))
            count++;
    }
    for (;;) {
        size_t left = 0;
        bool cut = atomic_load(&api->state) == API_STATE_CUT;
        for (size_t i = 0; i < count; i++) {
            left += !drains[i].ended;
            if (cut && !drains[i].ended)
                fiber_cancel(drains[i].fiber);
        }
        chat_drain(api->chat, worker->loop, cut ? 0 : deadline_us);
        if (left == 0 && chat_running(api->chat, worker->loop) == 0)
            break;
        if (!notify_wait(worker->stop, clock_deadline_ms(OTHERS_POLL_MS), &st) &&
            st.code != STATUS_TIMEOUT)
            break;
    }
    for (size_t i = 0; i < count; i++)
        fiber_join(drains[i].fiber);
}

static void drain_run(void *arg)
{
    struct drain *drain = arg;
    http_server_drain(drain->server, drain->stream_deadline_us, drain->drain_deadline_us);
    drain->ended = true;
    notify_signal(drain->worker->stop);
}
