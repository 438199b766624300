/* Any bytes as a text, under a small vocabulary; and as a tokenizer.json. */
#include "model_wordpiece.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char vocab[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##a\nab\n##bc\n\xc3\xa9\n##\xe4\xb8\x80\n.\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct model_wordpiece *wp;
    struct status st = {0};
    if (wp == NULL && !model_wordpiece_open_lines(text_of(vocab), TEXT_NONE, &wp, &st))
        abort();
    struct text text = {(const char *)data, size};
    struct engine_tokens tokens = {0};
    size_t count = 0;
    if (model_wordpiece_encode(wp, text, 16, &tokens, &count, &st)) {
        WEIR_ASSERT(tokens.count <= 16 && tokens.count <= count && count <= 3 * size);
        for (uint32_t i = 0; i < tokens.count; i++)
            WEIR_ASSERT(tokens.at[i] >= 0 && (uint32_t)tokens.at[i] < model_wordpiece_count(wp));
    } else {
        WEIR_ASSERT(st.code == STATUS_INVALID && !text_utf8_valid(text));
    }
    engine_tokens_free(&tokens);
    struct model_wordpiece *other = NULL;
    st = (struct status){0};
    if (model_wordpiece_open(text, &other, &st))
        model_wordpiece_close(other);
    else
        WEIR_ASSERT(st.code != STATUS_OK && st.text[0] != 0);
    return 0;
}
