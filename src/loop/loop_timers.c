/* The deadlines of waiting fibers, in one binary heap with at most one place per fiber. Most waits
 * end long before their deadline and the same fiber then waits again with a later one, so a wait
 * that is over leaves its place in the heap: the next wait with a deadline that is not earlier
 * costs one comparison, and a place that comes due too early is put back where it now belongs. */
#include "loop_internal.h"
#include <stdlib.h>
#include "clock.h"

static void place(struct loop *loop, size_t at, struct loop_timer timer);
static void sift_up(struct loop *loop, size_t at, struct loop_timer timer);
static void sift_down(struct loop *loop, size_t at, struct loop_timer timer);
static void grow(struct loop *loop);

void loop_timers_set(struct loop *loop, struct fiber *fiber, int64_t deadline_us)
{
    fiber->wait_deadline_us = deadline_us;
    if (deadline_us == CLOCK_NEVER)
        return;
    struct loop_timer timer = {deadline_us, fiber};
    if (fiber->timer_at == 0) {
        if (loop->timers_count == loop->timers_size)
            grow(loop);
        sift_up(loop, loop->timers_count++, timer);
    } else if (deadline_us < loop->timers[fiber->timer_at - 1].due_us) {
        sift_up(loop, fiber->timer_at - 1, timer);
    }
}

void loop_timers_remove(struct loop *loop, struct fiber *fiber)
{
    if (fiber->timer_at == 0)
        return;
    size_t at = fiber->timer_at - 1;
    fiber->timer_at = 0;
    struct loop_timer last = loop->timers[--loop->timers_count];
    if (at == loop->timers_count)
        return;
    if (at > 0 && last.due_us < loop->timers[(at - 1) / 2].due_us)
        sift_up(loop, at, last);
    else
        sift_down(loop, at, last);
}

void loop_timers_fire(struct loop *loop, int64_t now_us)
{
    while (loop->timers_count > 0 && loop->timers[0].due_us <= now_us) {
        struct fiber *fiber = loop->timers[0].fiber;
        if (fiber->waits_for != 0 && fiber->wait_deadline_us != CLOCK_NEVER &&
            fiber->wait_deadline_us > now_us) {
            sift_down(loop, 0, (struct loop_timer){fiber->wait_deadline_us, fiber});
            continue;
        }
        loop_timers_remove(loop, fiber);
        if (fiber->waits_for != 0 && fiber->wait_deadline_us <= now_us) {
            fiber->timed_out = true;
            fiber_make_ready(fiber);
        }
    }
}

int64_t loop_timers_next(const struct loop *loop)
{
    return loop->timers_count == 0 ? CLOCK_NEVER : loop->timers[0].due_us;
}

static void place(struct loop *loop, size_t at, struct loop_timer timer)
{
    loop->timers[at] = timer;
    timer.fiber->timer_at = at + 1;
}

static void sift_up(struct loop *loop, size_t at, struct loop_timer timer)
{
    while (at > 0 && timer.due_us < loop->timers[(at - 1) / 2].due_us) {
        place(loop, at, loop->timers[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(loop, at, timer);
}

static void sift_down(struct loop *loop, size_t at, struct loop_timer timer)
{
    for (size_t child; (child = 2 * at + 1) < loop->timers_count; at = child) {
        if (child + 1 < loop->timers_count &&
            loop->timers[child + 1].due_us < loop->timers[child].due_us)
            child++;
        if (timer.due_us <= loop->timers[child].due_us)
            break;
        place(loop, at, loop->timers[child]);
    }
    place(loop, at, timer);
}

static void grow(struct loop *loop)
{
    size_t size = loop->timers_size == 0 ? 64 : 2 * loop->timers_size;
    loop->timers = base_resize(loop->timers, size * sizeof(*loop->timers));
    loop->timers_size = size;
}
