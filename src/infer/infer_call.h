/* infer_call: the body of POST /v1/chat/completions, read: what is asked, in the engine's words.
 * Every field that OpenAI documents is taken, refused by name, or ignored; which is one table in
 * the .c file. Fields of our own: top_k, min_p, repeat_penalty, repeat_last_n, ignore_eos, grammar.
 * Knows nothing of HTTP or of the model but what infer_call_model tells. Any thread; nothing here
 * waits. A body with a schema or with tools may take milliseconds and 200 KiB of stack: the caller
 * reads it off the loop. */
#pragma once
#include "arena.h"
#include "base.h"
#include "engine_logprobs.h"
#include "engine_sampler.h"
#include "infer_tools.h"
#include "status.h"
#include "text.h"

struct model_vocab;
struct json_at;

enum {
    INFER_CALL_STOPS_MAX = 4,
    INFER_CALL_N_MAX = 8,
    INFER_CALL_BODY_BYTES_MAX = 8 << 20,
    INFER_CALL_TEXTS_MAX = INFER_CALL_BODY_BYTES_MAX * 7 /* with every character guarded */
};

struct infer_call_model {
    const struct model_vocab *vocab; /* NULL: no text is guarded */
    bool takes_tools;                /* its template tells tools and calls; else we do */
};

struct infer_call {
    struct text model;
    bool stream, include_usage;
    uint32_t n;
    uint32_t output_max; /* tokens; 0: not given */
    bool nothing;        /* max_tokens is 0: the prompt alone, where that may be asked */
    bool ignore_end;
    struct text stops[INFER_CALL_STOPS_MAX];
    size_t stops_count;
    bool logprobs;
    uint32_t tops;
    struct engine_sampling sampling; /* the seed is drawn when none was given; no grammar yet */
    struct infer_tools tools;
    const char *tools_json;   /* guarded, for the model's own template; NULL: none for it */
    const char *messages;     /* JSON, as model_chat takes it; see infer_call_guard */
    struct text grammar;      /* GBNF that the answer must follow; "" for none */
    const char *grammar_from; /* the field to name when it cannot be used */
    bool grammar_lazy;        /* only from infer_tools_trigger on */
    const char *schema;       /* what the answer must be, as JSON schema, when asked so; or NULL */
};

/* What is put inside a user's text where it looks like a control token, so that it stays text:
 * infer_prompt cuts there before the text becomes tokens. Four noncharacters, drawn once per
 * process, so that nobody can send them by chance or on purpose. */
struct text infer_call_guard(void);

/* Owns: everything in `*out` is in `arena`; of its json_at only the values are valid.
 * Fails: STATUS_INVALID with the field at fault, STATUS_TOO_LARGE. */
MUST_CHECK bool infer_call_read(struct text body, const struct infer_call_model *model,
                                struct arena *arena, struct infer_call *out, struct status *st);

/* What every dialect of generation has in common, for the files that read one: model, n, stream,
 * stream_options, lengths, stop, sampling. `tokens_min` is the least that max_tokens may be.
 * Owns, fails: as above. */
MUST_CHECK bool infer_call_read_common(const struct json_at *in, int64_t tokens_min,
                                       struct arena *arena, struct infer_call *out,
                                       struct status *st);
