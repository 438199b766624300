#include "relay_metrics.h"
#include <assert.h>
#include <stdlib.h>
#include "metrics.h"

enum { SERIES_MAX = 2048 };

struct relay_metrics {
    struct metric_family *calls, *tokens, *first, *duration, *retries;
    struct metric_family *loaded, *memory, *loads, *unloads;
};

const char *relay_ending_name(enum relay_ending ending)
{
    static const char *const names[] = {"finished", "stopped",  "left",
                                        "refused",  "upstream", "timeout"};
    static_assert(ARRAY_LEN(names) == RELAY_ENDING_COUNT, "an ending has no name");
    return names[ending];
}

struct relay_metrics *relay_metrics_open(struct metrics *metrics)
{
    static const char *const by_ending[] = {"model", "ending", NULL};
    static const char *const by_kind[] = {"model", "kind", NULL};
    static const char *const by_model[] = {"model", NULL};
    struct relay_metrics *relay = calloc(1, sizeof(*relay));
    WEIR_ASSERT(relay != NULL);
    relay->calls = metrics_counter(metrics, "weir_relay_calls_total",
                                   "Calls to models, by how they ended", by_ending, SERIES_MAX);
    relay->tokens = metrics_counter(metrics, "weir_relay_tokens_total",
                                    "Tokens that models reported", by_kind, SERIES_MAX);
    relay->retries =
        metrics_counter(metrics, "weir_relay_retries_total",
                        "Calls made again before their first byte", by_model, SERIES_MAX);
    static const char *const by_why[] = {"model", "why", NULL};
    relay->loaded = metrics_gauge(metrics, "weir_model_loaded",
                                  "Local models: 1 while one is in memory", by_model, SERIES_MAX);
    relay->memory = metrics_gauge(metrics, "weir_model_memory_bytes",
                                  "Memory of a local model when it was ready; 0 while it is asleep",
                                  by_model, SERIES_MAX);
    relay->loads = metrics_counter(metrics, "weir_model_loads_total",
                                   "Local models that were loaded", by_model, SERIES_MAX);
    relay->unloads =
        metrics_counter(metrics, "weir_model_unloads_total",
                        "Local models that were unloaded, or ended, and why", by_why, SERIES_MAX);
    relay->first = metrics_histogram(
        metrics, "weir_relay_first_byte_seconds", "From a request to the first byte of its answer",
        by_model, SERIES_MAX, metric_bounds_latency_us, metric_bounds_latency_count, 1e-6);
    relay->duration = metrics_histogram(
        metrics, "weir_relay_duration_seconds", "From a request to the last byte of its answer",
        by_model, SERIES_MAX, metric_bounds_latency_us, metric_bounds_latency_count, 1e-6);
    return relay;
}

void relay_metrics_close(struct relay_metrics *metrics)
{
    free(metrics);
}

void relay_metrics_record(struct relay_metrics *metrics, const struct relay_record *record)
{
    const struct text labels[2] = {record->model, text_of(relay_ending_name(record->ending))};
    metric_add(metric_series(metrics->calls, labels), 1);
    metric_observe(metric_series(metrics->duration, labels), record->duration_us);
    if (record->first_us >= 0)
        metric_observe(metric_series(metrics->first, labels), record->first_us);
    if (record->retries > 0)
        metric_add(metric_series(metrics->retries, labels), record->retries);
    if (record->usage.known) {
        const struct text prompt[2] = {record->model, TEXT("prompt")};
        const struct text completion[2] = {record->model, TEXT("completion")};
        metric_add(metric_series(metrics->tokens, prompt), record->usage.prompt_tokens);
        metric_add(metric_series(metrics->tokens, completion), record->usage.completion_tokens);
    }
}

void relay_metrics_loaded(struct relay_metrics *metrics, struct text model, uint64_t memory_bytes)
{
    metric_set(metric_series(metrics->loaded, &model), 1);
    metric_set(metric_series(metrics->memory, &model), (int64_t)memory_bytes);
    metric_add(metric_series(metrics->loads, &model), 1);
}

void relay_metrics_unloaded(struct relay_metrics *metrics, struct text model, struct text why)
{
    const struct text labels[2] = {model, why};
    metric_set(metric_series(metrics->loaded, &model), 0);
    metric_set(metric_series(metrics->memory, &model), 0);
    metric_add(metric_series(metrics->unloads, labels), 1);
}
