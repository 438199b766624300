/* engine_vtc: whose turn it is, among tenants and among the tasks of one. Weighted virtual token
 * counters (VTC, "Fairness in Serving Large Language Models", OSDI'24): a tenant's counter grows by
 * what it got, a token written counting as two of a prompt, divided by its weight; who has the
 * least is next. Nobody is ever held back when there is room, and nobody saves up: a tenant that
 * asked for nothing is lifted to the least of those that did when it asks again.
 *
 * Prompt tokens are charged when they are computed, not when the task is let in, so that nothing is
 * paid for a prompt that was cancelled, that was found in the cache, or that is computed a second
 * time after a preemption. What a task that was let in will still be charged is its tenant's
 * `pending`, and counts when the next task is let in: else one tenant could take all free sequences
 * at once while its counter stands.
 *
 * Between two tenants that both wait all the time, what they got (over their weights) differs by at
 * most 2 * ENGINE_VTC_OUTPUT * the cache's tokens over the lesser weight: the paper's bound with
 * chunks, since what a tenant is ahead of another at most fits in the cache.
 *
 * Within a tenant the shortest prompt comes first, and a task that was passed by ages: one that
 * came ENGINE_VTC_AGEING * n tokens of work later must be shorter by n tokens. One thread. No
 * clock: time is the work done. */
#pragma once
#include "base.h"
#include "text.h"

enum {
    ENGINE_VTC_PROMPT = 1, /* what a token of a prompt costs */
    ENGINE_VTC_OUTPUT = 2, /* and one written */
    ENGINE_VTC_AGEING = 8,
    ENGINE_VTC_WEIGHT_USUAL = 100,
    ENGINE_VTC_WEIGHT_MAX = 10000,
    ENGINE_VTC_UNIT = 1 << 20 /* counters are in tokens * UNIT / weight */
};

struct engine_task;
struct engine_vtc;

/* One who asks. Others read; it lives while it has tasks, and as long after as its counter says
 * something that a newcomer's would not. */
struct engine_tenant {
    uint64_t id;
    uint32_t weight;           /* of its last task */
    uint64_t counter;          /* what it got */
    uint64_t pending;          /* prompt tokens of its running tasks that are not charged yet */
    uint64_t given;            /* by whoever shares out a step; reset by engine_vtc_refresh */
    uint32_t waiting, running; /* tasks */
    bool hungry;               /* asked for more than it got, at the last refresh */

    struct engine_task *first, *last; /* waiting, the next one first */
    uint64_t served;                  /* when it came, or was let in last: for ties */
    struct engine_tenant *before, *after, *chain;
};

/* Where a task stands; a member of struct engine_task. */
struct engine_vtc_place {
    struct engine_tenant *tenant; /* NULL: not known here */
    struct engine_task *before, *after;
    int64_t key; /* the least comes first */
    bool queued;
};

struct engine_vtc *engine_vtc_new(void);
void engine_vtc_free(struct engine_vtc *vtc); /* it has no tasks any more */

/* A new task waits. */
void engine_vtc_enter(struct engine_vtc *vtc, struct engine_task *task);
/* Once before each step: sees who is hungry now (has a task that waits, and is neither paused nor
 * held, or one whose prompt is being computed), and lifts those who have just become so. */
void engine_vtc_refresh(struct engine_vtc *vtc);
/* Whose turn it is; NULL when nobody waits but such as are paused or held. Does not take it out. */
struct engine_task *engine_vtc_first(const struct engine_vtc *vtc);
/* The task begins to run. */
void engine_vtc_take(struct engine_vtc *vtc, struct engine_task *task);
/* A running task has to wait again, before all others of its tenant. */
void engine_vtc_back(struct engine_vtc *vtc, struct engine_task *task);
/* The task is gone, whether it waited or ran. */
void engine_vtc_leave(struct engine_vtc *vtc, struct engine_task *task);

/* `tokens` of the prompt of a running task were computed, or were found (free). */
void engine_vtc_prompt(struct engine_vtc *vtc, struct engine_task *task, uint32_t tokens,
                       bool free);
/* A running task has written `tokens` tokens. */
void engine_vtc_output(struct engine_vtc *vtc, struct engine_task *task, uint32_t tokens);
/* `rows` rows were computed: time passes. */
void engine_vtc_worked(struct engine_vtc *vtc, uint64_t rows);

/* What `tokens` tokens that cost `price` each add to the counter of somebody of this weight. */
static inline uint64_t engine_vtc_cost(uint64_t tokens, uint32_t price, uint32_t weight)
{
    return tokens * price * ENGINE_VTC_UNIT / weight;
}
/* The counter as it will be when all that was let in is charged. */
uint64_t engine_vtc_claim(const struct engine_tenant *tenant);

/* By what a tenant is known here: its name, hashed. "" is a tenant too. */
uint64_t engine_vtc_id(struct text tenant);
uint32_t engine_vtc_waiting(const struct engine_vtc *vtc);
/* Tenants that are remembered. */
size_t engine_vtc_tenants(const struct engine_vtc *vtc);
