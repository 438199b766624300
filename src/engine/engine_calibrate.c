#include "engine_internal.h"
#include "clock.h"

/* A start should not take much longer for it: few points are enough, since every step that follows
 * corrects them. */
enum {
    CALIBRATE_US_MAX = 300000,
    PROMPT_TOKENS_FIRST = 8, /* says what is the same for any number of tokens */
    PROMPT_TOKENS_SECOND = 32,
    PROMPT_TOKENS_LAST = 512,
    PROMPT_US_SHORT = 20000, /* a chunk that takes less says little of a token */
};

static uint32_t least(uint32_t a, uint32_t b);
static bool time_decode(struct engine *e, uint32_t rows, struct status *st);
static bool time_prompt(struct engine *e, uint32_t tokens, int64_t *took_us, struct status *st);
static bool time_draft(struct engine *e, struct status *st);
static bool time_batch(struct engine *e, int64_t *took_us, struct status *st);
static void add_row(struct engine *e, uint32_t position, uint32_t sequence, bool wants);

bool engine_calibrate(struct engine *e, struct status *st)
{
    int64_t end = clock_mono_us() + CALIBRATE_US_MAX, took;
    uint32_t tokens_max = e->facts.batch < e->facts.context ? e->facts.batch : e->facts.context - 1;
    if (!time_decode(e, 1, st) ||
        !time_prompt(e, least(PROMPT_TOKENS_FIRST, tokens_max), &took, st))
        return false;
    if (e->facts.parallel > 1 && clock_mono_us() < end && !time_decode(e, e->facts.parallel, st))
        return false;
    for (uint32_t tokens = PROMPT_TOKENS_SECOND; tokens <= PROMPT_TOKENS_LAST; tokens *= 4) {
        if (tokens > tokens_max || clock_mono_us() >= end)
            break;
        if (!time_prompt(e, tokens, &took, st))
            return false;
        if (took >= PROMPT_US_SHORT)
            break;
    }
    return time_draft(e, st);
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* The better of two, since the first may have buffers to make. */
static bool time_decode(struct engine *e, uint32_t rows, struct status *st)
{
    int64_t best = INT64_MAX, took;
    for (uint32_t at = 0; at < 2; at++) {
        e->batch.rows = 0;
        for (uint32_t i = 0; i < rows; i++)
            add_row(e, at, i, true);
        if (!time_batch(e, &took, st))
            return false;
        best = took < best ? took : best;
    }
    for (uint32_t i = 0; i < rows; i++)
        e->backend->ops->clear(e->backend, (int32_t)i);
    engine_pace_calibrate_decode(&e->pace, rows, best);
    return true;
}

/* What cannot be taken back is not tried. */
static bool time_draft(struct engine *e, struct status *st)
{
    int64_t best = INT64_MAX, took;
    uint32_t rows = 1 + ENGINE_DRAFT_TOKENS;
    uint32_t outputs = e->facts.outputs > 0 ? e->facts.outputs : e->facts.parallel;
    if (e->options.drafting == ENGINE_DRAFTING_OFF || e->facts.window > 0 || e->facts.recurrent ||
        e->backend->ops->trim == NULL || outputs < rows || e->facts.context < 4 * rows)
        return true;
    for (uint32_t at = 0; at < 2; at++) {
        e->batch.rows = 0;
        for (uint32_t i = 0; i < rows; i++)
            add_row(e, at * rows + i, 0, true);
        if (!time_batch(e, &took, st))
            return false;
        best = took < best ? took : best;
    }
    e->backend->ops->clear(e->backend, 0);
    e->draft_us = (double)best;
    return true;
}

static bool time_prompt(struct engine *e, uint32_t tokens, int64_t *took_us, struct status *st)
{
    e->batch.rows = 0;
    for (uint32_t i = 0; i < tokens; i++)
        add_row(e, i, 0, i + 1 == tokens);
    if (!time_batch(e, took_us, st))
        return false;
    e->backend->ops->clear(e->backend, 0);
    engine_pace_calibrate_prompt(&e->pace, tokens, *took_us);
    return true;
}

static bool time_batch(struct engine *e, int64_t *took_us, struct status *st)
{
    int64_t began = clock_mono_us();
    enum engine_decode result = e->backend->ops->decode(e->backend, &e->batch);
    *took_us = clock_mono_us() - began;
    if (result == ENGINE_DECODE_OK)
        return true;
    return status_fail(st, STATUS_INVALID, "the model cannot compute a step of %u tokens (%d)",
                       e->batch.rows, (int)result);
}

static void add_row(struct engine *e, uint32_t position, uint32_t sequence, bool wants)
{
    uint32_t row = e->batch.rows++;
    e->batch.token[row] = (int32_t)(row % e->facts.vocab);
    e->batch.position[row] = (int32_t)position;
    e->batch.sequence[row] = (int32_t)sequence;
    e->batch.wants[row] = wants;
}
