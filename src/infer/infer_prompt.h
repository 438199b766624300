/* infer_prompt: from a conversation to the tokens of its prompt, and to what the answer must be
 * like. Any thread; takes from a fraction of a millisecond to many for a long one: the caller runs
 * long ones off the loop. */
#pragma once
#include "base.h"
#include "infer_call.h"
#include "model_chat.h"
#include "model_vocab.h"
#include "status.h"
#include "text.h"

struct infer_prompt {
    struct engine_tokens tokens;
    struct model_chat_output chat; /* `prompt` is not kept */
    /* What the answer must follow: the model's own form of calls, or what the call asked for. */
    struct text grammar; /* "" for nothing; lives as long as this and the call */
    struct grammar_start start;
};

/* What is guarded in the call's messages stays text.
 * Owns: `*out`, infer_prompt_free, also after a failure.
 * Fails: STATUS_INVALID, with the numbers when the prompt and one token do not fit in `context`. */
MUST_CHECK bool infer_prompt_make(const struct model_chat *chat, const struct model_vocab *vocab,
                                  const struct infer_call *call, uint32_t context,
                                  struct infer_prompt *out, struct status *st);
void infer_prompt_free(struct infer_prompt *prompt);

/* That there is something, and room for one token more. `field` is what of the body it is.
 * Fails: STATUS_INVALID, with the numbers. */
MUST_CHECK bool infer_prompt_fits(const struct engine_tokens *prompt, uint32_t context,
                                  const char *field, struct status *st);
