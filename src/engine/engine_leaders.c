#include "engine_leaders.h"
#include "engine_radix.h"
#include <stdlib.h>
#include <string.h>

enum { PLACES_MIN = 1024 };

/* One beginning; hash 0 is a free place. */
struct place {
    uint64_t hash;
    void *who;
};
struct engine_leaders {
    struct place *places; /* open addressing */
    size_t size, used;    /* size is a power of two, used at most half of it */
    uint64_t looks;
};

static struct place *place_of(struct engine_leaders *leaders, uint64_t hash);
static void grow(struct engine_leaders *leaders);
static uint64_t mix(uint64_t hash, uint64_t value);

struct engine_beginnings engine_beginnings_of(uint64_t scope, const int32_t *tokens, uint32_t count)
{
    struct engine_beginnings out = {.count = count / ENGINE_RADIX_BLOCK};
    uint64_t hash = mix(0, scope);
    if (out.count > 0)
        out.at = base_alloc(out.count * sizeof *out.at);
    for (uint32_t i = 0; i < out.count * ENGINE_RADIX_BLOCK; i++) {
        hash = mix(hash, (uint32_t)tokens[i]);
        if ((i + 1) % ENGINE_RADIX_BLOCK == 0)
            out.at[i / ENGINE_RADIX_BLOCK] = hash == 0 ? 1 : hash;
    }
    return out;
}

struct engine_leaders *engine_leaders_new(void)
{
    struct engine_leaders *leaders = base_alloc(sizeof *leaders);
    leaders->size = PLACES_MIN;
    leaders->places = base_alloc(leaders->size * sizeof *leaders->places);
    return leaders;
}

void engine_leaders_free(struct engine_leaders *leaders)
{
    if (leaders == NULL)
        return;
    free(leaders->places);
    free(leaders);
}

void engine_leaders_clear(struct engine_leaders *leaders)
{
    if (leaders->used > 0)
        memset(leaders->places, 0, leaders->size * sizeof *leaders->places);
    leaders->used = 0;
}

void engine_leaders_add(struct engine_leaders *leaders, const struct engine_beginnings *beginnings,
                        uint32_t done, void *who)
{
    WEIR_ASSERT(who != NULL);
    for (uint32_t k = done / ENGINE_RADIX_BLOCK; k < beginnings->count; k++) {
        if (2 * (leaders->used + 1) > leaders->size)
            grow(leaders);
        struct place *place = place_of(leaders, beginnings->at[k]);
        if (place->who != NULL)
            continue;
        *place = (struct place){beginnings->at[k], who};
        leaders->used++;
    }
}

void *engine_leaders_find(struct engine_leaders *leaders,
                          const struct engine_beginnings *beginnings)
{
    for (uint32_t k = beginnings->count; k-- > 0 && leaders->used > 0;) {
        const struct place *place = place_of(leaders, beginnings->at[k]);
        if (place->who != NULL)
            return place->who;
    }
    return NULL;
}

uint64_t engine_leaders_looks(const struct engine_leaders *leaders)
{
    return leaders->looks;
}

/* Where it stands, or the free place where it would. */
static struct place *place_of(struct engine_leaders *leaders, uint64_t hash)
{
    size_t at = (size_t)hash & (leaders->size - 1);
    leaders->looks++;
    while (leaders->places[at].hash != 0 && leaders->places[at].hash != hash) {
        at = (at + 1) & (leaders->size - 1);
        leaders->looks++;
    }
    return &leaders->places[at];
}

static void grow(struct engine_leaders *leaders)
{
    struct engine_leaders larger = {.size = 2 * leaders->size, .used = leaders->used};
    larger.places = base_alloc(larger.size * sizeof *larger.places);
    for (size_t i = 0; i < leaders->size; i++)
        if (leaders->places[i].hash != 0)
            *place_of(&larger, leaders->places[i].hash) = leaders->places[i];
    larger.looks += leaders->looks;
    free(leaders->places);
    *leaders = larger;
}

/* By Murmur's finish: its low bits are good enough for a place. */
static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) + UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ (hash >> 33)) * UINT64_C(0xff51afd7ed558ccd);
    return hash ^ (hash >> 29);
}
