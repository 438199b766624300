/* machine: what this process may use of the machine. Any thread; reads files of /proc, /sys.
 */
#pragma once
#include "base.h"

/* Physical cores among the processors that the process may run on, and not more than its control
 * group's quota pays for; at least 1. Two threads on one core are slower than one at this work. */
int machine_cores(void);
/* Bytes that can still be had without pushing others out: the machine's, or what is left of the
 * control group's limit if that is less. 0: not known. */
uint64_t machine_memory_free(void);

/* Whole cores by the text of cpu.max ("150000 100000"); 0: no limit. */
int machine_quota_cores(const char *cpu_max);
