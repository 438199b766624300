#include "model_threads.h"
#include "clock.h"
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    WINDOW_US = 300000,
    TRY_US = 100000, /* a window with a thread too many: each of its steps may take several times as
                        long */
    GAP_US = 20000,
    ROWS_MANY = 32,
    REST_MIN = 2,  /* windows between two tries: half a second */
    REST_MAX = 64, /* 20 seconds, so that vain tries cost no more than two in a hundred */
    STAT_BYTES = 64 * 1024,
};

static int64_t process_cpu_us(void);
static int64_t idle_ticks(void);
static void begin(struct model_threads *t, int64_t now);

void model_threads_open(struct model_threads *t, int max)
{
    WEIR_ASSERT(max >= 1);
    *t = (struct model_threads){.max = max, .now = max, .rest_max = REST_MIN};
}

/* The threads of a step that nobody disturbs use all of their cores, waiting included. A little is
 * always lost, to the one that answers clients, say; a third of a core is not a little. */
int model_threads_choose(int max, double own, double idle)
{
    int fit = (int)(own + idle + 0.3);
    return fit < 1 ? 1 : fit > max ? max : fit;
}

int model_threads_next(struct model_threads *t, int fit)
{
    if (t->trying && fit >= t->now)
        t->rest_max = REST_MIN;
    else if (t->trying && t->rest_max < REST_MAX)
        t->rest_max *= 2;
    t->trying = fit < t->max && ++t->rest > t->rest_max;
    if (fit == t->max || t->trying)
        t->rest = 0;
    t->now = t->trying ? fit + 1 : fit;
    return t->now;
}

int model_threads_before(struct model_threads *t, uint32_t rows)
{
    if (t->max == 1)
        return 1;
    int64_t now = clock_mono_us();
    if (t->window_us == 0 || now - t->last_us > GAP_US)
        begin(t, now);
    t->last_us = now;
    return rows < ROWS_MANY ? t->now : t->max;
}

void model_threads_after(struct model_threads *t)
{
    if (t->max == 1)
        return;
    int64_t now = clock_mono_us(), span = now - t->window_us;
    t->busy_us += now - t->last_us;
    t->last_us = now;
    if (span < (t->trying ? TRY_US : WINDOW_US))
        return;
    static const double tick_us = 1e6 / 100; /* USER_HZ is 100 on every Linux of ours */
    double own = (double)(process_cpu_us() - t->cpu_us) / (double)t->busy_us;
    double idle = (double)(idle_ticks() - t->idle_ticks) * tick_us / (double)span;
    begin(t, now);
    (void)model_threads_next(t, model_threads_choose(t->max, own, idle));
}

static void begin(struct model_threads *t, int64_t now)
{
    t->window_us = now;
    t->busy_us = 0;
    t->cpu_us = process_cpu_us();
    t->idle_ticks = idle_ticks();
}

static int64_t process_cpu_us(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

/* Idle and waiting for disks, summed over the processors that this process may use. */
static int64_t idle_ticks(void)
{
    static char text[STAT_BYTES];
    cpu_set_t may;
    int64_t sum = 0;
    int fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || sched_getaffinity(0, sizeof may, &may) != 0) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    text[got > 0 ? got : 0] = 0;
    for (const char *at = text; at != NULL; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, "cpu", 3) != 0)
            break;
        char *rest;
        unsigned long cpu = strtoul(at + 3, &rest, 10);
        if (rest == at + 3 || cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &may))
            continue;
        for (int skipped = 0; skipped < 3; skipped++) /* user, nice, system */
            (void)strtoll(rest, &rest, 10);
        for (int taken = 0; taken < 2; taken++) /* idle, iowait */
            sum += strtoll(rest, &rest, 10);
    }
    return sum;
}
