/* rand: random bytes from the kernel (getrandom). Any thread. Aborts if the kernel has none. */
#pragma once
#include "base.h"

void rand_bytes(void *out, size_t size); /* fit for keys and tokens */
uint64_t rand_u64(void);
uint64_t rand_below(uint64_t bound); /* uniform in [0, bound); bound > 0 */
