/* grammar: what an answer may be, in GBNF (llama.cpp's notation for grammars), made ready to
 * be walked along by grammar_matcher.h.
 * A grammar comes from strangers, so everything about it is bounded: its text, how deep groups
 * nest, how much repetitions unfold to, and a rule may not begin with itself. That is why it is not
 * llama.cpp's own reader: that one recurses without a limit, takes exponential time to look for
 * left recursion, misses some of it, prints the text on stderr, and ends the process by exception.
 * Not taken: elements that name tokens (<[7]>, !<x>).
 * A compiled grammar does not change: any thread. Nothing here waits. */
#pragma once
#include "base.h"
#include "status.h"
#include "text.h"

enum { GRAMMAR_BYTES_MAX = 1 << 20 };

struct grammar;

/* `gbnf` is UTF-8; its rule `root` is where an answer begins.
 * Owns: the caller, grammar_release.
 * Fails: STATUS_INVALID with line and column; STATUS_TOO_LARGE over a limit. */
MUST_CHECK bool grammar_compile(struct text gbnf, struct grammar **out, struct status *st);
/* One more owner. */
struct grammar *grammar_hold(struct grammar *grammar);
void grammar_release(struct grammar *grammar);
size_t grammar_bytes(const struct grammar *grammar); /* of memory */
AUTO_DEFINE(grammar, grammar_release)
