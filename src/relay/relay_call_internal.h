/* relay_call_internal: a worker and a call in progress, for the files of this folder. */
#pragma once
#include "relay_call.h"

struct http_client;
struct http_origin;
struct http_response;
struct relay_origin;

/* Belongs to one worker thread. */
struct relay_worker {
    struct relay_worker_options options;
    struct loop *loop;
    struct http_client *client;
    struct relay_snapshot *snapshot;
    struct relay_origin *origins;
    size_t origins_count, origins_size;
};

/* Belongs to the fiber that opened it. */
struct relay_call {
    struct relay_worker *worker;
    struct relay_snapshot *snapshot;
    const struct relay_model *model; /* in the snapshot */
    enum relay_endpoint endpoint;
    struct arena *arena;
    struct http_response *response;
    int64_t opened_us, head_us;
    int retries;
    bool admitted;     /* the target waits to hear how it went */
    bool says_address; /* the failure at hand names machines: it is not the caller's to read */
    bool settled;
    struct text body;
    struct relay_chunk chunk;
    struct status st; /* of work done on a thread of the pool */
    bool ok;
};

struct http_client *relay_worker_client(struct relay_worker *worker);
/* The worker's connections to `target`; lives while a row names it. Fails: STATUS_INVALID. */
MUST_CHECK bool relay_worker_origin(struct relay_worker *worker, struct relay_target *target,
                                    struct http_origin **out, struct status *st);

/* What an answer that says no (call->response, not 200) means for the caller, and whether the call
 * may be made once more, and when. Waits, for its body. Returns false. */
bool relay_call_refused(struct relay_call *call, const struct relay_call_options *options,
                        bool *again, int64_t *after_ms, struct status *st);
/* That the model does not do what the request asks of it. Returns false. */
bool relay_call_unsupported(const struct relay_model *model,
                            const struct relay_call_options *options, struct status *st);
