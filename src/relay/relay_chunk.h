/* relay_chunk: what an upstream says in the dialect of OpenAI, as far as Weir must understand it:
 * one chunk of a stream, or a whole answer. Each is read once; the bytes are passed on as they are.
 * Counts come from strangers: what is negative, no whole number or beyond any context is refused.
 * Any thread. Nothing here waits. */
#pragma once
#include "arena.h"
#include "base.h"
#include "relay_endpoint.h"
#include "relay_json.h"
#include "status.h"
#include "text.h"

enum { RELAY_TOKENS_MAX = 1000000000 };

struct relay_usage {
    bool known;
    int64_t prompt_tokens, completion_tokens, cached_tokens;
};

/* What weir-infer tells of its work ("timings" beside "usage"); -1 where it was not told. */
struct relay_timings {
    double queue_ms, prefill_ms, decode_ms;
};

struct relay_chunk {
    bool done;       /* the last event, [DONE]: nothing else is set */
    bool is_error;   /* the upstream reports that it broke */
    bool bare_usage; /* has usage and no answer: the chunk that include_usage asks for */
    struct relay_usage usage;
    struct relay_timings timings;
    struct relay_json_value answer; /* its choices, data, results; raw.at NULL when absent */
    struct relay_json_value model;  /* the upstream's name of itself; raw.at NULL when absent */
    struct relay_json_value error;
};

/* Reads the data of one event, or the body of an answer that is no stream, of `endpoint`.
 * Fails: STATUS_UPSTREAM when it is not an object of JSON. */
MUST_CHECK bool relay_chunk_read(enum relay_endpoint endpoint, struct text data,
                                 struct relay_chunk *out, struct status *st);

/* The text that the first choice of a chat adds, and how it ended ("" while it goes on); in `arena`
 * where they were escaped. */
void relay_chunk_delta(const struct relay_chunk *chunk, struct arena *arena, struct text *content,
                       struct text *finish_reason);

/* `data` with the model's name in it as callers know it. The same bytes when it is that already, or
 * when the chunk names no model; else in `arena`. */
struct text relay_chunk_renamed(const struct relay_chunk *chunk, struct text data,
                                struct text model, struct arena *arena);

/* The message of an error body or event, `{"error":{"message":…}}` or `{"error":"…"}`, and its
 * param and code; "" where there is none. In `arena` where they were escaped. */
void relay_chunk_error(struct relay_json_value error, struct arena *arena, struct text *message,
                       struct text *param, struct text *code);
