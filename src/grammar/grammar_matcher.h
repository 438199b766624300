/* grammar_matcher: where an answer stands in its grammar, and which tokens may come next.
 * The grammar is walked by character; what the walk has found is kept as states with a transition
 * per class of characters, so that most tokens cost a look-up per byte. Memory is bounded: what is
 * kept is thrown away when it grows, and a grammar so ambiguous that a single place in it is too
 * much makes the matcher stuck.
 * One thread at a time. Nothing here waits. */
#pragma once
#include "base.h"
#include "grammar.h"
#include "grammar_pieces.h"
#include "text.h"

enum { INFER_TRIGGERS_MAX = 8, INFER_TRIGGER_BYTES_MAX = 64 };

/* A text from which on the grammar counts. */
struct grammar_trigger {
    struct text text; /* 1 to INFER_TRIGGER_BYTES_MAX bytes */
    size_t before;    /* so many of them come before what the grammar begins with; less than all */
    bool at_start;    /* only at the start of the answer */
    bool at_end;      /* only where a token ends with it: " to" is not in " tomorrow" */
};
/* Where an answer takes its grammar up. */
struct grammar_start {
    struct text written; /* the grammar begins with it, and it stands before the answer already */
    /* With these anything goes until the answer has one of them. */
    struct grammar_trigger triggers[INFER_TRIGGERS_MAX];
    size_t triggers_count;
};

struct grammar_matcher;

/* From the grammar's root. `pieces` must outlive it; the grammar is held. `start` (NULL: neither
 * text nor triggers) is copied; a `written` that the grammar does not have makes it stuck. */
struct grammar_matcher *grammar_matcher_new(struct grammar *grammar,
                                            const struct grammar_pieces *pieces,
                                            const struct grammar_start *start);
void grammar_matcher_free(struct grammar_matcher *matcher);
AUTO_DEFINE(grammar_matcher, grammar_matcher_free)

bool grammar_matcher_allows(struct grammar_matcher *matcher, int32_t token);
/* -INFINITY for every token that may not come next. */
void grammar_matcher_mask(struct grammar_matcher *matcher, float *row);
/* Goes on by a token, which must be allowed. */
void grammar_matcher_accept(struct grammar_matcher *matcher, int32_t token);
/* The grammar is at its end and nothing more may follow. */
bool grammar_matcher_done(const struct grammar_matcher *matcher);
/* Too ambiguous to be followed any further, from the start on or later. */
bool grammar_matcher_stuck(const struct grammar_matcher *matcher);
