/* The text format of Prometheus, version 0.0.4. */
#include "metrics.h"
#include "arena.h"
#include "metrics_internal.h"

#include <inttypes.h>
#include <math.h>

static const char *const kind_names[] = {
    [METRIC_COUNTER] = "counter",
    [METRIC_GAUGE] = "gauge",
    [METRIC_HISTOGRAM] = "histogram",
};
_Static_assert(ARRAY_LEN(kind_names) == METRIC_KIND_COUNT, "each kind has a name");

static void write_series(const struct metric *metric, struct text_buf *buf);
static void write_histogram(const struct metric *metric, struct text_buf *buf);
static void write_name(const struct metric *metric, const char *suffix, const double *bound,
                       struct text_buf *buf);
static void write_escaped(struct text text, bool quotes, struct text_buf *buf);
static void write_double(double value, struct text_buf *buf);

void metrics_write(struct metrics *metrics, struct text_buf *buf)
{
    (void)pthread_mutex_lock(&metrics->lock);
    for (const struct metric_family *family = metrics->first; family != NULL;
         family = family->next) {
        text_buf_addf(buf, "# HELP %s ", family->name);
        write_escaped(text_of(family->help), false, buf);
        text_buf_addf(buf, "\n# TYPE %s %s\n", family->name, kind_names[family->kind]);
        if (family->value != NULL) {
            text_buf_addf(buf, "%s ", family->name);
            write_double(family->value(family->arg), buf);
            text_buf_add(buf, TEXT("\n"));
            continue;
        }
        const struct metric *metric = atomic_load_explicit(&family->first, memory_order_acquire);
        for (; metric != NULL; metric = atomic_load_explicit(&metric->next, memory_order_acquire))
            write_series(metric, buf);
        if (family->labels_count == 0 || metric_value(family->other) != 0)
            write_series(family->other, buf);
    }
    (void)pthread_mutex_unlock(&metrics->lock);
}

static void write_series(const struct metric *metric, struct text_buf *buf)
{
    if (metric->family->kind == METRIC_HISTOGRAM) {
        write_histogram(metric, buf);
        return;
    }
    write_name(metric, "", NULL, buf);
    text_buf_addf(buf, "%" PRId64 "\n", metric_sum(metric, 0));
}

/* The count is that of the last bucket, so the lines agree whatever is added meanwhile. */
static void write_histogram(const struct metric *metric, struct text_buf *buf)
{
    const struct metric_family *family = metric->family;
    int64_t count = 0;
    for (size_t bucket = 0; bucket <= family->bounds_count; bucket++) {
        double bound = bucket < family->bounds_count
                           ? (double)family->bounds[bucket] * family->scale
                           : (double)INFINITY;
        count += metric_sum(metric, bucket);
        write_name(metric, "_bucket", &bound, buf);
        text_buf_addf(buf, "%" PRId64 "\n", count);
    }
    write_name(metric, "_sum", NULL, buf);
    write_double((double)metric_sum(metric, family->bounds_count + 1) * family->scale, buf);
    text_buf_add(buf, TEXT("\n"));
    write_name(metric, "_count", NULL, buf);
    text_buf_addf(buf, "%" PRId64 "\n", count);
}

static void write_name(const struct metric *metric, const char *suffix, const double *bound,
                       struct text_buf *buf)
{
    const struct metric_family *family = metric->family;
    text_buf_addf(buf, "%s%s", family->name, suffix);
    const char *before = "{";
    for (size_t i = 0; i < family->labels_count; i++) {
        text_buf_addf(buf, "%s%s=\"", before, family->labels[i]);
        write_escaped(metric->values[i], true, buf);
        text_buf_add(buf, TEXT("\""));
        before = ",";
    }
    if (bound != NULL) {
        text_buf_addf(buf, "%sle=\"", before);
        write_double(*bound, buf);
        text_buf_add(buf, TEXT("\""));
        before = ",";
    }
    text_buf_add(buf, before[0] == ',' ? TEXT("} ") : TEXT(" "));
}

/* Backslash and new line, and quotes in the value of a label. Bytes that are no UTF-8 would make
 * the whole page unreadable: each becomes U+FFFD. */
static void write_escaped(struct text text, bool quotes, struct text_buf *buf)
{
    while (text.len > 0) {
        unsigned char c = (unsigned char)text.at[0];
        size_t size = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
        struct text piece = text_take(text, size);
        if (piece.len < size || !text_utf8_valid(piece)) {
            text_buf_add(buf, TEXT("\xef\xbf\xbd"));
            size = 1;
        } else if (c == '\\') {
            text_buf_add(buf, TEXT("\\\\"));
        } else if (c == '\n') {
            text_buf_add(buf, TEXT("\\n"));
        } else if (c == '"' && quotes) {
            text_buf_add(buf, TEXT("\\\""));
        } else {
            text_buf_add(buf, piece);
        }
        text = text_skip(text, size);
    }
}

static void write_double(double value, struct text_buf *buf)
{
    if (isnan(value))
        text_buf_add(buf, TEXT("NaN"));
    else if (isinf(value))
        text_buf_add(buf, value > 0 ? TEXT("+Inf") : TEXT("-Inf"));
    else
        text_buf_addf(buf, "%.15g", value);
}
