/* engine: one model on one thread. It loads the weights, and then runs step after step: drop
 * who is cancelled, one row for every request that is writing, the rest of the token budget for
 * prompts, decode, sample, hand out (engine_sched.h has the rules).
 *
 * Threads: the engine thread alone touches the model's context. Everything below is called on the
 * thread of the loop that the engine was opened on; a request meets the engine thread in atomic
 * flags, in a ring of tokens (one writer, one reader) and in a list of new requests (many writers,
 * one reader). Once per step the engine posts to the loop, and the loop wakes the fibers whose
 * rings have something.
 * Tokens in, tokens out: text, stop strings and HTTP are for others (model_answer.h, src/infer). */
#pragma once
#include "base.h"
#include "engine_logprobs.h"
#include "engine_sampler.h"
#include "status.h"
#include "text.h"

enum { ENGINE_ENDS_MAX = 32 };

struct engine_backend;
struct engine;
struct engine_request;
struct loop;

enum engine_drafting {
    ENGINE_DRAFTING_AUTO, /* where it was measured to be quicker */
    ENGINE_DRAFTING_ON,
    ENGINE_DRAFTING_OFF,
    ENGINE_DRAFTING_COUNT
};

struct engine_options {
    size_t queue_requests_max;  /* waiting for a sequence; 0: 256 */
    size_t queue_tokens_max;    /* prompt tokens of those that wait; 0: 64 contexts */
    size_t tenant_requests_max; /* of one tenant; 0: three quarters of queue_requests_max */
    size_t tenant_tokens_max;   /* of one tenant; 0: three quarters of queue_tokens_max */
    int64_t step_ms_target;     /* of a step while somebody writes; 0: 100 */
    uint32_t prompt_budget;     /* prompt tokens of such a step; 0: what the target leaves */
    uint64_t cache_tokens;      /* of all sequences together; 0: what the backend has */
    uint32_t lag_tokens;        /* engine_sched.h; 0: 1,024 */
    size_t kept_bytes_max;      /* host memory for requests that had to go back into the queue, else
                                   they are computed again; 0: 256 MiB */
    uint32_t ring_tokens;       /* a reader may be this far behind before it is paused; 0: 256 */
    int64_t stall_ms_max;       /* a request paused for longer is dropped; 0: 30,000 */
    enum engine_drafting drafting; /* speculation (engine_draft.h) */
    bool prefix_off;               /* computed prompts are not kept (engine_radix.h) */
    uint64_t prefix_bytes_max;     /* memory for them; 0: 512 MiB, or an eighth of what is free */
    uint64_t prefix_tenant_bytes_max; /* one tenant's share of it; 0: a quarter */
    /* On the loop's thread, when the state has changed (engine_state). May be NULL. */
    void (*changed)(void *arg);
    void *changed_arg;
};

enum engine_state {
    ENGINE_LOADING,
    ENGINE_READY,
    ENGINE_FAILED, /* for good: this process should end */
    ENGINE_STATE_COUNT
};

/* What the model is; fixed once the engine is ready. */
struct engine_facts {
    uint32_t context;              /* tokens of one request, prompt and answer together */
    uint32_t parallel;             /* sequences that run at once */
    uint32_t batch;                /* tokens of one step at most */
    uint64_t cache_tokens;         /* of all sequences together; 0: parallel * context */
    uint32_t vocab;                /* number of tokens known */
    int32_t ends[ENGINE_ENDS_MAX]; /* tokens by which the model says that it is done */
    uint32_t ends_count;
    uint64_t weights_bytes, kv_bytes;
    uint32_t window;   /* 0: a cached sequence can be cut at any token; else only one of at most so
                        * many tokens can, and a longer one goes on from its end alone */
    bool recurrent;    /* a cached sequence cannot be cut at all */
    uint32_t outputs;  /* rows of one step whose logits can be asked for; 0: parallel */
    uint32_t adapters; /* variants of it, besides itself; below ENGINE_SCHED_GROUPS_MAX */
};

struct engine_job {
    const int32_t *prompt; /* copied */
    uint32_t prompt_count; /* at least 1 */
    uint32_t output_max;   /* tokens; 0: what the context leaves */
    bool ignore_end;       /* the model may not say that it is done; for benchmarks */
    struct text tenant;    /* whose turn it is; "" for nobody's */
    bool is_public;   /* its prompt is the operator's own: every tenant may use what it computes */
    uint32_t weight;  /* of the tenant: engine_vtc.h; 0: the usual */
    uint32_t adapter; /* which variant of the model answers; 0: itself */
    bool logprobs;    /* each token comes with how likely it was, and with `tops` others */
    uint32_t tops;    /* at most ENGINE_LIKELY_MAX */
    struct engine_sampling sampling;
};

