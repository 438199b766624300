/* relay_tasks: what a model is for, as a bit for each enum relay_endpoint that has a task
 * (relay_endpoint.h), and as people write it: "chat, completions". Any thread; nothing waits. */
#pragma once
#include "arena.h"
#include "base.h"
#include "status.h"
#include "text.h"

/* The bit of "chat"; 0: no such task. */
unsigned relay_tasks_bit(struct text name);
/* What a model of an upstream is for, by the name that the upstream has for it: reranking or
 * embeddings where the name says so, else chat and completions. */
unsigned relay_tasks_guess(struct text upstream_model);
/* Names with commas between; spaces around them do not count. An empty list is 0.
 * Fails: STATUS_INVALID with the field "tasks". */
MUST_CHECK bool relay_tasks_read(struct text list, unsigned *out, struct status *st);
/* "chat,completions"; "" for 0. Owns: `arena`. */
struct text relay_tasks_text(unsigned tasks, struct arena *arena);
