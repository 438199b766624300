/* The file on its disk: who may hold it, what is left after kill -9, and what a full disk, a
 * read-only or a damaged file is called. Children are forked before this process has threads. */
#include "db.h"
#include "check.h"
#include "clock.h"
#include "db_scratch.h"
#include "rand.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYSTEM DB_SCOPE_SYSTEM(DB_SYSTEM_JOB)

static struct db_scratch scratch;
static char url[200], path[200];

static int set_up(void **state)
{
    (void)state;
    db_scratch_folder(&scratch);
    snprintf(url, sizeof(url), "sqlite:%s/weir.db", scratch.folder);
    snprintf(path, sizeof(path), "%s/weir.db", scratch.folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    db_scratch_close(&scratch);
    return 0;
}

static bool try_open(struct status *st)
{
    return db_open(&(struct db_options){.url = text_of(url)}, &scratch.db, st);
}

static void two_processes(void **state)
{
    (void)state;
    struct status st = {0};
    int ready[2], go[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(go), 0);
    pid_t child = fork();
    if (child == 0) {
        if (!try_open(&st) || write(ready[1], "x", 1) != 1 || read(go[0], &byte, 1) != 1)
            _exit(1);
        _exit(0); /* without closing: the lock goes with the process */
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_false(try_open(&st));
    assert_int_equal(st.code, STATUS_CONFLICT);
    char holder[32];
    snprintf(holder, sizeof(holder), "process %d", (int)child);
    assert_non_null(strstr(st.text, holder));
    struct db_lock *lock = NULL;
    assert_false(db_lock_take(text_of(scratch.folder), &lock, &st));
    assert_int_equal(write(go[1], "x", 1), 1);
    int status = -1;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(db_lock_take(text_of(scratch.folder), &lock, &st));
    assert_true(db_open(&(struct db_options){.url = text_of(url), .lock = lock}, &scratch.db, &st));
    db_close(TAKE(scratch.db));
    db_lock_release(lock);
    for (int i = 0; i < 2; i++)
        close(ready[i]), close(go[i]);
}

/* Several at once for one folder: exactly one gets it. */
static void many_fight_for_the_lock(void **state)
{
    (void)state;
    enum { FIGHTERS = 8 };
    pid_t children[FIGHTERS];
    int hold[2];
    assert_int_equal(pipe(hold), 0);
    for (int i = 0; i < FIGHTERS; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            struct db_lock *lock;
            struct status st;
            char byte;
            close(hold[1]);
            bool got = db_lock_take(text_of(scratch.folder), &lock, &st);
            if (got && read(hold[0], &byte, 1) != 0) /* until the parent lets go */
                _exit(2);
            _exit(got ? 0 : 1);
        }
    }
    int winners = 0, losers = 0, status;
    close(hold[0]);
    for (; losers < FIGHTERS - 1; losers++) {
        waitpid(-1, &status, 0);
        assert_int_equal(WEXITSTATUS(status), 1);
    }
    close(hold[1]);
    waitpid(-1, &status, 0);
    winners += WEXITSTATUS(status) == 0;
    assert_int_equal(winners, 1);
}

/* The child: a pair of rows per transaction, told to the parent once it is committed. */
static void write_until_killed(int out)
{
    struct status st = {0};
    static const char sql[] = "INSERT INTO pair (n, half) VALUES ($1, $2)";
    if (!try_open(&st) || !db_migrate(scratch.db, NULL, &st))
        _exit(1);
    db_scratch_script(&scratch, "CREATE TABLE IF NOT EXISTS pair (n BIGINT, half BIGINT)");
    for (int64_t n = 1;; n++) {
        AUTO(db_tx) struct db_tx *tx = db_begin(scratch.db, SYSTEM, DB_WRITE);
        if (!db_exec(tx, NULL, &st, sql, db_int(n), db_int(1)) ||
            !db_exec(tx, NULL, &st, sql, db_int(n), db_int(2)) || !db_commit(tx, &st) ||
            write(out, &n, sizeof(n)) != sizeof(n))
            _exit(2);
    }
}

static int64_t number(const char *sql)
{
    struct status st = {0};
    struct db_row row;
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    bool ok = db_read_one(scratch.db, DB_SCOPE_SYSTEM(DB_SYSTEM_SCHEMA), arena, &row, &st, sql);
    if (!ok)
        print_error("%s\n", st.text);
    assert_true(ok);
    return db_row_int(&row, 0);
}

static void killed_at_random(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        int told[2], status;
        int64_t n, last = 0;
        assert_int_equal(pipe(told), 0);
        pid_t child = fork();
        if (child == 0)
            write_until_killed(told[1]);
        close(told[1]);
        for (uint64_t i = 0; i < 5 + rand_below(40) && read(told[0], &n, sizeof(n)) > 0; i++)
            last = n;
        usleep((useconds_t)rand_below(3000));
        kill(child, SIGKILL);
        while (read(told[0], &n, sizeof(n)) > 0)
            last = n;
        close(told[0]);
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status) && last >= 5);
        struct status st = {0};
        assert_true(try_open(&st)); /* at once: the lock went with the process */
        assert_true(db_migrate(scratch.db, NULL, &st));
        assert_true(number("SELECT max(n) FROM pair") >= last);
        assert_int_equal(number("SELECT count(*) - 2 * max(n) FROM pair"),
                         0); /* no halves, no gaps */
        assert_int_equal(number("SELECT count(*) FROM pragma_integrity_check WHERE "
                                "integrity_check = 'ok'"),
                         1);
        db_scratch_script(&scratch, "DELETE FROM pair");
        db_close(TAKE(scratch.db));
    }
}

