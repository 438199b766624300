/* infer_grammars: compiled grammars by their text, so that the thousandth request with the same
 * schema does not compile it again. Bounded by number and by bytes; what was not used for longest
 * goes. Any thread: calls wait for each other while one compiles. */
#pragma once
#include "base.h"
#include "infer_grammar.h"
#include "infer_pieces.h"
#include "status.h"
#include "text.h"

enum { INFER_GRAMMARS_MAX = 64, INFER_GRAMMARS_BYTES_MAX = 8 << 20 };

struct infer_grammars;
struct infer_grammars *infer_grammars_new(void);
void infer_grammars_free(struct infer_grammars *grammars);

/* Owns: the caller, infer_grammar_release.
 * Fails: as infer_grammar_compile; STATUS_INVALID for a grammar that no answer of the vocabulary
 * `pieces` can begin to follow, or that is too ambiguous to be followed. */
MUST_CHECK bool infer_grammars_take(struct infer_grammars *grammars, struct text gbnf,
                                    const struct infer_pieces *pieces, struct infer_grammar **out,
                                    struct status *st);
/* How many are kept, and how often one was there already. For metrics and tests. */
void infer_grammars_counts(struct infer_grammars *grammars, size_t *kept, uint64_t *hits);
