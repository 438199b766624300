/* Children are started by fork and exec of our own, not by uv_spawn, for one reason: between the
 * two the child asks the kernel for SIGTERM when its parent dies, and libuv has no place for that.
 * Between fork and exec only calls that are safe in a copy of a process with threads are made.
 * The end is seen through a pidfd, so there is no SIGCHLD handler. */
#include "child.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "fiber.h"
#include "loop_internal.h"

enum { INHERIT_MAX = 4, FIRST_FREE_FD = 64 };

struct child {
    uv_poll_t poll; /* first: freed by its address */
    int pid_fd;
    pid_t pid;
    bool ended;
    int exit_status;
    struct fiber *waiter;
};

extern char **environ;

static void child_exec(const struct child_options *options, pid_t parent, int report_fd) NORETURN;
static bool descriptors_place(const struct child_options *options, int *report_fd);
static bool started(int report_fd, int *error);
static void on_end(uv_poll_t *poll, int status, int events);
static bool reap(struct child *child, int flags);
static void on_closed(uv_handle_t *handle);

bool child_start(struct loop *loop, const struct child_options *options, struct child **out,
                 struct status *st)
{
    const char *path = options->argv[0];
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0)
        return status_fail_errno(st, errno, "could not start %s", path);
    /* No handler of ours may run in the copy: signals stay blocked there until it has none. */
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        child_exec(options, parent, report[1]);
    int error = errno;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)close(report[1]);
    int pid_fd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    if (pid > 0 && pid_fd < 0)
        error = errno;
    if (pid_fd < 0 || !started(report[0], &error)) {
        (void)close(report[0]);
        if (pid_fd >= 0)
            (void)close(pid_fd);
        if (pid > 0) {
            (void)kill(pid, SIGKILL);
            (void)waitpid(pid, NULL, 0);
        }
        return status_fail_errno(st, error, "could not start %s", path);
    }
    (void)close(report[0]);
    struct child *child = calloc(1, sizeof(*child));
    WEIR_ASSERT(child != NULL);
    child->pid = pid;
    child->pid_fd = pid_fd;
    WEIR_ASSERT(uv_poll_init(loop_uv(loop), &child->poll, pid_fd) == 0);
    WEIR_ASSERT(uv_poll_start(&child->poll, UV_READABLE, on_end) == 0);
    *out = child;
    return true;
}

bool child_wait(struct child *child, int64_t deadline_us, int *exit_status, struct status *st)
{
    WEIR_ASSERT(child->waiter == NULL && fiber_current() != NULL);
    child->waiter = fiber_current();
    bool ok = true;
    while (!child->ended && ok)
        ok = fiber_wait(deadline_us, st);
    child->waiter = NULL;
    if (ok)
        *exit_status = child->exit_status;
    return ok;
}

void child_signal(struct child *child, int signal)
{
    if (!child->ended) /* so its pid is still its own */
        (void)kill(child->pid, signal);
}

int child_pid(const struct child *child)
{
    return (int)child->pid;
}

void child_free(struct child *child)
{
    if (child == NULL)
        return;
    WEIR_ASSERT(child->waiter == NULL);
    if (!child->ended) {
        child_signal(child, SIGKILL);
        (void)reap(child, 0); /* at once, for a killed process */
    }
    uv_close((uv_handle_t *)&child->poll, on_closed);
    (void)close(child->pid_fd);
}

/* In the copy, until exec. */
static void child_exec(const struct child_options *options, pid_t parent, int report_fd)
{
    int error = 0;
    sigset_t none;
    (void)sigemptyset(&none);
    /* When the thread that started us ends, which for a loop's thread is when the process does. */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(127); /* it has died already */
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL);
    if (descriptors_place(options, &report_fd)) {
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        /* execve takes pointers to what it does not change. */
        char *const *argv, *const *environment;
        memcpy(&argv, &options->argv, sizeof(argv));
        memcpy(&environment, &options->environment, sizeof(environment));
        (void)execve(options->argv[0], argv, options->environment == NULL ? environ : environment);
    }
    error = errno;
    while (write(report_fd, &error, sizeof(error)) < 0 && errno == EINTR)
        continue;
    _exit(127);
}

/* Puts /dev/null at 0 and what is inherited at 3, 4, ..; closes all else but 1, 2 and the report,
 * which closes at exec. Everything moves out of the way first, since the numbers may overlap. */
static bool descriptors_place(const struct child_options *options, int *report_fd)
{
    int moved[INHERIT_MAX], count = 0;
    int report = fcntl(*report_fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
    if (report < 0)
        return false;
    *report_fd = report;
    for (; count < INHERIT_MAX && options->inherit[count] >= 0; count++) {
        moved[count] = fcntl(options->inherit[count], F_DUPFD_CLOEXEC, FIRST_FREE_FD);
        if (moved[count] < 0)
            return false;
    }
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || (null != 0 && dup2(null, 0) < 0))
        return false;
    if (null == 0 && fcntl(0, F_SETFD, 0) != 0)
        return false;
    if (options->quiet && dup2(0, 1) < 0)
        return false;
    for (int i = 0; i < count; i++)
        if (dup2(moved[i], 3 + i) < 0) /* a copy without close-on-exec */
            return false;
    (void)close_range((unsigned)(3 + count), (unsigned)report - 1, 0);
    (void)close_range((unsigned)report + 1, ~0U, 0);
    return true;
}

/* Waits until the child has either begun its program (the pipe closes) or said why not. */
static bool started(int report_fd, int *error)
{
    ssize_t got;
    do
        got = read(report_fd, error, sizeof(*error));
    while (got < 0 && errno == EINTR);
    return got == 0;
}

static void on_end(uv_poll_t *poll, int status, int events)
{
    struct child *child = (struct child *)poll;
    (void)status;
    (void)events;
    if (!reap(child, WNOHANG))
        return;
    (void)uv_poll_stop(poll);
    if (child->waiter != NULL)
        fiber_wake(child->waiter);
}

static bool reap(struct child *child, int flags)
{
    siginfo_t info;
    int result; /* by pid: libuv has made the pidfd non-blocking, for waitid as well */
    memset(&info, 0, sizeof(info));
    do
        result = waitid(P_PID, (id_t)child->pid, &info, WEXITED | flags);
    while (result != 0 && errno == EINTR);
    if (result == 0 && info.si_pid == 0)
        return false; /* not yet */
    child->ended = true;
    /* Without a status (somebody else has taken it) the child counts as killed. */
    child->exit_status = result == 0 && info.si_code == CLD_EXITED ? info.si_status
                         : result == 0                             ? -info.si_status
                                                                   : -SIGKILL;
    return true;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}
