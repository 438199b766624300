#include "engine_draft.h"

enum { AGREE_MAX = 128, PLACES_MAX = 64 };

static uint32_t agree(const int32_t *tokens, uint32_t at, uint32_t count, uint32_t most);

void engine_draft_find(struct engine_draft *draft, const int32_t *tokens, uint32_t count)
{
    uint32_t need = draft->need > 0 ? draft->need : ENGINE_DRAFT_AGREE_MIN, best = 0, places = 0;
    draft->count = 0;
    if (count <= need)
        return;
    for (uint32_t at = count - 1; at >= need && places < PLACES_MAX && best < AGREE_MAX; at--) {
        /* tokens[at] would come next, as it came after tokens[at - 1] */
        if (tokens[at - 1] != tokens[count - 1])
            continue;
        uint32_t same = agree(tokens, at, count, AGREE_MAX);
        places++;
        if (same < need || same <= best)
            continue;
        best = same;
        draft->count = ENGINE_DRAFT_TOKENS;
        for (uint32_t i = 0; i < ENGINE_DRAFT_TOKENS; i++)
            draft->tokens[i] = at + i < count ? tokens[at + i] : draft->tokens[at + i - count];
    }
}

void engine_draft_was_right(struct engine_draft *draft, uint32_t right)
{
    uint32_t need = draft->need > 0 ? draft->need : ENGINE_DRAFT_AGREE_MIN;
    if (2 * right < draft->count)
        need = need < AGREE_MAX / 2 ? need * 2 : AGREE_MAX;
    else if (right == draft->count && need > ENGINE_DRAFT_AGREE_MIN)
        need /= 2;
    draft->need = need;
    draft->count = 0;
}

/* Of twenty tokens after so many that were the same, nineteen were seen to be so too: of eight
 * rows, 6.8 tokens come. */
bool engine_draft_pays(double with_us, double single_us)
{
    static const double tokens = 6.8, gain = 1.1;
    return single_us > 0 && with_us > 0 && with_us * gain < tokens * single_us;
}

/* How many tokens before `at` are those at the end. */
static uint32_t agree(const int32_t *tokens, uint32_t at, uint32_t count, uint32_t most)
{
    uint32_t same = 0;
    while (same < at && same < most && tokens[at - 1 - same] == tokens[count - 1 - same])
        same++;
    return same;
}
