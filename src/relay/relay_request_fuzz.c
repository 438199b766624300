/* Any bytes as a body of each endpoint: what is taken can be rewritten, and what is sent on is
 * taken again and means the same. */
#include <stdlib.h>
#include <string.h>
#include "relay_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_and_write(enum relay_endpoint endpoint, struct text body, struct arena *arena)
{
    struct relay_request request, again;
    struct status st = {0};
    if (!relay_request_read(endpoint, body, arena, &request, &st))
        return;
    for (int local = 0; local < 2; local++) {
        body = relay_request_body(&request, TEXT("other \"name\""), local == 1, arena);
        bool ok = relay_request_read(endpoint, body, arena, &again, &st);
        WEIR_ASSERT(ok);
        WEIR_ASSERT(text_equal(again.model, TEXT("other \"name\"")));
        WEIR_ASSERT(again.stream == request.stream && again.n == request.n);
        WEIR_ASSERT(again.tokens_max == request.tokens_max);
        WEIR_ASSERT(text_equal(again.messages, request.messages));
        WEIR_ASSERT(!again.stream || again.include_usage);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(arena) struct arena *arena = arena_open(64 * MIB);
    char *copy = malloc(size + 1);
    WEIR_ASSERT(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    for (int endpoint = 0; endpoint < RELAY_ENDPOINT_COUNT; endpoint++)
        read_and_write((enum relay_endpoint)endpoint, (struct text){copy, size}, arena);
    free(copy);
    return 0;
}
