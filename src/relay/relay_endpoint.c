#include "relay_endpoint.h"
#include <assert.h>

const struct relay_endpoint_facts *relay_endpoint_facts(enum relay_endpoint endpoint)
{
    static const struct relay_endpoint_facts facts[] = {
        [RELAY_CHAT] = {"/v1/chat/completions", "chat completions", "chat", "choices",
                        RELAY_JSON_ARRAY, true, false},
        [RELAY_COMPLETIONS] = {"/v1/completions", "completions", "completions", "choices",
                               RELAY_JSON_ARRAY, true, false},
        [RELAY_EMBEDDINGS] = {"/v1/embeddings", "embeddings", "embeddings", "data",
                              RELAY_JSON_ARRAY, false, false},
        [RELAY_RERANK] = {"/v1/rerank", "reranking", "rerank", "results", RELAY_JSON_ARRAY, false,
                          false},
        [RELAY_TOKENIZE] = {"/v1/tokenize", "tokens", NULL, "tokens", RELAY_JSON_ARRAY, false,
                            true},
        [RELAY_DETOKENIZE] = {"/v1/detokenize", "tokens", NULL, "prompt", RELAY_JSON_STRING, false,
                              true},
    };
    static_assert(ARRAY_LEN(facts) == RELAY_ENDPOINT_COUNT, "an endpoint has no facts");
    WEIR_ASSERT(endpoint < RELAY_ENDPOINT_COUNT);
    return &facts[endpoint];
}
