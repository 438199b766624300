#include "engine_tokens.h"
#include <stdlib.h>

void engine_tokens_free(struct engine_tokens *tokens)
{
    free(tokens->at);
    *tokens = (struct engine_tokens){0};
}
