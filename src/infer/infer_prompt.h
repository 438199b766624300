/* infer_prompt: from a conversation to the tokens of its prompt. Any thread; takes from a fraction
 * of a millisecond to many for a long one: the caller runs long ones off the loop. */
#pragma once
#include "base.h"
#include "infer_vocab.h"
#include "status.h"
#include "text.h"

struct infer_chat;

/* `messages` as in struct infer_call; what is guarded there stays text.
 * Owns: `*out`, infer_tokens_free, also after a failure.
 * Fails: STATUS_INVALID, with the numbers when the prompt and one token do not fit in `context`. */
MUST_CHECK bool infer_prompt_make(const struct infer_chat *chat, const struct infer_vocab *vocab,
                                  const char *messages, uint32_t context, struct infer_tokens *out,
                                  struct status *st);

/* That there is something, and room for one token more. `field` is what of the body it is.
 * Fails: STATUS_INVALID, with the numbers. */
MUST_CHECK bool infer_prompt_fits(const struct infer_tokens *prompt, uint32_t context,
                                  const char *field, struct status *st);
