/* Each test closes a child process, which tells by its exit status what it could still do. */
#include "infer_sandbox.h"
#include "check.h"
#include "sanitize.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/weir-sandbox-XXXXXX";
static char given[64], other[64], open_folder[64];

static int in_child(int (*body)(void))
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(body());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool can_open(const char *path, int flags)
{
    int file = open(path, flags | O_CLOEXEC, 0600);
    if (file >= 0)
        (void)close(file);
    return file >= 0;
}

static bool can_listen(const char *in)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/s", in);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good =
        fd >= 0 && bind(fd, (const struct sockaddr *)(const void *)&address, sizeof address) == 0;
    return good && listen(fd, 1) == 0 && unlink(address.sun_path) == 0;
}

enum { OTHER = 1, WRITES = 2, GIVEN = 4, LISTENS = 8, LISTENS_ELSEWHERE = 16, CONNECTS = 32 };

static int listener_port;

static int files_body(void)
{
    struct status st = {0};
    struct infer_sandbox_paths paths = {.read = {given, NULL, "/nowhere/at/all"},
                                        .socket_folder = open_folder};
    if (!infer_sandbox_files(&paths, &st))
        return 100;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)listener_port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = connect(fd, (const struct sockaddr *)(const void *)&address, sizeof address);
    return (can_open(other, O_RDONLY) ? OTHER : 0) |
           (can_open(given, O_WRONLY) || can_open(other, O_WRONLY) ? WRITES : 0) |
           (can_open(given, O_RDONLY) ? GIVEN : 0) | (can_listen(open_folder) ? LISTENS : 0) |
           (can_listen(folder) ? LISTENS_ELSEWHERE : 0) | (rc == 0 ? CONNECTS : 0);
}

static long version(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
}

static void files(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)(const void *)&address, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)(void *)&address, &len), 0);
    listener_port = ntohs(address.sin_port);
    assert_true(can_open(other, O_RDONLY) && can_listen(folder));
    int could = in_child(files_body);
    (void)close(fd);
    if (could == 100)
        print_message("this kernel has no Landlock\n");
    else /* it knows TCP from version 4 on */
        assert_int_equal(could & ~(version() < 4 ? CONNECTS : 0), GIVEN | LISTENS);
}

enum { SOCKET = 1, PROGRAM = 2, CODE = 4, THREAD = 8, OLD_THREAD = 16, READS = 32, FORKS = 64 };

static _Atomic int old_thread_may; /* 0: wait; 1: try; 2: could not; 3: could */

static void *old_thread(void *arg)
{
    (void)arg;
    while (old_thread_may == 0)
        (void)usleep(1000);
    old_thread_may = socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM ? 2 : 3;
    return NULL;
}

static void *new_thread(void *arg)
{
    *(bool *)arg = true;
    return NULL;
}

static int calls_body(void)
{
    struct status st = {0};
    pthread_t old, new;
    bool ran = false;
    if (pthread_create(&old, NULL, old_thread, NULL) != 0 || !infer_sandbox_calls(&st))
        return 100;
    old_thread_may = 1;
    (void)pthread_join(old, NULL);
    bool thread = pthread_create(&new, NULL, new_thread, &ran) == 0;
    if (thread)
        (void)pthread_join(new, NULL);
    char *const program[] = {(char *)(uintptr_t)"/bin/true", NULL};
    void *code =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    int could = (socket(AF_INET, SOCK_STREAM, 0) >= 0 ? SOCKET : 0) |
                (code != MAP_FAILED ? CODE : 0) | (ran ? THREAD : 0) |
                (old_thread_may == 3 ? OLD_THREAD : 0) | (can_open(given, O_RDONLY) ? READS : 0) |
                (child > 0 ? FORKS : 0);
    (void)execv(program[0], program); /* ends with 0 where it can */
    return could;
}

static void calls(void **state)
{
    (void)state;
    int could = in_child(calls_body);
    if (could == 100)
        print_message("this kernel has no filters of system calls\n");
    else
        assert_int_equal(could & ~(SANITIZE_ADDRESS || SANITIZE_THREAD ? CODE | FORKS : 0),
                         THREAD | READS);
}

static int make_files(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(given, sizeof given, "%s/given", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    snprintf(open_folder, sizeof open_folder, "%s/run", folder);
    return can_open(given, O_CREAT | O_WRONLY) && can_open(other, O_CREAT | O_WRONLY) &&
                   mkdir(open_folder, 0700) == 0
               ? 0
               : -1;
}

static int remove_files(void **state)
{
    (void)state;
    return unlink(given) | unlink(other) | rmdir(open_folder) | rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(files), cmocka_unit_test(calls)};
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
