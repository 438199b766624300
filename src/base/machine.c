#include "machine.h"
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CPUS_MAX = CPU_SETSIZE, LINE_BYTES = 4096 };

static bool read_file(const char *path, char *out, size_t size);
static int core_of(int cpu);

int machine_cores(void)
{
    cpu_set_t may;
    if (sched_getaffinity(0, sizeof may, &may) != 0)
        return 1;
    int cores = 0;
    static const int unknown = -1;
    int seen[CPUS_MAX];
    for (int cpu = 0; cpu < CPUS_MAX; cpu++) {
        if (!CPU_ISSET((size_t)cpu, &may))
            continue;
        int core = core_of(cpu);
        bool known = false;
        for (int i = 0; i < cores && core != unknown && !known; i++)
            known = seen[i] == core;
        if (!known)
            seen[cores++] = core;
    }
    char text[LINE_BYTES];
    int quota = machine_cgroup_file("cpu.max", text, sizeof text) ? machine_quota_cores(text) : 0;
    if (quota > 0 && quota < cores)
        cores = quota;
    return cores > 0 ? cores : 1;
}

/* "max 100000", or "150000 100000": microseconds of processor time per period. Rounded down, since
 * a thread too many is throttled at a barrier and holds up all others. */
int machine_quota_cores(const char *cpu_max)
{
    char *end;
    long long quota = strtoll(cpu_max, &end, 10), period = strtoll(end, NULL, 10);
    if (quota <= 0 || period <= 0)
        return 0;
    long long cores = quota / period;
    return cores < 1 ? 1 : cores > CPUS_MAX ? CPUS_MAX : (int)cores;
}

/* The same number for the processors of one physical core; -1 when the system does not say. */
static int core_of(int cpu)
{
    char path[128], text[64];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/core_cpus_list", cpu);
    if (!read_file(path, text, sizeof text)) {
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
                 cpu);
        if (!read_file(path, text, sizeof text))
            return -1;
    }
    char *end;
    long first = strtol(text, &end, 10); /* the list begins with the lowest: "0,8" or "0-1" */
    return end == text ? -1 : (int)first;
}

static bool read_file(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, out, size - 1);
    close(fd);
    if (got <= 0)
        return false;
    out[got] = 0;
    return true;
}
