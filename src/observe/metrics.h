/* metrics: counters, gauges and histograms, written as Prometheus text.
 * A family is registered once, with the names of its labels and a bound on how many series it may
 * have; further label values are counted in one series whose values are all "other", so that no
 * client can make memory grow. A series is found without a lock and lives as long as the registry:
 * keep the pointer where the hot path needs it.
 * Any thread. Adding is one relaxed atomic on a cache line that (nearly) only this thread writes.
 *
 *     static const char *const labels[] = {"route", "code", NULL};
 *     struct metric_family *requests = metrics_counter(m, "weir_http_requests_total",
 *         "HTTP requests answered", labels, 512);
 *     metric_add(metric_series(requests, (struct text[]){route, TEXT("2xx")}), 1);
 */
#pragma once
#include "base.h"
#include "text.h"

struct metrics;
struct metric_family;
struct metric;
struct text_buf;

enum { METRIC_LABELS_MAX = 4, METRIC_LABEL_BYTES_MAX = 128, METRIC_BUCKETS_MAX = 24 };

/* `shards`: how many threads write at once without sharing cache lines (1 to 64). */
struct metrics *metrics_new(size_t shards);
void metrics_free(struct metrics *metrics);
AUTO_DEFINE(metrics, metrics_free)

/* `labels` ends with NULL and may itself be NULL; `help` is one line. The strings outlive the
 * registry. A name registered twice, or one that Prometheus would refuse, is our own bug. */
struct metric_family *metrics_counter(struct metrics *metrics, const char *name, const char *help,
                                      const char *const *labels, size_t series_max);
struct metric_family *metrics_gauge(struct metrics *metrics, const char *name, const char *help,
                                    const char *const *labels, size_t series_max);
/* `bounds` are the upper bounds of the buckets, rising, in the unit that metric_observe is given;
 * what is written is that unit times `scale` (1e-6 for microseconds shown as seconds). Copied. */
struct metric_family *metrics_histogram(struct metrics *metrics, const char *name, const char *help,
                                        const char *const *labels, size_t series_max,
                                        const int64_t *bounds, size_t bounds_count, double scale);
/* A gauge or counter without labels whose value is asked for when metrics are written, by the
 * thread that writes. */
void metrics_gauge_from(struct metrics *metrics, const char *name, const char *help,
                        double (*value)(void *arg), void *arg);
void metrics_counter_from(struct metrics *metrics, const char *name, const char *help,
                          double (*value)(void *arg), void *arg);

/* The series with these label values, one for each label in order; never NULL. Values are cut at
 * METRIC_LABEL_BYTES_MAX. `values` may be NULL for a family without labels. */
struct metric *metric_series(struct metric_family *family, const struct text *values);

void metric_add(struct metric *metric, int64_t amount); /* a counter's amount is >= 0 */
void metric_set(struct metric *gauge, int64_t value);   /* do not mix with add on one gauge */
void metric_observe(struct metric *histogram, int64_t value);
int64_t metric_value(const struct metric *metric); /* of a histogram: how many were observed */

/* Latencies from 1 ms to 2 minutes, in microseconds, for metrics_histogram. */
extern const int64_t metric_bounds_latency_us[];
extern const size_t metric_bounds_latency_count;

/* All families in the order of their registration, in the text format 0.0.4 of Prometheus
 * (content type "text/plain; version=0.0.4"). */
void metrics_write(struct metrics *metrics, struct text_buf *buf);
