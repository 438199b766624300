#include "engine_sampler.h"
#include "rand.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 16, SUM_BLOCK = 512, TRIES_MAX = 24 };
/* exp(-40) times a million tokens is below what a float sum can hold beside 1. */
static const float exponent_min = -40.0F;
/* Below it only the greatest logit has a weight; one over much less is more than a float can be. */
static const float temperature_min = 1e-6F;

struct candidate {
    float weight;
    int32_t token;
};

struct engine_sampler {
    struct engine_sampling want;
    uint32_t vocab;
    uint64_t random; /* state of a splitmix64 */
    struct engine_bias *bias;
    uint16_t *answered; /* by token: how often in the answer; NULL without those penalties */
    int32_t *distinct;  /* the tokens with answered > 0 */
    uint32_t distinct_count;
    int32_t *recent; /* ring of the last repeat_last tokens; NULL without repeat_penalty */
    uint32_t recent_count, recent_next;
    uint32_t *seen; /* by token: the turn of adjust_repeated that saw it; NULL as `recent` */
    uint32_t turn;
    struct candidate *candidates;
    uint32_t candidates_size;
    struct grammar_matcher *matcher; /* NULL without a grammar */
    float *spare;                    /* a row to draw from while the other is kept; as `matcher` */
};

static int32_t draw(struct engine_sampler *s, float *logits);
static int32_t draw_allowed(struct engine_sampler *s, float *logits);
static void remember(struct engine_sampler *s, int32_t token);
static void remember_recent(struct engine_sampler *s, int32_t token);
static void adjust(struct engine_sampler *s, float *logits);
static void adjust_repeated(struct engine_sampler *s, float *logits);
static float row_max(const float *row, uint32_t count);
static int32_t row_find(const float *row, uint32_t count, float value);
static double to_weights(const float *row, uint32_t count, float max, float scale, float *out);
static double sum_weights(const struct engine_sampler *s, const float *row, float max);
static int32_t draw_from_row(struct engine_sampler *s, float *row, float max);
static int32_t draw_from_best(struct engine_sampler *s, const float *row, float max);
static uint32_t gather(struct engine_sampler *s, const float *row, float max, float exponent,
                       double *mass);
static void add_candidate(struct engine_sampler *s, uint32_t at, float weight, uint32_t token);
static void partition_best(struct candidate *at, uint32_t count, uint32_t best);
static uint32_t nucleus(const struct candidate *at, uint32_t count, double mass);
static double random_unit(struct engine_sampler *s);
static void *allocate(size_t count, size_t size);

struct engine_sampling engine_sampling_default(void)
{
    return (struct engine_sampling){
        .temperature = 1, .top_p = 1, .repeat_penalty = 1, .repeat_last = 64};
}

struct engine_sampler *engine_sampler_new(const struct engine_sampling *sampling, uint32_t vocab)
{
    WEIR_ASSERT(vocab > 0 && sampling->repeat_last >= 0 && sampling->bias_count <= ENGINE_BIAS_MAX);
    struct engine_sampler *s = allocate(1, sizeof *s);
    s->want = *sampling;
    s->vocab = vocab;
    s->random = sampling->seed;
    if (sampling->bias_count > 0) {
        s->bias = allocate(sampling->bias_count, sizeof *s->bias);
        memcpy(s->bias, sampling->bias, sampling->bias_count * sizeof *s->bias);
    }
    s->want.bias = s->bias;
    if (sampling->presence_penalty != 0 || sampling->frequency_penalty != 0) {
        s->answered = allocate(vocab, sizeof *s->answered);
        s->distinct = allocate(vocab, sizeof *s->distinct);
    }
    if (sampling->repeat_penalty != 1 && sampling->repeat_last > 0) {
        s->recent = allocate((size_t)sampling->repeat_last, sizeof *s->recent);
        s->seen = allocate(vocab, sizeof *s->seen);
    }
    if (sampling->grammar != NULL) {
        s->matcher = grammar_matcher_new(sampling->grammar, sampling->pieces, &sampling->start);
        s->spare = allocate(vocab, sizeof *s->spare);
    }
    return s;
}

