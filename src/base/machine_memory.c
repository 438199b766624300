/* What there is of memory, and what processes take of it. */
#include "machine.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_BYTES = 8192, PATH_BYTES = 4096 };
static const char cgroups[] = "/sys/fs/cgroup";

static bool read_file(const char *path, char *out, size_t size);
static bool cgroup_path(char *out, size_t size);
static uint64_t cgroup_left_at(const char *group);
static bool number_behind(const char *text, const char *name, uint64_t *out);

uint64_t machine_memory_free(void)
{
    char text[TEXT_BYTES], group[PATH_BYTES];
    uint64_t left = 0;
    if (read_file("/proc/meminfo", text, sizeof(text)))
        left = machine_kib_of(text, "MemAvailable:");
    if (!cgroup_path(group, sizeof(group)))
        return left;
    for (size_t len = strlen(group);; len = (size_t)(strrchr(group, '/') - group)) {
        group[len] = '\0';
        uint64_t here = cgroup_left_at(group);
        if (here != UINT64_MAX && (left == 0 || here < left))
            left = here;
        if (len <= sizeof(cgroups) - 1) /* the root, of a container its own */
            return left;
    }
}

bool machine_process_memory(int pid, struct machine_process *out)
{
    char path[64], text[TEXT_BYTES];
    (void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
    if (!read_file(path, text, sizeof(text)))
        return false;
    out->resident_bytes = machine_kib_of(text, "VmRSS:");
    out->mapped_bytes = machine_kib_of(text, "RssFile:");
    return out->resident_bytes > 0;
}

bool machine_cgroup_file(const char *name, char *out, size_t size)
{
    char path[PATH_BYTES + 64], group[PATH_BYTES];
    if (!cgroup_path(group, sizeof(group)))
        return false;
    (void)snprintf(path, sizeof(path), "%s/%s", group, name);
    return read_file(path, out, size);
}

uint64_t machine_kib_of(const char *text, const char *name)
{
    uint64_t kib;
    return number_behind(text, name, &kib) && kib < UINT64_MAX / KIB ? kib * KIB : 0;
}

uint64_t machine_cgroup_left(const char *max, const char *current, const char *stat)
{
    char *end;
    uint64_t limit = strtoull(max, &end, 10);
    if (end == max) /* the word "max" */
        return UINT64_MAX;
    uint64_t used = strtoull(current, NULL, 10), files = 0, part;
    if (number_behind(stat, "\nactive_file ", &part))
        files += part;
    if (number_behind(stat, "\ninactive_file ", &part))
        files += part;
    used = used > files ? used - files : 0;
    return limit > used ? limit - used : 0;
}

/* "0::/user.slice/x" of /proc/self/cgroup, as the folder. */
static bool cgroup_path(char *out, size_t size)
{
    char text[PATH_BYTES];
    if (!read_file("/proc/self/cgroup", text, sizeof(text)))
        return false;
    const char *at = strstr(text, "0::/");
    if (at == NULL)
        return false;
    at += strlen("0::");
    int len = (int)strcspn(at, "\n");
    if (len == 1) /* "/" */
        len = 0;
    return (size_t)snprintf(out, size, "%s%.*s", cgroups, len, at) < size;
}

static uint64_t cgroup_left_at(const char *group)
{
    char path[PATH_BYTES + 64], max[64], current[64], stat[TEXT_BYTES];
    (void)snprintf(path, sizeof(path), "%s/memory.max", group);
    if (!read_file(path, max, sizeof(max)))
        return UINT64_MAX;
    (void)snprintf(path, sizeof(path), "%s/memory.current", group);
    if (!read_file(path, current, sizeof(current)))
        return UINT64_MAX;
    (void)snprintf(path, sizeof(path), "%s/memory.stat", group);
    if (!read_file(path, stat, sizeof(stat)))
        stat[0] = '\0';
    return machine_cgroup_left(max, current, stat);
}

static bool number_behind(const char *text, const char *name, uint64_t *out)
{
    const char *line = strstr(text, name);
    if (line == NULL)
        return false;
    char *end;
    line += strlen(name);
    *out = strtoull(line, &end, 10);
    return end != line;
}

static bool read_file(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, out, size - 1);
    (void)close(fd);
    if (got <= 0)
        return false;
    out[got] = '\0';
    return true;
}
