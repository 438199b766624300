/* engine_tokens: a text as the numbers of a model's tokens. */
#pragma once
#include "base.h"

struct engine_tokens {
    int32_t *at; /* malloc; engine_tokens_free */
    uint32_t count, size;
};
void engine_tokens_free(struct engine_tokens *tokens);
