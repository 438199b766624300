#include "infer_prompt.h"
#include <stdlib.h>
#include <string.h>

static bool tokenize(const struct model_vocab *vocab, struct text prompt, struct engine_tokens *out,
                     struct status *st);
static bool take_form(const struct infer_call *call, struct infer_prompt *out, struct status *st);
static struct text without_guards(char *text);

bool infer_prompt_make(const struct model_chat *chat, const struct model_vocab *vocab,
                       const struct infer_call *call, uint32_t context, struct infer_prompt *out,
                       struct status *st)
{
    struct model_chat_input input = {
        .messages = call->messages,
        .tools = call->tools_json,
        .must_call = call->tools.choice == INFER_TOOLS_REQUIRED,
        .parallel = call->tools.parallel,
        .no_thoughts = call->grammar.len > 0,
    };
    *out = (struct infer_prompt){.grammar = TEXT_NONE};
    if (!model_chat_apply(chat, &input, &out->chat, st))
        return false;
    struct engine_tokens *tokens = &out->tokens;
    bool ok = tokenize(vocab, (struct text){out->chat.prompt, out->chat.prompt_len}, tokens, st);
    free(TAKE(out->chat.prompt));
    return ok && infer_prompt_fits(tokens, context, "messages", st) && take_form(call, out, st);
}

void infer_prompt_free(struct infer_prompt *prompt)
{
    engine_tokens_free(&prompt->tokens);
    model_chat_output_free(&prompt->chat);
    prompt->grammar = TEXT_NONE;
}

bool infer_prompt_fits(const struct engine_tokens *prompt, uint32_t context, const char *field,
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
static bool tokenize(const struct model_vocab *vocab, struct text prompt, struct engine_tokens *out,
                     struct status *st)
{
    struct text guard = infer_call_guard();
    for (bool starts = true;; starts = false) {
        size_t end = text_find(prompt, guard);
        if (!model_vocab_tokenize(vocab, text_take(prompt, end), starts, true, UINT32_MAX, out, st))
            return false;
        if (end >= prompt.len)
            return true;
        prompt = text_skip(prompt, end + guard.len);
    }
}

static bool take_form(const struct infer_call *call, struct infer_prompt *out, struct status *st)
{
    if (call->tools_json == NULL) {
        out->grammar = call->grammar;
        if (call->grammar_lazy)
            out->start.triggers[out->start.triggers_count++].text = infer_tools_trigger();
        return true;
    }
    if (call->schema != NULL)
        return status_fail_field(st, STATUS_INVALID, "response_format",
                                 "response_format cannot stand beside tools with this model");
    out->grammar = without_guards(out->chat.grammar);
    out->start.written = text_of(out->chat.written);
    for (size_t i = 0; out->chat.lazy && i < out->chat.triggers_count; i++) {
        const struct model_chat_trigger *trigger = &out->chat.triggers[i];
        struct text text = text_of(trigger->text);
        if (out->start.triggers_count < INFER_TRIGGERS_MAX && text.len <= INFER_TRIGGER_BYTES_MAX)
            out->start.triggers[out->start.triggers_count++] =
                (struct grammar_trigger){text, trigger->before, trigger->at_start, trigger->at_end};
    }
    if (out->chat.lazy && out->start.triggers_count == 0)
        out->grammar = TEXT_NONE;
    return true;
}

/* In place: the template's grammar was made from texts that were guarded for the prompt. */
static struct text without_guards(char *text)
{
    struct text guard = infer_call_guard(), rest = text_of(text);
    size_t len = 0;
    while (rest.len > 0) {
        size_t found = text_find(rest, guard);
        memmove(text + len, rest.at, found);
        len += found;
        rest = text_skip(rest, found + guard.len);
    }
    return (struct text){text, len};
}
