/* infer_turn: who is let in next. Tenants take turns, and the tasks of one tenant come in the order
 * of their arrival: however many one tenant has queued, another's first task waits for at most one
 * task of each. infer_sched asks nothing else about fairness, so another policy replaces this file.
 * One thread. Nothing allocates but infer_turn_new. */
#pragma once
#include "base.h"

enum { INFER_TURN_TENANTS = 1024 }; /* beyond, tenants share a place by their hash */

struct infer_task;
struct infer_turn;

/* Where a task stands in the queue; a member of struct infer_task. */
struct infer_turn_place {
    struct infer_task *before, *after;
    uint32_t slot;
    bool queued;
};

struct infer_turn *infer_turn_new(void);
void infer_turn_free(struct infer_turn *turn);
void infer_turn_add(struct infer_turn *turn, struct infer_task *task);
void infer_turn_remove(struct infer_turn *turn, struct infer_task *task);
/* Whose turn it is; NULL when nobody waits but such as are held. Does not take it out. */
struct infer_task *infer_turn_first(const struct infer_turn *turn);
/* Takes out the first, and the turn goes to the tenant after its own. */
void infer_turn_take(struct infer_turn *turn, struct infer_task *task);
uint32_t infer_turn_count(const struct infer_turn *turn);
