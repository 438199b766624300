/* engine_sampler: from a row of logits to one token, by the parameters of OpenAI's API and three
 * more (top_k, min_p, repeat_penalty). One sampler per request: its own random numbers, so that an
 * answer does not depend on who shares the batch.
 * One thread at a time (the engine's). No model library in here: a row is an array of floats.
 *
 * Order: logit bias, penalties, then (temperature 0) the greatest, or temperature, top_k, top_p,
 * min_p, and a draw. Logits so far below the greatest that they cannot change a float sum are
 * never looked at again: most of the work is two passes over the row.
 * A grammar is asked last: a token that it does not allow is struck out and another one drawn,
 * which comes to the same as a draw among those that it allows; only after many that it does not is
 * the whole vocabulary tried. */
#pragma once
#include "base.h"
#include "grammar_matcher.h"

enum { ENGINE_BIAS_MAX = 400, INFER_TOP_K_MAX = 1000000 };

struct engine_bias {
    int32_t token;
    float bias; /* added to the logit; -INFINITY: never */
};

struct engine_sampling {
    float temperature;       /* 0, or next to it: always the likeliest */
    float top_p;             /* 1: off */
    float min_p;             /* 0: off */
    int32_t top_k;           /* 0: off */
    float presence_penalty;  /* -2 to 2; over the tokens of the answer */
    float frequency_penalty; /* the same */
    float repeat_penalty;    /* 1: off; over the last repeat_last tokens, prompt included */
    int32_t repeat_last;
    uint64_t seed;
    const struct engine_bias *bias; /* copied by engine_sampler_new */
    size_t bias_count;
    struct grammar *grammar;             /* NULL: anything; held */
    const struct grammar_pieces *pieces; /* with a grammar; outlives the sampler */
    struct grammar_start start;          /* as grammar_matcher_new takes it; copied */
};

/* Temperature 1 and everything else off. The seed is 0: give one. */
struct engine_sampling engine_sampling_default(void);

struct engine_sampler;
struct engine_sampler *engine_sampler_new(const struct engine_sampling *sampling, uint32_t vocab);
void engine_sampler_free(struct engine_sampler *sampler);
AUTO_DEFINE(engine_sampler, engine_sampler_free)

/* Tells it tokens that came before the answer (repeat_penalty looks at the last of them). */
void engine_sampler_prompt(struct engine_sampler *sampler, const int32_t *tokens, size_t count);
/* Picks a token and remembers it. `logits` has `vocab` entries and is changed. Else one of these.
 */
enum {
    ENGINE_SAMPLER_BROKEN = -1, /* infinity is the greatest, or all is NaN or -infinity */
    ENGINE_SAMPLER_STUCK = -2,  /* no token of the vocabulary can go on with the grammar */
};
int32_t engine_sampler_pick(struct engine_sampler *sampler, float *logits);
/* The grammar is at its end: there is no next token to pick. */
bool engine_sampler_done(const struct engine_sampler *sampler);
