/* infer_sampler: from a row of logits to one token, by the parameters of OpenAI's API and three
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
#include "infer_matcher.h"

enum { INFER_BIAS_MAX = 400, INFER_TOP_K_MAX = 1000000 };

struct infer_bias {
    int32_t token;
    float bias; /* added to the logit; -INFINITY: never */
};

struct infer_sampling {
    float temperature;       /* 0: always the likeliest */
    float top_p;             /* 1: off */
    float min_p;             /* 0: off */
    int32_t top_k;           /* 0: off */
    float presence_penalty;  /* -2 to 2; over the tokens of the answer */
    float frequency_penalty; /* the same */
    float repeat_penalty;    /* 1: off; over the last repeat_last tokens, prompt included */
    int32_t repeat_last;
    uint64_t seed;
    const struct infer_bias *bias; /* copied by infer_sampler_new */
    size_t bias_count;
    struct infer_grammar *grammar;            /* NULL: anything; held */
    const struct infer_pieces *pieces;        /* with a grammar; outlives the sampler */
    struct text triggers[INFER_TRIGGERS_MAX]; /* as infer_matcher_new takes them; copied */
    size_t triggers_count;
};

/* Temperature 1 and everything else off. The seed is 0: give one. */
struct infer_sampling infer_sampling_default(void);

struct infer_sampler;
struct infer_sampler *infer_sampler_new(const struct infer_sampling *sampling, uint32_t vocab);
void infer_sampler_free(struct infer_sampler *sampler);
AUTO_DEFINE(infer_sampler, infer_sampler_free)

/* Tells it tokens that came before the answer (repeat_penalty looks at the last of them). */
void infer_sampler_prompt(struct infer_sampler *sampler, const int32_t *tokens, size_t count);
/* Picks a token and remembers it. `logits` has `vocab` entries and is changed. Else one of these.
 */
enum {
    INFER_SAMPLER_BROKEN = -1, /* a row with NaN, or with nothing but -infinity: the model broke */
    INFER_SAMPLER_STUCK = -2,  /* no token of the vocabulary can go on with the grammar */
};
int32_t infer_sampler_pick(struct infer_sampler *sampler, float *logits);
/* The grammar is at its end: there is no next token to pick. */
bool infer_sampler_done(const struct infer_sampler *sampler);
