/* loop: one event loop per worker thread, and the fibers that run on it (fiber.h).
 * A loop belongs to the thread that runs it; loop_post and notify_signal are the only calls that
 * another thread may make. Knows nothing of HTTP or of what Weir is for. */
#pragma once
#include "base.h"
#include "status.h"

struct loop;
struct uv_loop_s;

struct loop_options {
    const char *name;   /* "worker-0": the thread's name in logs and debuggers */
    int cpu;            /* the core to stay on, or -1 */
    size_t fibers_max;  /* how many may live at once; 0: 65,536 */
    size_t stack_bytes; /* reserved address space per fiber; 0: 256 KiB */
};

/* From the first loop on, the whole process ignores SIGPIPE (loop_close does not undo it): a write
 * to a peer that is gone fails with a status, in libuv, OpenSSL and libcurl too, instead of ending
 * the process. A program that handles SIGPIPE itself must set that up after its first loop, and
 * then answers for such writes. Children get the default again (child.h). Owns: the caller closes
 * it after loop_run has returned. Fails: STATUS_SYSTEM. */
MUST_CHECK bool loop_open(const struct loop_options *options, struct loop **out, struct status *st);
void loop_close(struct loop *loop);
/* Runs until loop_stop was called and the last fiber has ended. */
void loop_run(struct loop *loop);
/* Any thread. Cancels every fiber that still runs, and lets loop_run return when they are gone. */
void loop_stop(struct loop *loop);
/* How many threads the pool has that all loops share: for offload and for looking up names. Before
 * the first of them, while the process has one thread; 4 otherwise. Whoever lets one kind of work
 * take many threads for long makes it larger by as many, so that the rest need not wait. */
void loop_pool_set(int threads);
struct loop *loop_current(void);              /* the loop of this thread, or NULL */
struct uv_loop_s *loop_uv(struct loop *loop); /* for src/loop and src/http alone */
size_t loop_fibers(const struct loop *loop);  /* how many live now; any thread */
size_t loop_fibers_all(void);                 /* of all loops of the process; any thread */
/* Any thread: runs `run(arg)` on the loop's thread soon, outside any fiber: it must not wait.
 * Fails (false) when the loop has stopped; `run` is then never called. */
MUST_CHECK bool loop_post(struct loop *loop, void (*run)(void *arg), void *arg);
