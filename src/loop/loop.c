/* One turn of the loop: libuv fires the timer, polls and calls back; callbacks only make fibers
 * ready; fibers run in `prepare` (before the loop may sleep) and in `check` (after it has polled).
 * While fibers are ready, `idle` keeps the loop from sleeping. */
#include "loop.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include "clock.h"
#include "loop_internal.h"
#include "sanitize.h"

struct loop_post {
    void (*run)(void *arg);
    void *arg;
    struct loop_post *next;
};

static _Thread_local struct loop *current_loop;

/* Every open loop, for counting. Any thread, under the lock. */
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct loop *all_first;

static bool cpu_exists(int cpu);
static void thread_set_up(const struct loop *loop);
static void on_prepare(uv_prepare_t *handle);
static void on_check(uv_check_t *handle);
static void on_idle(uv_idle_t *handle);
static void on_timer(uv_timer_t *handle);
static void on_async(uv_async_t *handle);
static void after_fibers(struct loop *loop);
static void timer_arm(struct loop *loop);
static bool posts_run(struct loop *loop, bool close);

bool loop_open(const struct loop_options *options, struct loop **out, struct status *st)
{
    if (options->cpu >= 0 && !cpu_exists(options->cpu))
        return status_fail(st, STATUS_SYSTEM, "there is no core %d for %s", options->cpu,
                           options->name);
    struct loop *loop = calloc(1, sizeof(*loop));
    WEIR_ASSERT(loop != NULL);
    int error = uv_loop_init(&loop->uv);
    if (error != 0) {
        free(loop);
        return status_fail_errno(st, -error, "could not open an event loop");
    }
    error = uv_async_init(&loop->uv, &loop->async, on_async);
    if (error != 0) {
        WEIR_ASSERT(uv_loop_close(&loop->uv) == 0);
        free(loop);
        return status_fail_errno(st, -error, "could not open an event loop");
    }
    /* These cannot fail. A peer that is gone is a status of the write, not a signal. */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)uv_prepare_init(&loop->uv, &loop->prepare);
    (void)uv_check_init(&loop->uv, &loop->check);
    (void)uv_idle_init(&loop->uv, &loop->idle);
    (void)uv_timer_init(&loop->uv, &loop->timer);
    (void)uv_prepare_start(&loop->prepare, on_prepare);
    (void)uv_check_start(&loop->check, on_check);
    WEIR_ASSERT(pthread_mutex_init(&loop->posts_lock, NULL) == 0);
    loop->uv.data = loop;
    loop->name = options->name;
    loop->cpu = options->cpu;
    loop->fibers_max = options->fibers_max == 0 ? 65536 : options->fibers_max;
    loop->timer_due_us = CLOCK_NEVER;
    atomic_init(&loop->stop_asked, false);
    fiber_stack_pool_open(&loop->stacks, options->stack_bytes);
    (void)pthread_mutex_lock(&all_lock);
    loop->all_next = all_first;
    if (all_first != NULL)
        all_first->all_before = loop;
    all_first = loop;
    (void)pthread_mutex_unlock(&all_lock);
    *out = loop;
    return true;
}

void loop_close(struct loop *loop)
{
    if (loop == NULL)
        return;
    WEIR_ASSERT(!loop->running && loop_fibers(loop) == 0);
    (void)pthread_mutex_lock(&all_lock);
    if (loop->all_before != NULL)
        loop->all_before->all_next = loop->all_next;
    else
        all_first = loop->all_next;
    if (loop->all_next != NULL)
        loop->all_next->all_before = loop->all_before;
    (void)pthread_mutex_unlock(&all_lock);
    (void)posts_run(loop, true);
    notify_deliver_all(loop);
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->check, NULL);
    uv_close((uv_handle_t *)&loop->idle, NULL);
    uv_close((uv_handle_t *)&loop->timer, NULL);
    uv_close((uv_handle_t *)&loop->async, NULL);
    /* Sockets that were closed last, and names still being looked up for fibers that gave up. */
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    WEIR_ASSERT(uv_loop_close(&loop->uv) == 0); /* else a handle of this loop is still open */
    fiber_stack_pool_close(&loop->stacks);
    (void)pthread_mutex_destroy(&loop->posts_lock);
    free(loop->timers);
    free(loop);
}

void loop_run(struct loop *loop)
{
    WEIR_ASSERT(current_loop == NULL && !loop->running);
    current_loop = loop;
    loop->running = true;
    thread_set_up(loop);
#if SANITIZE_THREAD
    loop->tsan_fiber = __tsan_get_current_fiber();
#endif
    do
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    while (posts_run(loop, true) || loop_fibers(loop) > 0 || !loop->stopping);
    loop->running = false;
    current_loop = NULL;
}

void loop_stop(struct loop *loop)
{
    atomic_store(&loop->stop_asked, true);
    (void)uv_async_send(&loop->async);
}

