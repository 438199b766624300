/* What the files of src/loop share: the loop's own struct, the fiber's, and the scheduling below
 * the public calls. All of it belongs to the loop's thread, but for what says otherwise. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>
#include "base.h"
#include "fiber.h"
#include "fiber_stack.h"
#include "fiber_switch.h"
#include "loop.h"

struct loop_post;

/* What a suspended fiber comes back for; a set. */
enum {
    WAIT_WAKE = 1 << 0,   /* fiber_wake */
    WAIT_CANCEL = 1 << 1, /* fiber_cancel */
    WAIT_RESUME = 1 << 2, /* fiber_resume: what it waits for inside src/loop has happened */
};

/* A fiber waits in one list at most, so its place there is in the fiber. */
struct wait_list_node {
    struct fiber *fiber;
    struct wait_list_node *before, *next;
    bool woken; /* and out of the list */
};

struct fiber {
    struct fiber_context context;
    struct loop *loop;
    const char *name;
    void (*run)(void *arg);
    void *arg;
    struct fiber_stack stack;
    struct fiber *ready_next;            /* in the ready or the yielded queue */
    struct fiber *all_before, *all_next; /* of those that live */
    unsigned waits_for;                  /* 0: runs, or is in a queue */
    unsigned shields;
    unsigned busy; /* calls since it last let others run: fiber_breathe */
    bool woken, timed_out, cancelled, joinable, ended;
    int64_t deadline_us;      /* fiber_set_deadline */
    int64_t wait_deadline_us; /* of the current wait */
    size_t timer_at;          /* place in the loop's heap plus one; 0: not there */
    struct arena *arena;
    const struct log_scope *scope;
    struct fiber *joiner;
    struct wait_list_node list_node;
    void *fake_stack; /* of the address sanitizer */
    void *tsan_fiber;
};

struct fiber_queue {
    struct fiber *first, *last;
};

struct loop_timer {
    int64_t due_us; /* not later than the fiber's wait_deadline_us, often earlier */
    struct fiber *fiber;
};

struct loop {
    uv_loop_t uv;
    struct loop *all_before, *all_next; /* of the process, under all_lock of loop.c */
    uv_prepare_t prepare;               /* just before the loop would sleep */
    uv_check_t check;                   /* just after it has polled */
    uv_idle_t idle;   /* active while fibers are ready, so that the loop does not sleep */
    uv_timer_t timer; /* for the head of the heap */
    uv_async_t async; /* other threads: posts, signals, stop */
    const char *name;
    int cpu;
    size_t fibers_max;

    struct fiber *current;
    struct fiber_queue ready, yielded;
    struct fiber *all;
    _Atomic size_t fibers; /* written by the loop's thread, read by any */
    struct fiber_stack_pool stacks;
    struct loop_timer *timers; /* a heap, earliest first */
    size_t timers_count, timers_size;
    int64_t timer_due_us; /* what `timer` is set for */

    struct fiber_context context; /* of the thread, while a fiber runs */
    const void *stack_low;        /* of the thread, for the address sanitizer */
    size_t stack_bytes;
    void *fake_stack;
    void *tsan_fiber;

    bool running, stopping;
    atomic_bool stop_asked;
    _Atomic(struct notify *) signalled; /* pushed by any thread, newest first */
    pthread_mutex_t posts_lock;         /* guards the next three */
    struct loop_post *posts_first, *posts_last;
    bool posts_closed;
};

/* fiber.c */
void fiber_run_ready(struct loop *loop); /* a bounded number of rounds */
void fiber_requeue_yielded(struct loop *loop);
void fiber_cancel_all(struct loop *loop);
/* Suspends the current fiber for what is in `waits_for` (or, with a deadline, for the timer). */
void fiber_suspend(unsigned waits_for, int64_t deadline_us);
void fiber_resume(struct fiber *fiber);
void fiber_make_ready(struct fiber *fiber);
/* Called where a fiber may go on without ever waiting (a socket that always has bytes): now and
 * then lets the others run. */
void fiber_breathe(void);
/* WAIT_CANCEL when a cancellation of the current fiber would make its wait fail, else 0. */
unsigned fiber_cancel_mask(void);

/* loop_timers.c */
void loop_timers_set(struct loop *loop, struct fiber *fiber, int64_t deadline_us);
void loop_timers_remove(struct loop *loop, struct fiber *fiber);
void loop_timers_fire(struct loop *loop, int64_t now_us);
int64_t loop_timers_next(const struct loop *loop); /* CLOCK_NEVER when there is none */

/* notify.c */
void notify_deliver_all(struct loop *loop);
