/* model_vocab_kept: control tokens whose texts are a part of an answer. Most are none; but a model
 * may begin a call by a token of its own ("[TOOL_CALLS]"), which whoever takes the answer apart,
 * and the grammar of calls, must see. Any thread, once made; nothing here waits. */
#pragma once
#include "base.h"
#include "grammar_pieces.h"
#include "model_vocab.h"

enum { MODEL_KEPT_MAX = 32 };

struct model_vocab_kept;

/* `texts` is ended by NULL. One that is not a control token is left out: it is text already.
 * Owns: the caller; the vocabulary outlives it. */
struct model_vocab_kept *model_vocab_kept_new(const struct model_vocab *vocab,
                                              const char *const *texts);
void model_vocab_kept_free(struct model_vocab_kept *kept);
AUTO_DEFINE(model_vocab_kept, model_vocab_kept_free)

/* As model_vocab_piece, but one that is kept has its text. */
size_t model_vocab_kept_piece(const struct model_vocab_kept *kept, int32_t token,
                              char out[MODEL_PIECE_BYTES_MAX]);
/* As model_vocab_pieces, with theirs. Owns: `kept`, or the vocabulary. */
const struct grammar_pieces *model_vocab_kept_pieces(struct model_vocab_kept *kept);
