/* infer_sched: whose tokens go into the next step. Pure bookkeeping: no clock, no model, no lock,
 * so that the engine thread and a test drive it in the same way.
 *
 * A task waits (no sequence), then its prompt is computed in chunks, then it writes, one row per
 * step, each row being the token sampled last. One step is
 *     infer_sched_move until false      sequence numbers dense (see there)
 *     infer_sched_admit                 who is let in
 *     infer_sched_restored              for each of them whose beginning is known already
 *     infer_sched_plan                  chunks
 *     the backend decodes the plan
 *     infer_sched_advance               what the plan held is computed
 *     infer_sched_output                for each token sampled
 * Rules: every writing task that is not paused has its row in every step. While somebody writes,
 * prompts share prompt_budget tokens, else all of `batch`; at least two prompts advance when two
 * wait, and the turn goes round. Every prompt under way gets at least one token of the budget, as
 * long as it lasts, since a gap in the sequence numbers splits the batch and reads the weights
 * twice. Who is let in next is infer_turn's word.
 * The cache is counted in tokens: prompt and longest answer are reserved when a task is let in and
 * given back when it leaves, so a decode never finds it full. */
#pragma once
#include "base.h"
#include "infer_turn.h"

enum infer_task_state {
    INFER_TASK_WAITING,
    INFER_TASK_PROMPT,
    INFER_TASK_WRITING,
    INFER_TASK_OUT, /* not known to the scheduler */
    INFER_TASK_STATE_COUNT
};

struct infer_task {
    /* Set before infer_sched_add. */
    uint32_t prompt_count; /* at least 1 */
    uint32_t output_max;   /* at least 1; prompt_count + output_max <= context */
    uint64_t tenant;

    /* The scheduler's; others read. */
    enum infer_task_state state;
    int32_t sequence;  /* -1: none */
    uint32_t computed; /* tokens in the cache: of the prompt, then of the answer */
    uint32_t output;   /* tokens sampled */
    uint32_t reserved; /* cache tokens held */
    bool paused;       /* set by the caller at will: no row while it is true */
    bool held;         /* so too: not let in while it is true; those behind it go first */
    uint32_t cut;      /* so too: a position that no chunk of the prompt crosses; 0: none */
    struct infer_turn_place turn;
};

struct infer_sched_options {
    uint32_t sequences;     /* at once; their numbers are 0 to sequences - 1 */
    uint32_t context;       /* tokens of one sequence */
    uint64_t cache_tokens;  /* of all sequences together */
    uint32_t batch;         /* rows of one step; at least `sequences` */
    uint32_t prompt_budget; /* prompt rows of a step while somebody writes; at least 1 */
};

struct infer_chunk {
    struct infer_task *task;
    uint32_t from;     /* position of its first token in the sequence */
    uint32_t count;    /* a writing task has one: its newest token */
    bool wants_output; /* sample from the row of its last token */
};
struct infer_plan {
    struct infer_chunk *chunks; /* ordered by sequence number */
    uint32_t count;
    uint32_t rows; /* sum of the chunks' counts */
};

struct infer_sched;
struct infer_sched *infer_sched_new(const struct infer_sched_options *options);
void infer_sched_free(struct infer_sched *sched); /* it must be empty */

void infer_sched_add(struct infer_sched *sched, struct infer_task *task);
/* Takes a task out, in whatever state it is; its reservation and sequence are free again. Returns
 * the sequence to be cleared in the backend, or -1. */
int32_t infer_sched_drop(struct infer_sched *sched, struct infer_task *task);

/* Gives sequences to those whose turn it is: their state is then PROMPT. */
void infer_sched_admit(struct infer_sched *sched);
/* The first `tokens` tokens of the prompt, and not all of it, are in the cache already. Before the
 * task had its first row. */
void infer_sched_restored(struct infer_sched *sched, struct infer_task *task, uint32_t tokens);
/* Fills the next step, and admits first; the chunks are valid until the next plan. rows 0: nothing
 * to do. */
void infer_sched_plan(struct infer_sched *sched, struct infer_plan *plan);
void infer_sched_advance(struct infer_sched *sched, const struct infer_plan *plan);
/* A token of `task` was sampled. False when it was the last that the task may have. */
bool infer_sched_output(struct infer_sched *sched, struct infer_task *task);

/* Whether a running task should move to a lower sequence number: there is a gap below it that no
 * waiting task would fill. The caller moves the cache and then says so, or does nothing. */
struct infer_move {
    struct infer_task *task;
    int32_t to;
};
bool infer_sched_move(const struct infer_sched *sched, struct infer_move *out);
void infer_sched_moved(struct infer_sched *sched, const struct infer_move *move);

struct infer_sched_counts {
    uint32_t waiting, prompting, writing, paused, sequences_free;
    uint64_t cache_held;
};
struct infer_sched_counts infer_sched_counts(const struct infer_sched *sched);
