/* chat_run: the writing of an answer. A run goes on in a fiber of its own, on the worker that
 * started it, whether or not anybody follows it; its events are stored every second, so that any
 * replica can show them, and a run whose owner has died is ended by another. Waits: every function.
 */
#pragma once
#include "arena.h"
#include "chat.h"
#include "chat_live.h"
#include "chat_message.h"
#include "chat_thread.h"

struct relay_worker;
struct chat_follow;

struct chat_run_options {
    struct text thread_id;
    struct text parent_id;      /* empty: a first message */
    const struct text *content; /* of the new message; NULL: a further answer to parent_id */
    struct text model;
    const struct text *parameters; /* a JSON object; NULL: the thread's */
    struct text request_id;
    uint32_t weight; /* of the organisation; 0: the usual (relay_call.h) */
};
struct chat_run {
    struct text id;
    struct chat_thread thread;
    bool has_user_message;
    struct chat_message user_message, answer;
};

/* Stores the messages and starts the run. When it fails nothing was stored.
 * Owns: in `arena`.
 * Fails: STATUS_NOT_FOUND for the thread, or with the field "model"; STATUS_INVALID with the field
 * "parent_id", or what the model says of the request; STATUS_CONFLICT with the field "run" while
 * the thread has a run, or without one when there are too many messages; STATUS_UNAVAILABLE when
 * the model is not ready; STATUS_RATE_LIMITED when it is busy or the person has too many runs. */
MUST_CHECK bool chat_run_start(struct chat *chat, struct relay_worker *worker,
                               struct chat_person person, const struct chat_run_options *options,
                               struct arena *arena, struct chat_run *out, struct status *st);
/* Stops it, on whatever replica it is; one that has ended stays as it is.
 * Fails: STATUS_NOT_FOUND. */
MUST_CHECK bool chat_run_stop(struct chat *chat, struct chat_person person, struct text run_id,
                              struct status *st);

/* Follows a run from behind event `after`. `*ended` is true when there is nothing more to come.
 * Owns: the caller closes it; it uses `arena` for as long.
 * Fails: STATUS_NOT_FOUND; STATUS_INVALID with the field "after" for a number not reached yet. */
MUST_CHECK bool chat_follow_open(struct chat *chat, struct chat_person person, struct text run_id,
                                 int64_t after, struct arena *arena, struct chat_follow **out,
                                 bool *ended, struct status *st);
/* Waits for the next event; after CHAT_EVENT_DONE or CHAT_EVENT_ERROR it must not be called again.
 * Owns: its data is valid until the next call. Fails: STATUS_TIMEOUT, and it may be called again.
 */
MUST_CHECK bool chat_follow_next(struct chat_follow *follow, int64_t deadline_us,
                                 struct chat_event *out, struct status *st);
void chat_follow_close(struct chat_follow *follow); /* NULL is fine */
AUTO_DEFINE(chat_follow, chat_follow_close)
