#include "engine_logprobs.h"
#include <math.h>

/* exp(-30) of a million tokens changes the sum by less than a float can show. */
static const float far_below = -30.0F;

static float logprob_of(float logit, float max, double log_sum);
static void keep_likeliest(const float *row, uint32_t vocab, uint32_t tops,
                           struct engine_logprobs *out);

void engine_logprobs_of(const float *row, uint32_t vocab, int32_t token, uint32_t tops,
                        struct engine_logprobs *out)
{
    WEIR_ASSERT(token >= 0 && (uint32_t)token < vocab && tops <= ENGINE_LIKELY_MAX);
    float max = row[0];
    for (uint32_t i = 1; i < vocab; i++)
        max = row[i] > max ? row[i] : max;
    double sum = 0;
    for (uint32_t i = 0; i < vocab; i++) {
        float x = row[i] - max;
        if (x >= far_below)
            sum += (double)expf(x);
    }
    double log_sum = log(sum);
    out->chosen = logprob_of(row[token], max, log_sum);
    keep_likeliest(row, vocab, tops, out);
    for (uint32_t i = 0; i < out->count; i++)
        out->at[i].logprob = logprob_of(out->at[i].logprob, max, log_sum);
}

static float logprob_of(float logit, float max, double log_sum)
{
    double value = (double)(logit - max) - log_sum;
    if (!(value >= (double)INFER_LOGPROB_MIN))
        return INFER_LOGPROB_MIN;
    return value > 0 ? 0 : (float)value;
}

/* By insertion: few tokens of a row get past the last one kept. The logits go where the logarithms
 * will be. */
static void keep_likeliest(const float *row, uint32_t vocab, uint32_t tops,
                           struct engine_logprobs *out)
{
    out->count = 0;
    for (uint32_t i = 0; i < vocab && tops > 0; i++) {
        if (out->count == tops && !(row[i] > out->at[tops - 1].logprob))
            continue;
        uint32_t at = out->count < tops ? out->count++ : tops - 1;
        for (; at > 0 && row[i] > out->at[at - 1].logprob; at--)
            out->at[at] = out->at[at - 1];
        out->at[at] = (struct engine_likely){(int32_t)i, row[i]};
    }
}
