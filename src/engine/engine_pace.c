#include "engine_pace.h"
#include "engine_sched.h"

enum {
    SLOWLY = 8,         /* of a difference, one in so many is believed at a time */
    JUMP_MAX = 4,       /* a step that took longer than so many times the estimate was disturbed */
    PROMPT_ROWS_MIN = 8 /* fewer say nothing about the time of one */
};

static uint32_t fitting(const struct engine_pace *pace, double us);
static uint32_t rows_of_writers(const struct engine_demand *demand);
static double burst_us(const struct engine_pace *pace, const struct engine_demand *demand);
static uint32_t all_writers(const struct engine_demand *demand);
static double target_us(const struct engine_pace *pace, const struct engine_demand *demand);
static uint32_t least(uint32_t a, uint32_t b);
static double decode_us(const struct engine_pace *pace, uint32_t writers);
static double prompt_us(const struct engine_pace *pace, uint32_t tokens);
static double towards(double from, double to);

void engine_pace_open(struct engine_pace *pace, uint32_t batch, uint32_t sequences,
                      int64_t target_us, uint32_t fixed)
{
    *pace = (struct engine_pace){.batch = batch,
                                 .fixed = fixed,
                                 .target_us = target_us,
                                 .credit_max = 2.0 * sequences,
                                 .decode_factor = 1,
                                 .prompt_factor = 1,
                                 .credit = 2.0 * sequences};
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

uint32_t engine_pace_prompts(const struct engine_pace *pace, const struct engine_demand *demand)
{
    uint32_t rows = rows_of_writers(demand);
    if (pace->fixed > 0 && all_writers(demand) > 0)
        return least(pace->fixed, pace->batch);
    return fitting(pace, burst_us(pace, demand) - decode_us(pace, rows));
}

uint32_t engine_pace_budget(struct engine_pace *pace, const struct engine_demand *demand)
{
    uint32_t rows = rows_of_writers(demand), most = engine_pace_prompts(pace, demand);
    if (all_writers(demand) == 0 || pace->fixed > 0)
        return most;
    double target = target_us(pace, demand), writing = decode_us(pace, rows);
    uint32_t tokens = fitting(pace, target - writing);
    if (demand->prompt_tokens <= tokens)
        return tokens;
    uint32_t all = demand->prompt_tokens < most ? (uint32_t)demand->prompt_tokens : most;
    bool one_done = (uint64_t)demand->prompts * all >= demand->prompt_tokens;
    if (one_done && all > tokens && demand->prompts + demand->waiting >= all_writers(demand)) {
        pace->credit -= all_writers(demand);
        return all;
    }
    bool done_soon = demand->first_tokens <= fitting(pace, 2 * target - writing);
    return demand->first_tokens > tokens && done_soon ? demand->first_tokens : tokens;
}

void engine_pace_measured(struct engine_pace *pace, uint32_t writers, uint32_t prompt_tokens,
                          int64_t took_us)
{
    WEIR_ASSERT(writers == 0 || prompt_tokens == 0);
    double took = (double)took_us, writing = decode_us(pace, writers);
    pace->credit += (double)writers / ENGINE_PACE_RARELY;
    if (pace->credit > pace->credit_max)
        pace->credit = pace->credit_max;
    if (writers > 0 && writing > 0)
        pace->decode_factor = towards(pace->decode_factor, pace->decode_factor * took / writing);
    double prompt = prompt_us(pace, prompt_tokens);
    if (prompt_tokens >= PROMPT_ROWS_MIN && prompt > 0)
        pace->prompt_factor = towards(pace->prompt_factor, pace->prompt_factor * took / prompt);
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

/* Prompt tokens of a step that takes so long. */
static uint32_t fitting(const struct engine_pace *pace, double us)
{
    double each = engine_pace_prompt_us(pace), fixed = prompt_us(pace, 1) - each;
    double tokens = each > 0 ? (us - fixed) / each : pace->batch;
    if (tokens >= pace->batch)
        return pace->batch;
    uint32_t few = least(ENGINE_PACE_TOKENS_MIN, pace->batch);
    return tokens > few ? (uint32_t)tokens : few;
}

/* Of the writers' step that follows, in which each prompt has a row too. */
static uint32_t rows_of_writers(const struct engine_demand *demand)
{
    return demand->writers > 0 ? demand->writers + demand->prompts : 0;
}

/* Who gets their next token later for this step: those of other groups, too. */
static uint32_t all_writers(const struct engine_demand *demand)
{
    return demand->writers + demand->other_writers;
}

/* How long both steps may take when it is worth it. */
static double burst_us(const struct engine_pace *pace, const struct engine_demand *demand)
{
    double target = target_us(pace, demand);
    return demand->shared || pace->credit < all_writers(demand) ? target
                                                                : ENGINE_PACE_BURST * target;
}

/* Of the writers' step and the step of prompts before it. Each group has its part. */
static double target_us(const struct engine_pace *pace, const struct engine_demand *demand)
{
    double least_us = decode_us(pace, rows_of_writers(demand)) * 2;
    double target = (double)pace->target_us;
    if (all_writers(demand) > 0)
        target /= 1 + demand->other_groups;
    return target > least_us ? target : least_us;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
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
