/* Any bytes as the bodies of completions, tokenize and detokenize. */
#include "infer_text_call.h"

enum { VOCAB = 1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(arena) struct arena *arena = arena_open(256 * MIB);
    struct text body = {(const char *)data, size};
    struct infer_text_completion completion;
    struct infer_text_tokenize there;
    struct infer_text_detokenize back;
    struct status st = {0};
    if (infer_text_read_completion(body, VOCAB, arena, &completion, &st)) {
        size_t answers = completion.prompts_count * completion.call.n;
        WEIR_ASSERT(completion.shown > 0 && completion.shown <= completion.call.n);
        WEIR_ASSERT(answers > 0 && (answers <= INFER_TEXT_PROMPTS_MAX || !completion.listed));
        for (size_t i = 0; i < completion.prompts_count; i++) {
            const struct infer_text_prompt *prompt = &completion.prompts[i];
            WEIR_ASSERT(prompt->tokens != NULL ||
                        (prompt->tokens_count == 0 && text_utf8_valid(prompt->text)));
            for (size_t k = 0; k < prompt->tokens_count; k++)
                WEIR_ASSERT(prompt->tokens[k] >= 0 && prompt->tokens[k] < VOCAB);
        }
    } else {
        WEIR_ASSERT(st.code == STATUS_INVALID || st.code == STATUS_TOO_LARGE);
    }
    if (infer_text_read_tokenize(body, arena, &there, &st))
        WEIR_ASSERT(text_utf8_valid(there.prompt));
    if (infer_text_read_detokenize(body, VOCAB, arena, &back, &st))
        for (size_t k = 0; k < back.tokens_count; k++)
            WEIR_ASSERT(back.tokens[k] >= 0 && back.tokens[k] < VOCAB);
    return 0;
}
