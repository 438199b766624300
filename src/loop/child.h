/* child: processes started by us. On the loop's thread. */
#pragma once
#include "base.h"
#include "status.h"
#include "text.h"

struct loop;
struct child;

struct child_options {
    const char *const *argv;        /* ends with NULL; argv[0] is the path of the program */
    const char *const *environment; /* ends with NULL; NULL: ours */
    int inherit[4];                 /* descriptors that the child gets as 3, 4, ..; end with -1 */
    bool quiet; /* its stdout is /dev/null: ours is for scripts, and our stderr for log lines */
};
/* The child's stdout and stderr are ours, stdin is /dev/null, all other descriptors are closed,
 * signals have their default. It gets SIGTERM when we die, however we die (and when the thread that
 * started it ends: start a child from a thread that lasts). Does not wait. Fails: STATUS_SYSTEM,
 * also when the program cannot be run. */
MUST_CHECK bool child_start(struct loop *loop, const struct child_options *options,
                            struct child **out, struct status *st);
/* Waits for its end. `*exit_status` >= 0 is the exit code, < 0 minus the signal. */
MUST_CHECK bool child_wait(struct child *child, int64_t deadline_us, int *exit_status,
                           struct status *st);
void child_signal(struct child *child, int signal);
int child_pid(const struct child *child);
void child_free(struct child *child); /* kills it (SIGKILL) if it still runs */
AUTO_DEFINE(child, child_free)