enum engine_ending {
    ENGINE_ENDING_NONE,      /* still running */
    ENGINE_ENDING_STOP,      /* the model said that it is done, or the grammar is at its end */
    ENGINE_ENDING_LENGTH,    /* output_max or the context is used up */
    ENGINE_ENDING_CANCELLED, /* engine_request_cancel */
    ENGINE_ENDING_STALLED,   /* nobody read its ring for stall_ms_max */
    ENGINE_ENDING_STUCK,     /* the grammar allows no token that the model has */
    ENGINE_ENDING_FAILED,    /* the backend broke */
    ENGINE_ENDING_COUNT
};

struct engine_timing {
    int64_t queue_us, prefill_us, decode_us; /* submit to start, to first token, to the end */
};

struct engine_stats {
    size_t queued, queued_tokens, prefilling, decoding, paused;
    size_t sequences_free;
    uint64_t kv_tokens_held; /* reserved now; 0 when nothing runs */
    uint64_t kept_bytes;     /* of requests that had to go back into the queue */
    uint64_t requests, refused, cancelled, stalled, failed;
    uint64_t preempted; /* times that a request had to go back */
    uint64_t prompt_tokens, output_tokens, steps;
    uint64_t drafted, drafts_right; /* tokens that were computed before they were known to come */
    uint64_t prefix_hits, prefix_tokens; /* requests, and their prompt tokens, not computed again */
    uint64_t prefix_bytes, prefix_entries, prefix_evicted;
    int64_t step_us; /* moving average */
};

/* Starts the engine thread, which calls engine_backend_load and then runs; returns at once.
 * Owns: the engine takes `backend`. The loop must outlive it.
 * Fails: STATUS_SYSTEM when there is no thread to be had. */
MUST_CHECK bool engine_open(struct loop *loop, struct engine_backend *backend,
                            const struct engine_options *options, struct engine **out,
                            struct status *st);
/* Ends every request, then the thread; blocks for at most one step. All requests are released. */
void engine_close(struct engine *engine);
AUTO_DEFINE(engine, engine_close)

/* `*percent` (may be NULL): how far loading is; `why` (may be NULL): why it failed. */
enum engine_state engine_state(const struct engine *engine, int *percent, struct status *why);
const struct engine_facts *engine_facts(const struct engine *engine); /* ready */
void engine_stats(const struct engine *engine, struct engine_stats *out);

/* Queues a request. Does not wait.
 * Fails, before any work: STATUS_RATE_LIMITED when the tenant has as much waiting as it may,
 * STATUS_UNAVAILABLE when all together have, or while loading, or when failed, with retry_after_ms:
 * how long it would have waited by what is measured; STATUS_INVALID for a prompt that leaves no
 * room for one token of answer (the text names the numbers) or for a token that the model lacks. */
MUST_CHECK bool engine_submit(struct engine *engine, const struct engine_job *job,
                              struct engine_request **out, struct status *st);
/* Whether so many requests of a tenant, of `prompt_count` tokens in all, would be queued now; so
 * that a full house is known before a prompt is made. Fails as engine_submit does. */
MUST_CHECK bool engine_admits(struct engine *engine, struct text tenant, size_t requests,
                              size_t prompt_count, struct status *st);

struct engine_event {
    enum engine_ending ending; /* NONE: `token` is the next one of the answer */
    int32_t token;
    struct engine_logprobs logprobs; /* of `token`, when the job asked for them */
};
/* Waits for the next token or the end, in a fiber; after the end it says the end again. The token
 * by which a model ends is not given out, but engine_request_outputs counts it.
 * Fails: fiber.h; the request then still runs. */
MUST_CHECK bool engine_request_next(struct engine_request *request, int64_t deadline_us,
                                    struct engine_event *out, struct status *st);
/* The same without waiting: false when there is nothing yet. */
bool engine_request_poll(struct engine_request *request, struct engine_event *out);
/* Waits until one of the requests has something for engine_request_poll. */
MUST_CHECK bool engine_request_wait_any(struct engine_request *const *requests, size_t count,
                                        int64_t deadline_us, struct status *st);
/* The engine drops it before its next step. Its end is still delivered: CANCELLED, or STOP for a
 * reader that has found what it wanted (a stop string), unless it had ended by itself. */
void engine_request_cancel(struct engine_request *request);
void engine_request_finish(struct engine_request *request);
/* Valid when a token or the end was delivered; before the end, decode_us is up to now. */
struct engine_timing engine_request_timing(const struct engine_request *request);
/* Valid when a token or the end was delivered: prompt tokens that were known from before. */
uint32_t engine_request_cached(const struct engine_request *request);
/* Valid when the end was delivered: tokens sampled, with the one by which the model ended. */
uint32_t engine_request_outputs(const struct engine_request *request);
/* Cancels what still runs and gives up the handle; memory, sequence and cache follow by
 * themselves. NULL is fine. */
void engine_request_release(struct engine_request *request);
AUTO_DEFINE(engine_request, engine_request_release)
