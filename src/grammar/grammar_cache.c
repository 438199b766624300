#include "grammar_cache.h"
#include "grammar_matcher.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct kept {
    struct text text; /* malloc */
    struct grammar *grammar;
    size_t bytes;  /* of both */
    uint64_t used; /* when, in takes */
};

struct grammar_cache {
    pthread_mutex_t mutex;
    struct kept kept[GRAMMAR_CACHE_MAX];
    size_t count, bytes;
    uint64_t takes, hits;
};

static struct kept *find(struct grammar_cache *g, struct text gbnf);
static void keep(struct grammar_cache *g, struct text gbnf, struct grammar *grammar);
static void drop_oldest(struct grammar_cache *g);
static bool can_begin(struct grammar *grammar, const struct grammar_pieces *pieces,
                      struct status *st);

struct grammar_cache *grammar_cache_new(void)
{
    struct grammar_cache *g = base_alloc(sizeof *g);
    pthread_mutex_init(&g->mutex, NULL);
    return g;
}

void grammar_cache_free(struct grammar_cache *g)
{
    if (g == NULL)
        return;
    while (g->count > 0)
        drop_oldest(g);
    pthread_mutex_destroy(&g->mutex);
    free(g);
}

bool grammar_cache_take(struct grammar_cache *g, struct text gbnf,
                        const struct grammar_pieces *pieces, struct grammar **out,
                        struct status *st)
{
    pthread_mutex_lock(&g->mutex);
    g->takes++;
    struct kept *kept = find(g, gbnf);
    bool ok = true;
    if (kept != NULL) {
        g->hits++;
        kept->used = g->takes;
        *out = grammar_hold(kept->grammar);
    } else {
        AUTO(grammar) struct grammar *grammar = NULL;
        ok = grammar_compile(gbnf, &grammar, st) && can_begin(grammar, pieces, st);
        if (ok) {
            keep(g, gbnf, grammar);
            *out = TAKE(grammar);
        }
    }
    pthread_mutex_unlock(&g->mutex);
    return ok;
}

void grammar_cache_counts(struct grammar_cache *g, size_t *kept, uint64_t *hits)
{
    pthread_mutex_lock(&g->mutex);
    *kept = g->count;
    *hits = g->hits;
    pthread_mutex_unlock(&g->mutex);
}

size_t grammar_cache_bytes(struct grammar_cache *g)
{
    pthread_mutex_lock(&g->mutex);
    size_t bytes = g->bytes;
    pthread_mutex_unlock(&g->mutex);
    return bytes;
}

static struct kept *find(struct grammar_cache *g, struct text gbnf)
{
    for (size_t i = 0; i < g->count; i++)
        if (text_equal(g->kept[i].text, gbnf))
            return &g->kept[i];
    return NULL;
}

static void keep(struct grammar_cache *g, struct text gbnf, struct grammar *grammar)
{
    size_t bytes = gbnf.len + grammar_bytes(grammar);
    while (g->count == GRAMMAR_CACHE_MAX ||
           (g->count > 0 && g->bytes + bytes > GRAMMAR_CACHE_BYTES_MAX))
        drop_oldest(g);
    char *copy = base_alloc(gbnf.len);
    if (gbnf.len > 0)
        memcpy(copy, gbnf.at, gbnf.len);
    g->kept[g->count++] = (struct kept){{copy, gbnf.len}, grammar_hold(grammar), bytes, g->takes};
    g->bytes += bytes;
}

static void drop_oldest(struct grammar_cache *g)
{
    size_t oldest = 0;
    for (size_t i = 1; i < g->count; i++)
        if (g->kept[i].used < g->kept[oldest].used)
            oldest = i;
    struct kept gone = g->kept[oldest];
    g->kept[oldest] = g->kept[--g->count];
    g->bytes -= gone.bytes;
    free((void *)(uintptr_t)gone.text.at);
    grammar_release(gone.grammar);
}

static bool can_begin(struct grammar *grammar, const struct grammar_pieces *pieces,
                      struct status *st)
{
    AUTO(grammar_matcher)
    struct grammar_matcher *matcher = grammar_matcher_new(grammar, pieces, NULL);
    for (uint32_t i = 0; i < pieces->count && !grammar_matcher_stuck(matcher); i++)
        if (grammar_matcher_allows(matcher, (int32_t)i))
            return true;
    if (grammar_matcher_stuck(matcher))
        return status_fail(st, STATUS_INVALID,
                           "the grammar matches nothing, or is too ambiguous to be followed");
    return status_fail(st, STATUS_INVALID, "no token of this model can begin the grammar");
}
