/* infer_sandbox: what is left to this process, so that whoever takes it over by a hostile model
 * file or request can do little with it. In two steps, since the model's library opens files and
 * starts threads until the model is loaded: infer_sandbox_files   before the first thread: by
 * Landlock the file system is closed but for the given paths and the system's own libraries, no
 * connection can be made by TCP, and no process outside gets a signal; infer_sandbox_calls   once
 * the model is loaded: by seccomp every thread is left with the system calls that serving takes. No
 * new socket, program, process, or executable memory; a call that is not on the list fails with
 * EPERM. Neither needs privileges, and neither can be taken back. A kernel without one of them
 * (Landlock is of 5.13, its part for TCP of 6.7) is not an error: the caller says so in its log. */
#pragma once
#include "base.h"
#include "status.h"

enum { INFER_SANDBOX_PATHS_MAX = 40 };

struct infer_sandbox_paths {
    /* Files, or folders with all below them, that may be read. Those that do not exist are left
     * out; NULL entries too. */
    const char *read[INFER_SANDBOX_PATHS_MAX];
    /* In which a socket may be made and removed; NULL: none. */
    const char *socket_folder;
    bool devices; /* graphics cards may be opened */
};

/* Fails: STATUS_UNAVAILABLE where the kernel has no Landlock; STATUS_SYSTEM. Nothing is closed
 * then.
 */
MUST_CHECK bool infer_sandbox_files(const struct infer_sandbox_paths *paths, struct status *st);
/* Fails: STATUS_UNAVAILABLE where the kernel has no seccomp filters; STATUS_SYSTEM. */
MUST_CHECK bool infer_sandbox_calls(struct status *st);
