#include "metrics.h"
#include "metrics_internal.h"

#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 64, LINE_CELLS = LINE_BYTES / sizeof(struct metric_cell), SHARDS_MAX = 64 };

const int64_t metric_bounds_latency_us[] = {
    1000,   2500,    5000,    10000,   25000,    50000,    100000,   250000,
    500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000, 120000000};
const size_t metric_bounds_latency_count = ARRAY_LEN(metric_bounds_latency_us);

static struct metric_family *family_new(struct metrics *metrics, enum metric_kind kind,
                                        const char *name, const char *help,
                                        const char *const *labels, size_t series_max);
static void family_register(struct metric_family *family);
static struct metric *series_new(struct metric_family *family, const struct text *values);
static void series_free(struct metric *metric);
static struct metric *series_make(struct metric_family *family, const struct text *values,
                                  uint64_t hash);
static struct metric *series_find(const struct metric_family *family, const struct text *values,
                                  uint64_t hash, size_t *slot);
static bool name_valid(const char *name, bool label);
static size_t this_shard(size_t shards);

struct metrics *metrics_new(size_t shards)
{
    WEIR_ASSERT(shards > 0 && shards <= SHARDS_MAX);
    struct metrics *metrics = base_alloc(sizeof(*metrics));
    int failed = pthread_mutex_init(&metrics->lock, NULL);
    WEIR_ASSERT(failed == 0);
    metrics->shards = shards;
    return metrics;
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL)
        return;
    for (struct metric_family *family = metrics->first, *next; family != NULL; family = next) {
        next = family->next;
        struct metric *metric = atomic_load(&family->first), *after;
        for (; metric != NULL; metric = after) {
            after = atomic_load(&metric->next);
            series_free(metric);
        }
        series_free(family->other);
        (void)pthread_mutex_destroy(&family->lock);
        free(family->slots);
        free(family);
    }
    (void)pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

struct metric_family *metrics_counter(struct metrics *metrics, const char *name, const char *help,
                                      const char *const *labels, size_t series_max)
{
    struct metric_family *family =
        family_new(metrics, METRIC_COUNTER, name, help, labels, series_max);
    WEIR_ASSERT(text_ends(text_of(name), TEXT("_total")));
    family_register(family);
    return family;
}

struct metric_family *metrics_gauge(struct metrics *metrics, const char *name, const char *help,
                                    const char *const *labels, size_t series_max)
{
    struct metric_family *family =
        family_new(metrics, METRIC_GAUGE, name, help, labels, series_max);
    family->shards = 1;
    family_register(family);
    return family;
}

struct metric_family *metrics_histogram(struct metrics *metrics, const char *name, const char *help,
                                        const char *const *labels, size_t series_max,
                                        const int64_t *bounds, size_t bounds_count, double scale)
{
    WEIR_ASSERT(bounds_count > 0 && bounds_count <= METRIC_BUCKETS_MAX && scale > 0);
    struct metric_family *family =
        family_new(metrics, METRIC_HISTOGRAM, name, help, labels, series_max);
    for (size_t i = 0; i < bounds_count; i++) {
        WEIR_ASSERT(i == 0 || bounds[i] > bounds[i - 1]);
        family->bounds[i] = bounds[i];
    }
    family->bounds_count = bounds_count;
    family->scale = scale;
    size_t cells = bounds_count + 2; /* one bucket more, to infinity, and the sum */
    family->row_cells = (cells + LINE_CELLS - 1) / LINE_CELLS * LINE_CELLS;
    family_register(family);
    return family;
}

void metrics_gauge_from(struct metrics *metrics, const char *name, const char *help,
                        double (*value)(void *arg), void *arg)
{
    struct metric_family *family = family_new(metrics, METRIC_GAUGE, name, help, NULL, 1);
    family->value = value;
    family->arg = arg;
    family_register(family);
}

void metrics_counter_from(struct metrics *metrics, const char *name, const char *help,
                          double (*value)(void *arg), void *arg)
{
    struct metric_family *family = family_new(metrics, METRIC_COUNTER, name, help, NULL, 1);
    family->value = value;
    family->arg = arg;
    family_register(family);
}

