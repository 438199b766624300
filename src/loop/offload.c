#include "fiber.h"
#include "clock.h"
#include "log.h"
#include "loop_internal.h"

/* On the stack of the waiting fiber, which does not leave before libuv has reported the end. */
struct job {
    uv_work_t request;
    void (*work)(void *arg);
    void *arg;
    const struct log_scope *scope;
    struct fiber *waiter;
    bool ended, withdrawn;
};

static void on_pool_thread(uv_work_t *request);
static void on_end(uv_work_t *request, int result);

bool offload(void (*work)(void *arg), void *arg, struct status *st)
{
    struct fiber *self = fiber_current();
    WEIR_ASSERT(self != NULL);
    if (!fiber_check(CLOCK_NEVER, st))
        return false;
    struct job job = {.work = work, .arg = arg, .scope = log_scope_get(), .waiter = self};
    job.request.data = &job;
    WEIR_ASSERT(uv_queue_work(&self->loop->uv, &job.request, on_pool_thread, on_end) == 0);
    unsigned cancel = fiber_cancel_mask();
    while (!job.ended) {
        fiber_suspend(WAIT_RESUME | cancel, CLOCK_NEVER);
        if (self->cancelled && cancel != 0 && !job.ended) {
            (void)uv_cancel((uv_req_t *)&job.request); /* fails when it has begun */
            cancel = 0;
        }
    }
    if (job.withdrawn)
        return status_fail(st, STATUS_CANCELLED, "cancelled");
    return true;
}

static void on_pool_thread(uv_work_t *request)
{
    struct job *job = request->data;
    const struct log_scope *before = log_scope_set(job->scope);
    job->work(job->arg);
    (void)log_scope_set(before);
}

static void on_end(uv_work_t *request, int result)
{
    struct job *job = request->data;
    job->withdrawn = result == UV_ECANCELED;
    job->ended = true;
    fiber_resume(job->waiter);
}
