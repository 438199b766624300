/* chat: conversations. Threads and messages as rows, and the runs that write answers.
 *
 *   chat.h          opening; what a process does for all runs
 *   chat_thread.h   threads
 *   chat_message.h  messages
 *   chat_run.h      runs: starting, stopping, following
 *
 * Knows nothing of HTTP or of how somebody proved who they are: each function gets whose things it
 * is about, and finds nothing of anybody else's. */
#pragma once
#include "base.h"
#include "status.h"
#include "text.h"

struct chat;
struct db;
struct loop;
struct vault;

/* Whose conversations. The texts outlive the call. */
struct chat_person {
    struct text org_id, user_id;
};

enum {
    CHAT_TITLE_CHARS_MAX = 200,
    CHAT_PROMPT_CHARS_MAX = 20000,
    CHAT_CONTENT_CHARS_MAX = 200000,
    CHAT_PARAMETERS_BYTES_MAX = 2000,
};

/* Zero means the default. */
struct chat_options {
    struct db *db;
    struct vault *vault;
    struct text replica_id;  /* owns the runs that this process starts; copied */
    int64_t threads_max;     /* of one person: 10,000 */
    int64_t messages_max;    /* of one thread: 2,000 */
    int64_t runs_max;        /* of one person at a time: 4 */
    size_t answer_bytes_max; /* 1 MiB */
    int64_t run_max_ms;      /* 15 min */
};
struct chat *chat_open(const struct chat_options *options);
void chat_close(struct chat *chat); /* no run is left; NULL is fine */

/* The body of one fiber per process, until it is cancelled: ends the runs whose owner has died. At
 * its start, those of earlier processes of this data folder. */
void chat_background(void *chat);
/* On the loop's thread: cuts the runs of `loop` that still go at `deadline_us`; they end with an
 * error that says so. Does not wait. */
void chat_drain(struct chat *chat, struct loop *loop, int64_t deadline_us);
size_t chat_running(struct chat *chat, struct loop *loop); /* runs that this loop still has */