static void full(void **state)
{
    (void)state;
    struct status st = {0};
    static const char sql[] = "INSERT INTO organisation (id, name, created_us) VALUES ($1, $2, 1)";
    char page[4000];
    memset(page, 'x', sizeof(page));
    struct text name = {page, sizeof(page)};
    assert_true(db_open(&(struct db_options){.url = text_of(url), .size_max = 512 * 1024},
                        &scratch.db, &st));
    assert_true(db_migrate(scratch.db, NULL, &st));
    int done = 0;
    for (bool ok = true; ok; done += ok) {
        AUTO(db_tx) struct db_tx *tx = db_begin(scratch.db, SYSTEM, DB_WRITE);
        char a[20], b[20];
        snprintf(a, sizeof(a), "org_%da", done);
        snprintf(b, sizeof(b), "org_%db", done);
        ok = db_exec(tx, NULL, &st, sql, db_text(text_of(a)), db_text(name)) &&
             db_exec(tx, NULL, &st, sql, db_text(text_of(b)), db_text(name)) && db_commit(tx, &st);
    }
    assert_int_equal(st.code, STATUS_UNAVAILABLE);
    assert_non_null(strstr(st.text, "disk is full"));
    assert_true(done > 5);
    assert_int_equal(number("SELECT count(*) FROM organisation"), 2 * done); /* no halves */
    AUTO(db_tx) struct db_tx *tx = db_begin(scratch.db, SYSTEM, DB_WRITE);
    assert_true(db_exec(tx, NULL, &st, "DELETE FROM organisation") && db_commit(tx, &st));
    AUTO(db_tx) struct db_tx *again = db_begin(scratch.db, SYSTEM, DB_WRITE);
    assert_true(db_exec(again, NULL, &st, sql, db_text(TEXT("org_z")), db_text(name)));
    assert_true(db_commit(again, &st)); /* with room, it goes on */
}

/* As somebody whom file modes bind: the tests may run as root. */
static void read_only_file(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        mode_t folder, file;
        const char *text;
    } cases[] = {
        {"a folder that cannot be written", 0555, 0644, "permission denied"},
        {"a file that cannot be written", 0777, 0444, "permission denied"},
    };
    struct status st = {0};
    assert_true(try_open(&st) && db_migrate(scratch.db, NULL, &st));
    db_close(TAKE(scratch.db));
    char lock[200];
    snprintf(lock, sizeof(lock), "%s/lock", scratch.folder);
    unlink(lock);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check_case(cases[i].name);
        assert_int_equal(chmod(scratch.folder, cases[i].folder), 0);
        assert_int_equal(chmod(path, cases[i].file), 0);
        pid_t child = fork();
        if (child == 0) {
            if (geteuid() == 0 &&
                (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0))
                _exit(3);
            if (try_open(&st))
                _exit(2);
            bool told = st.code == STATUS_SYSTEM && strcasestr(st.text, cases[i].text) != NULL;
            if (!told)
                fprintf(stderr, "%s\n", st.text);
            _exit(told ? 0 : 1);
        }
        int status;
        waitpid(child, &status, 0);
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    chmod(scratch.folder, 0700);
}

static void write_file(const char *bytes, size_t size, off_t at)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, at), size);
    close(fd);
}

static void no_database(void **state)
{
    (void)state;
    struct status st = {0};
    char noise[8192];
    memset(noise, 'n', sizeof(noise));
    write_file(noise, sizeof(noise), 0);
    assert_false(try_open(&st));
    assert_int_equal(st.code, STATUS_SYSTEM);
    assert_non_null(strstr(st.text, "no database"));
}

static void damaged(void **state)
{
    (void)state;
    struct status st = {0};
    char noise[4096];
    memset(noise, 0xa5, sizeof(noise));
    assert_true(try_open(&st) && db_migrate(scratch.db, NULL, &st));
    db_close(TAKE(scratch.db));
    for (off_t page = 1; page < 12; page++)
        write_file(noise, sizeof(noise), page * 4096);
    bool ok = try_open(&st) && db_migrate(scratch.db, NULL, &st);
    assert_false(ok);
    assert_int_equal(st.code, STATUS_SYSTEM);
    assert_non_null(strstr(st.text, "damaged"));
}

static void reading_only(void **state)
{
    (void)state;
    struct status st = {0};
    int pending;
    assert_true(try_open(&st) && db_migrate(scratch.db, NULL, &st));
    struct db *second = NULL; /* beside the one that writes: it takes no lock */
    struct db_options options = {.url = text_of(url), .read_only = true};
    assert_true(db_open(&options, &second, &st));
    assert_true(db_schema_check(second, &pending, &st));
    assert_int_equal(pending, 0);
    AUTO(db_tx) struct db_tx *tx = db_begin(second, SYSTEM, DB_WRITE);
    assert_false(db_exec(tx, NULL, &st, "DELETE FROM organisation"));
    assert_int_equal(st.code, STATUS_SYSTEM);
    db_close(second);
}

static void addresses(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "sqlite:", "mysql://x:secret@y/z", "postgres://h/d"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct status st = {0};
        check_case(bad[i]);
        assert_false(db_open(&(struct db_options){.url = text_of(bad[i])}, &scratch.db, &st));
        assert_int_equal(st.code, STATUS_INVALID);
        assert_null(strstr(st.text, "secret"));
    }
    struct status st = {0};
    struct stat info;
    assert_true(try_open(&st));
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_processes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_fight_for_the_lock, set_up, tear_down),
        cmocka_unit_test_setup_teardown(killed_at_random, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(read_only_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_database, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reading_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(addresses, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
