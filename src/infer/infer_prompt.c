#include "infer_prompt.h"
#include "infer_call.h"
#include "infer_chat.h"

static bool tokenize(const struct infer_vocab *vocab, struct text prompt, struct infer_tokens *out,
                     struct status *st);

bool infer_prompt_make(const struct infer_chat *chat, const struct infer_vocab *vocab,
                       const char *messages, uint32_t context, struct infer_tokens *out,
                       struct status *st)
{
    struct infer_chat_input input = {.messages = messages};
    struct infer_chat_output rendered;
    *out = (struct infer_tokens){0};
    if (!infer_chat_apply(chat, &input, &rendered, st))
        return false;
    bool ok = tokenize(vocab, (struct text){rendered.prompt, rendered.prompt_len}, out, st);
    infer_chat_output_free(&rendered);
    return ok && infer_prompt_fits(out, context, "messages", st);
}

bool infer_prompt_fits(const struct infer_tokens *prompt, uint32_t context, const char *field,
                       struct status *st)
{
    if (prompt->count == 0)
        return status_fail_field(st, STATUS_INVALID, field, "the prompt is empty");
    if (prompt->count >= context)
        return status_fail_field(st, STATUS_INVALID, field,
                                 "this model's context is %u tokens; the prompt has %u", context,
                                 prompt->count);
    return true;
}

/* Between guards the template's control tokens count; across one nothing can become one. */
static bool tokenize(const struct infer_vocab *vocab, struct text prompt, struct infer_tokens *out,
                     struct status *st)
{
    struct text guard = infer_call_guard();
    for (bool starts = true;; starts = false) {
        size_t end = text_find(prompt, guard);
        if (!infer_vocab_tokenize(vocab, text_take(prompt, end), starts, true, UINT32_MAX, out, st))
            return false;
        if (end >= prompt.len)
            return true;
        prompt = text_skip(prompt, end + guard.len);
    }
}
