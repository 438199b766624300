#include "api.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "api_internal.h"
#include "arena.h"
#include "chat.h"
#include "clock.h"
#include "fiber.h"
#include "http_tls.h"
#include "ids.h"
#include "log.h"
#include "loop.h"
#include "net.h"
#include "vault.h"

enum {
    STREAM_MAX_MS = 15 * 60 * 1000,
    REQUEST_MAX_MS = 5 * 60 * 1000,
    DRAIN_MAX_MS = 30 * 1000,
    BODY_BYTES_MAX = 8 * 1024 * 1024,
    WAIT_POLL_MS = 20,
};

static void copy_options(struct api *api, const struct api_options *options);
static bool check_options(const struct api *api, struct status *st);
static bool check_listen(const struct api_options *options, const char *setting, struct text at,
                         struct status *st);
static bool open_proxies(struct api *api, struct status *st);
static bool open_tls(struct api *api, struct status *st);
static bool seed(struct api *api, struct status *st);
static void make_router(struct api *api);
static void make_metrics(struct api *api);
static void make_url(struct api *api);
static bool start_worker(struct api *api, int index, struct status *st);

bool api_open(const struct api_options *options, struct api **out, struct status *st)
{
    struct arena *arena = arena_open(16 * MIB);
    struct api *api = ARENA_NEW(arena, struct api);
    api->arena = arena;
    copy_options(api, options);
    (void)pthread_mutex_init(&api->lock, NULL);
    (void)pthread_cond_init(&api->started, NULL);
    api->account = options->account;
    struct text run_folder = arena_format(arena, "%.*s/run", TEXT_ARG(api->options.data_folder));
    api->registry = relay_registry_open(&(struct relay_registry_options){
        .store = {options->db, options->vault, options->plain_anywhere},
        .run_folder = run_folder,
        .local_served = options->supervise,
    });
    make_metrics(api);
    api->relay_metrics = relay_metrics_open(options->observe->metrics);
    api->web = api_web_new();
    make_router(api);
    api->chat = chat_open(&(struct chat_options){
        .db = options->db,
        .vault = options->vault,
        .replica_id = api->options.replica_id,
        .threads_max = options->threads_max,
        .messages_max = options->messages_max,
        .runs_max = options->runs_max,
        .answer_bytes_max = options->answer_bytes_max,
        .run_max_ms = api->options.relay.stream_max_ms,
    });
    if (!check_options(api, st) || !open_proxies(api, st) || !open_tls(api, st) || !seed(api, st)) {
        api_close(api);
        return false;
    }
    *out = api;
    return true;
}

bool api_start(struct api *api, struct status *st)
{
    atomic_store(&api->state, API_STATE_RUNNING);
    for (int i = 0; i < api->workers_count; i++)
        if (!start_worker(api, i, st)) {
            api_stop(api);
            api_stop(api);
            api_wait(api);
            return false;
        }
    make_url(api);
    return true;
}

struct text api_url(const struct api *api)
{
    return text_of(api->url);
}

bool api_models_wait(struct api *api, int64_t deadline_us, struct status *st)
{
    for (;;) {
        AUTO(relay_snapshot) struct relay_snapshot *models = relay_registry_take(api->registry);
        bool loading = false, failed = false;
        for (size_t i = 0; i < models->models_count; i++) {
            const struct relay_model *model = &models->models[i];
            char reason[RELAY_TARGET_REASON_BYTES];
            int percent;
            if (!model->local || !model->usable)
                continue;
            enum relay_phase phase = relay_target_phase(model->target, &percent, reason);
            loading |= phase == RELAY_PHASE_LOADING;
            bool good = phase == RELAY_PHASE_READY || phase == RELAY_PHASE_ASLEEP;
            if (!good && !failed) {
                failed = true;
                (void)status_fail(st, STATUS_UNAVAILABLE, "model %.*s is %s%s%s",
                                  TEXT_ARG(model->id), relay_phase_name(phase),
                                  reason[0] != '\0' ? ": " : "", reason);
            }
        }
        if (!loading || clock_mono_us() >= deadline_us ||
            atomic_load(&api->state) != API_STATE_RUNNING)
            return !failed;
        (void)nanosleep(&(struct timespec){.tv_nsec = WAIT_POLL_MS * 1000000L}, NULL);
    }
}

