/* relay_endpoint: what a model can be asked for, and how the dialect asks for it: one table. The
 * fields of each request stand in relay_request*.c. Any thread; nothing waits. */
#pragma once
#include "base.h"
#include "relay_json.h"
#include "text.h"

enum relay_endpoint {
    RELAY_CHAT,
    RELAY_COMPLETIONS,
    RELAY_EMBEDDINGS,
    RELAY_RERANK,
    RELAY_TOKENIZE,
    RELAY_DETOKENIZE,
    RELAY_ENDPOINT_COUNT
};

struct relay_endpoint_facts {
    const char *path; /* "/v1/chat/completions", here and at weir-infer */
    const char *does; /* "does not do embeddings" */
    const char *task; /* what a model that can is said to be for: "embeddings"; NULL: any */
    /* The member that every good answer has, and its kind. */
    const char *answer;
    enum relay_json_kind answer_kind;
    bool writes;   /* tokens: an answer's usage has completion_tokens */
    bool above_v1; /* upstreams have it at their root, not under /v1 */
};
const struct relay_endpoint_facts *relay_endpoint_facts(enum relay_endpoint endpoint);
