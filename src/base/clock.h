/* clock: the two clocks. Deadlines, timeouts and limits use the monotonic one; what is stored or
 * shown uses the wall clock. Any thread. */
#pragma once
#include "base.h"
#include "text.h"

#define CLOCK_NEVER INT64_MAX /* a deadline that does not come */

int64_t clock_mono_us(void); /* monotonic, microseconds since some start */
int64_t clock_wall_us(void); /* Unix time, microseconds UTC */
/* The deadline `ms` milliseconds from now, on the monotonic clock, in microseconds. */
int64_t clock_deadline_ms(int64_t ms);
/* RFC 3339 in UTC with milliseconds, "2026-11-25T03:04:05.678Z". */
enum { CLOCK_RFC3339_BYTES = 25 };
void clock_rfc3339(int64_t wall_us, char out[CLOCK_RFC3339_BYTES]);
