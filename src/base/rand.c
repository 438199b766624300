#include "rand.h"

#include <errno.h>
#include <sys/random.h>

/* Straight from the kernel each time: no state of ours that a fork or a core dump could give away,
 * and the call costs less than the requests that need it. */
void rand_bytes(void *out, size_t size)
{
    unsigned char *at = out;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        WEIR_ASSERT(got > 0);
        at += got;
        size -= (size_t)got;
    }
}

uint64_t rand_u64(void)
{
    uint64_t value;
    rand_bytes(&value, sizeof(value));
    return value;
}

/* The values above the last whole multiple of `bound` would favour the small remainders: they are
 * drawn again. 2^64 mod bound, computed in 64 bits, is (2^64 - bound) mod bound. */
uint64_t rand_below(uint64_t bound)
{
    WEIR_ASSERT(bound > 0);
    uint64_t uneven = (UINT64_MAX - bound + 1) % bound;
    uint64_t value;
    do {
        value = rand_u64();
    } while (value < uneven);
    return value % bound;
}
