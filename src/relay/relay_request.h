/* relay_request: the body of a call to a model, of any endpoint, read and rewritten in place.
 * Every field that OpenAI documents is checked for its type and range; what becomes of it then is
 * one table per endpoint in the .c files: passed on, dropped for local models, or refused for
 * local models by name. docs/api.md shows the same tables. A field that nobody documents is refused
 * by local models and passed on to other upstreams, which have fields of their own.
 * Knows nothing of HTTP. Any thread; nothing here waits. Bodies over RELAY_REQUEST_INLINE_BYTES
 * take long enough to be read off the loop (offload): the caller sees to it. */
#pragma once
#include "arena.h"
#include "base.h"
#include "relay_endpoint.h"
#include "relay_json.h"
#include "status.h"
#include "text.h"

enum {
    RELAY_REQUEST_INLINE_BYTES = 32 * 1024,
    RELAY_REQUEST_MODEL_BYTES_MAX = 256,
    RELAY_REQUEST_MESSAGES_MAX = 4096,
    RELAY_REQUEST_DROPS_MAX = 16,
};

struct relay_request {
    enum relay_endpoint endpoint;
    struct text body;
    struct text model; /* as the caller wrote it, decoded */
    bool stream;
    bool include_usage;   /* the caller asked for the usage chunk */
    int64_t n;            /* 1 unless asked */
    int64_t tokens_max;   /* 0 when not given */
    struct text messages; /* of a chat: the array, as it was written: what a router may hash */
    /* Where the body is changed on its way: spans of `body`. */
    struct relay_json_value model_value;
    struct relay_json_value stream_options;     /* raw.at NULL when absent */
    struct text drops[RELAY_REQUEST_DROPS_MAX]; /* values that local models need not know */
    size_t drops_count;
    const char *refused; /* the first field that a local model refuses, or NULL */
    char refused_name[RELAY_JSON_NAME_BYTES_MAX];
};

/* Reads and checks the `body` of a request to `endpoint`.
 * Owns: the texts in `*out` point into `body` or are in `arena`.
 * Fails: STATUS_INVALID with the field at fault, or with the place when it is no JSON. */
MUST_CHECK bool relay_request_read(enum relay_endpoint endpoint, struct text body,
                                   struct arena *arena, struct relay_request *out,
                                   struct status *st);

/* Whether a local model can serve it. Fails: STATUS_INVALID naming the field. */
MUST_CHECK bool relay_request_for_local(const struct relay_request *request, struct status *st);

/* The body for an upstream: its own name of the model, usage always asked for when streaming, and
 * for local models null in the members that only hosted platforms know. Everything else stays byte
 * for byte. */
struct text relay_request_body(const struct relay_request *request, struct text upstream_model,
                               bool local, struct arena *arena);