struct metric *metric_series(struct metric_family *family, const struct text *values)
{
    if (family->labels_count == 0)
        return family->other;
    WEIR_ASSERT(values != NULL);
    struct text cut[METRIC_LABELS_MAX];
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < family->labels_count; i++) {
        cut[i] = text_take(values[i], METRIC_LABEL_BYTES_MAX);
        if (cut[i].len < values[i].len)
            cut[i].len = text_utf8_whole(cut[i]);
        for (size_t k = 0; k < cut[i].len; k++)
            hash = (hash ^ (unsigned char)cut[i].at[k]) * UINT64_C(1099511628211);
        hash = (hash ^ 0xFF) * UINT64_C(1099511628211); /* "a","bc" is not "ab","c" */
    }
    size_t slot;
    struct metric *found = series_find(family, cut, hash, &slot);
    return found != NULL ? found : series_make(family, cut, hash);
}

void metric_add(struct metric *metric, int64_t amount)
{
    struct metric_family *family = metric->family;
    WEIR_ASSERT(family->kind == METRIC_GAUGE || (family->kind == METRIC_COUNTER && amount >= 0));
    size_t row = this_shard(family->shards) * family->row_cells;
    atomic_fetch_add_explicit(&metric->cells[row].number, amount, memory_order_relaxed);
}

void metric_set(struct metric *gauge, int64_t value)
{
    WEIR_ASSERT(gauge->family->kind == METRIC_GAUGE);
    atomic_store_explicit(&gauge->cells[0].number, value, memory_order_relaxed);
}

void metric_observe(struct metric *histogram, int64_t value)
{
    struct metric_family *family = histogram->family;
    WEIR_ASSERT(family->kind == METRIC_HISTOGRAM);
    size_t bucket = 0;
    while (bucket < family->bounds_count && value > family->bounds[bucket])
        bucket++;
    struct metric_cell *row = histogram->cells + this_shard(family->shards) * family->row_cells;
    atomic_fetch_add_explicit(&row[bucket].number, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&row[family->bounds_count + 1].number, value, memory_order_relaxed);
}

int64_t metric_value(const struct metric *metric)
{
    if (metric->family->kind != METRIC_HISTOGRAM)
        return metric_sum(metric, 0);
    int64_t count = 0;
    for (size_t bucket = 0; bucket <= metric->family->bounds_count; bucket++)
        count += metric_sum(metric, bucket);
    return count;
}

int64_t metric_sum(const struct metric *metric, size_t cell)
{
    int64_t sum = 0;
    for (size_t shard = 0; shard < metric->family->shards; shard++)
        sum += atomic_load_explicit(&metric->cells[shard * metric->family->row_cells + cell].number,
                                    memory_order_relaxed);
    return sum;
}

static struct metric_family *family_new(struct metrics *metrics, enum metric_kind kind,
                                        const char *name, const char *help,
                                        const char *const *labels, size_t series_max)
{
    WEIR_ASSERT(name_valid(name, false) && series_max > 0 && strchr(help, '\n') == NULL);
    struct metric_family *family = base_alloc(sizeof(*family));
    *family = (struct metric_family){.metrics = metrics,
                                     .kind = kind,
                                     .name = name,
                                     .help = help,
                                     .labels = labels,
                                     .scale = 1,
                                     .shards = metrics->shards,
                                     .row_cells = LINE_CELLS,
                                     .series_max = series_max};
    for (; labels != NULL && labels[family->labels_count] != NULL; family->labels_count++)
        WEIR_ASSERT(family->labels_count < METRIC_LABELS_MAX &&
                    name_valid(labels[family->labels_count], true));
    int failed = pthread_mutex_init(&family->lock, NULL);
    WEIR_ASSERT(failed == 0);
    return family;
}