void engine_sampler_free(struct engine_sampler *s)
{
    if (s == NULL)
        return;
    free(s->bias);
    free(s->answered);
    free(s->distinct);
    free(s->recent);
    free(s->seen);
    free(s->candidates);
    grammar_matcher_free(s->matcher);
    free(s->spare);
    free(s);
}

void engine_sampler_prompt(struct engine_sampler *s, const int32_t *tokens, size_t count)
{
    if (s->recent == NULL)
        return;
    size_t from = count > (size_t)s->want.repeat_last ? count - (size_t)s->want.repeat_last : 0;
    for (size_t i = from; i < count; i++)
        remember_recent(s, tokens[i]);
}

int32_t engine_sampler_pick(struct engine_sampler *s, float *logits)
{
    adjust(s, logits);
    int32_t token = s->matcher == NULL ? draw(s, logits) : draw_allowed(s, logits);
    if (token >= 0)
        remember(s, token);
    return token;
}

bool engine_sampler_done(const struct engine_sampler *s)
{
    return s->matcher != NULL && grammar_matcher_done(s->matcher);
}

static int32_t draw(struct engine_sampler *s, float *logits)
{
    float max = row_max(logits, s->vocab);
    if (!isfinite(max))
        return ENGINE_SAMPLER_BROKEN;
    if (s->want.temperature < temperature_min || s->want.top_k == 1)
        return row_find(logits, s->vocab, max);
    if (s->want.top_p < 1 || s->want.min_p > 0 || s->want.top_k > 0)
        return draw_from_best(s, logits, max);
    if (s->spare != NULL) {
        memcpy(s->spare, logits, s->vocab * sizeof *logits);
        logits = s->spare;
    }
    return draw_from_row(s, logits, max);
}

static int32_t draw_allowed(struct engine_sampler *s, float *logits)
{
    if (grammar_matcher_stuck(s->matcher))
        return ENGINE_SAMPLER_STUCK;
    int32_t token = draw(s, logits);
    if (token < 0)
        return token;
    for (int i = 0; i < TRIES_MAX && token >= 0 && !grammar_matcher_allows(s->matcher, token);
         i++) {
        logits[token] = -INFINITY;
        token = draw(s, logits);
    }
    if (token >= 0 && !grammar_matcher_allows(s->matcher, token)) {
        grammar_matcher_mask(s->matcher, logits);
        token = draw(s, logits);
    }
    if (token < 0)
        return ENGINE_SAMPLER_STUCK;
    grammar_matcher_accept(s->matcher, token);
    return token;
}

static void remember(struct engine_sampler *s, int32_t token)
{
    if (s->answered != NULL && s->answered[token] < UINT16_MAX)
        if (s->answered[token]++ == 0)
            s->distinct[s->distinct_count++] = token;
    if (s->recent != NULL)
        remember_recent(s, token);
}

static void remember_recent(struct engine_sampler *s, int32_t token)
{
    uint32_t size = (uint32_t)s->want.repeat_last;
    s->recent[s->recent_next] = token;
    s->recent_next = (s->recent_next + 1) % size;
    if (s->recent_count < size)
        s->recent_count++;
}

static void adjust(struct engine_sampler *s, float *logits)
{
    for (size_t i = 0; i < s->want.bias_count; i++)
        if (s->bias[i].token >= 0 && (uint32_t)s->bias[i].token < s->vocab)
            logits[s->bias[i].token] += s->bias[i].bias;
    for (uint32_t i = 0; i < s->distinct_count; i++) {
        int32_t token = s->distinct[i];
        logits[token] -=
            s->want.presence_penalty + s->want.frequency_penalty * (float)s->answered[token];
    }
    if (s->recent != NULL)
        adjust_repeated(s, logits);
}

/* Each token of the window once, however often it stands there. */
static void adjust_repeated(struct engine_sampler *s, float *logits)
{
    s->turn++; /* no answer has as many tokens as would bring it around */
    for (uint32_t i = 0; i < s->recent_count; i++) {
        int32_t token = s->recent[i];
        if (s->seen[token] == s->turn)
            continue;
        s->seen[token] = s->turn;
        if (logits[token] > 0)
            logits[token] /= s->want.repeat_penalty;
        else
            logits[token] *= s->want.repeat_penalty;
    }
}

