/* db_sqlite_pool: threads with a connection each, and the queue of those that wait for one.
 * A job goes straight from fiber to thread: under one mutex it takes a free connection or stands in
 * the queue; a connection that comes free takes the next job itself, without asking a loop. The
 * answer comes back by loop_post. So a statement costs two hand-overs, whatever is in front of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include "clock.h"
#include "db_sqlite_internal.h"
#include "fiber.h"
#include "loop.h"

static void *conn_main(void *arg);
static bool job_place(struct sqlite_pool *pool, struct sqlite_job *job, struct status *st);
static bool job_withdraw(struct sqlite_pool *pool, struct sqlite_job *job);
static void conn_is_free(struct sqlite_conn *conn);
static void job_report(struct sqlite_pool *pool, struct sqlite_job *job);
static void job_done_on_loop(void *arg);
static bool fiber_waits(struct sqlite_pool *pool, struct sqlite_job *job, struct status *st);
static bool thread_waits(struct sqlite_pool *pool, struct sqlite_job *job, struct status *st);

bool sqlite_pool_open(struct sqlite_db *db, struct sqlite_pool *pool, bool writer, int conns,
                      int64_t waiting_max, struct status *st)
{
    pool->db = db;
    pool->writer = writer;
    pool->waiting_max = waiting_max;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->blocked, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pool->conns = calloc((size_t)conns, sizeof(*pool->conns));
    WEIR_ASSERT(pool->conns != NULL);
    for (; pool->conns_count < conns; pool->conns_count++) {
        struct sqlite_conn *conn = &pool->conns[pool->conns_count];
        conn->pool = pool;
        pthread_cond_init(&conn->cond, NULL);
        if (!sqlite_conn_open(conn, st)) {
            sqlite_conn_close(conn);
            pthread_cond_destroy(&conn->cond);
            return false;
        }
        conn->next_free = pool->free;
        pool->free = conn;
    }
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 512 * KIB);
    int error = 0;
    while (error == 0 && pool->threads_count < conns) {
        struct sqlite_conn *conn = &pool->conns[pool->threads_count];
        error = pthread_create(&conn->thread, &attr, conn_main, conn);
        pool->threads_count += error == 0;
    }
    pthread_attr_destroy(&attr);
    return error == 0 || status_fail_errno(st, error, "could not start a database thread");
}

void sqlite_pool_close(struct sqlite_pool *pool)
{
    if (pool->db == NULL)
        return;
    pthread_mutex_lock(&pool->mutex);
    WEIR_ASSERT(pool->first == NULL); /* every transaction has ended */
    pool->stop = true;
    for (int i = 0; i < pool->threads_count; i++)
        pthread_cond_signal(&pool->conns[i].cond);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 0; i < pool->threads_count; i++)
        pthread_join(pool->conns[i].thread, NULL);
    for (int i = 0; i < pool->conns_count; i++) {
        sqlite_conn_close(&pool->conns[i]);
        pthread_cond_destroy(&pool->conns[i].cond);
    }
    free(pool->conns);
    pthread_cond_destroy(&pool->blocked);
    pthread_mutex_destroy(&pool->mutex);
    pool->db = NULL;
}

bool sqlite_pool_run(struct sqlite_pool *pool, struct sqlite_job *job, int64_t deadline_us,
                     struct status *st)
{
    job->fiber = fiber_current();
    job->loop = job->fiber != NULL ? loop_current() : NULL;
    WEIR_ASSERT(job->fiber != NULL || loop_current() == NULL); /* blocking would stop the loop */
    job->deadline_us = deadline_us;
    struct status answer = {0};
    job->st = &answer;
    if (!job_place(pool, job, st))
        return false;
    bool came = job->fiber != NULL ? fiber_waits(pool, job, st) : thread_waits(pool, job, st);
    if (came && !job->ok)
        *st = answer;
    return came && job->ok;
}

void sqlite_pool_discard(struct sqlite_pool *pool, struct db_tx *tx)
{
    struct sqlite_job *job = calloc(1, sizeof(*job));
    WEIR_ASSERT(job != NULL);
    job->kind = SQLITE_JOB_DISCARD;
    job->tx = tx;
    struct status never;
    bool placed = job_place(pool, job, &never);
    WEIR_ASSERT(placed); /* it has a connection, so there is no queue to be full */
}

/* Gives the job to its transaction's connection, or to a free one, or puts it into the queue. */
static bool job_place(struct sqlite_pool *pool, struct sqlite_job *job, struct status *st)
{
    bool placed = true;
    pthread_mutex_lock(&pool->mutex);
    struct sqlite_conn *conn = job->tx->conn;
    if (conn == NULL && pool->free != NULL) {
        conn = pool->free;
        pool->free = conn->next_free;
        job->tx->conn = conn;
    }
    if (conn != NULL) {
        WEIR_ASSERT(conn->job == NULL);
        conn->job = job;
        pthread_cond_signal(&conn->cond);
    } else if (pool->waiting < pool->waiting_max) {
        *(pool->first == NULL ? &pool->first : &pool->last->next) = job;
        pool->last = job;
        pool->waiting++;
    } else {
        placed = false;
    }
    pthread_mutex_unlock(&pool->mutex);
    if (placed)
        return true;
    status_fail(st, STATUS_UNAVAILABLE, "the database is busy: %lld transactions are waiting",
                (long long)pool->waiting_max);
    st->retry_after_ms = 1000;
    return false;
}