void api_reload(struct api *api)
{
    struct status st = {0};
    if (!vault_reload(api->options.vault, &st))
        LOG_ERROR("could not read the key rings again", LOG_TEXT("why", status_text(&st)));
    if (api->server_tls != NULL && !http_tls_reload(api->server_tls, &st))
        LOG_ERROR("could not read the certificate again", LOG_TEXT("why", status_text(&st)));
    if (api->client_tls != NULL && !http_tls_reload(api->client_tls, &st))
        LOG_ERROR("could not read the authorities again", LOG_TEXT("why", status_text(&st)));
    relay_registry_retry(api->registry);
}

void api_stop(struct api *api)
{
    int state = API_STATE_RUNNING;
    if (!atomic_compare_exchange_strong(&api->state, &state, API_STATE_STOPPING) &&
        state == API_STATE_STOPPING)
        atomic_store(&api->state, API_STATE_CUT);
    health_drain(api->options.observe->health);
    (void)pthread_mutex_lock(&api->lock);
    for (int i = 0; i < api->started_count; i++)
        if (api->workers[i].stop != NULL)
            notify_signal(api->workers[i].stop);
    (void)pthread_mutex_unlock(&api->lock);
}

void api_wait(struct api *api)
{
    for (int i = 0; i < api->workers_count; i++)
        if (api->workers[i].running) {
            (void)pthread_join(api->workers[i].thread, NULL);
            api->workers[i].running = false;
        }
}

void api_close(struct api *api)
{
    if (api == NULL)
        return;
    chat_close(api->chat);
    http_router_free(api->router);
    http_forwarded_free(api->forwarded);
    api_web_free(api->web);
    relay_registry_close(api->registry);
    relay_metrics_close(api->relay_metrics);
    http_tls_close(api->server_tls);
    http_tls_close(api->client_tls);
    health_check_free(api->database_health);
    health_check_free(api->models_health);
    (void)pthread_cond_destroy(&api->started);
    (void)pthread_mutex_destroy(&api->lock);
    arena_close(api->arena);
}

/* --- opening ---------------------------------------------------------------------------------- */

