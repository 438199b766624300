/* engine_sched: whose tokens go into the next step. Pure bookkeeping: no clock, no model, no lock,
 * so that the engine thread and a test drive it in the same way.
 *
 * A task waits (no sequence), then its prompt is computed in chunks, then it writes, one row per
 * step, each row being the token sampled last. What it knows are prompt_count + output tokens, of
 * which `computed` are in the cache. One step is
 *     engine_sched_make_room until NULL  who has to go back into the queue
 *     engine_sched_admit until NULL      who is let in
 *     engine_sched_move until false      sequence numbers dense (see there)
 *     engine_sched_plan                  the chunks
 *     the backend decodes the plan
 *     engine_sched_advance               what the plan held is computed
 *     engine_sched_output                for each token sampled
 * Rules: steps of prompts and steps of writers take turns, as long as there are both. The backend
 * computes rows of unlike number one after the other anyway; and so a prompt's first token is out,
 * and who comes meanwhile is seen, before the others have theirs. In a writers' step every writing
 * task that is not paused has its row, and every prompt under way has one, too, since a gap in the
 * sequence numbers splits the batch and reads the weights twice. What the caller allows for a step
 * of prompts goes to tenants by their counters (engine_vtc.h), within a tenant to the shortest
 * first; two advance when two wait, unless one is done by it. Who is let in next is engine_vtc's
 * word.
 *
 * A step holds tasks of one group alone (those with the same adapter). Groups that have something
 * to compute take turns: as the counters of their tenants say, but one that has waited for a step
 * of each other one goes first, so that of two none waits for more than one step, and of n none for
 * 2 * n.
 *
 * The cache is counted in tokens. A task that is let in holds its prompt and as much of an answer
 * as answers usually have, and more in blocks of ENGINE_SCHED_BLOCK before it writes beyond that,
 * so a decode never finds the cache full. When there is nothing left to hold, when a tenant has
 * waited for long enough behind another one, or when those who run are all paused, a running task
 * goes back into the queue: the newest of the tenant that is furthest ahead, and never its only one
 * while another has two. It has lost nothing: what it knows is computed again, or the caller has
 * kept it (engine_sched_restored). */
#pragma once
#include "base.h"
#include "engine_vtc.h"

enum { ENGINE_SCHED_BLOCK = 64, ENGINE_SCHED_GROUPS_MAX = 32 };

enum engine_task_state {
    ENGINE_TASK_WAITING,
    ENGINE_TASK_PROMPT,
    ENGINE_TASK_WRITING,
    ENGINE_TASK_OUT, /* not known to the scheduler */
    ENGINE_TASK_STATE_COUNT
};

struct engine_task {
    /* Set before engine_sched_add. */
    uint32_t prompt_count; /* at least 1 */
    uint32_t output_max;   /* at least 1; prompt_count + output_max <= context */
    uint64_t tenant;
    uint32_t weight; /* of the tenant, at most ENGINE_VTC_WEIGHT_MAX; 0: ENGINE_VTC_WEIGHT_USUAL */
    uint32_t group;  /* below ENGINE_SCHED_GROUPS_MAX; steps hold no two */

    /* The scheduler's; others read. */
    enum engine_task_state state;
    int32_t sequence;     /* -1: none */
    uint32_t computed;    /* tokens in the cache: of the prompt, then of the answer */
    uint32_t output;      /* tokens sampled */
    uint32_t reserved;    /* cache tokens held */
    uint32_t charged;     /* prompt tokens for which its tenant has paid, or need not */
    uint32_t preemptions; /* how often it had to go back */
    uint64_t admitted;    /* the newest has the greatest */
    bool paused;          /* set by the caller at will: no row while it is true */
    uint32_t ahead;       /* so too: rows after its newest token, of a draft, in the next step; only
                           * of a writing task, and as long as they are within `reserved` */
    bool held;            /* so too: not let in while it is true; those behind it go first */
    uint32_t cut;         /* so too: a position that no chunk of the prompt crosses; 0: none */
    struct engine_vtc_place vtc;
};

struct engine_sched_options {
    uint32_t sequences;    /* at once; their numbers are 0 to sequences - 1 */
    uint32_t context;      /* tokens of one sequence */
    uint64_t cache_tokens; /* of all sequences together; at least `context` */
    uint32_t batch;        /* rows of one step; at least `sequences` */
    /* A tenant that waits and is so far behind a running one, in tokens of the usual weight, gets a
     * sequence of it; one that has nothing running gets it at once from one that has two or more.
     */
    uint32_t lag_tokens; /* 0: never */
};

