/* The scheduling of fibers. The loop's thread runs ready fibers one after another, first come first
 * served; a fiber that suspends goes back to the loop, never directly to another fiber. Whoever
 * makes a fiber ready (a wake, a cancellation, the timer) takes it out of its wait by setting
 * waits_for to 0, so it is in at most one queue, once. */
#include "fiber.h"
#include <stdlib.h>
#include "arena.h"
#include "clock.h"
#include "log.h"
#include "loop_internal.h"
#include "sanitize.h"

enum {
    /* How often ready fibers may make one another ready before the loop polls again. */
    ROUNDS_MAX = 16,
    /* Calls that did not have to wait, in a row, before a fiber lets others run. */
    BUSY_MAX = 64,
};

static struct fiber *fiber_new(struct loop *loop, const char *name, void (*run)(void *arg),
                               void *arg, struct status *st);
static void fiber_entry(void *arg);
static void fiber_enter(struct loop *loop, struct fiber *fiber);
static void fiber_leave(struct fiber *fiber);
static void fiber_end(struct fiber *fiber);
static bool may_wait(const struct fiber *fiber, struct status *st);
static void queue_push(struct fiber_queue *queue, struct fiber *fiber);
static struct fiber *queue_pop(struct fiber_queue *queue);
static int64_t earlier(int64_t a, int64_t b);

bool fiber_start(struct loop *loop, const char *name, void (*run)(void *arg), void *arg,
                 struct status *st)
{
    return fiber_new(loop, name, run, arg, st) != NULL;
}

bool fiber_start_joinable(struct loop *loop, const char *name, void (*run)(void *arg), void *arg,
                          struct fiber **out, struct status *st)
{
    struct fiber *fiber = fiber_new(loop, name, run, arg, st);
    if (fiber == NULL)
        return false;
    fiber->joinable = true;
    *out = fiber;
    return true;
}

void fiber_join(struct fiber *fiber)
{
    struct fiber *self = fiber_current();
    WEIR_ASSERT(self != NULL && fiber != self && fiber->joinable && fiber->joiner == NULL);
    fiber->joiner = self;
    while (!fiber->ended) {
        if (self->cancelled && self->shields == 0 && !fiber->cancelled)
            fiber_cancel(fiber);
        fiber_suspend(WAIT_RESUME | (fiber->cancelled ? 0U : fiber_cancel_mask()), CLOCK_NEVER);
    }
    free(fiber);
}

struct fiber *fiber_current(void)
{
    struct loop *loop = loop_current();
    return loop == NULL ? NULL : loop->current;
}

void fiber_cancel(struct fiber *fiber)
{
    fiber->cancelled = true;
    if (fiber->waits_for & WAIT_CANCEL)
        fiber_make_ready(fiber);
}

bool fiber_cancelled(void)
{
    struct fiber *self = fiber_current();
    WEIR_ASSERT(self != NULL);
    return self->cancelled;
}

void fiber_shield(void)
{
    struct fiber *self = fiber_current();
    WEIR_ASSERT(self != NULL);
    self->shields++;
}

void fiber_unshield(void)
{
    struct fiber *self = fiber_current();
    WEIR_ASSERT(self != NULL && self->shields > 0);
    self->shields--;
}

int64_t fiber_set_deadline(int64_t deadline_us)
{
    struct fiber *self = fiber_current();
    WEIR_ASSERT(self != NULL);
    int64_t before = self->deadline_us;
    self->deadline_us = deadline_us;
    return before;
}

void fiber_set_arena(struct arena *arena)
{
    struct fiber *self = fiber_current();
    WEIR_ASSERT(self != NULL);
    self->arena = arena;
}

void fiber_set_log_scope(const struct log_scope *scope)
{
    WEIR_ASSERT(fiber_current() != NULL);
    (void)log_scope_set(scope);
}

bool fiber_check(int64_t deadline_us, struct status *st)
{
    struct fiber *self = fiber_current();
    WEIR_ASSERT(self != NULL);
    if (!may_wait(self, st))
        return false;
    deadline_us = earlier(deadline_us, self->deadline_us);
    if (deadline_us / 1000 < (int64_t)uv_now(&self->loop->uv))
        return status_fail(st, STATUS_TIMEOUT, "the deadline has passed");
    return true;
}

