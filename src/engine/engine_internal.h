/* engine_internal: what the parts of the engine share: engine.c runs on the loop's
 * thread; engine_run.c, engine_room.c (who is let in, who has to go back) and
 * engine_calibrate.c on the engine's. Each field says whose it is. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include "base.h"
#include "engine_backend.h"
#include "engine.h"
#include "engine_draft.h"
#include "engine_leaders.h"
#include "engine_pace.h"
#include "engine_quota.h"
#include "engine_ring.h"
#include "engine_sched.h"

struct fiber;

struct engine_request {
    struct engine *engine;
    _Atomic int holders; /* the handle and the engine; the last one frees */

    /* Set by submit, then read only. */
    int32_t *prompt; /* and behind it the answer: the engine thread's, as far as task.output */
    uint32_t prompt_count;
    struct text tenant; /* a copy */
    bool is_public;
    bool ignore_end;
    uint32_t tops;
    int64_t submitted_us;

    /* Between the threads. */
    struct engine_ring ring;          /* tokens, and below 0 the end: -1 - ending */
    struct engine_logprobs *logprobs; /* by place in the ring, written before it; NULL: not asked */
    _Atomic int wanted;               /* the ending asked for by the handle, or NONE */
    _Atomic bool starved;             /* the engine waits for room in the ring */
    struct engine_request *inbox_next; /* belongs to whoever holds the inbox */

    /* The engine thread's. The times are read by the loop's thread after the end came. */
    struct engine_task task;
    struct {
        struct engine_beginnings beginnings; /* made when it first waits behind others */
        bool hashed;
        bool entered;    /* what is known of the prompt was looked up */
        uint32_t cached; /* tokens that were; read by the loop's thread as the times are */
        uint32_t share_at, end_at; /* where the state is to be saved; 0: nowhere */
        int64_t held_us;           /* since when it waits for another's prompt; 0: it does not */
    } prefix;
    struct engine_draft draft;
    bool ahead; /* its sequence holds rows of a draft that are not known to be right */
    struct engine_sampler *sampler;
    struct engine_request *before, *after; /* in engine.all */
    struct engine_quota_share *share;      /* while it waits for the first time */
    int64_t paused_us;                     /* since when; 0: not paused */
    uint8_t *kept;                         /* its cache, while it waits again; NULL: not kept */
    size_t kept_bytes;
    uint32_t kept_tokens; /* that are in `kept` */
    int64_t started_us, first_us, ended_us;
    uint32_t outputs;

    /* The loop thread's. */
    struct engine_request *live_before, *live_after;
    struct fiber *waiter;
    enum engine_ending ending;
    bool delivered; /* a token or the end */
};

struct engine {
    struct engine_options options;
    struct engine_backend *backend;
    struct loop *loop;
    pthread_t thread;

    /* Between the threads. */
    _Atomic(struct engine_request *) inbox; /* newest first */
    _Atomic bool closing;
    _Atomic int state, percent;
    _Atomic bool posted;       /* a delivery is on its way to the loop */
    struct engine_facts facts; /* written before state becomes READY */
    struct status why;         /* written before state becomes FAILED */
    struct {
        _Atomic uint64_t requests, refused, cancelled, stalled, failed, preempted;
        _Atomic uint64_t prompt_tokens, output_tokens, steps;
        _Atomic uint64_t prompting, writing, paused, sequences_free, cache_held, kept_bytes;
        _Atomic uint64_t drafted, drafts_right;
        _Atomic uint64_t prefix_hits, prefix_tokens, prefix_bytes, prefix_entries, prefix_evicted;
        _Atomic int64_t step_us;
    } stats;
    struct {                        /* by what is measured, for those who are told to come again */
        _Atomic int64_t prompt_ns;  /* per token of a prompt */
        _Atomic int64_t writing_us; /* a step in which all write */
        _Atomic uint32_t output;    /* tokens that an answer usually has */
    } usual;
    pthread_mutex_t mutex; /* for the engine's sleep when it has nothing to do */
    pthread_cond_t cond;
    bool work; /* under mutex */

    /* The engine thread's. */
    struct engine_sched *sched;
    struct engine_prefix *prefix;
    struct engine_pace pace;
    struct engine_request *ahead;        /* has a draft in the step being made; NULL: nobody */
    double draft_us;                     /* of a step with a draft; 0: there are none */
    size_t kept_bytes;                   /* of all requests */
    struct engine_request *first, *last; /* all requests that have not ended, in order of arrival */
    struct engine_batch batch;
    float *raw; /* a row as the model gave it, for logprobs; NULL until somebody asks */
    bool dirty; /* something was put into a ring since the last delivery */

    /* The loop thread's. */
    struct engine_quota *quota;  /* NULL until the first request */
    struct engine_request *live; /* all handles */
    int state_told;
    bool free_when_delivered;
};

void *engine_thread(void *engine);
/* The engine thread's, in engine_calibrate.c: measures what steps take, for a few
 * tenths of a second, or one step of each kind. Fails: STATUS_INVALID, the backend cannot decode.
 */
MUST_CHECK bool engine_calibrate(struct engine *engine, struct status *st);
/* In engine_room.c, before each step: who has to goes back into the queue, its cache kept
 * where there is memory for it (true: somebody had to), and who can is let in. */
bool engine_make_room(struct engine *engine);
void engine_admit(struct engine *engine);
void engine_unkeep(struct engine *engine, struct engine_request *request);
void engine_wake(struct engine *engine); /* any thread */
void engine_deliver(void *engine);       /* on the loop's thread */
void engine_request_drop_holder(struct engine_request *request);
static inline struct engine_request *engine_request_of(struct engine_task *task)
{
    return (struct engine_request *)(void *)((char *)task - offsetof(struct engine_request, task));
}
