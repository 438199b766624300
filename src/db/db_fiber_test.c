/* The database under fibers: waiting, deadlines, cancelling, several loops. */
#include "db.h"
#include "check.h"
#include "clock.h"
#include "db_scratch.h"
#include "fiber.h"
#include "loop.h"

#include <pthread.h>
#include <stdio.h>

#define SYSTEM DB_SCOPE_SYSTEM(DB_SYSTEM_JOB)

static struct db_scratch scratch;
static struct db *db; /* with the limits of the test */

static const char count_sql[] = "SELECT count(*) FROM n";
static const char insert_sql[] = "INSERT INTO n (i) VALUES ($1)";
static const char endless_sql[] =
    "WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) "
    "SELECT count(*) FROM c";

static void open_with(int readers, int64_t statement_ms, int64_t queue_max)
{
    struct status st = {0};
    char url[200];
    db_scratch_open(&scratch);
    db_scratch_script(&scratch, "CREATE TABLE n (i BIGINT)");
    db_close(TAKE(scratch.db));
    snprintf(url, sizeof(url), "sqlite:%s/weir.db", scratch.folder);
    struct db_options options = {.url = text_of(url),
                                 .readers = readers,
                                 .statement_ms = statement_ms,
                                 .queue_max = queue_max};
    assert_true(db_open(&options, &db, &st) && db_migrate(db, NULL, &st));
}

static int tear_down(void **state)
{
    (void)state;
    db_close(TAKE(db));
    db_scratch_close(&scratch);
    return 0;
}

struct run {
    void (*main)(void *arg);
    void *arg;
    struct loop *loop;
};

static void main_fiber(void *arg)
{
    struct run *run = arg;
    run->main(run->arg);
    loop_stop(run->loop);
}

static void on_loop(void (*main)(void *arg), void *arg)
{
    struct status st;
    struct run run = {main, arg, NULL};
    assert_true(loop_open(&(struct loop_options){.name = "test", .cpu = -1}, &run.loop, &st));
    assert_true(fiber_start(run.loop, "main", main_fiber, &run, &st));
    loop_run(run.loop);
    loop_close(run.loop);
}

static struct fiber *start(void (*run)(void *arg), void *arg)
{
    struct status st;
    struct fiber *fiber = NULL;
    assert_true(fiber_start_joinable(loop_current(), "child", run, arg, &fiber, &st));
    return fiber;
}

static bool insert(int64_t i, struct status *st)
{
    AUTO(db_tx) struct db_tx *tx = db_begin(db, SYSTEM, DB_WRITE);
    return db_exec(tx, NULL, st, insert_sql, db_int(i)) && db_commit(tx, st);
}

static int64_t count(void)
{
    struct status st;
    struct db_row row;
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    assert_true(db_read_one(db, SYSTEM, arena, &row, &st, count_sql));
    return db_row_int(&row, 0);
}

enum { FIBERS = 40, EACH = 10 };

static void worker(void *arg)
{
    (void)arg;
    for (int64_t i = 0; i < EACH; i++) {
        struct status st;
        struct db_row row;
        AUTO(arena) struct arena *arena = arena_open(64 * KIB);
        AUTO(db_tx) struct db_tx *tx = db_begin(db, SYSTEM, DB_WRITE);
        assert_true(db_one(tx, arena, &row, &st, count_sql));
        int64_t before = db_row_int(&row, 0);
        assert_true(db_exec(tx, NULL, &st, insert_sql, db_int(i)));
        fiber_yield(); /* others run; none of them gets in between */
        assert_true(db_one(tx, arena, &row, &st, count_sql));
        assert_int_equal(db_row_int(&row, 0), before + 1);
        if (i % 2 == 0)
            assert_true(db_commit(tx, &st)); /* the others are rolled back */
        (void)count();
    }
}

static void many_main(void *arg)
{
    (void)arg;
    struct fiber *fibers[FIBERS];
    for (size_t i = 0; i < FIBERS; i++)
        fibers[i] = start(worker, NULL);
    for (size_t i = 0; i < FIBERS; i++)
        fiber_join(fibers[i]);
}

static void many_fibers(void **state)
{
    (void)state;
    open_with(2, 60000, 0);
    on_loop(many_main, NULL);
    assert_int_equal(count(), FIBERS * EACH / 2);
}

static void *loop_thread(void *arg)
{
    (void)arg;
    on_loop(many_main, NULL);
    return NULL;
}

static void several_loops(void **state)
{
    (void)state;
    open_with(2, 60000, 0);
    pthread_t threads[3];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, loop_thread, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(count(), 3 * FIBERS * EACH / 2);
}

static void late_main(void *arg)
{
    (void)arg;
    struct status st;
    struct db_rows rows;
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    int64_t begin = clock_mono_us();
    assert_false(db_read(db, SYSTEM, arena, &rows, &st, endless_sql));
    assert_int_equal(st.code, STATUS_TIMEOUT);
    assert_true(clock_mono_us() - begin < 2 * 1000000);
    /* the fiber's own deadline is the earlier one */
    int64_t before = fiber_set_deadline(clock_deadline_ms(20));
    begin = clock_mono_us();
    assert_false(db_read(db, SYSTEM, arena, &rows, &st, endless_sql));
    assert_int_equal(st.code, STATUS_TIMEOUT);
    assert_true(clock_mono_us() - begin < 200 * 1000);
    fiber_set_deadline(before);
    assert_int_equal(count(), 0); /* the connection is as good as new */
}