bool fiber_wait(int64_t deadline_us, struct status *st)
{
    struct fiber *self = fiber_current();
    WEIR_ASSERT(self != NULL);
    if (!may_wait(self, st))
        return false;
    if (!self->woken) {
        if (!fiber_check(deadline_us, st))
            return false;
        fiber_suspend(WAIT_WAKE | fiber_cancel_mask(), earlier(deadline_us, self->deadline_us));
    }
    if (self->woken) {
        self->woken = false;
        return true;
    }
    if (!may_wait(self, st))
        return false;
    WEIR_ASSERT(self->timed_out);
    return status_fail(st, STATUS_TIMEOUT, "the deadline has passed");
}

void fiber_wake(struct fiber *fiber)
{
    fiber->woken = true;
    if (fiber->waits_for & WAIT_WAKE)
        fiber_make_ready(fiber);
}

bool loop_sleep(int64_t deadline_us, struct status *st)
{
    struct fiber *self = fiber_current();
    WEIR_ASSERT(self != NULL);
    int64_t bound_us = self->deadline_us;
    while (clock_mono_us() < deadline_us) {
        if (!may_wait(self, st))
            return false;
        if (clock_mono_us() >= bound_us)
            return status_fail(st, STATUS_TIMEOUT, "the deadline has passed");
        fiber_suspend(WAIT_RESUME | fiber_cancel_mask(), earlier(deadline_us, bound_us));
    }
    return may_wait(self, st);
}

void fiber_yield(void)
{
    struct fiber *self = fiber_current();
    WEIR_ASSERT(self != NULL);
    queue_push(&self->loop->yielded, self);
    fiber_leave(self);
}

void fiber_trim_stack(void)
{
    struct fiber *self = fiber_current();
    WEIR_ASSERT(self != NULL);
    fiber_stack_trim(self->stack, __builtin_frame_address(0));
}

void fiber_run_ready(struct loop *loop)
{
    for (int round = 0; round < ROUNDS_MAX && loop->ready.first != NULL; round++) {
        const struct fiber *last = loop->ready.last;
        for (bool more = true; more;) {
            struct fiber *fiber = queue_pop(&loop->ready);
            more = fiber != last;
            fiber_enter(loop, fiber);
        }
    }
}

void fiber_requeue_yielded(struct loop *loop)
{
    for (struct fiber *fiber; (fiber = queue_pop(&loop->yielded)) != NULL;)
        queue_push(&loop->ready, fiber);
}

void fiber_cancel_all(struct loop *loop)
{
    for (struct fiber *fiber = loop->all; fiber != NULL; fiber = fiber->all_next)
        fiber_cancel(fiber);
}

void fiber_suspend(unsigned waits_for, int64_t deadline_us)
{
    struct fiber *self = fiber_current();
    WEIR_ASSERT(self != NULL && waits_for != 0);
    self->waits_for = waits_for;
    self->timed_out = false;
    loop_timers_set(self->loop, self, deadline_us);
    fiber_leave(self);
}

void fiber_resume(struct fiber *fiber)
{
    if (fiber->waits_for & WAIT_RESUME)
        fiber_make_ready(fiber);
}

void fiber_make_ready(struct fiber *fiber)
{
    WEIR_ASSERT(fiber->waits_for != 0);
    fiber->waits_for = 0;
    queue_push(&fiber->loop->ready, fiber);
}

void fiber_breathe(void)
{
    struct fiber *self = fiber_current();
    if (++self->busy >= BUSY_MAX)
        fiber_yield();
}

unsigned fiber_cancel_mask(void)
{
    const struct fiber *self = fiber_current();
    return self->shields == 0 ? WAIT_CANCEL : 0;
}

static struct fiber *fiber_new(struct loop *loop, const char *name, void (*run)(void *arg),
                               void *arg, struct status *st)
{
    WEIR_ASSERT(loop != NULL && run != NULL);
    WEIR_ASSERT(!loop->running || loop == loop_current());
    size_t count = loop_fibers(loop);
    if (count >= loop->fibers_max) {
        (void)status_fail(st, STATUS_UNAVAILABLE, "%zu fibers run already", count);
        return NULL;
    }
    struct fiber_stack stack;
    if (!fiber_stack_take(&loop->stacks, &stack)) {
        (void)status_fail(st, STATUS_UNAVAILABLE, "no memory for the stack of fiber %zu",
                          count + 1);
        return NULL;
    }
    struct fiber *fiber = calloc(1, sizeof(*fiber));
    WEIR_ASSERT(fiber != NULL);
    *fiber = (struct fiber){
        .loop = loop,
        .name = name,
        .run = run,
        .arg = arg,
        .stack = stack,
        .cancelled = loop->stopping,
        .deadline_us = CLOCK_NEVER,
        .wait_deadline_us = CLOCK_NEVER,
        .all_next = loop->all,
    };
    if (loop->all != NULL)
        loop->all->all_before = fiber;
    loop->all = fiber;
    atomic_store_explicit(&loop->fibers, count + 1, memory_order_relaxed);
    fiber_context_make(&fiber->context, stack.low, stack.size, fiber_entry, fiber);
#if SANITIZE_THREAD
    fiber->tsan_fiber = __tsan_create_fiber(0);
    __tsan_set_fiber_name(fiber->tsan_fiber, name);
#endif
    queue_push(&loop->ready, fiber);
    return fiber;
}

