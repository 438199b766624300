#include "child.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "clock.h"
#include "loop_check.h"
#include "signals.h"

static struct child *shell(const char *script, int inherit)
{
    struct status st;
    struct child *child;
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    const char *environment[] = {"WORD=weir", "PATH=/usr/bin:/bin", NULL};
    struct child_options options = {
        .argv = argv, .environment = environment, .inherit = {inherit, -1, -1, -1}};
    if (!child_start(loop, &options, &child, &st))
        fail_msg("%s", st.text);
    return child;
}

static const struct {
    const char *script;
    int exit_status;
} ends[] = {
    {"exit 0", 0},
    {"exit 7", 7},
    {"kill -TERM $$", -SIGTERM},
    {"kill -PIPE $$", -SIGPIPE}, /* ignored by us, and theirs again */
    {"test \"$WORD\" = weir", 0},
    {"test -z \"$(cat)\"", 0}, /* nothing to read */
    {"test -e /proc/$$/fd/3", 1},
    {"test -e /proc/$$/fd/200", 1}, /* open in us, without close-on-exec */
};
static void ends_main(void)
{
    struct status st;
    int open_fd = fcntl(0, F_DUPFD, 200);
    assert_int_equal(open_fd, 200);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        int exit_status;
        check_case(ends[i].script);
        struct child *child = shell(ends[i].script, -1);
        assert_true(child_pid(child) > 0);
        assert_true(child_wait(child, clock_deadline_ms(20000), &exit_status, &st));
        assert_int_equal(exit_status, ends[i].exit_status);
        assert_true(child_wait(child, 0, &exit_status, &st)); /* and again */
        child_signal(child, SIGTERM);                         /* of no effect */
        child_free(child);
    }
    (void)close(open_fd);
}

static void ends_are_told(void **state)
{
    (void)state;
    on_loop(ends_main);
}

static void wait_main(void)
{
    struct status st;
    int exit_status;
    struct child *child = shell("exec sleep 600", -1);
    assert_false(child_wait(child, clock_deadline_ms(10), &exit_status, &st));
    assert_int_equal(st.code, STATUS_TIMEOUT);
    child_signal(child, SIGTERM);
    assert_true(child_wait(child, clock_deadline_ms(20000), &exit_status, &st));
    assert_int_equal(exit_status, -SIGTERM);
    child_free(child);
    child = shell("trap '' TERM; exec sleep 600", -1); /* one that must be killed */
    pid_t pid = child_pid(child);
    child_free(child);
    assert_int_equal(kill(pid, 0), -1);
}

static void signals_reach_it(void **state)
{
    (void)state;
    on_loop(wait_main);
}

static void inherit_main(void)
{
    struct status st;
    int ends_of[2], exit_status;
    char into[8] = "";
    assert_int_equal(pipe2(ends_of, O_CLOEXEC), 0);
    struct child *child = shell("echo hi >&3", ends_of[1]);
    (void)close(ends_of[1]);
    assert_true(child_wait(child, clock_deadline_ms(20000), &exit_status, &st));
    assert_int_equal(exit_status, 0);
    assert_int_equal(read(ends_of[0], into, sizeof(into)), 3);
    assert_int_equal(read(ends_of[0], into, sizeof(into)), 0); /* nobody else has it open */
    (void)close(ends_of[0]);
    child_free(child);
}

static void descriptors_are_inherited(void **state)
{
    (void)state;
    on_loop(inherit_main);
}

static void missing_main(void)
{
    struct status st;
    struct child *child;
    const char *argv[] = {"/no/such/program", NULL};
    struct child_options options = {.argv = argv, .inherit = {-1}};
    assert_false(child_start(loop, &options, &child, &st));
    assert_int_equal(st.code, STATUS_SYSTEM);
    assert_non_null(strstr(st.text, "/no/such/program"));
    argv[0] = "/dev/null"; /* not a program */
    assert_false(child_start(loop, &options, &child, &st));
    assert_int_equal(st.code, STATUS_SYSTEM);
    options.inherit[0] = 9999; /* not open */
    options.inherit[1] = -1;
    argv[0] = "/bin/true";
    assert_false(child_start(loop, &options, &child, &st));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* none is left behind */
}

static void what_cannot_be_run(void **state)
{
    (void)state;
    on_loop(missing_main);
}

/* A process that starts a child and is killed: the child gets SIGTERM. It says so by the pipe's
 * end closing, of which it holds the last copy. */
static void orphan_main(void)
{
    (void)shell("exec sleep 600", -1);
    (void)kill(getpid(), SIGKILL);
}

static void it_dies_with_us(void **state)
{
    (void)state;
    int ends_of[2];
    char byte;
    assert_int_equal(pipe(ends_of), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(ends_of[1], 1); /* stdout is inherited */
        (void)close(ends_of[0]);
        (void)close(ends_of[1]);
        on_loop(orphan_main);
        _exit(0);
    }
    (void)close(ends_of[1]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    (void)alarm(20); /* instead of hanging */
    assert_int_equal(read(ends_of[0], &byte, 1), 0);
    (void)alarm(0);
    (void)close(ends_of[0]);
}

static void signals_main(void)
{
    static const int numbers[] = {SIGUSR1, SIGUSR2};
    struct status st;
    int number;
    AUTO(signals) struct signals *signals = NULL;
    assert_true(signals_open(loop, numbers, ARRAY_LEN(numbers), &signals, &st));
    assert_false(signals_wait(signals, clock_deadline_ms(5), &number, &st));
    assert_int_equal(st.code, STATUS_TIMEOUT);
    (void)kill(getpid(), SIGUSR2);
    (void)kill(getpid(), SIGUSR2);
    assert_true(signals_wait(signals, clock_deadline_ms(20000), &number, &st));
    assert_int_equal(number, SIGUSR2);
    (void)kill(getpid(), SIGUSR1);
    assert_true(loop_sleep(clock_deadline_ms(10), &st)); /* it comes before the wait */
    assert_true(signals_wait(signals, clock_deadline_ms(20000), &number, &st));
    assert_int_equal(number, SIGUSR1);
}

static void signals_are_waited_for(void **state)
{
    (void)state;
    on_loop(signals_main);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_dies_with_us),    cmocka_unit_test(ends_are_told),
        cmocka_unit_test(signals_reach_it),   cmocka_unit_test(descriptors_are_inherited),
        cmocka_unit_test(what_cannot_be_run), cmocka_unit_test(signals_are_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
