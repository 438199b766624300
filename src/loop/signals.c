#include "signals.h"
#include <stdlib.h>
#include "fiber.h"
#include "loop_internal.h"

struct watch {
    uv_signal_t handle; /* first: found by its address */
    struct signals *signals;
    bool came;
};

struct signals {
    struct watch watches[SIGNALS_MAX];
    size_t count;
    size_t open; /* handles that libuv still has */
    struct fiber *waiter;
};

static void on_signal(uv_signal_t *handle, int number);
static void on_closed(uv_handle_t *handle);

bool signals_open(struct loop *loop, const int *numbers, size_t count, struct signals **out,
                  struct status *st)
{
    WEIR_ASSERT(count > 0 && count <= SIGNALS_MAX);
    struct signals *signals = calloc(1, sizeof(*signals));
    WEIR_ASSERT(signals != NULL);
    for (size_t i = 0; i < count; i++) {
        struct watch *watch = &signals->watches[i];
        watch->signals = signals;
        int error = uv_signal_init(loop_uv(loop), &watch->handle);
        if (error == 0) {
            signals->open = signals->count = i + 1;
            error = uv_signal_start(&watch->handle, on_signal, numbers[i]);
        }
        if (error != 0) {
            if (signals->open > 0)
                signals_close(signals);
            else
                free(signals);
            return status_fail_errno(st, -error, "could not watch for signal %d", numbers[i]);
        }
    }
    *out = signals;
    return true;
}

bool signals_wait(struct signals *signals, int64_t deadline_us, int *number, struct status *st)
{
    WEIR_ASSERT(signals->waiter == NULL && fiber_current() != NULL);
    for (;;) {
        for (size_t i = 0; i < signals->count; i++) {
            if (signals->watches[i].came) {
                signals->watches[i].came = false;
                *number = signals->watches[i].handle.signum;
                return true;
            }
        }
        signals->waiter = fiber_current();
        bool ok = fiber_wait(deadline_us, st);
        signals->waiter = NULL;
        if (!ok)
            return false;
    }
}

void signals_close(struct signals *signals)
{
    if (signals == NULL)
        return;
    WEIR_ASSERT(signals->waiter == NULL);
    for (size_t i = 0; i < signals->count; i++)
        uv_close((uv_handle_t *)&signals->watches[i].handle, on_closed);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct watch *watch = (struct watch *)handle;
    (void)number;
    watch->came = true;
    if (watch->signals->waiter != NULL)
        fiber_wake(watch->signals->waiter);
}

static void on_closed(uv_handle_t *handle)
{
    struct signals *signals = ((struct watch *)handle)->signals;
    if (--signals->open == 0)
        free(signals);
}