void loop_pool_set(int threads)
{
    char text[16];
    struct text_out out = text_out_over(text, sizeof(text) - 1);
    text_out_addf(&out, "%d", threads);
    text[out.len] = '\0';
    WEIR_ASSERT(setenv("UV_THREADPOOL_SIZE", text, 1) == 0); /* libuv's only way to be told */
}

struct loop *loop_current(void)
{
    return current_loop;
}

struct uv_loop_s *loop_uv(struct loop *loop)
{
    return &loop->uv;
}

size_t loop_fibers(const struct loop *loop)
{
    return atomic_load_explicit(&loop->fibers, memory_order_relaxed);
}

size_t loop_fibers_all(void)
{
    size_t count = 0;
    (void)pthread_mutex_lock(&all_lock);
    for (const struct loop *loop = all_first; loop != NULL; loop = loop->all_next)
        count += loop_fibers(loop);
    (void)pthread_mutex_unlock(&all_lock);
    return count;
}

bool loop_post(struct loop *loop, void (*run)(void *arg), void *arg)
{
    struct loop_post *post = malloc(sizeof(*post));
    WEIR_ASSERT(post != NULL);
    *post = (struct loop_post){run, arg, NULL};
    (void)pthread_mutex_lock(&loop->posts_lock);
    bool open = !loop->posts_closed;
    if (open) {
        if (loop->posts_last != NULL)
            loop->posts_last->next = post;
        else
            loop->posts_first = post;
        loop->posts_last = post;
        (void)uv_async_send(&loop->async);
    }
    (void)pthread_mutex_unlock(&loop->posts_lock);
    if (!open)
        free(post);
    return open;
}

static bool cpu_exists(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    return cpu < CPU_SETSIZE && sched_getaffinity(0, sizeof(set), &set) == 0 &&
           CPU_ISSET((size_t)cpu, &set);
}

static void thread_set_up(const struct loop *loop)
{
    char name[16]; /* what the kernel keeps */
    if (loop->name != NULL) {
        struct text_out out = text_out_over(name, sizeof(name) - 1);
        text_out_add(&out, text_of(loop->name));
        name[out.len] = '\0';
        (void)pthread_setname_np(pthread_self(), name);
    }
    if (loop->cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)loop->cpu, &set);
        (void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set); /* only a wish */
    }
}

static void on_prepare(uv_prepare_t *handle)
{
    struct loop *loop = handle->loop->data;
    fiber_run_ready(loop);
    after_fibers(loop);
    timer_arm(loop);
}

static void on_check(uv_check_t *handle)
{
    struct loop *loop = handle->loop->data;
    fiber_requeue_yielded(loop);
    fiber_run_ready(loop);
    after_fibers(loop);
}

static void on_idle(uv_idle_t *handle)
{
    (void)handle; /* that it is active is all */
}

static void on_timer(uv_timer_t *handle)
{
    struct loop *loop = handle->loop->data;
    loop->timer_due_us = CLOCK_NEVER;
    loop_timers_fire(loop, clock_mono_us());
}

static void on_async(uv_async_t *handle)
{
    struct loop *loop = handle->loop->data;
    (void)posts_run(loop, false);
    notify_deliver_all(loop);
    if (atomic_load(&loop->stop_asked) && !loop->stopping) {
        loop->stopping = true;
        fiber_cancel_all(loop);
    }
}

static void after_fibers(struct loop *loop)
{
    if (loop->ready.first != NULL || loop->yielded.first != NULL)
        (void)uv_idle_start(&loop->idle, on_idle);
    else
        (void)uv_idle_stop(&loop->idle);
    if (loop->stopping && loop_fibers(loop) == 0)
        uv_stop(&loop->uv);
}

/* Sets the timer for the head of the heap, unless it is set for something earlier already: that
 * firing is harmless, and rarer than setting it at every turn. */
static void timer_arm(struct loop *loop)
{
    int64_t due_us = loop_timers_next(loop);
    if (due_us >= loop->timer_due_us)
        return;
    int64_t due_ms = due_us / 1000 + (due_us % 1000 != 0);
    int64_t now_ms = (int64_t)uv_now(&loop->uv);
    (void)uv_timer_start(&loop->timer, on_timer, due_ms > now_ms ? (uint64_t)(due_ms - now_ms) : 0,
                         0);
    loop->timer_due_us = due_us;
}

/* Runs what was posted. With `close`, no post is taken from now on once none is left. False when
 * there was none. */
static bool posts_run(struct loop *loop, bool close)
{
    (void)pthread_mutex_lock(&loop->posts_lock);
    struct loop_post *post = loop->posts_first;
    loop->posts_first = loop->posts_last = NULL;
    if (post == NULL && close)
        loop->posts_closed = true;
    (void)pthread_mutex_unlock(&loop->posts_lock);
    if (post == NULL)
        return false;
    while (post != NULL) {
        struct loop_post *next = post->next;
        post->run(post->arg);
        free(post);
        post = next;
    }
    return true;
}
