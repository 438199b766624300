/* chat_store: runs and their events as rows; for the other files of this folder.
 * Waits: every function, for the database. */
#pragma once
#include "arena.h"
#include "chat_internal.h"
#include "chat_run.h"

enum { CHAT_HEARTBEAT_MS = 2000, CHAT_DEAD_MS = 10000 };

struct chat_run_row {
    struct text org_id, id, user_id, thread_id, message_id;
    bool ended;
    int64_t last_seq;
};

/* Stores the messages and the run of `run`, in one transaction. Fails: as chat_run_start. */
MUST_CHECK bool chat_store_start(struct chat *chat, struct chat_person person,
                                 const struct chat_run *run, struct arena *arena,
                                 struct status *st);
/* Fails: STATUS_NOT_FOUND. */
MUST_CHECK bool chat_store_get(struct chat *chat, struct chat_person person, struct text run_id,
                               struct arena *arena, struct chat_run_row *out, struct status *st);
/* Stores the events of `live` behind `*stored`, the text so far, and that the owner lives.
 * `*stored` becomes the last number. `*stop` says whether somebody wants it to stop (or deleted the
 * thread). */
MUST_CHECK bool chat_store_progress(struct chat *chat, struct chat_person person,
                                    const struct chat_run_row *row, struct chat_live *live,
                                    int64_t *stored, bool *stop, struct status *st);

struct chat_outcome {
    struct text status;        /* of the message: "complete", "stopped", "failed" */
    struct text finish_reason; /* may be empty */
    struct text usage, error;  /* JSON; may be empty */
    struct text content;       /* the whole answer */
    struct text done;          /* the data of the last event, which is an error when error is set */
};
/* Stores what is left of `live` (NULL: nothing), usage and the last event, and the message as it is
 * in the end. True also when the thread is gone. */
MUST_CHECK bool chat_store_end(struct chat *chat, struct chat_person person,
                               const struct chat_run_row *row, struct chat_live *live,
                               int64_t stored, const struct chat_outcome *outcome,
                               struct status *st);
MUST_CHECK bool chat_store_stop(struct chat *chat, struct chat_person person, struct text run_id,
                                struct status *st);
/* The events behind `seq`, at most 100 rows; of one that was seen in part only the rest. */
MUST_CHECK bool chat_store_events(struct chat *chat, struct chat_person person, struct text run_id,
                                  int64_t seq, struct arena *arena, struct chat_event **out,
                                  size_t *count, struct status *st);
/* Runs whose owner has said nothing for CHAT_DEAD_MS, over all organisations. */
MUST_CHECK bool chat_store_dead(struct chat *chat, struct arena *arena, struct chat_run_row **out,
                                size_t *count, struct status *st);

/* A problem (RFC 9457) as JSON, for an error event. */
struct text chat_problem(const struct status *st, struct text instance, struct arena *arena);
