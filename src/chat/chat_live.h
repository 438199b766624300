/* chat_live: a run of this process while it goes on: its events in memory, for the fiber that
 * writes them, the one that stores them, and any number of followers on any worker.
 *
 * Shared between workers (with those that docs/architecture.md names): one lock for the list of
 * runs, one for each run. Nothing here waits but chat_live_wait. A run is counted: the list, its
 * fibers and its followers each hold it. */
#pragma once
#include "arena.h"
#include "chat.h"
#include "status.h"
#include "text.h"

struct chat_live;
struct fiber;
struct loop;

enum chat_event_kind {
    CHAT_EVENT_STATUS,
    CHAT_EVENT_DELTA,
    CHAT_EVENT_USAGE,
    CHAT_EVENT_DONE,
    CHAT_EVENT_ERROR,
    CHAT_EVENT_KIND_COUNT
};
const char *chat_event_kind_name(enum chat_event_kind kind); /* "delta" */

/* One event, or several deltas joined: then `seq` is the number of the last. */
struct chat_event {
    int64_t seq, seq_first;
    enum chat_event_kind kind;
    struct text data; /* the plain text of deltas; else JSON */
};

enum chat_live_stop { CHAT_LIVE_STOP_NONE, CHAT_LIVE_STOP_PERSON, CHAT_LIVE_STOP_SHUTDOWN };

/* Makes a run of the calling loop and puts it in the list. Owns: the caller holds it. */
struct chat_live *chat_live_new(struct chat *chat, struct chat_person person, struct text run_id);
/* The run of that id and person, held; NULL when this process has none. */
struct chat_live *chat_live_find(struct chat *chat, struct chat_person person, struct text run_id);
struct chat_live *chat_live_take(struct chat_live *live);
void chat_live_release(struct chat_live *live); /* NULL is fine */
AUTO_DEFINE(chat_live, chat_live_release)
/* Takes it off the list: no follower finds it any more. */
void chat_live_remove(struct chat *chat, struct chat_live *live);
struct text chat_live_id(const struct chat_live *live);

/* Adds an event and wakes the followers. Returns its number. */
int64_t chat_live_add(struct chat_live *live, enum chat_event_kind kind, struct text data);
int64_t chat_live_last(struct chat_live *live);      /* the number of the last event */
size_t chat_live_text_bytes(struct chat_live *live); /* of all deltas */
/* The text of all deltas. Owns: `arena`. */
struct text chat_live_text(struct chat_live *live, struct arena *arena);
/* The next event after number `seq`: deltas that stand together come joined (at most 64 KiB).
 * False when there is none yet. Owns: `arena`. */
bool chat_live_next(struct chat_live *live, int64_t seq, struct arena *arena,
                    struct chat_event *out);
/* The number of each delta's bytes from `seq_first` to `seq`, in `arena`: for the store. */
const uint32_t *chat_live_sizes(struct chat_live *live, const struct chat_event *event,
                                struct arena *arena);
/* Waits, on any loop, until there is an event after `seq`. Fails: fiber.h. */
MUST_CHECK bool chat_live_wait(struct chat_live *live, int64_t seq, int64_t deadline_us,
                               struct status *st);

/* Any thread. The first reason counts; the run's fiber sees it at its next wait. */
void chat_live_stop(struct chat *chat, struct text run_id, enum chat_live_stop why);
void chat_live_stop_all(struct chat *chat, struct loop *loop, enum chat_live_stop why);
enum chat_live_stop chat_live_stopped(struct chat_live *live);
size_t chat_live_count(struct chat *chat, struct loop *loop); /* NULL: of all */
size_t chat_live_count_person(struct chat *chat, struct chat_person person);
/* The fiber that is to be woken by a stop; NULL: none any more. On the run's loop. */
void chat_live_set_fiber(struct chat_live *live, struct fiber *fiber);