static void copy_options(struct api *api, const struct api_options *options)
{
    struct arena *arena = api->arena;
    struct api_options *own = &api->options;
    *own = *options;
    struct text *const texts[] = {
        &own->data_folder,     &own->version,       &own->replica_id, &own->metrics_listen,
        &own->control_path,    &own->public_url,    &own->infer_path, &own->upstream_ca,
        &own->tls_certificate, &own->tls_client_ca, &own->tls_key,    &own->upstream_certificate,
        &own->upstream_key,
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = arena_text(arena, *texts[i]);
    for (size_t i = 0; i < own->listen_count; i++)
        own->listen[i] = arena_text(arena, own->listen[i]);
    for (size_t i = 0; i < own->hosts_count; i++)
        own->hosts[i] = arena_text(arena, own->hosts[i]);
    for (size_t i = 0; i < own->cors_origins_count; i++)
        own->cors_origins[i] = arena_text(arena, own->cors_origins[i]);
    for (size_t i = 0; i < own->proxies_count; i++)
        own->proxies[i] = arena_text(arena, own->proxies[i]);
    for (size_t i = 0; i < own->infer_args_count; i++) {
        struct relay_local_args *args = &own->infer_args[i];
        struct text *copies = ARENA_ARRAY(arena, args->count, struct text);
        for (size_t a = 0; a < args->count; a++)
            copies[a] = arena_text(arena, args->args[a]);
        args->model = arena_text(arena, args->model);
        args->args = copies;
    }
    if (own->replica_id.len == 0) {
        struct id id = ids_new("rep_");
        own->replica_id = arena_text(arena, ids_text(&id));
    }
    if (own->relay.stream_max_ms == 0)
        own->relay.stream_max_ms = STREAM_MAX_MS;
    if (own->request_max_ms == 0)
        own->request_max_ms = REQUEST_MAX_MS;
    if (own->drain_max_ms == 0)
        own->drain_max_ms = DRAIN_MAX_MS;
    if (own->body_bytes_max == 0)
        own->body_bytes_max = BODY_BYTES_MAX;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    api->workers_count = own->workers > 0 ? own->workers : cores > 0 ? (int)cores : 1;
    if (api->workers_count > API_WORKERS_MAX)
        api->workers_count = API_WORKERS_MAX;
    api->workers = ARENA_ARRAY(arena, (size_t)api->workers_count, struct api_worker);
}

static bool check_options(const struct api *api, struct status *st)
{
    const struct api_options *options = &api->options;
    for (size_t i = 0; i < options->listen_count; i++)
        if (!check_listen(options, "listen", options->listen[i], st))
            return false;
    return options->metrics_listen.len == 0 ||
           check_listen(options, "metrics_listen", options->metrics_listen, st);
}

/* A proxy that speaks TLS stands before what people open, not before the metrics. */
static bool check_listen(const struct api_options *options, const char *setting, struct text at,
                         struct status *st)
{
    struct net_address address;
    bool proxied = options->behind_tls_proxy && strcmp(setting, "listen") == 0;
    if (!net_address_parse(at, &address, st))
        return status_wrap(st, "%s", setting);
    if (options->tls_certificate.len > 0 || proxied || net_address_is_loopback(&address))
        return true;
    if (!options->plain_anywhere)
        return status_fail_field(st, STATUS_INVALID, setting,
                                 "%s: %.*s can be reached from other machines without TLS: give a "
                                 "certificate, or allow it with allow_plaintext",
                                 setting, TEXT_ARG(at));
    LOG_WARN("listening without TLS for other machines", LOG_TEXT("on", at));
    return true;
}

static bool open_proxies(struct api *api, struct status *st)
{
    const struct api_options *options = &api->options;
    if (http_forwarded_new(options->proxies, options->proxies_count, options->proxy_header,
                           &api->forwarded, st))
        return true;
    return status_wrap(st, "trusted_proxies");
}

static bool open_tls(struct api *api, struct status *st)
{
    const struct api_options *options = &api->options;
    struct http_tls_client_options client = {
        .ca_file = options->upstream_ca.len > 0 ? options->upstream_ca.at : NULL,
        .certificate_file =
            options->upstream_certificate.len > 0 ? options->upstream_certificate.at : NULL,
        .key_file = options->upstream_key.len > 0 ? options->upstream_key.at : NULL,
    };
    if (options->tls_certificate.len > 0) {
        struct http_tls_server_options server = {
            .certificate_file = options->tls_certificate.at,
            .key_file = options->tls_key.at,
            .client_ca_file = options->tls_client_ca.len > 0 ? options->tls_client_ca.at : NULL,
        };
        if (!http_tls_server_open(&server, &api->server_tls, st))
            return status_wrap(st, "TLS");
    }
    if (!http_tls_client_open(&client, &api->client_tls, st))
        return status_wrap(st, "TLS to upstreams");
    return true;
}

static bool seed(struct api *api, struct status *st)
{
    const struct api_options *options = &api->options;
    if (!options->seed)
        return relay_registry_refresh(api->registry, st);
    AUTO(arena) struct arena *arena = arena_open(4 * MIB);
    struct relay_seed seed = {
        .upstreams = ARENA_ARRAY(arena, options->upstreams_count, struct relay_upstream_row),
        .api_keys = ARENA_ARRAY(arena, options->upstreams_count, struct text),
        .models = ARENA_ARRAY(arena, options->models_count, struct relay_model_row),
        .upstreams_count = options->upstreams_count,
        .models_count = options->models_count,
        .pinned_said = ARENA_ARRAY(arena, options->models_count, bool),
    };
    for (size_t i = 0; i < options->upstreams_count; i++) {
        seed.upstreams[i].name = options->upstreams[i].name;
        seed.upstreams[i].base_url = options->upstreams[i].base_url;
        seed.api_keys[i] = options->upstreams[i].api_key;
    }
    for (size_t i = 0; i < options->models_count; i++) {
        const struct api_model_seed *model = &options->models[i];
        bool local = model->path.len > 0;
        seed.models[i] = (struct relay_model_row){
            .id = model->id,
            .name = model->name.len > 0 ? model->name : model->id,
            .local = local,
            .path = model->path,
            .upstream_id = model->upstream,
            .upstream_model = local                           ? TEXT("")
                              : model->upstream_model.len > 0 ? model->upstream_model
                                                              : model->id,
            .base = model->base,
            .context_tokens = model->context_tokens,
            .tasks = model->tasks,
            .pinned = model->pinned,
        };
        seed.pinned_said[i] = model->pinned_said;
    }
    if (!relay_store_seed(relay_registry_store(api->registry), &seed, arena, st) ||
        !relay_registry_refresh(api->registry, st))
        return false;
    return true;
}

static void make_router(struct api *api)
{
    struct http_route *rows = ARENA_ARRAY(api->arena, api_routes_count, struct http_route);
    for (size_t i = 0; i < api_routes_count; i++)
        rows[i] = (struct http_route){
            .method = api_routes[i].method,
            .path = api_routes[i].path,
            .body_bytes_max = api_routes[i].body_bytes_max,
            .handler = api_routes[i].handler,
            .data = &api_routes[i],
        };
    api->router = http_router_new(rows, api_routes_count);
}

static double connections_open(void *arg)
{
    const struct api *api = arg;
    return (double)atomic_load_explicit(&api->counters.connections_open, memory_order_relaxed);
}

static double fibers(void *arg)
{
    (void)arg;
    return (double)loop_fibers_all();
}

static double chat_runs(void *arg)
{
    const struct api *api = arg;
    return api->chat == NULL ? 0 : (double)chat_running(api->chat, NULL);
}

static void make_metrics(struct api *api)
{
    static const char *const labels[] = {"route", "class", NULL};
    static const char *const classes[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    struct metrics *metrics = api->options.observe->metrics;
    api->requests = metrics_counter(metrics, "weir_http_requests_total", "HTTP requests answered",
                                    labels, 1024);
    api->route_metrics =
        arena_alloc_array(api->arena, api_routes_count + 1, sizeof(*api->route_metrics));
    for (size_t i = 0; i <= api_routes_count; i++)
        for (size_t c = 0; c < ARRAY_LEN(classes); c++) {
            struct text route =
                i == api_routes_count
                    ? TEXT("other")
                    : arena_format(api->arena, "%s %s", api_routes[i].method, api_routes[i].path);
            const struct text values[] = {route, text_of(classes[c])};
            api->route_metrics[i][c] = metric_series(api->requests, values);
        }
    static const char *const class_labels[] = {"class", NULL};
    static const char *const class_names[] = {
        [API_CLASS_V1] = "v1",   [API_CLASS_API] = "api",         [API_CLASS_EVENTS] = "events",
        [API_CLASS_WEB] = "web", [API_CLASS_CONTROL] = "control", [API_CLASS_PROBE] = "probe"};
    _Static_assert(ARRAY_LEN(class_names) == API_CLASS_COUNT, "each has a name");
    api->durations = metrics_histogram(metrics, "weir_http_request_duration_seconds",
                                       "From the first byte of a request to the last of its answer",
                                       class_labels, API_CLASS_COUNT, metric_bounds_latency_us,
                                       metric_bounds_latency_count, 1e-6);
    for (size_t i = 0; i < API_CLASS_COUNT; i++) {
        struct text value = text_of(class_names[i]);
        api->duration_metrics[i] = metric_series(api->durations, &value);
    }
    metrics_gauge_from(metrics, "weir_http_connections_open", "HTTP connections open now",
                       connections_open, api);
    metrics_gauge_from(metrics, "weir_fibers", "Fibers alive: one for each connection and job",
                       fibers, NULL);
    metrics_gauge_from(metrics, "weir_chat_runs", "Chat answers in progress", chat_runs, api);
    api->database_health = health_check_new(api->options.observe->health, TEXT("database"), true);
    api->models_health = health_check_new(api->options.observe->health, TEXT("models"), false);
}

/* --- starting --------------------------------------------------------------------------------- */

static bool start_worker(struct api *api, int index, struct status *st)
{
    struct api_worker *worker = &api->workers[index];
    worker->api = api;
    worker->index = index;
    atomic_fetch_add(&api->workers_alive, 1);
    int error = pthread_create(&worker->thread, NULL, api_worker_main, worker);
    if (error != 0) {
        atomic_fetch_sub(&api->workers_alive, 1);
        return status_fail_errno(st, error, "could not start a worker");
    }
    worker->running = true;
    (void)pthread_mutex_lock(&api->lock);
    while (api->started_count <= index && !api->start_failed)
        (void)pthread_cond_wait(&api->started, &api->lock);
    bool failed = api->start_failed;
    *st = failed ? api->start_status : *st;
    (void)pthread_mutex_unlock(&api->lock);
    return !failed;
}

static void make_url(struct api *api)
{
    const struct api_options *options = &api->options;
    struct status ignored = {0};
    struct net_address address;
    if (options->public_url.len > 0) {
        (void)snprintf(api->url, sizeof(api->url), "%.*s", TEXT_ARG(options->public_url));
        return;
    }
    if (options->listen_count == 0 || !net_address_parse(options->listen[0], &address, &ignored) ||
        address.is_unix)
        return;
    bool any = text_equal(address.host, TEXT("0.0.0.0")) || text_equal(address.host, TEXT("::"));
    struct text host = any ? TEXT("localhost") : address.host;
    bool v6 = text_find_byte(host, ':') < host.len;
    (void)snprintf(api->url, sizeof(api->url), "%s://%s%.*s%s:%u",
                   api->server_tls != NULL ? "https" : "http", v6 ? "[" : "", TEXT_ARG(host),
                   v6 ? "]" : "", (unsigned)api->ports[0]);
}
