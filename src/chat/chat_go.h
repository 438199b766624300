/* chat_go: the fiber that writes an answer; for chat_run.c. */
#pragma once
#include "chat_internal.h"
#include "chat_run.h"

struct relay_worker;

/* One run under way. Of the loop that started it; counted, without a lock: its fibers and whoever
 * started it are all of that loop. */
struct chat_go;

/* Starts the fiber, which calls the model with the body `json`, and waits a moment (250 ms) for a
 * refusal: a model that is busy says so at once.
 * Owns: the caller ends it with chat_go_keep or chat_go_drop.
 * Fails: as relay_call_open; the fiber is gone then. */
MUST_CHECK bool chat_go_start(struct chat *chat, struct relay_worker *worker,
                              struct chat_person person, const struct chat_run *run,
                              struct text json, struct text request_id, uint32_t weight,
                              struct chat_go **out, struct status *st);
/* The run is stored: it goes on by itself. */
void chat_go_keep(struct chat_go *go);
/* It could not be stored: the fiber ends and leaves no trace. */
void chat_go_drop(struct chat_go *go);
