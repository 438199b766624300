/* infer_call: the body of POST /v1/chat/completions, read: what is asked, in the engine's words.
 * Every field that OpenAI documents is taken, refused by name, or ignored; which is one table in
 * the .c file. Fields of our own: top_k, min_p, repeat_penalty, repeat_last_n, ignore_eos.
 * Knows nothing of HTTP or of the model but its vocabulary's size. Any thread; nothing waits. */
#pragma once
#include "arena.h"
#include "base.h"
#include "infer_sampler.h"
#include "status.h"
#include "text.h"

struct infer_vocab;
struct json_at;

enum { INFER_CALL_STOPS_MAX = 4, INFER_CALL_N_MAX = 8, INFER_CALL_BODY_BYTES_MAX = 8 << 20 };

struct infer_call {
    struct text model;
    bool stream, include_usage;
    uint32_t n;
    uint32_t output_max; /* tokens; 0: not given */
    bool nothing;        /* max_tokens is 0: the prompt alone, where that may be asked */
    bool ignore_end;
    struct text stops[INFER_CALL_STOPS_MAX];
    size_t stops_count;
    struct infer_sampling sampling; /* the seed is drawn when none was given */
    const char *messages;           /* JSON, as infer_chat takes it; see `guard` */
};

/* What is put inside a user's text where it looks like a control token, so that it stays text:
 * infer_prompt cuts there before the text becomes tokens. Four noncharacters, drawn once per
 * process, so that nobody can send them by chance or on purpose. */
struct text infer_call_guard(void);

/* Owns: everything in `*out` is in `arena`. `vocab` may be NULL: then no text is guarded.
 * Fails: STATUS_INVALID with the field at fault, STATUS_TOO_LARGE. */
MUST_CHECK bool infer_call_read(struct text body, const struct infer_vocab *vocab,
                                struct arena *arena, struct infer_call *out, struct status *st);

/* What every dialect of generation has in common, for the files that read one: model, n, stream,
 * stream_options, lengths, stop, sampling. `tokens_min` is the least that max_tokens may be.
 * Owns, fails: as above. */
MUST_CHECK bool infer_call_read_common(const struct json_at *in, int64_t tokens_min,
                                       struct arena *arena, struct infer_call *out,
                                       struct status *st);
