#include "engine_pace.h"
#include "engine_sched.h"

enum {
    SLOWLY = 8,         /* of a difference, one in so many is believed at a time */
    JUMP_MAX = 4,       /* a step that took longer than so many times the estimate was disturbed */
    PROMPT_ROWS_MIN = 8 /* fewer say nothing about the time of one */
};

static uint32_t fitting(const struct engine_pace *pace, double us, uint32_t room);
static double decode_us(const struct engine_pace *pace, uint32_t writers);
static double prompt_us(const struct engine_pace *pace, uint32_t tokens);
static double towards(double from, double to);

void engine_pace_open(struct engine_pace *pace, uint32_t batch, uint32_t sequences,
                      int64_t target_us, uint32_t fixed)
{
    *pace = (struct engine_pace){.batch = batch,
                                 .fixed = fixed,
                                 .target_us = target_us,
                                 .bursts_kept = sequences,
                                 .decode_factor = 1,
                                 .prompt_factor = 1,
                                 .credit = sequences};
}

/* Between two measured numbers of rows it grows evenly; beyond the last, as it did before it. */
void engine_pace_calibrate_decode(struct engine_pace *pace, uint32_t rows, int64_t took_us)
{
    WEIR_ASSERT(rows > 0);
    if (rows > ENGINE_PACE_ROWS_MAX)
        return;
    uint32_t last = pace->decode_rows < rows ? pace->decode_rows : rows - 1;
    double from = pace->decode_us[last], took = (double)took_us;
    double each = last > 0 && took > from ? (took - from) / (rows - last) : 0;
    for (uint32_t i = last + 1; i <= ENGINE_PACE_ROWS_MAX; i++)
        pace->decode_us[i] = last == 0 ? took : from + each * (i - last);
    pace->decode_rows = rows;
}

void engine_pace_calibrate_prompt(struct engine_pace *pace, uint32_t tokens, int64_t took_us)
{
    WEIR_ASSERT(tokens > 0);
    double took = (double)took_us, each = took / tokens;
    if (pace->prompt_tokens > 0 && pace->prompt_tokens < tokens && took > pace->prompt_took_us)
        each = (took - pace->prompt_took_us) / (tokens - pace->prompt_tokens);
    if (each * tokens > took)
        each = took / tokens;
    pace->prompt_us = each;
    pace->prompt_fixed_us = took - each * tokens;
    pace->prompt_tokens = tokens;
    pace->prompt_took_us = took;
}

uint32_t engine_pace_budget(struct engine_pace *pace, const struct engine_demand *demand)
{
    uint32_t room = pace->batch > demand->writers ? pace->batch - demand->writers : 1;
    uint32_t writers = demand->writers + demand->other_writers; /* who wait for this step */
    if (writers == 0)
        return fitting(pace, ENGINE_PACE_BURST * (double)pace->target_us, room);
    if (pace->fixed > 0)
        return pace->fixed < room ? pace->fixed : room;
    double gained = (double)demand->writers / ENGINE_PACE_RARELY;
    pace->credit += gained;
    if (pace->credit > pace->bursts_kept)
        pace->credit = pace->bursts_kept;
    double writing = decode_us(pace, demand->writers);
    double target = (double)pace->target_us / (1 + demand->other_groups); /* each has its turn */
    if (target < writing * 2)
        target = writing * 2;
    uint32_t tokens = fitting(pace, target - writing, room);
    if (demand->prompt_tokens <= tokens)
        return tokens;
    uint32_t all = demand->prompt_tokens < room ? (uint32_t)demand->prompt_tokens : room;
    double done = (double)demand->prompts * all / (double)demand->prompt_tokens;
    bool burst =
        done >= writers &&
        engine_pace_estimate_us(pace, demand->writers, all) <= ENGINE_PACE_BURST * target &&
        pace->credit >= writers;
    if (!burst)
        return tokens;
    pace->credit -= writers;
    return all;
}

void engine_pace_measured(struct engine_pace *pace, uint32_t writers, uint32_t prompt_tokens,
                          int64_t took_us)
{
    double took = (double)took_us, writing = decode_us(pace, writers);
    if (prompt_tokens == 0 && writers > 0 && writing > 0)
        pace->decode_factor = towards(pace->decode_factor, pace->decode_factor * took / writing);
    double prompt = prompt_us(pace, prompt_tokens);
    if (prompt_tokens >= PROMPT_ROWS_MIN && took > writing && prompt > 0)
        pace->prompt_factor =
            towards(pace->prompt_factor, pace->prompt_factor * (took - writing) / prompt);
}

double engine_pace_estimate_us(const struct engine_pace *pace, uint32_t writers,
                               uint32_t prompt_tokens)
{
    return decode_us(pace, writers) + prompt_us(pace, prompt_tokens);
}

double engine_pace_prompt_us(const struct engine_pace *pace)
{
    return pace->prompt_us * pace->prompt_factor;
}

static uint32_t fitting(const struct engine_pace *pace, double us, uint32_t room)
{
    double each = engine_pace_prompt_us(pace), fixed = prompt_us(pace, 1) - each;
    double tokens = each > 0 ? (us - fixed) / each : room;
    if (tokens >= room)
        return room;
    uint32_t least = room < ENGINE_PACE_TOKENS_MIN ? room : ENGINE_PACE_TOKENS_MIN;
    return tokens > least ? (uint32_t)tokens : least;
}

static double decode_us(const struct engine_pace *pace, uint32_t writers)
{
    uint32_t rows = writers < ENGINE_PACE_ROWS_MAX ? writers : ENGINE_PACE_ROWS_MAX;
    return pace->decode_us[rows] * pace->decode_factor;
}

static double prompt_us(const struct engine_pace *pace, uint32_t tokens)
{
    double us = tokens == 0 ? 0 : pace->prompt_fixed_us + pace->prompt_us * tokens;
    return us * pace->prompt_factor;
}

static double towards(double from, double to)
{
    if (from <= 0)
        return to;
    if (to > from * JUMP_MAX)
        to = from * JUMP_MAX;
    return from + (to - from) / SLOWLY;
}
