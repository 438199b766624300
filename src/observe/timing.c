#include "timing.h"

void timing_add(struct timing *timing, const char *name, int64_t us)
{
    if (us < 0 || timing->full)
        return;
    struct text_out out = text_out_over(timing->memory, sizeof(timing->memory));
    out.len = timing->len;
    text_out_addf(&out, "%s%s;dur=%lld.%lld", timing->len > 0 ? ", " : "", name,
                  (long long)(us / 1000), (long long)(us % 1000 / 100));
    timing->full = out.cut;
    if (!out.cut)
        timing->len = out.len;
}

struct text timing_text(const struct timing *timing)
{
    return (struct text){timing->memory, timing->len};
}
