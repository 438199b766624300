/* chat_thread: conversations as rows. Waits: every function, for the database. */
#pragma once
#include "arena.h"
#include "chat.h"

struct chat_thread {
    struct text id;
    struct text title; /* may be empty */
    struct text model; /* may be empty */
    struct text system_prompt;
    struct text parameters;    /* a JSON object */
    struct text leaf_id;       /* may be empty */
    struct text active_run_id; /* may be empty */
    int64_t created_us, updated_us;
};

/* What is to be set; a NULL pointer leaves it. The caller has checked lengths and types. */
struct chat_thread_change {
    const struct text *title, *model, *system_prompt, *parameters, *leaf_id;
};

/* Makes an empty thread. Owns: texts in `arena`. Fails: STATUS_CONFLICT when there are too many. */
MUST_CHECK bool chat_thread_create(struct chat *chat, struct chat_person person,
                                   const struct chat_thread_change *with, struct arena *arena,
                                   struct chat_thread *out, struct status *st);
/* Fails: STATUS_NOT_FOUND, also for somebody else's. */
MUST_CHECK bool chat_thread_get(struct chat *chat, struct chat_person person, struct text id,
                                struct arena *arena, struct chat_thread *out, struct status *st);
/* Latest change first, after the row (after_us, after_id); after_id empty: from the start. `query`:
 * only titles that contain it, without regard to case; empty: all. The titles are opened and
 * compared off the loop, at most 10,000 of them. `*more`: there are others behind. */
MUST_CHECK bool chat_thread_list(struct chat *chat, struct chat_person person, struct text query,
                                 int64_t after_us, struct text after_id, int64_t limit,
                                 struct arena *arena, struct chat_thread **out, size_t *count,
                                 bool *more, struct status *st);
/* Fails: STATUS_NOT_FOUND; STATUS_INVALID with the field leaf_id when it is no message of it. */
MUST_CHECK bool chat_thread_update(struct chat *chat, struct chat_person person, struct text id,
                                   const struct chat_thread_change *change, struct arena *arena,
                                   struct chat_thread *out, struct status *st);
/* With its messages; its run is stopped. Fails: STATUS_NOT_FOUND. */
MUST_CHECK bool chat_thread_delete(struct chat *chat, struct chat_person person, struct text id,
                                   struct status *st);
