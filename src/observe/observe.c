#include "observe.h"
#include "clock.h"

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_MALLOC 1 /* the sanitizer's, of which glibc knows nothing */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OWN_MALLOC 1
#endif
#endif
#ifndef OWN_MALLOC
#define OWN_MALLOC 0
#endif
#if OWN_MALLOC
size_t __sanitizer_get_current_allocated_bytes(void);
#endif

static int64_t started_us;

static double resident_bytes(void *arg);
static double allocated_bytes(void *arg);
static double open_descriptors(void *arg);
static double start_seconds(void *arg);
static double cpu_seconds(void *arg);

struct observe *observe_open(const char *version, size_t shards)
{
    static const char *const build_labels[] = {"version", NULL};
    struct observe *observe = base_alloc(sizeof(*observe));
    *observe = (struct observe){metrics_new(shards), health_new()};
    if (started_us == 0)
        started_us = clock_wall_us();
    struct metric_family *build = metrics_gauge(observe->metrics, "weir_build_info",
                                                "Which version this is", build_labels, 1);
    metric_set(metric_series(build, &(struct text){version, text_of(version).len}), 1);
    metrics_gauge_from(observe->metrics, "process_resident_memory_bytes", "Resident memory",
                       resident_bytes, NULL);
    metrics_gauge_from(observe->metrics, "weir_memory_allocated_bytes",
                       "Memory handed out by the allocator and not given back", allocated_bytes,
                       NULL);
    metrics_gauge_from(observe->metrics, "process_open_fds", "Open descriptors", open_descriptors,
                       NULL);
    metrics_gauge_from(observe->metrics, "process_start_time_seconds",
                       "When the process started, Unix time", start_seconds, NULL);
    metrics_counter_from(observe->metrics, "process_cpu_seconds_total",
                         "User and system time of the process", cpu_seconds, NULL);
    return observe;
}

void observe_close(struct observe *observe)
{
    if (observe == NULL)
        return;
    health_free(observe->health);
    metrics_free(observe->metrics);
    free(observe);
}

size_t observe_allocated_bytes(void)
{
#if OWN_MALLOC
    return __sanitizer_get_current_allocated_bytes();
#else
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd; /* of the heaps, and in mappings of their own */
#endif
}

static double allocated_bytes(void *arg)
{
    (void)arg;
    return (double)observe_allocated_bytes();
}

static double resident_bytes(void *arg)
{
    (void)arg;
    char line[128];
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return 0;
    const char *second = fgets(line, sizeof(line), file) != NULL ? strchr(line, ' ') : NULL;
    fclose(file);
    return second == NULL ? 0 : (double)strtoll(second, NULL, 10) * (double)sysconf(_SC_PAGESIZE);
}

static double open_descriptors(void *arg)
{
    (void)arg;
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL)
        return 0;
    double count = -1; /* that of the folder itself */
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static double start_seconds(void *arg)
{
    (void)arg;
    return (double)started_us / 1e6;
}

static double cpu_seconds(void *arg)
{
    (void)arg;
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}
