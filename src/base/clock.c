#include "clock.h"

#include <stdio.h>
#include <time.h>

enum { US_PER_MS = 1000, US_PER_S = 1000 * 1000 };
/* The years that RFC 3339 can write: 0000-01-01 to 9999-12-31. */
static const int64_t first_s = -62167219200, last_s = 253402300799;

static int64_t now_us(clockid_t clock)
{
    struct timespec now;
    int failed = clock_gettime(clock, &now);
    WEIR_ASSERT(failed == 0);
    return (int64_t)now.tv_sec * US_PER_S + now.tv_nsec / 1000;
}

int64_t clock_mono_us(void)
{
    return now_us(CLOCK_MONOTONIC);
}

int64_t clock_wall_us(void)
{
    return now_us(CLOCK_REALTIME);
}

int64_t clock_deadline_ms(int64_t ms)
{
    int64_t now = clock_mono_us();
    if (ms <= 0)
        return now;
    if (ms > (CLOCK_NEVER - now) / US_PER_MS)
        return CLOCK_NEVER;
    return now + ms * US_PER_MS;
}

void clock_rfc3339(int64_t wall_us, char out[CLOCK_RFC3339_BYTES])
{
    int64_t s = wall_us / US_PER_S, us = wall_us % US_PER_S;
    if (us < 0) {
        us += US_PER_S;
        s--;
    }
    if (s < first_s || s > last_s) {
        us = 0;
        s = s < first_s ? first_s : last_s;
    }
    time_t time = (time_t)s;
    struct tm tm;
    struct tm *broken = gmtime_r(&time, &tm);
    WEIR_ASSERT(broken != NULL);
    /* Room for what the compiler thinks an int could be; 24 characters are what comes. */
    char text[64];
    (void)snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
                   tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                   (int)(us / US_PER_MS));
    for (size_t i = 0; i < CLOCK_RFC3339_BYTES; i++)
        out[i] = text[i];
    out[CLOCK_RFC3339_BYTES - 1] = '\0';
}