static void fiber_entry(void *arg)
{
    struct fiber *fiber = arg;
#if SANITIZE_ADDRESS
    __sanitizer_finish_switch_fiber(NULL, &fiber->loop->stack_low, &fiber->loop->stack_bytes);
#endif
    fiber->run(fiber->arg);
    WEIR_ASSERT(fiber->shields == 0);
    fiber->ended = true;
    fiber_leave(fiber);
    abort(); /* nobody enters an ended fiber */
}

static void fiber_enter(struct loop *loop, struct fiber *fiber)
{
    const struct log_scope *scope = log_scope_set(fiber->scope);
    loop->current = fiber;
    fiber->busy = 0;
#if SANITIZE_ADDRESS
    __sanitizer_start_switch_fiber(&loop->fake_stack, fiber->stack.low, fiber->stack.size);
#endif
#if SANITIZE_THREAD
    __tsan_switch_to_fiber(fiber->tsan_fiber, 0);
#endif
    fiber_context_switch(&loop->context, &fiber->context);
#if SANITIZE_ADDRESS
    __sanitizer_finish_switch_fiber(loop->fake_stack, NULL, NULL);
#endif
    loop->current = NULL;
    fiber->scope = log_scope_set(scope);
    if (fiber->ended)
        fiber_end(fiber);
}

static void fiber_leave(struct fiber *fiber)
{
    struct loop *loop = fiber->loop;
#if SANITIZE_ADDRESS
    __sanitizer_start_switch_fiber(fiber->ended ? NULL : &fiber->fake_stack, loop->stack_low,
                                   loop->stack_bytes);
#endif
#if SANITIZE_THREAD
    __tsan_switch_to_fiber(loop->tsan_fiber, 0);
#endif
    fiber_context_switch(&fiber->context, &loop->context);
#if SANITIZE_ADDRESS
    __sanitizer_finish_switch_fiber(fiber->fake_stack, &loop->stack_low, &loop->stack_bytes);
#endif
}

/* On the loop's stack: gives back what an ended fiber holds. */
static void fiber_end(struct fiber *fiber)
{
    struct loop *loop = fiber->loop;
    loop_timers_remove(loop, fiber);
#if SANITIZE_THREAD
    __tsan_destroy_fiber(fiber->tsan_fiber);
#endif
    fiber_stack_release(&loop->stacks, fiber->stack);
    if (fiber->all_before != NULL)
        fiber->all_before->all_next = fiber->all_next;
    else
        loop->all = fiber->all_next;
    if (fiber->all_next != NULL)
        fiber->all_next->all_before = fiber->all_before;
    atomic_store_explicit(&loop->fibers, loop_fibers(loop) - 1, memory_order_relaxed);
    if (!fiber->joinable)
        free(fiber);
    else if (fiber->joiner != NULL)
        fiber_resume(fiber->joiner);
}

static bool may_wait(const struct fiber *fiber, struct status *st)
{
    if (fiber->shields > 0)
        return true;
    if (fiber->cancelled)
        return status_fail(st, STATUS_CANCELLED, "cancelled");
    if (fiber->arena != NULL && arena_over_limit(fiber->arena))
        return status_fail(st, STATUS_LIMIT, "the request used more than its %zu bytes of memory",
                           arena_used(fiber->arena));
    return true;
}

static void queue_push(struct fiber_queue *queue, struct fiber *fiber)
{
    fiber->ready_next = NULL;
    if (queue->last != NULL)
        queue->last->ready_next = fiber;
    else
        queue->first = fiber;
    queue->last = fiber;
}

static struct fiber *queue_pop(struct fiber_queue *queue)
{
    struct fiber *fiber = queue->first;
    if (fiber == NULL)
        return NULL;
    queue->first = fiber->ready_next;
    if (queue->first == NULL)
        queue->last = NULL;
    return fiber;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