/* True when the job was still in the queue: then no thread will ever see it. */
static bool job_withdraw(struct sqlite_pool *pool, struct sqlite_job *job)
{
    bool found = false;
    pthread_mutex_lock(&pool->mutex);
    struct sqlite_job *before = NULL;
    for (struct sqlite_job *at = pool->first; at != NULL && !found; before = at, at = at->next) {
        if (at != job)
            continue;
        *(before == NULL ? &pool->first : &before->next) = job->next;
        if (pool->last == job)
            pool->last = before;
        pool->waiting--;
        found = true;
    }
    pthread_mutex_unlock(&pool->mutex);
    return found;
}

static void *conn_main(void *arg)
{
    struct sqlite_conn *conn = arg;
    struct sqlite_pool *pool = conn->pool;
    pthread_setname_np(pthread_self(), pool->writer ? "db-write" : "db-read");
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        while (conn->job == NULL && !pool->stop)
            pthread_cond_wait(&conn->cond, &pool->mutex);
        struct sqlite_job *job = conn->job;
        if (job == NULL)
            break;
        conn->job = NULL;
        pthread_mutex_unlock(&pool->mutex);
        bool ended = sqlite_conn_do(conn, job);
        pthread_mutex_lock(&pool->mutex);
        if (ended)
            conn_is_free(conn);
        if (job->kind == SQLITE_JOB_DISCARD) {
            free(job->tx);
            free(job);
        } else {
            job_report(pool, job);
        }
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

/* Under the mutex: the next in the queue gets the connection, and it stays in nobody's hands for no
 * time, so that no late-comer can pass those who wait. */
static void conn_is_free(struct sqlite_conn *conn)
{
    struct sqlite_pool *pool = conn->pool;
    struct sqlite_job *job = pool->first;
    if (job == NULL) {
        conn->next_free = pool->free;
        pool->free = conn;
        return;
    }
    pool->first = job->next;
    if (pool->first == NULL)
        pool->last = NULL;
    pool->waiting--;
    job->next = NULL;
    job->tx->conn = conn;
    conn->job = job;
}

/* Under the mutex. After this the job's memory is its waiter's again. */
static void job_report(struct sqlite_pool *pool, struct sqlite_job *job)
{
    if (job->loop == NULL) {
        job->done = true;
        pthread_cond_broadcast(&pool->blocked);
        return;
    }
    /* A loop does not stop while a fiber of it lives, and this one waits for us. */
    bool posted = loop_post(job->loop, job_done_on_loop, job);
    WEIR_ASSERT(posted);
}

static void job_done_on_loop(void *arg)
{
    struct sqlite_job *job = arg;
    struct fiber *fiber = job->fiber;
    job->done = true;
    fiber_wake(fiber);
}

/* True when the thread has answered; false, with `st` set, when the job was withdrawn. A fiber that
 * is cancelled, or late, waits on until the thread has let go of its memory. */
static bool fiber_waits(struct sqlite_pool *pool, struct sqlite_job *job, struct status *st)
{
    struct status why;
    bool wanted = true;
    while (!job->done && wanted)
        wanted = fiber_wait(job->deadline_us, &why);
    if (job->done)
        return true;
    if (job_withdraw(pool, job)) {
        *st = why;
        return status_wrap(st, "the database was busy");
    }
    atomic_store(&job->cancelled, true);
    int64_t deadline_us = fiber_set_deadline(CLOCK_NEVER);
    fiber_shield();
    while (!job->done)
        if (!fiber_wait(CLOCK_NEVER, &why))
            fiber_yield();
    fiber_unshield();
    fiber_set_deadline(deadline_us);
    if (!job->ok && job->kind != SQLITE_JOB_COMMIT && job->st->code == STATUS_TIMEOUT &&
        fiber_cancelled())
        job->st->code = STATUS_CANCELLED;
    return true;
}

static bool thread_waits(struct sqlite_pool *pool, struct sqlite_job *job, struct status *st)
{
    bool late = false;
    struct timespec until = {.tv_sec = job->deadline_us / 1000000,
                             .tv_nsec = job->deadline_us % 1000000 * 1000};
    pthread_mutex_lock(&pool->mutex);
    while (!job->done && !late) {
        if (job->deadline_us == CLOCK_NEVER)
            pthread_cond_wait(&pool->blocked, &pool->mutex);
        else
            late = pthread_cond_timedwait(&pool->blocked, &pool->mutex, &until) == ETIMEDOUT;
    }
    pthread_mutex_unlock(&pool->mutex);
    if (!late)
        return true;
    if (job_withdraw(pool, job))
        return status_fail(st, STATUS_TIMEOUT, "the database was busy for too long");
    atomic_store(&job->cancelled, true);
    pthread_mutex_lock(&pool->mutex);
    while (!job->done)
        pthread_cond_wait(&pool->blocked, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
    return true;
}
