#include "metrics.h"
#include "arena.h"
#include "check.h"

#include <pthread.h>
#include <stdio.h>

static const char *const two_labels[] = {"route", "code", NULL}, *const one_label[] = {"model",
                                                                                       NULL};

static struct text written(struct metrics *metrics, struct arena *arena)
{
    struct text_buf buf = text_buf_in(arena, MIB);
    metrics_write(metrics, &buf);
    return text_buf_text(&buf);
}

static double half(void *arg)
{
    return *(double *)arg;
}

static void all_kinds(void **state)
{
    (void)state;
    AUTO(metrics) struct metrics *m = metrics_new(3);
    AUTO(arena) struct arena *arena = arena_open(MIB);
    static const int64_t bounds[] = {1000, 250000};
    double value = 0.5;
    struct metric_family *requests =
        metrics_counter(m, "weir_requests_total", "Requests \\ answered", two_labels, 8);
    struct metric_family *open = metrics_gauge(m, "weir_open", "Open now", NULL, 1);
    struct metric_family *wait =
        metrics_histogram(m, "weir_wait_seconds", "Waits", one_label, 8, bounds, 2, 1e-6);
    metrics_gauge_from(m, "weir_half", "A half", half, &value);
    metrics_counter_from(m, "weir_half_total", "A half", half, &value);
    metric_add(metric_series(requests, (struct text[]){TEXT("/a"), TEXT("2xx")}), 2);
    metric_add(metric_series(requests, (struct text[]){TEXT("/a\"\\\n"), TEXT("\xff")}), 1);
    metric_add(metric_series(requests, (struct text[]){TEXT("/a"), TEXT("2xx")}), 1);
    metric_set(metric_series(open, NULL), 7);
    metric_add(metric_series(open, NULL), -2);
    struct metric *smol = metric_series(wait, &TEXT("smol"));
    metric_observe(smol, 1000); /* a bound belongs to its bucket */
    metric_observe(smol, 1001);
    metric_observe(smol, 5000000);
    assert_int_equal(metric_value(smol), 3);
    check_text(written(m, arena),
               "# HELP weir_requests_total Requests \\\\ answered\n"
               "# TYPE weir_requests_total counter\n"
               "weir_requests_total{route=\"/a\",code=\"2xx\"} 3\n"
               "weir_requests_total{route=\"/a\\\"\\\\\\n\",code=\"\xef\xbf\xbd\"} 1\n"
               "# HELP weir_open Open now\n"
               "# TYPE weir_open gauge\n"
               "weir_open 5\n"
               "# HELP weir_wait_seconds Waits\n"
               "# TYPE weir_wait_seconds histogram\n"
               "weir_wait_seconds_bucket{model=\"smol\",le=\"0.001\"} 1\n"
               "weir_wait_seconds_bucket{model=\"smol\",le=\"0.25\"} 2\n"
               "weir_wait_seconds_bucket{model=\"smol\",le=\"+Inf\"} 3\n"
               "weir_wait_seconds_sum{model=\"smol\"} 5.002001\n"
               "weir_wait_seconds_count{model=\"smol\"} 3\n"
               "# HELP weir_half A half\n"
               "# TYPE weir_half gauge\n"
               "weir_half 0.5\n"
               "# HELP weir_half_total A half\n"
               "# TYPE weir_half_total counter\n"
               "weir_half_total 0.5\n");
}

/* However many values come, there are series_max series and one for the others. */
static void bounded(void **state)
{
    (void)state;
    AUTO(metrics) struct metrics *m = metrics_new(1);
    struct metric_family *family = metrics_counter(m, "weir_x_total", "X", one_label, 5);
    struct metric *first[5], *other = NULL;
    for (int i = 0; i < 100; i++) {
        char name[16];
        int len = snprintf(name, sizeof(name), "m%d", i);
        struct metric *metric = metric_series(family, &(struct text){name, (size_t)len});
        metric_add(metric, 1);
        if (i < 5)
            first[i] = metric;
        else if (other == NULL)
            other = metric;
        else
            assert_ptr_equal(metric, other);
    }
    assert_ptr_equal(metric_series(family, &TEXT("m3")), first[3]);
    assert_int_equal(metric_value(first[3]), 1);
    assert_int_equal(metric_value(other), 95);
    AUTO(arena) struct arena *arena = arena_open(MIB);
    struct text page = written(m, arena);
    assert_true(text_find(page, TEXT("weir_x_total{model=\"other\"} 95\n")) < page.len);
}

