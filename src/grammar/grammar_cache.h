/* grammar_cache: compiled grammars by their text, so that the thousandth request with the same
 * schema does not compile it again. Bounded by number and by memory; what was not used for longest
 * goes. Any thread: calls wait for each other while one compiles. */
#pragma once
#include "base.h"
#include "grammar.h"
#include "grammar_pieces.h"
#include "status.h"
#include "text.h"

enum { GRAMMAR_CACHE_MAX = 64, GRAMMAR_CACHE_BYTES_MAX = 16 << 20 };

struct grammar_cache;
struct grammar_cache *grammar_cache_new(void);
void grammar_cache_free(struct grammar_cache *grammars);

/* Owns: the caller, grammar_release.
 * Fails: as grammar_compile; STATUS_INVALID for a grammar that no answer of the vocabulary
 * `pieces` can begin to follow, or that is too ambiguous to be followed. */
MUST_CHECK bool grammar_cache_take(struct grammar_cache *grammars, struct text gbnf,
                                   const struct grammar_pieces *pieces, struct grammar **out,
                                   struct status *st);
/* How many are kept, and how often one was there already. For metrics and tests. */
void grammar_cache_counts(struct grammar_cache *grammars, size_t *kept, uint64_t *hits);
size_t grammar_cache_bytes(struct grammar_cache *grammars);