/* Lanes, so that the compiler can use the wide maximum without being allowed to reorder. */
static float row_max(const float *row, uint32_t count)
{
    float lane[LANES];
    for (int j = 0; j < LANES; j++)
        lane[j] = -INFINITY;
    uint32_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (uint32_t j = 0; j < LANES; j++)
            lane[j] = row[i + j] > lane[j] ? row[i + j] : lane[j];
    for (; i < count; i++)
        lane[0] = row[i] > lane[0] ? row[i] : lane[0];
    for (int j = 1; j < LANES; j++)
        lane[0] = lane[j] > lane[0] ? lane[j] : lane[0];
    return lane[0];
}

static int32_t row_find(const float *row, uint32_t count, float value)
{
    for (uint32_t i = 0; i < count; i++)
        if (!(row[i] < value) && row[i] >= value)
            return (int32_t)i;
    return -1;
}

/* exp(x) for x in [exponent_min, 0] to about 2e-6: 2^n times a polynomial for 2^f. expf() is one
 * call per token of the vocabulary; this becomes a few wide instructions for several tokens. */
static inline float exp_quick(float x)
{
    float z = x * 1.44269504F;
    int32_t n = (int32_t)(z - 0.5F);
    float f = z - (float)n;
    float p =
        1 +
        f * (0.693147181F +
             f * (0.240226507F + f * (0.0555041087F + f * (0.00961812911F + f * 0.00133335581F))));
    int32_t bits = (n + 127) * (1 << 23);
    float power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

/* The weights of at most SUM_BLOCK logits, that of `max` 1; too small a one becomes 0. Returns
 * their sum. */
static double to_weights(const float *row, uint32_t count, float max, float scale, float *out)
{
    double total = 0;
    float lane[LANES] = {0};
    for (uint32_t i = 0; i < count; i++) {
        float x = (row[i] - max) * scale;
        bool there = x >= exponent_min; /* false for NaN */
        float weight = exp_quick(there ? x : 0);
        out[i] = there ? weight : 0;
    }
    uint32_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (uint32_t j = 0; j < LANES; j++)
            lane[j] += out[i + j];
    for (; i < count; i++)
        lane[0] += out[i];
    for (int j = 0; j < LANES; j++)
        total += (double)lane[j];
    return total;
}

static double sum_weights(const struct engine_sampler *s, const float *row, float max)
{
    float weights[SUM_BLOCK];
    double total = 0;
    for (uint32_t from = 0; from < s->vocab; from += SUM_BLOCK) {
        uint32_t count = s->vocab - from < SUM_BLOCK ? s->vocab - from : SUM_BLOCK;
        total += to_weights(row + from, count, max, 1 / s->want.temperature, weights);
    }
    return total;
}

static int32_t draw_from_row(struct engine_sampler *s, float *row, float max)
{
    double total = 0;
    for (uint32_t from = 0; from < s->vocab; from += SUM_BLOCK) {
        uint32_t count = s->vocab - from < SUM_BLOCK ? s->vocab - from : SUM_BLOCK;
        total += to_weights(row + from, count, max, 1 / s->want.temperature, row + from);
    }
    double left = random_unit(s) * total;
    int32_t last = -1;
    for (uint32_t i = 0; i < s->vocab; i++) {
        if (row[i] <= 0)
            continue;
        last = (int32_t)i;
        left -= (double)row[i];
        if (left < 0)
            break;
    }
    return last;
}

/* Draws among what top_k, top_p and min_p leave. Only tokens over a threshold are looked at
 * closely; it falls until what is over it is enough, which the first value nearly always is. What
 * top_p is a share of is known only where it stands alone; beside top_k, what those that are still
 * missing could add at most decides. */
static int32_t draw_from_best(struct engine_sampler *s, const float *row, float max)
{
    uint32_t count = 0, top_k = s->want.top_k > 0 ? (uint32_t)s->want.top_k : s->vocab;
    double mass = 0, total = 0;
    bool limited = top_k < s->vocab;
    if (s->want.top_p < 1 && !limited)
        total = sum_weights(s, row, max);
    for (float threshold = limited ? 1e-5F : 1e-3F;; threshold *= 1e-4F) {
        bool all = threshold < 1e-18F;
        count = gather(s, row, max, all ? exponent_min : logf(threshold), &mass);
        if (all || count >= top_k || threshold <= s->want.min_p)
            break;
        if (limited)
            total = mass + (double)(top_k - count) * (double)threshold;
        if (s->want.top_p < 1 && mass >= (double)s->want.top_p * total)
            break;
    }
    if (count > top_k) {
        partition_best(s->candidates, count, top_k);
        count = top_k;
    }
    if (limited) {
        total = 0;
        for (uint32_t i = 0; i < count; i++)
            total += (double)s->candidates[i].weight;
    }
    partition_best(s->candidates, count, count);
    if (s->want.top_p < 1)
        count = nucleus(s->candidates, count, (double)s->want.top_p * total);
    WEIR_ASSERT(count <= s->candidates_size);
    double kept = 0;
    uint32_t keep = 0;
    for (; keep < count && s->candidates[keep].weight >= s->want.min_p; keep++)
        kept += (double)s->candidates[keep].weight;
    double left = random_unit(s) * kept;
    for (uint32_t i = 0; i < keep; i++) {
        left -= (double)s->candidates[i].weight;
        if (left < 0)
            return s->candidates[i].token;
    }
    return s->candidates[keep > 0 ? keep - 1 : 0].token;
}

/* The tokens whose weight is not under exp(`exponent`); `*mass` is their sum. */
static uint32_t gather(struct engine_sampler *s, const float *row, float max, float exponent,
                       double *mass)
{
    float scale = 1 / s->want.temperature, least = max + exponent * s->want.temperature;
    uint32_t count = 0;
    *mass = 0;
    for (uint32_t from = 0; from < s->vocab; from += LANES) {
        uint32_t to = s->vocab - from < LANES ? s->vocab : from + LANES;
        int some = to - from < LANES;
        if (!some)
            for (uint32_t j = 0; j < LANES; j++)
                some |= row[from + j] >= least;
        for (uint32_t i = from; some && i < to; i++) {
            float x = (row[i] - max) * scale;
            if (!(row[i] >= least) || !(x >= exponent_min))
                continue;
            float weight = exp_quick(x);
            add_candidate(s, count++, weight, i);
            *mass += (double)weight;
        }
    }
    return count;
}

static void add_candidate(struct engine_sampler *s, uint32_t at, float weight, uint32_t token)
{
    if (at == s->candidates_size) {
        s->candidates_size = s->candidates_size == 0 ? 1024 : s->candidates_size * 2;
        struct candidate *grown = allocate(s->candidates_size, sizeof *grown);
        if (at > 0)
            memcpy(grown, s->candidates, at * sizeof *grown);
        free(s->candidates);
        s->candidates = grown;
    }
    s->candidates[at] = (struct candidate){weight, (int32_t)token};
}

/* Heavier first; among equals the lower token, so that a draw can be repeated anywhere. */
static int candidate_order(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;
    if (a->weight > b->weight)
        return -1;
    if (a->weight < b->weight)
        return 1;
    return a->token < b->token ? -1 : a->token > b->token;
}

/* The `best` heaviest come to the front; in order when best == count. */
static void partition_best(struct candidate *at, uint32_t count, uint32_t best)
{
    uint32_t low = 0, high = count;
    if (best >= count) {
        qsort(at, count, sizeof *at, candidate_order);
        return;
    }
    while (high - low > 1) {
        struct candidate pivot = at[low + (high - low) / 2];
        uint32_t i = low, j = high - 1;
        for (;;) {
            while (candidate_order(&at[i], &pivot) < 0)
                i++;
            while (candidate_order(&pivot, &at[j]) < 0)
                j--;
            if (i >= j)
                break;
            struct candidate swap = at[i];
            at[i] = at[j];
            at[j] = swap;
        }
        /* `pivot` now stands at i; tokens differ, so it is alone with its order. */
        if (i == best)
            return;
        if (i < best)
            low = i + 1;
        else
            high = i;
    }
}

/* How many of the sorted candidates it takes to reach `mass`; at least one. */
static uint32_t nucleus(const struct candidate *at, uint32_t count, double mass)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += (double)at[i].weight;
        if (sum >= mass)
            return i + 1;
    }
    return count;
}

static double random_unit(struct engine_sampler *s)
{
    s->random += 0x9e3779b97f4a7c15U;
    uint64_t z = s->random;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-53;
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    WEIR_ASSERT(memory != NULL);
    return memory;
}