/* Values that run together differ; long ones are cut between characters. */
static void values(void **state)
{
    (void)state;
    AUTO(metrics) struct metrics *m = metrics_new(1);
    struct metric_family *family = metrics_counter(m, "weir_x_total", "X", two_labels, 50);
    struct metric *a = metric_series(family, (struct text[]){TEXT("a"), TEXT("bc")});
    struct metric *b = metric_series(family, (struct text[]){TEXT("ab"), TEXT("c")});
    struct metric *none = metric_series(family, (struct text[]){TEXT_NONE, TEXT("")});
    assert_ptr_not_equal(a, b);
    assert_ptr_not_equal(a, none);
    assert_ptr_equal(none, metric_series(family, (struct text[]){TEXT(""), TEXT_NONE}));
    char large[300];
    memset(large, 'x', sizeof(large));
    memcpy(large + METRIC_LABEL_BYTES_MAX - 1, "\xc3\xa9", 2);
    struct text cut = {large, METRIC_LABEL_BYTES_MAX - 1}, whole = {large, sizeof(large)};
    assert_ptr_equal(metric_series(family, (struct text[]){whole, TEXT("c")}),
                     metric_series(family, (struct text[]){cut, TEXT("c")}));
}

/* Threads that make and find the same series lose no count. */
enum { THREADS = 4, ROUNDS = 3000 };
static void *add_many(void *arg)
{
    struct metric_family **families = arg;
    for (int i = 0; i < ROUNDS; i++) {
        char name[16];
        int len = snprintf(name, sizeof(name), "%d", i % 40);
        struct text value = {name, (size_t)len};
        metric_add(metric_series(families[0], &value), 1);
        metric_observe(metric_series(families[1], &value), i);
        metric_add(metric_series(families[2], NULL), i % 2 == 0 ? 3 : -1);
    }
    return NULL;
}
static void threads(void **state)
{
    (void)state;
    AUTO(metrics) struct metrics *m = metrics_new(3);
    AUTO(arena) struct arena *arena = arena_open(64 * MIB);
    static const int64_t bounds[] = {10, 100};
    struct metric_family *families[] = {
        metrics_counter(m, "a_total", "A", one_label, 30),
        metrics_histogram(m, "b", "B", one_label, 64, bounds, 2, 1),
        metrics_gauge(m, "c", "C", NULL, 1),
    };
    pthread_t ids[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&ids[i], NULL, add_many, families), 0);
    for (int i = 0; i < 20; i++)
        (void)written(m, arena);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(ids[i], NULL), 0);
    int64_t counted = metric_value(metric_series(families[0], &TEXT("none of the 30")));
    int64_t observed = 0;
    for (int i = 0; i < 40; i++) {
        char name[16];
        int len = snprintf(name, sizeof(name), "%d", i);
        struct text value = {name, (size_t)len};
        struct metric *metric = metric_series(families[0], &value);
        if (metric != metric_series(families[0], &TEXT("none of the 30")))
            counted += metric_value(metric);
        observed += metric_value(metric_series(families[1], &value));
    }
    assert_int_equal(counted, THREADS * ROUNDS);
    assert_int_equal(observed, THREADS * ROUNDS);
    assert_int_equal(metric_value(metric_series(families[2], NULL)), THREADS * ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds),
        cmocka_unit_test(bounded),
        cmocka_unit_test(values),
        cmocka_unit_test(threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
