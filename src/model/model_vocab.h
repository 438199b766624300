/* model_vocab: text to tokens and back, by the model's own vocabulary. Any thread, once the model
 * is loaded; nothing here waits. */
#pragma once
#include "base.h"
#include "engine_tokens.h"
#include "status.h"
#include "text.h"

struct grammar_pieces;
struct model_vocab;
struct text_buf;

enum { MODEL_PIECE_BYTES_MAX = 512 };

/* Appends the tokens of `text`. `starts`: the text begins a prompt, so the model's start token goes
 * before it where the model wants one. `special`: texts of control tokens ("<|im_end|>") become
 * those tokens; else they are text like any other.
 * Fails: STATUS_TOO_LARGE when there would be more than `tokens_max`. */
MUST_CHECK bool model_vocab_tokenize(const struct model_vocab *vocab, struct text text, bool starts,
                                     bool special, uint32_t tokens_max, struct engine_tokens *out,
                                     struct status *st);
/* The bytes of a token, which may end inside a character; control tokens have none. */
size_t model_vocab_piece(const struct model_vocab *vocab, int32_t token,
                         char out[MODEL_PIECE_BYTES_MAX]);
/* The same for people and for logprobs: a control token has its text ("<|im_end|>"). */
size_t model_vocab_name(const struct model_vocab *vocab, int32_t token,
                        char out[MODEL_PIECE_BYTES_MAX]);
/* Adds tokens as one text: valid UTF-8, what cannot be is U+FFFD. `names`: control tokens have
 * their texts. False when the buffer is full. */
MUST_CHECK bool model_vocab_text(const struct model_vocab *vocab, const int32_t *tokens,
                                 size_t count, bool names, struct text_buf *out);
uint32_t model_vocab_count(const struct model_vocab *vocab);

/* All tokens in order, for grammars; control tokens have no bytes there, and what ends an answer is
 * marked. Made at the first call, which takes some tens of milliseconds. Owns: the vocabulary. */
const struct grammar_pieces *model_vocab_pieces(const struct model_vocab *vocab);

/* The length of the longest text of a control token ("<|im_end|>") at the very start of `text`, or
 * 0: what must not become that token when a user wrote it. */
size_t model_vocab_control_at(const struct model_vocab *vocab, struct text text);
