/* engine_pace: how many prompt tokens a step may have, so that those who write get their next token
 * in time. What a step takes is known from a calibration at the start (rows of writers, tokens of
 * prompts) and corrected by every step after it. One thread; no clock: it is told what was
 * measured.
 *
 * While nobody writes a step takes all it can, but for no longer than ENGINE_PACE_BURST targets, so
 * that who comes then need not wait for long. Else as many tokens as fit in the target, and
 * never less than half of the time: where writing alone takes too long, prompts would trickle.
 * And where prompts stand that do not, but would be done in one longer step: computing them in
 * pieces takes the writers the same time in all, only more of them, since each prompt that is done
 * adds one. So such a burst is allowed when at least as many gain by it as wait for it, up to
 * ENGINE_PACE_BURST targets, and as long as it makes at most one gap in ENGINE_PACE_RARELY longer.
 */
#pragma once
#include "base.h"

enum {
    ENGINE_PACE_ROWS_MAX = 256, /* writers; beyond, it is computed as so many */
    ENGINE_PACE_BURST = 4,
    ENGINE_PACE_RARELY = 128,
    ENGINE_PACE_TOKENS_MIN = 32, /* prompts go on, however slow the machine has become */
};

struct engine_demand;

struct engine_pace {
    uint32_t batch;       /* rows of one step */
    uint32_t fixed;       /* not 0: so many tokens while somebody writes, always */
    int64_t target_us;    /* of a step in which somebody writes */
    uint32_t bursts_kept; /* long gaps in reserve, at most */
    double decode_us[ENGINE_PACE_ROWS_MAX + 1]; /* by writers, as calibrated */
    uint32_t decode_rows;                       /* the most writers that were measured */
    double decode_factor;                       /* what it takes now, over that */
    double prompt_fixed_us, prompt_us; /* of prompts: what is the same for any number, per token */
    double prompt_factor;              /* what it takes now, over that */
    uint32_t prompt_tokens;            /* calibrated last */
    double prompt_took_us;
    double credit; /* long gaps that are allowed */
};

void engine_pace_open(struct engine_pace *pace, uint32_t batch, uint32_t sequences,
                      int64_t target_us, uint32_t fixed);
/* A step of `rows` writers, or of `tokens` prompt tokens, took so long. In rising order. */
void engine_pace_calibrate_decode(struct engine_pace *pace, uint32_t rows, int64_t took_us);
void engine_pace_calibrate_prompt(struct engine_pace *pace, uint32_t tokens, int64_t took_us);

/* Prompt tokens for the next step; at least 1. */
uint32_t engine_pace_budget(struct engine_pace *pace, const struct engine_demand *demand);
/* A step had so many, and took so long. */
void engine_pace_measured(struct engine_pace *pace, uint32_t writers, uint32_t prompt_tokens,
                          int64_t took_us);
/* Of many prompt tokens, one, in microseconds. */
double engine_pace_prompt_us(const struct engine_pace *pace);
double engine_pace_estimate_us(const struct engine_pace *pace, uint32_t writers,
                               uint32_t prompt_tokens);
