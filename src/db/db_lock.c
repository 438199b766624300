/* db_lock: an flock on the file `lock` of a data folder. The file stays; its content is the id of
 * the process that holds it, for the message to the one that comes second. */
#include "db.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct db_lock {
    int fd;
};

static bool held_by_another(int fd, struct text folder, struct status *st);

bool db_lock_take(struct text folder, struct db_lock **out, struct status *st)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%.*s/lock", TEXT_ARG(folder));
    if (len < 0 || (size_t)len >= sizeof(path))
        return status_fail(st, STATUS_INVALID, "the path of the data folder is too long");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return status_fail_errno(st, errno, "could not open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int error = errno;
        if (error == EWOULDBLOCK)
            held_by_another(fd, folder, st);
        else
            status_fail_errno(st, error, "could not lock %s", path);
        close(fd);
        return false;
    }
    char pid[32];
    int pid_len = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    /* Only the message needs it; a full disk must not keep a server from starting to clean up. */
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)pid_len, 0) != pid_len)
        errno = 0;
    struct db_lock *lock = malloc(sizeof(*lock));
    WEIR_ASSERT(lock != NULL);
    lock->fd = fd;
    *out = lock;
    return true;
}

void db_lock_release(struct db_lock *lock)
{
    if (lock == NULL)
        return;
    close(lock->fd); /* the file stays: unlinking it would let two hold "the" lock */
    free(lock);
}

static bool held_by_another(int fd, struct text folder, struct status *st)
{
    char pid[32];
    ssize_t len = pread(fd, pid, sizeof(pid), 0);
    int64_t number = 0;
    struct text text = text_trim((struct text){pid, len > 0 ? (size_t)len : 0});
    if (text_to_i64(text, &number) && number > 0)
        return status_fail(st, STATUS_CONFLICT, "%.*s is in use by process %lld", TEXT_ARG(folder),
                           (long long)number);
    return status_fail(st, STATUS_CONFLICT, "%.*s is in use by another process", TEXT_ARG(folder));
}
