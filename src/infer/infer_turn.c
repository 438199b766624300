#include "infer_turn.h"
#include "infer_sched.h"
#include <stdlib.h>

enum { NO_SLOT = INFER_TURN_TENANTS };

/* One tenant: its tasks, and its place in the ring of tenants that have some. */
struct slot {
    struct infer_task *first, *last;
    uint32_t before, after;
};

struct infer_turn {
    struct slot slots[INFER_TURN_TENANTS];
    uint32_t head; /* whose turn it is, or NO_SLOT */
    uint32_t count;
};

static void ring_add(struct infer_turn *turn, uint32_t at);
static void ring_remove(struct infer_turn *turn, uint32_t at);

struct infer_turn *infer_turn_new(void)
{
    struct infer_turn *turn = calloc(1, sizeof *turn);
    WEIR_ASSERT(turn != NULL);
    turn->head = NO_SLOT;
    return turn;
}

void infer_turn_free(struct infer_turn *turn)
{
    WEIR_ASSERT(turn == NULL || turn->count == 0);
    free(turn);
}

void infer_turn_add(struct infer_turn *turn, struct infer_task *task)
{
    WEIR_ASSERT(!task->turn.queued);
    uint32_t at = (uint32_t)(task->tenant % INFER_TURN_TENANTS);
    struct slot *slot = &turn->slots[at];
    task->turn = (struct infer_turn_place){.before = slot->last, .slot = at, .queued = true};
    if (slot->last != NULL)
        slot->last->turn.after = task;
    else
        slot->first = task;
    if (slot->last == NULL)
        ring_add(turn, at);
    slot->last = task;
    turn->count++;
}

void infer_turn_remove(struct infer_turn *turn, struct infer_task *task)
{
    WEIR_ASSERT(task->turn.queued);
    struct infer_turn_place *place = &task->turn;
    struct slot *slot = &turn->slots[place->slot];
    if (place->before != NULL)
        place->before->turn.after = place->after;
    else
        slot->first = place->after;
    if (place->after != NULL)
        place->after->turn.before = place->before;
    else
        slot->last = place->before;
    if (slot->first == NULL)
        ring_remove(turn, place->slot);
    *place = (struct infer_turn_place){0};
    turn->count--;
}

struct infer_task *infer_turn_first(const struct infer_turn *turn)
{
    uint32_t at = turn->head;
    if (at == NO_SLOT)
        return NULL;
    do {
        struct infer_task *task = turn->slots[at].first;
        while (task != NULL && task->held)
            task = task->turn.after;
        if (task != NULL)
            return task;
        at = turn->slots[at].after;
    } while (at != turn->head);
    return NULL;
}

void infer_turn_take(struct infer_turn *turn, struct infer_task *task)
{
    WEIR_ASSERT(task != NULL && task == infer_turn_first(turn));
    uint32_t at = task->turn.slot, next = turn->slots[at].after;
    infer_turn_remove(turn, task);
    if (turn->head != NO_SLOT) /* if it has more, they wait for the others' turns */
        turn->head = next;
}

uint32_t infer_turn_count(const struct infer_turn *turn)
{
    return turn->count;
}

/* A tenant that comes goes to the end of the ring: just before the head. */
static void ring_add(struct infer_turn *turn, uint32_t at)
{
    struct slot *slot = &turn->slots[at];
    if (turn->head == NO_SLOT) {
        slot->before = slot->after = turn->head = at;
        return;
    }
    slot->after = turn->head;
    slot->before = turn->slots[turn->head].before;
    turn->slots[slot->before].after = at;
    turn->slots[slot->after].before = at;
}

static void ring_remove(struct infer_turn *turn, uint32_t at)
{
    struct slot *slot = &turn->slots[at];
    if (slot->after == at) {
        turn->head = NO_SLOT;
        return;
    }
    turn->slots[slot->before].after = slot->after;
    turn->slots[slot->after].before = slot->before;
    if (turn->head == at)
        turn->head = slot->after;
}
