/* infer_text_call: the bodies of POST /v1/completions, /v1/tokenize and /v1/detokenize, read: what
 * takes plain text or tokens where chat takes a conversation. Every documented field is taken,
 * ignored, or refused by name. Fields of our own: those of infer_call.h, and parse_special.
 * Knows nothing of HTTP, and of the model its vocabulary's size alone. Any thread; nothing waits.
 */
#pragma once
#include "arena.h"
#include "base.h"
#include "infer_call.h"
#include "status.h"
#include "text.h"

enum { INFER_TEXT_PROMPTS_MAX = 64 }; /* times best_of: answers to one request */

/* One prompt: a text, or its tokens. */
struct infer_text_prompt {
    struct text text; /* at NULL: tokens */
    const int32_t *tokens;
    size_t tokens_count;
};

struct infer_text_completion {
    struct infer_call call; /* without messages; output_max is 16 unless given; n is best_of */
    struct infer_text_prompt *prompts;
    size_t prompts_count;
    bool listed; /* as a list of prompts: the first is prompt[0] */
    bool echo;
    bool parse_special; /* control tokens in a text count */
    bool logprobs;      /* are to be told */
    uint32_t shown;     /* of the call.n answers to each prompt, the best so many */
};
/* Owns: everything in `*out` is in `arena`.
 * Fails: STATUS_INVALID with the field at fault, STATUS_TOO_LARGE. */
MUST_CHECK bool infer_text_read_completion(struct text body, uint32_t vocab, struct arena *arena,
                                           struct infer_text_completion *out, struct status *st);

struct infer_text_tokenize {
    struct text model, prompt;
    bool add_special_tokens; /* the model's start token, where it wants one */
    bool parse_special;      /* "<|im_end|>" becomes that token */
    bool return_token_strs;
};
MUST_CHECK bool infer_text_read_tokenize(struct text body, struct arena *arena,
                                         struct infer_text_tokenize *out, struct status *st);

struct infer_text_detokenize {
    struct text model;
    const int32_t *tokens;
    size_t tokens_count;
};
MUST_CHECK bool infer_text_read_detokenize(struct text body, uint32_t vocab, struct arena *arena,
                                           struct infer_text_detokenize *out, struct status *st);
