/* metrics_internal: shared by metrics.c and metrics_write.c.
 * A series holds its numbers in cells, one row of them per shard, each row on cache lines of its
 * own: one cell for a counter or a gauge; for a histogram its buckets, then the sum. A thread adds
 * to the row of its shard. Gauges have one row, so that they can be set. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include "metrics.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM, METRIC_KIND_COUNT };

struct metric_cell {
    _Atomic(int64_t) number;
};

struct metric_slot {
    struct metric *_Atomic metric;
};

struct metric {
    struct metric_family *family;
    struct metric *_Atomic next; /* of the family, in the order of creation */
    struct metric_cell *cells;
    struct text values[METRIC_LABELS_MAX];
};

struct metric_family {
    struct metrics *metrics;
    struct metric_family *next;
    enum metric_kind kind;
    const char *name, *help;
    const char *const *labels;
    size_t labels_count;
    double (*value)(void *arg); /* instead of series */
    void *arg;
    int64_t bounds[METRIC_BUCKETS_MAX];
    size_t bounds_count;
    double scale;
    size_t shards, row_cells; /* rows per series, cells per row with padding */

    struct metric *other;         /* takes what is over series_max; the only one without labels */
    struct metric *_Atomic first; /* all but `other` */
    struct metric *last;          /* under the lock */
    size_t series_count, series_max;
    size_t slots_mask;
    struct metric_slot *slots; /* open addressing, at most half full; only ever filled */
    pthread_mutex_t lock;      /* for making series */
};

struct metrics {
    pthread_mutex_t lock; /* for registering and writing families */
    struct metric_family *first, *last;
    size_t shards;
};

/* Cell `cell` over all shards. */
int64_t metric_sum(const struct metric *metric, size_t cell);
