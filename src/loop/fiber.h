/* fiber: a function that reads from top to bottom and may wait. Waiting suspends the fiber, never
 * the thread; between two waits nothing changes under your feet. A fiber stays on its loop.
 *
 * Every wait takes a deadline (monotonic, microseconds; CLOCK_NEVER for none) and fails with
 *   STATUS_TIMEOUT    the deadline passed; the fiber may go on and wait again
 *   STATUS_CANCELLED  the fiber was cancelled: every wait from now on fails so at once, and the
 *                     function unwinds through its own cleanups. There is no other way out.
 *   STATUS_LIMIT      the fiber's arena (fiber_set_arena) is over its limit: unwind as well
 * Cleanups that must still wait (an orderly close) say fiber_shield. */
#pragma once
#include "base.h"
#include "status.h"

struct arena;
struct fiber;
struct loop;
struct log_scope;

/* Starts `run(arg)` on `loop`, the loop of the calling thread; it first runs when the caller waits
 * or returns to the loop. The fiber frees itself when it ends, unless it is joined.
 * Fails: STATUS_UNAVAILABLE when fibers_max live already. */
MUST_CHECK bool fiber_start(struct loop *loop, const char *name, void (*run)(void *arg), void *arg,
                            struct status *st);
/* The same, and the caller gets a handle that it must give to fiber_join, once. */
MUST_CHECK bool fiber_start_joinable(struct loop *loop, const char *name, void (*run)(void *arg),
                                     void *arg, struct fiber **out, struct status *st);
/* Waits for the end of `fiber` and frees it. Not cut short by the deadline of anything: when the
 * waiting fiber is cancelled, `fiber` is cancelled too, and the wait goes on until it has ended. */
void fiber_join(struct fiber *fiber);

struct fiber *fiber_current(void); /* NULL outside fibers */
/* Same thread. Makes the current wait and all later ones of `fiber` fail. */
void fiber_cancel(struct fiber *fiber);
bool fiber_cancelled(void); /* of the current fiber */
/* While shielded, a fiber that was cancelled or whose arena is over its limit may wait all the same
 * (deadlines hold). Nests. */
void fiber_shield(void);
void fiber_unshield(void);
/* An upper bound for every deadline of the current fiber: a wait uses the earlier of the two.
 * Returns the one before. */
int64_t fiber_set_deadline(int64_t deadline_us);
void fiber_set_arena(struct arena *arena);
void fiber_set_log_scope(const struct log_scope *scope);

/* Fails as a wait with this deadline would fail now, and does not wait: for work that goes on long
 * without having to wait. The time is the loop's, as of the current turn. */
MUST_CHECK bool fiber_check(int64_t deadline_us, struct status *st);
/* Suspends until somebody calls fiber_wake. The one primitive below all others: a wake that comes
 * before the wait is kept (one of them), so there is no lost wake-up. Callers re-check what they
 * wait for in a loop. Fails: as above. */
MUST_CHECK bool fiber_wait(int64_t deadline_us, struct status *st);
void fiber_wake(struct fiber *fiber); /* same thread */

/* The time having passed is success. Fails: STATUS_CANCELLED, STATUS_LIMIT; STATUS_TIMEOUT when the
 * fiber's own deadline (fiber_set_deadline) comes first. */
MUST_CHECK bool loop_sleep(int64_t deadline_us, struct status *st);
/* Lets others run; comes back in the next turn of the loop, also when cancelled. */
void fiber_yield(void);
/* Gives back the memory of the current fiber's stack below where it stands, which deeper calls have
 * used before: for a wait that may be long. One system call. */
void fiber_trim_stack(void);

/* Fibers of one loop waiting for something, first come first woken. Zeroed is empty. */
struct wait_list {
    struct wait_list_node *first, *last;
};
MUST_CHECK bool wait_list_wait(struct wait_list *list, int64_t deadline_us, struct status *st);
bool wait_list_wake_one(struct wait_list *list); /* false when nobody waits */
void wait_list_wake_all(struct wait_list *list);

/* Any thread may signal; one fiber waits. Signals that come while nobody waits are one signal. */
struct notify;
struct notify *notify_new(struct loop *loop);
void notify_free(struct notify *notify); /* on the loop's thread; no signal may come after */
void notify_signal(struct notify *notify);
MUST_CHECK bool notify_wait(struct notify *notify, int64_t deadline_us, struct status *st);

/* Runs `work(arg)` on a thread of the pool and waits for its end. The arena that `arg` points into
 * is lent to that thread; so a cancelled fiber waits on until the thread has given it back (work
 * that has not begun is withdrawn). Fails: STATUS_CANCELLED when it was withdrawn. Otherwise true,
 * also for a fiber cancelled meanwhile: the next wait will tell. */
MUST_CHECK bool offload(void (*work)(void *arg), void *arg, struct status *st);