static void late(void **state)
{
    (void)state;
    open_with(1, 300, 0);
    on_loop(late_main, NULL);
}

static void endless(void *arg)
{
    struct status *st = arg;
    struct db_rows rows;
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    assert_false(db_read(db, SYSTEM, arena, &rows, st, endless_sql));
}

static void cancel_main(void *arg)
{
    (void)arg;
    struct status running = {0}, waiting = {0}, st;
    struct fiber *one = start(endless, &running), *two = start(endless, &waiting);
    assert_true(loop_sleep(clock_deadline_ms(50), &st));
    int64_t begin = clock_mono_us();
    fiber_cancel(two); /* stands in the queue behind the only reader */
    fiber_join(two);
    assert_int_equal(waiting.code, STATUS_CANCELLED);
    fiber_cancel(one);
    fiber_join(one);
    assert_int_equal(running.code, STATUS_CANCELLED);
    assert_true(clock_mono_us() - begin < 1000 * 1000);
    assert_int_equal(count(), 0);
}

static void cancelled(void **state)
{
    (void)state;
    open_with(1, 60000, 0);
    on_loop(cancel_main, NULL);
}

static void hold_writer(void *arg)
{
    (void)arg;
    struct status st;
    AUTO(db_tx) struct db_tx *tx = db_begin(db, SYSTEM, DB_WRITE);
    assert_true(db_exec(tx, NULL, &st, insert_sql, db_int(1)));
    assert_true(loop_sleep(clock_deadline_ms(300), &st));
    assert_true(db_commit(tx, &st));
}

static void busy_main(void *arg)
{
    (void)arg;
    struct status st;
    struct fiber *holder = start(hold_writer, NULL);
    assert_true(loop_sleep(clock_deadline_ms(50), &st));
    assert_false(insert(2, &st)); /* waits for the writer, in vain */
    assert_int_equal(st.code, STATUS_TIMEOUT);
    assert_int_equal(count(), 0); /* readers go on */
    fiber_join(holder);
    assert_true(insert(3, &st));
    assert_int_equal(count(), 2);
}

static void busy(void **state)
{
    (void)state;
    open_with(1, 100, 0);
    on_loop(busy_main, NULL);
}

static int queue_refusals;
static void one_insert(void *arg)
{
    (void)arg;
    struct status st;
    if (insert(1, &st))
        return;
    assert_int_equal(st.code, STATUS_UNAVAILABLE);
    assert_true(st.retry_after_ms > 0);
    queue_refusals++;
}

static void queue_main(void *arg)
{
    (void)arg;
    struct fiber *fibers[10];
    for (size_t i = 0; i < ARRAY_LEN(fibers); i++)
        fibers[i] = start(one_insert, NULL);
    for (size_t i = 0; i < ARRAY_LEN(fibers); i++)
        fiber_join(fibers[i]);
}

static void queue_is_bounded(void **state)
{
    (void)state;
    queue_refusals = 0;
    open_with(1, 10000, 3);
    on_loop(queue_main, NULL);
    assert_int_equal(queue_refusals, 6); /* one at the writer, three in the queue */
    assert_int_equal(count(), 4);
}

static void commit_in_cancelled(void *arg)
{
    struct status st;
    bool *told = arg;
    AUTO(db_tx) struct db_tx *tx = db_begin(db, SYSTEM, DB_WRITE);
    assert_true(db_exec(tx, NULL, &st, insert_sql, db_int(1)));
    fiber_cancel(fiber_current());
    *told = db_commit(tx, &st);
}

static void commit_main(void *arg)
{
    bool told = false;
    (void)arg;
    fiber_join(start(commit_in_cancelled, &told));
    assert_int_equal(count(), told ? 1 : 0); /* what it was told is what happened */
    assert_true(told);
}

static void commit_tells_the_truth(void **state)
{
    (void)state;
    open_with(1, 10000, 0);
    on_loop(commit_main, NULL);
}

static void leave_open(void *arg)
{
    (void)arg;
    struct status st;
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    struct db_row row;
    AUTO(db_tx) struct db_tx *tx = db_begin(db, SYSTEM, DB_WRITE);
    AUTO(db_tx) struct db_tx *read = db_begin(db, SYSTEM, DB_READ);
    assert_true(db_exec(tx, NULL, &st, insert_sql, db_int(1)));
    assert_true(db_one(read, arena, &row, &st, count_sql));
}

/* Rolled back behind the fiber's back, and the database closed at once. */
static void left_open_at_the_end(void **state)
{
    (void)state;
    open_with(1, 10000, 0);
    on_loop(leave_open, NULL);
    db_close(TAKE(db));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(many_fibers, tear_down),
        cmocka_unit_test_teardown(several_loops, tear_down),
        cmocka_unit_test_teardown(late, tear_down),
        cmocka_unit_test_teardown(cancelled, tear_down),
        cmocka_unit_test_teardown(busy, tear_down),
        cmocka_unit_test_teardown(queue_is_bounded, tear_down),
        cmocka_unit_test_teardown(commit_tells_the_truth, tear_down),
        cmocka_unit_test_teardown(left_open_at_the_end, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
