/* signals: what the system or a person tells the process (SIGTERM, SIGHUP), for a fiber to wait
 * for. On the loop's thread; one loop of the process should watch a signal. */
#pragma once
#include "base.h"
#include "status.h"

struct loop;
struct signals;

enum { SIGNALS_MAX = 8 };

/* From now on the signals named in `numbers` (at most SIGNALS_MAX) no longer do what they did.
 * Fails: STATUS_SYSTEM. */
MUST_CHECK bool signals_open(struct loop *loop, const int *numbers, size_t count,
                             struct signals **out, struct status *st);
/* Waits for the next one; one fiber at a time. One that came before the wait is kept, the same one
 * coming several times is one. */
MUST_CHECK bool signals_wait(struct signals *signals, int64_t deadline_us, int *number,
                             struct status *st);
void signals_close(struct signals *signals);
AUTO_DEFINE(signals, signals_close)
