/* relay_call: one call to a model, from admission to settlement: the one function behind /v1 and
 * chat alike.
 *
 *     struct relay_call_options options = {…};
 *     AUTO(relay_call) struct relay_call *call = NULL;
 *     if (!relay_call_open(worker, &options, &call, st))  // routes, retries, waits for the head
 *         return false;
 *     while (relay_call_read(call, &piece, st) && piece.len > 0)
 *         …
 *     relay_call_settle(call, RELAY_ENDING_FINISHED, &usage);
 *
 * A call that is closed without being settled counts as left by its client. Closing it early closes
 * the connection, which tells the upstream to stop.
 * Waits: open, read and body. Belongs to one fiber of the worker's loop. */
#pragma once
#include "arena.h"
#include "base.h"
#include "relay_chunk.h"
#include "relay_metrics.h"
#include "relay_registry.h"
#include "relay_request.h"
#include "status.h"
#include "text.h"

struct http_tls;
struct loop;
struct relay_call;
struct relay_worker;

/* How long a call waits for what, and for how many connections there is room; 0 is the default. */
struct relay_limits {
    int64_t stream_max_ms; /* of one call; 15 min */
    /* Of an upstream. */
    int64_t connect_ms;      /* name, TCP and TLS; 5 s */
    int64_t first_byte_ms;   /* to the head of a stream; 1 min */
    int64_t answer_ms;       /* to the head of an answer that comes as a whole; 10 min */
    int64_t idle_ms;         /* silence within an answer; 30 s */
    int64_t keepalive_ms;    /* a connection that nobody uses; 30 s */
    size_t connections_max;  /* of one worker to one of them; 4,096 */
    size_t connections_idle; /* of those, kept for the next call; 64 */
    /* Of a local model. */
    int64_t local_wait_ms;       /* for one that is asleep or loading; 1 min */
    int64_t local_first_byte_ms; /* 10 min: its queue is ours, and says no by itself */
    int64_t local_idle_ms;       /* 2 min */
};

struct relay_worker_options {
    struct relay_registry *registry;
    struct relay_metrics *metrics; /* NULL: none */
    struct http_tls *tls;          /* for https upstreams; NULL: there are none */
    struct relay_limits limits;
};
/* One for each worker thread, with its own connections. */
struct relay_worker *relay_worker_open(struct loop *loop,
                                       const struct relay_worker_options *options);
void relay_worker_close(struct relay_worker *worker); /* no call is open */
AUTO_DEFINE(relay_worker, relay_worker_close)
/* The models as this worker sees them now; valid until the fiber waits. */
const struct relay_snapshot *relay_worker_models(struct relay_worker *worker);

struct relay_call_options {
    const struct relay_request *request;
    struct text org_id; /* the tenant, for a fair turn in the engine */
    uint32_t weight;    /* its share there, 1 to 10,000; 0: the usual, 100 */
    struct text request_id;
    struct text trace_parent; /* empty: none */
    struct arena *arena;      /* outlives the call */
    bool no_wait;             /* a local model that is not ready fails at once */
    char *error_code;         /* gets the dialect's code of a failure; RELAY_CODE_BYTES, or NULL */
};
enum { RELAY_CODE_BYTES = 64, RELAY_RETRIES_MAX = 2 };

/* Finds the model and a target that takes the request, and waits for the head of its answer, which
 * is a good one. Before the first byte of it a call that could not be delivered is made again, at
 * most twice.
 * Fails: STATUS_NOT_FOUND (code model_not_found, field model); STATUS_INVALID, STATUS_TOO_LARGE as
 * the upstream said, with its code and field; STATUS_RATE_LIMITED, STATUS_UNAVAILABLE with
 * retry_after_ms; STATUS_UPSTREAM; STATUS_TIMEOUT; fiber.h. */
MUST_CHECK bool relay_call_open(struct relay_worker *worker,
                                const struct relay_call_options *options, struct relay_call **out,
                                struct status *st);
/* Whether a call to the model would be made, perhaps after a wait for it to be loaded: for refusing
 * before anything is stored. Does not wait.
 * Fails: STATUS_NOT_FOUND; STATUS_UNAVAILABLE with the reason. */
MUST_CHECK bool relay_call_check(struct relay_worker *worker, struct text model, struct status *st);

/* The next piece of the body as it came; empty at the end. Valid until the next read.
 * Fails: STATUS_UPSTREAM, STATUS_TIMEOUT; fiber.h. */
MUST_CHECK bool relay_call_read(struct relay_call *call, struct text *piece, struct status *st);
/* The whole body of an answer that is no stream, checked: one object of JSON. Owns: the arena.
 * Fails: as read; STATUS_UPSTREAM when it is something else. */
MUST_CHECK bool relay_call_body(struct relay_call *call, struct text *body,
                                struct relay_chunk *chunk, struct status *st);

struct text relay_call_model(const struct relay_call *call); /* the public name */
int64_t relay_call_head_us(const struct relay_call *call);   /* from open to the head */
/* Once: counts it. `usage` may be NULL when nothing is known. */
void relay_call_settle(struct relay_call *call, enum relay_ending ending,
                       const struct relay_usage *usage);
/* The ending that a failure of read means. */
enum relay_ending relay_call_ending_of(const struct status *st);
void relay_call_close(struct relay_call *call); /* NULL is fine */
AUTO_DEFINE(relay_call, relay_call_close)
