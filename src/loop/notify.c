/* Signals from other threads. A signaller pushes the notify onto a lock-free stack of the loop and
 * wakes the loop; a notify that is on the stack already is left there, so signalling again costs
 * one exchange. `pushed` is given back before the signal is delivered: whoever finds it set knows
 * that the delivery, and with it all that it wrote before, is still to come. */
#include <stdlib.h>
#include "loop_internal.h"

struct notify {
    struct loop *loop;
    atomic_bool pushed;
    struct notify *next; /* on the stack; belongs to whoever set `pushed`, then to the loop */
    bool signalled;      /* from here on the loop's thread alone */
    struct fiber *waiter;
};

struct notify *notify_new(struct loop *loop)
{
    struct notify *notify = calloc(1, sizeof(*notify));
    WEIR_ASSERT(notify != NULL);
    notify->loop = loop;
    atomic_init(&notify->pushed, false);
    return notify;
}

void notify_free(struct notify *notify)
{
    if (notify == NULL)
        return;
    WEIR_ASSERT(notify->waiter == NULL);
    notify_deliver_all(notify->loop); /* takes it off the stack */
    free(notify);
}

void notify_signal(struct notify *notify)
{
    struct loop *loop = notify->loop;
    if (atomic_exchange(&notify->pushed, true))
        return;
    notify->next = atomic_load(&loop->signalled);
    while (!atomic_compare_exchange_weak(&loop->signalled, &notify->next, notify))
        continue;
    (void)uv_async_send(&loop->async);
}

bool notify_wait(struct notify *notify, int64_t deadline_us, struct status *st)
{
    WEIR_ASSERT(notify->waiter == NULL && fiber_current() != NULL);
    notify->waiter = fiber_current();
    bool ok = true;
    while (!notify->signalled && ok)
        ok = fiber_wait(deadline_us, st);
    notify->waiter = NULL;
    if (!ok)
        return false;
    notify->signalled = false;
    return true;
}

void notify_deliver_all(struct loop *loop)
{
    struct notify *newest = atomic_exchange(&loop->signalled, NULL);
    struct notify *oldest = NULL;
    while (newest != NULL) { /* first come, first served */
        struct notify *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct notify *notify = oldest;
        oldest = notify->next;
        (void)atomic_exchange(&notify->pushed, false);
        notify->signalled = true;
        if (notify->waiter != NULL)
            fiber_wake(notify->waiter);
    }
}