static void family_register(struct metric_family *family)
{
    struct metrics *metrics = family->metrics;
    struct text others[METRIC_LABELS_MAX];
    for (size_t i = 0; i < METRIC_LABELS_MAX; i++)
        others[i] = TEXT("other");
    if (family->labels_count > 0) {
        size_t slots = 4;
        while (slots < family->series_max * 2)
            slots *= 2;
        family->slots_mask = slots - 1;
        family->slots = base_alloc(slots * sizeof(*family->slots));
    }
    if (family->value == NULL)
        family->other = series_new(family, others);
    (void)pthread_mutex_lock(&metrics->lock);
    for (const struct metric_family *known = metrics->first; known != NULL; known = known->next)
        WEIR_ASSERT(strcmp(known->name, family->name) != 0);
    if (metrics->last != NULL)
        metrics->last->next = family;
    else
        metrics->first = family;
    metrics->last = family;
    (void)pthread_mutex_unlock(&metrics->lock);
}

static struct metric *series_new(struct metric_family *family, const struct text *values)
{
    struct metric *metric = base_alloc(sizeof(*metric));
    metric->family = family;
    for (size_t i = 0; i < family->labels_count; i++) {
        char *copy = base_alloc(values[i].len + 1);
        if (values[i].len > 0)
            memcpy(copy, values[i].at, values[i].len);
        metric->values[i] = (struct text){copy, values[i].len};
    }
    size_t bytes = family->shards * family->row_cells * sizeof(struct metric_cell);
    void *cells = aligned_alloc(LINE_BYTES, bytes);
    if (cells == NULL)
        base_out_of_memory(bytes);
    metric->cells = cells;
    for (size_t i = 0; i < family->shards * family->row_cells; i++)
        atomic_init(&metric->cells[i].number, 0);
    return metric;
}

static void series_free(struct metric *metric)
{
    if (metric == NULL)
        return;
    for (size_t i = 0; i < metric->family->labels_count; i++) {
        union {
            const char *given;
            char *owned;
        } value = {.given = metric->values[i].at};
        free(value.owned);
    }
    free(metric->cells);
    free(metric);
}

/* Once more under the lock: another thread may have made it meanwhile. */
static struct metric *series_make(struct metric_family *family, const struct text *values,
                                  uint64_t hash)
{
    size_t slot;
    (void)pthread_mutex_lock(&family->lock);
    struct metric *metric = series_find(family, values, hash, &slot);
    if (metric == NULL && family->series_count >= family->series_max) {
        metric = family->other;
    } else if (metric == NULL) {
        metric = series_new(family, values);
        family->series_count++;
        /* Release: whoever finds it sees it whole. */
        if (family->last != NULL)
            atomic_store_explicit(&family->last->next, metric, memory_order_release);
        else
            atomic_store_explicit(&family->first, metric, memory_order_release);
        family->last = metric;
        atomic_store_explicit(&family->slots[slot].metric, metric, memory_order_release);
    }
    (void)pthread_mutex_unlock(&family->lock);
    return metric;
}

/* NULL when there is none: then `*slot` is the free one where it belongs. */
static struct metric *series_find(const struct metric_family *family, const struct text *values,
                                  uint64_t hash, size_t *slot)
{
    for (size_t at = hash & family->slots_mask;; at = (at + 1) & family->slots_mask) {
        struct metric *metric =
            atomic_load_explicit(&family->slots[at].metric, memory_order_acquire);
        size_t same = 0;
        while (metric != NULL && same < family->labels_count &&
               text_equal(metric->values[same], values[same]))
            same++;
        if (metric == NULL || same == family->labels_count) {
            *slot = at;
            return metric;
        }
    }
}

/* What Prometheus allows; names with "__" in front are its own. */
static bool name_valid(const char *name, bool label)
{
    if (name[0] == '\0' || (name[0] >= '0' && name[0] <= '9') || strncmp(name, "__", 2) == 0)
        return false;
    for (const char *c = name; *c != '\0'; c++) {
        bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '_' ||
                      (*c >= '0' && *c <= '9');
        if (!letter && (label || *c != ':'))
            return false;
    }
    return !label || strcmp(name, "le") != 0;
}

static size_t this_shard(size_t shards)
{
    static _Atomic(size_t) threads;
    static _Thread_local size_t mine; /* 0: not yet; else its number plus one */
    if (mine == 0)
        mine = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) + 1;
    return (mine - 1) % shards;
}
