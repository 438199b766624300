#include "infer_sandbox.h"
#include "sanitize.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the system's header may be too old to know, by the kernel's documentation of Landlock. */
#define FS_TRUNCATE (1ULL << 14)  /* from version 3 on */
#define FS_IOCTL_DEV (1ULL << 15) /* 5 */
#define NET_BIND_TCP (1ULL << 0)  /* 4 */
#define NET_CONNECT_TCP (1ULL << 1)
#define SCOPE_ABSTRACT_UNIX (1ULL << 0) /* 6 */
#define SCOPE_SIGNAL (1ULL << 1)
struct ruleset {
    uint64_t files, network, scoped;
};

enum {
    READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
    SOCKETS = LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE,
};

/* What the C library, OpenSSL and the threads' scheduler read by themselves. /etc as a whole is not
 * among it. */
static const char *const system_paths[] = {
    "/proc",
    "/sys",
    "/usr",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/ssl/openssl.cnf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/etc/host.conf",
    "/etc/localtime",
    "/dev/urandom",
    "/dev/null",
};

static uint64_t files_handled(int version);
static bool allow(int ruleset, const char *path, uint64_t access, struct status *st);
static bool add_calls(scmp_filter_ctx filter, struct status *st);
static int add_one(scmp_filter_ctx filter, const char *name);

bool infer_sandbox_files(const struct infer_sandbox_paths *paths, struct status *st)
{
    long version =
        syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        return status_fail(st, STATUS_UNAVAILABLE, "the kernel has no Landlock");
    struct ruleset rules = {.files = files_handled((int)version)};
    size_t size = sizeof rules.files;
    if (version >= 4) {
        rules.network = NET_CONNECT_TCP;
        size = offsetof(struct ruleset, scoped);
    }
    if (version >= 6) {
        rules.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
        size = sizeof rules;
    }
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0U);
    if (ruleset < 0)
        return status_fail_errno(st, errno, "could not make a Landlock ruleset");
    bool good = true;
    for (size_t i = 0; good && i < ARRAY_LEN(system_paths); i++)
        good = allow(ruleset, system_paths[i], READ, st);
    for (size_t i = 0; good && i < ARRAY_LEN(paths->read); i++)
        good = paths->read[i] == NULL || allow(ruleset, paths->read[i], READ, st);
    if (good && paths->socket_folder != NULL)
        good = allow(ruleset, paths->socket_folder, SOCKETS, st);
    if (good && paths->devices)
        good = allow(ruleset, "/dev",
                     rules.files & (READ | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_IOCTL_DEV), st);
    if (good && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        good = status_fail_errno(st, errno, "could not give up new privileges");
    if (good && syscall(SYS_landlock_restrict_self, ruleset, 0U) != 0)
        good = status_fail_errno(st, errno, "could not close the file system");
    (void)close(ruleset);
    return good;
}

static uint64_t files_handled(int version)
{
    uint64_t all = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1; /* the first version's */
    if (version >= 2)
        all |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= 3)
        all |= FS_TRUNCATE;
    if (version >= 5)
        all |= FS_IOCTL_DEV;
    return all;
}

static bool allow(int ruleset, const char *path, uint64_t access, struct status *st)
{
    int file = open(path, O_PATH | O_CLOEXEC);
    if (file < 0)
        return errno == ENOENT || errno == EACCES || errno == ENOTDIR
                   ? true
                   : status_fail_errno(st, errno, "could not look at %s", path);
    struct stat found;
    bool good = fstat(file, &found) == 0;
    if (good && !S_ISDIR(found.st_mode)) /* the kernel refuses a folder's rights on a file */
        access &= ~(uint64_t)(LANDLOCK_ACCESS_FS_READ_DIR | SOCKETS);
    struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = file};
    good = good && (access == 0 || syscall(SYS_landlock_add_rule, ruleset,
                                           LANDLOCK_RULE_PATH_BENEATH, &rule, 0U) == 0);
    int error = errno;
    (void)close(file);
    return good ? true : status_fail_errno(st, error, "could not leave %s open", path);
}

/* By name, since the system's header may not know the newer ones; those that this architecture does
 * not have are left out. */
