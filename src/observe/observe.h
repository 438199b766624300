/* observe: what a process tells of itself: its metrics and its health, opened together.
 * Any thread. */
#pragma once
#include "base.h"
#include "health.h"
#include "metrics.h"

/* Read-only after observe_open. */
struct observe {
    struct metrics *metrics;
    struct health *health;
};
/* `shards` as for metrics_new. Registers what every process has: weir_build_info, memory,
 * descriptors, start time, CPU seconds. */
struct observe *observe_open(const char *version, size_t shards);
void observe_close(struct observe *observe);
AUTO_DEFINE(observe, observe_close)
/* Bytes that malloc has handed out and not got back: what grows when something leaks. Resident
 * memory also holds what the allocator keeps for later (and, under a sanitizer, what it has put
 * aside to catch late uses). Takes the allocator's locks for a moment. */
size_t observe_allocated_bytes(void);