struct engine_chunk {
    struct engine_task *task;
    uint32_t from;     /* position of its first token in the sequence */
    uint32_t count;    /* a writing task has one, its newest token, and its `ahead` */
    bool wants_output; /* sample from the row of its last token */
};
struct engine_plan {
    struct engine_chunk *chunks; /* ordered by sequence number */
    uint32_t count;
    uint32_t rows;  /* sum of the chunks' counts */
    uint32_t group; /* of all its tasks */
};

struct engine_sched;
struct engine_sched *engine_sched_new(const struct engine_sched_options *options);
void engine_sched_free(struct engine_sched *sched); /* it must be empty */

void engine_sched_add(struct engine_sched *sched, struct engine_task *task);
/* Takes a task out, in whatever state it is; its reservation and sequence are free again. Returns
 * the sequence to be cleared in the backend, or -1. */
int32_t engine_sched_drop(struct engine_sched *sched, struct engine_task *task);

/* The next task that has to make room, or NULL. The caller keeps its cache where it can, then calls
 * engine_sched_preempt. Who has more than `turn_tokens_max` tokens in the cache need not go only
 * because it is another's turn: for what is too much to be kept, computing it again costs all. */
struct engine_task *engine_sched_make_room(struct engine_sched *sched, uint32_t turn_tokens_max);
/* The task waits again, before all others of its tenant. Returns the sequence to be cleared. */
int32_t engine_sched_preempt(struct engine_sched *sched, struct engine_task *task);
/* Lets in the next one for whom there is room, or NULL: it has a sequence now, with nothing in it.
 * The caller may put cache of it there, and says so by engine_sched_restored. While two prompts or
 * more are under way that still lack `prompts_max` tokens, which is all that a step can take, no
 * further one of their tenants is let in: it would only cost each step a row. */
struct engine_task *engine_sched_admit(struct engine_sched *sched, uint32_t prompts_max);
/* The first `count` tokens that the task knows, and not all of them, are in its sequence already.
 * Before it had its first row. */
void engine_sched_restored(struct engine_sched *sched, struct engine_task *task, uint32_t count);

/* What stands to be computed in the next step, of those who run and are not paused. */
struct engine_demand {
    uint32_t writers, prompts;
    uint64_t prompt_tokens; /* that the prompts still lack */
    uint32_t other_groups;  /* that wait for their turn meanwhile */
    uint32_t other_writers; /* in those */
    uint32_t first_tokens;  /* of those, what the first prompt lacks of a tenant for which nobody
                               writes, while somebody writes for another; 0: there is none */
    uint32_t waiting;       /* who could be let in besides, if they had to */
    bool shared;            /* several tenants asked of late */
    bool prompts_next;      /* the next step is one of prompts */
};
struct engine_demand engine_sched_demand(const struct engine_sched *sched);
/* Fills the next step; the chunks are valid until the next plan. rows 0: nothing to do.
 * `prompt_budget`: with demand.prompts_next, how many rows of prompts at most, at least 1; else 0.
 */
void engine_sched_plan(struct engine_sched *sched, uint32_t prompt_budget,
                       struct engine_plan *plan);
void engine_sched_advance(struct engine_sched *sched, const struct engine_plan *plan);
/* The token sampled last is the one that the next row ahead was computed for: it is in the cache.
 */
void engine_sched_right(struct engine_sched *sched, struct engine_task *task);
/* A token of `task` was sampled. False when it was the last that the task may have. */
bool engine_sched_output(struct engine_sched *sched, struct engine_task *task);

/* Whether a running task should get another sequence number, so that those of each group stand
 * without gaps. The caller moves the cache, then says so; or does nothing. Who has `to` has nothing
 * in the cache, if anybody has it: the two change places. */
struct engine_move {
    struct engine_task *task;
    int32_t to;
};
bool engine_sched_move(const struct engine_sched *sched, struct engine_move *out);
void engine_sched_moved(struct engine_sched *sched, const struct engine_move *move);

struct engine_sched_counts {
    uint32_t waiting, prompting, writing, paused, sequences_free;
    uint64_t cache_held;
    uint32_t output_usual; /* tokens that an answer usually has */
    uint64_t preempted;    /* how often, so far */
};
struct engine_sched_counts engine_sched_counts(const struct engine_sched *sched);