static const char *const calls[] = {
    /* files and memory */
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "openat",
    "close",
    "lseek",
    "fstat",
    "newfstatat",
    "fstatat64",
    "statx",
    "readlink",
    "readlinkat",
    "access",
    "faccessat",
    "faccessat2",
    "getdents64",
    "fcntl",
    "dup",
    "dup3",
    "unlink",
    "unlinkat",
    "getcwd",
    "brk",
    "munmap",
    "mremap",
    "madvise",
    "mincore",
    "msync",
    "mlock",
    "munlock",
    /* the listener and its connections */
    "accept",
    "accept4",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "shutdown",
    "getsockname",
    "getpeername",
    "getsockopt",
    "setsockopt",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "eventfd2",
    "pipe2",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    /* threads, time and signals */
    "futex",
    "futex_waitv",
    "get_robust_list",
    "set_robust_list",
    "set_tid_address",
    "rseq",
    "membarrier",
    "sched_yield",
    "sched_getaffinity",
    "sched_setaffinity",
    "getcpu",
    "clock_gettime",
    "clock_getres",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "time",
    "restart_syscall",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigsuspend",
    "sigaltstack",
    "signalfd4",
    "exit",
    "exit_group",
    /* about itself */
    "getpid",
    "gettid",
    "getppid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getrandom",
    "getrusage",
    "getrlimit",
    "uname",
    "sysinfo",
    "times",
    "getpgrp",
#if SANITIZE_ADDRESS || SANITIZE_THREAD
    /* how a sanitizer looks for leaks at the end: another thread stops this one */
    "open",
    "getdents",
    "clone",
    "ptrace",
    "wait4",
    "process_vm_readv",
    "kill",
    "mmap",
    "mprotect",
    "prctl",
    "ioctl",
    "prlimit64",
    "personality",
    "setrlimit",
    "fork",
    "vfork",
#endif
};

bool infer_sandbox_calls(struct status *st)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL)
        return status_fail(st, STATUS_UNAVAILABLE, "the kernel has no filters of system calls");
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1); /* for all threads that run */
    bool good = rc == 0 ? add_calls(filter, st)
                        : status_fail(st, STATUS_UNAVAILABLE,
                                      "the kernel has no filters of all threads' system calls");
    if (good && (rc = seccomp_load(filter)) != 0)
        good =
            rc == -EINVAL || rc == -EOPNOTSUPP
                ? status_fail(st, STATUS_UNAVAILABLE, "the kernel takes no filter of system calls")
                : status_fail_errno(st, -rc, "could not load the filter of system calls");
    seccomp_release(filter);
    return good;
}

static bool add_calls(scmp_filter_ctx filter, struct status *st)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(calls); i++)
        rc = add_one(filter, calls[i]);
    /* Its flags are in memory, where a filter cannot look: the C library then takes clone. */
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (SANITIZE_ADDRESS || SANITIZE_THREAD)
        return rc == 0 ? true : status_fail_errno(st, -rc, "could not make the filter");
    const struct {
        int call;
        struct scmp_arg_cmp is;
    } some[] = {
        /* Threads, and no processes. */
        {SCMP_SYS(clone), {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD}},
        /* Memory, and no code. */
        {SCMP_SYS(mmap), {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}},
        {SCMP_SYS(mprotect), {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}},
        {SCMP_SYS(prctl), {0, SCMP_CMP_EQ, PR_SET_NAME, 0}},
        {SCMP_SYS(prctl), {0, SCMP_CMP_EQ, PR_GET_NAME, 0}},
        {SCMP_SYS(prctl), {0, SCMP_CMP_EQ, PR_SET_VMA, 0}},
        {SCMP_SYS(ioctl), {1, SCMP_CMP_EQ, FIONREAD, 0}},
        {SCMP_SYS(ioctl), {1, SCMP_CMP_EQ, FIONBIO, 0}},
        {SCMP_SYS(ioctl), {1, SCMP_CMP_EQ, FIOCLEX, 0}},
        {SCMP_SYS(ioctl), {1, SCMP_CMP_EQ, TCGETS, 0}},
        /* Limits are read, not set. */
        {SCMP_SYS(prlimit64), {2, SCMP_CMP_EQ, 0, 0}},
        {SCMP_SYS(tgkill), {0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0}},
        {SCMP_SYS(kill), {0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0}},
    };
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(some); i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, some[i].call, 1, some[i].is);
    return rc == 0 ? true : status_fail_errno(st, -rc, "could not make the filter of system calls");
}

static int add_one(scmp_filter_ctx filter, const char *name)
{
    int call = seccomp_syscall_resolve_name(name);
    return call == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
}
