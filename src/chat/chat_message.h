/* chat_message: the messages of a thread, a tree. Waits: every function, for the database. */
#pragma once
#include "arena.h"
#include "chat.h"

struct chat_message {
    struct text id, parent_id; /* parent_id may be empty: a first message */
    struct text role;          /* "user", "assistant" */
    struct text content;
    struct text status;        /* "queued", "running", "complete", "stopped", "failed" */
    struct text run_id, model; /* of an answer */
    struct text usage, error;  /* JSON; may be empty */
    struct text finish_reason; /* may be empty */
    int64_t created_us;
};

/* All of a thread, oldest first. Whose thread it is was checked. Owns: in `arena`. */
MUST_CHECK bool chat_message_list(struct chat *chat, struct chat_person person,
                                  struct text thread_id, struct arena *arena,
                                  struct chat_message **out, size_t *count, struct status *st);
/* The way from a root to `leaf`, in a list of chat_message_list: out[0] is the root. At most `max`
 * from the leaf upwards. Returns how many; 0 when there is no such message. Does not wait. */
size_t chat_message_path(const struct chat_message *messages, size_t count, struct text leaf,
                         const struct chat_message **out, size_t max);
/* NULL when there is none. Does not wait. */
const struct chat_message *chat_message_find(const struct chat_message *messages, size_t count,
                                             struct text id);
