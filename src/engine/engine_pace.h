/* engine_pace: how many prompt tokens a step of prompts may have, so that those who write, in the
 * step after it, get their next token in time. What steps take is known from a calibration at the
 * start (rows of writers, tokens of prompts) and corrected by every step after it. One thread; no
 * clock: it is told what was measured.
 *
 * While nobody writes a step takes all it can, but for no longer than ENGINE_PACE_BURST targets, so
 * that who comes then need not wait for long; and for no longer than one when several tenants come
 * and go, since each is promised that the others do not matter. Else as many tokens as fit in the
 * target beside the writers' step, and never less than half of the time: where writing alone takes
 * too long, prompts would trickle. There are two reasons for more:
 * - Short prompts. Computing them in pieces takes the writers the same time in all, only more of
 *   them, since each prompt that is done adds one, and few rows are dear. So a burst of up to
 *   ENGINE_PACE_BURST targets is made when at least one prompt is done by it and at least as many
 *   stand or wait as write, as long as it makes at most one gap in ENGINE_PACE_RARELY longer; for
 *   one tenant alone.
 * - The first prompt of somebody who gets nothing yet is done at once if that takes no more than
 *   twice the target. */
#pragma once
#include "base.h"

enum {
    ENGINE_PACE_ROWS_MAX = 256, /* writers; beyond, it is computed as so many */
    ENGINE_PACE_BURST = 6,
    ENGINE_PACE_RARELY = 128,
    ENGINE_PACE_TOKENS_MIN = 32, /* prompts go on, however slow the machine has become */
};

struct engine_demand;

struct engine_pace {
    uint32_t batch;    /* rows of one step */
    uint32_t fixed;    /* not 0: so many tokens while somebody writes, always */
    int64_t target_us; /* of a step in which somebody writes */
    double decode_us[ENGINE_PACE_ROWS_MAX + 1]; /* by writers, as calibrated */
    uint32_t decode_rows;                       /* the most writers that were measured */
    double decode_factor;                       /* what it takes now, over that */
    double prompt_fixed_us, prompt_us; /* of prompts: what is the same for any number, per token */
    double prompt_factor;              /* what it takes now, over that */
    uint32_t prompt_tokens;            /* calibrated last */
    double prompt_took_us;
    double credit, credit_max; /* long gaps that are allowed */
};

void engine_pace_open(struct engine_pace *pace, uint32_t batch, uint32_t sequences,
                      int64_t target_us, uint32_t fixed);
/* A step of `rows` writers, or of `tokens` prompt tokens, took so long. In rising order. */
void engine_pace_calibrate_decode(struct engine_pace *pace, uint32_t rows, int64_t took_us);
void engine_pace_calibrate_prompt(struct engine_pace *pace, uint32_t tokens, int64_t took_us);

/* Prompt tokens that the next step could have at most; at least 1: more need not stand ready. */
uint32_t engine_pace_prompts(const struct engine_pace *pace, const struct engine_demand *demand);
/* Prompt tokens for a step of prompts; at least 1. */
uint32_t engine_pace_budget(struct engine_pace *pace, const struct engine_demand *demand);
/* A step had so many, of one kind, and took so long. */
void engine_pace_measured(struct engine_pace *pace, uint32_t writers, uint32_t prompt_tokens,
                          int64_t took_us);
/* Of many prompt tokens, one, in microseconds. */
double engine_pace_prompt_us(const struct engine_pace *pace);
double engine_pace_estimate_us(const struct engine_pace *pace, uint32_t writers,
                               uint32_t prompt_tokens);
