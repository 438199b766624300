#include <stdlib.h>
#include "http_client.h"
#include "relay_call_internal.h"

/* The connections of one worker to one target. */
struct relay_origin {
    struct relay_target *target;
    struct http_origin *origin;
};

static struct relay_limits with_defaults(struct relay_limits limits);
static void origins_sweep(struct relay_worker *worker);

struct relay_worker *relay_worker_open(struct loop *loop,
                                       const struct relay_worker_options *options)
{
    struct relay_worker *worker = calloc(1, sizeof(*worker));
    WEIR_ASSERT(worker != NULL);
    worker->options = *options;
    worker->options.limits = with_defaults(options->limits);
    worker->loop = loop;
    worker->client = http_client_open(
        loop, &(struct http_client_options){.idle_ms = worker->options.limits.keepalive_ms});
    worker->snapshot = relay_registry_take(options->registry);
    return worker;
}

void relay_worker_close(struct relay_worker *worker)
{
    if (worker == NULL)
        return;
    for (size_t i = 0; i < worker->origins_count; i++) {
        http_origin_close(worker->origins[i].origin);
        relay_target_release(worker->origins[i].target);
    }
    free(worker->origins);
    http_client_close(worker->client);
    relay_snapshot_release(worker->snapshot);
    free(worker);
}

const struct relay_snapshot *relay_worker_models(struct relay_worker *worker)
{
    if (worker->snapshot->version != relay_registry_version(worker->options.registry)) {
        struct relay_snapshot *fresh = relay_registry_take(worker->options.registry);
        relay_snapshot_release(worker->snapshot);
        worker->snapshot = fresh;
        origins_sweep(worker);
    }
    return worker->snapshot;
}

static struct relay_limits with_defaults(struct relay_limits limits)
{
    static const struct relay_limits defaults = {
        .stream_max_ms = (int64_t)15 * 60 * 1000,
        .connect_ms = 5000,
        .first_byte_ms = 60000,
        .answer_ms = 600000,
        .idle_ms = 30000,
        .keepalive_ms = 30000,
        .connections_max = 4096,
        .connections_idle = 64,
        .local_wait_ms = 60000,
        .local_first_byte_ms = 600000,
        .local_idle_ms = 120000,
    };
#define DEFAULT(name) limits.name = limits.name != 0 ? limits.name : defaults.name
    DEFAULT(stream_max_ms);
    DEFAULT(connect_ms);
    DEFAULT(first_byte_ms);
    DEFAULT(answer_ms);
    DEFAULT(idle_ms);
    DEFAULT(keepalive_ms);
    DEFAULT(connections_max);
    DEFAULT(connections_idle);
    DEFAULT(local_wait_ms);
    DEFAULT(local_first_byte_ms);
    DEFAULT(local_idle_ms);
#undef DEFAULT
    return limits;
}

/* Closes the connections to what no row names any more. */
static void origins_sweep(struct relay_worker *worker)
{
    const struct relay_snapshot *models = worker->snapshot;
    size_t kept = 0;
    for (size_t i = 0; i < worker->origins_count; i++) {
        struct relay_origin *origin = &worker->origins[i];
        bool used = false;
        for (size_t m = 0; m < models->models_count && !used; m++)
            used = models->models[m].target == origin->target;
        for (size_t u = 0; u < models->upstreams_count && !used; u++)
            used = models->upstreams[u].target == origin->target;
        if (used) {
            worker->origins[kept++] = *origin;
            continue;
        }
        http_origin_close(origin->origin);
        relay_target_release(origin->target);
    }
    worker->origins_count = kept;
}

struct http_client *relay_worker_client(struct relay_worker *worker)
{
    return worker->client;
}

bool relay_worker_origin(struct relay_worker *worker, struct relay_target *target,
                         struct http_origin **out, struct status *st)
{
    for (size_t i = 0; i < worker->origins_count; i++)
        if (worker->origins[i].target == target) {
            *out = worker->origins[i].origin;
            return true;
        }
    struct http_origin_options options = {
        .url = relay_target_url(target),
        .tls = worker->options.tls,
        .idle_max = worker->options.limits.connections_idle,
        .connections_max = worker->options.limits.connections_max,
    };
    if (!http_origin_open(worker->client, &options, out, st))
        return status_wrap(st, "could not use the upstream's address");
    if (worker->origins_count == worker->origins_size) {
        worker->origins_size = worker->origins_size == 0 ? 8 : 2 * worker->origins_size;
        worker->origins =
            base_resize(worker->origins, worker->origins_size * sizeof(*worker->origins));
    }
    worker->origins[worker->origins_count++] =
        (struct relay_origin){relay_target_take(target), *out};
    return true;
}
