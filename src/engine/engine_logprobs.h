/* engine_logprobs: how likely the model itself held a token to be: from its row as it came, before
 * temperature, penalties, biases and grammar. Any thread; nothing here waits. */
#pragma once
#include "base.h"

enum { ENGINE_LIKELY_MAX = 20 };

struct engine_likely {
    int32_t token;
    float logprob; /* natural logarithm, at least INFER_LOGPROB_MIN */
};
struct engine_logprobs {
    float chosen;
    uint32_t count; /* as many as were asked for, or the vocabulary has */
    struct engine_likely at[ENGINE_LIKELY_MAX]; /* the likeliest first; of equals the lower token */
};

/* What stands for minus infinity, which JSON does not have. */
#define INFER_LOGPROB_MIN (-9999.0F)

/* `row` has `vocab` finite or infinite logits, at least one of them finite. */
void engine_logprobs_of(const float *row, uint32_t vocab, int32_t token, uint32_t tops,
                        struct engine_logprobs *out);
