/* machine: what this process may use of the machine. Any thread; reads small files of /proc and
 * /sys, which may block for a moment. */
#pragma once
#include "base.h"

/* Physical cores among the processors that the process may run on, and not more than its control
 * group's quota pays for; at least 1. Two threads on one core are slower than one at this work. */
int machine_cores(void);
/* Bytes that can be had without pushing others out: what the machine has available, or what is left
 * of the limits of our control group (version 2) and of those above it, if that is less. Files that
 * are kept in memory count as free, also those that a process has mapped. 0: not known. */
uint64_t machine_memory_free(void);

/* What a process has in memory now. */
struct machine_process {
    uint64_t resident_bytes; /* all of it */
    uint64_t mapped_bytes;   /* of that, files: machine_memory_free counts them as free */
};
/* False when there is no such process, or the system does not say. */
MUST_CHECK bool machine_process_memory(int pid, struct machine_process *out);

/* The file `name` ("cpu.max") of our own control group, ended by a zero. False: there is none. */
MUST_CHECK bool machine_cgroup_file(const char *name, char *out, size_t size);

/* Whole cores by the text of cpu.max ("150000 100000"); 0: no limit. */
int machine_quota_cores(const char *cpu_max);
/* The number in KiB behind `name` ("MemAvailable:") in such a text as /proc/meminfo, as bytes; 0
 * when it is not there. */
uint64_t machine_kib_of(const char *text, const char *name);
/* What a control group leaves by the texts of memory.max, memory.current and memory.stat;
 * UINT64_MAX when it has no limit. */
uint64_t machine_cgroup_left(const char *max, const char *current, const char *stat);
