/* Any bytes as the body of a request. */
#include "infer_call.h"
#include "grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(arena) struct arena *arena = arena_open(256 * MIB);
    struct infer_call call;
    struct infer_call_model model = {.takes_tools = size % 2 == 1};
    struct status st = {0};
    if (infer_call_read((struct text){(const char *)data, size}, &model, arena, &call, &st)) {
        WEIR_ASSERT(call.messages[0] == '[' && call.n >= 1 && call.n <= INFER_CALL_N_MAX);
        WEIR_ASSERT(text_utf8_valid(text_of(call.messages)));
        AUTO(grammar) struct grammar *grammar = NULL;
        if (call.grammar.len > 0 && !grammar_compile(call.grammar, &grammar, &st))
            WEIR_ASSERT(st.code == STATUS_INVALID || st.code == STATUS_TOO_LARGE);
    } else {
        WEIR_ASSERT(st.code == STATUS_INVALID || st.code == STATUS_TOO_LARGE);
    }
    return 0;
}
