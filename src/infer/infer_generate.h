/* infer_generate: the answers to one request, from prompts of tokens to text on the wire, in the
 * order in which it happens: admission, reading, submitting, taking the tokens, stop strings,
 * finish reasons, usage, timings, the stream with its beats and its end. What the dialects (chat,
 * completions) have of their own is in a struct infer_form: how a body is read, and how a choice
 * is written.
 * Belongs to the connection's fiber; `read` may run on a thread of the pool, while that waits. */
#pragma once
#include "base.h"
#include "ids.h"
#include "infer_call.h"
#include "infer_prompt.h"
#include "model_reader.h"
#include "infer_server_internal.h"
#include "model_vocab.h"

enum { INFER_GENERATE_CHOICES_MAX = 64, INFER_GENERATE_CALLS_MAX = 128 };

struct model_answer;
struct infer_generate;

/* A token whose text was not given out yet, and what the form tells of it. */
struct infer_generate_token {
    struct infer_generate_token *next;
    uint64_t end; /* bytes of the answer up to its end */
    struct text json;
};

/* A function that an answer calls. */
struct infer_generate_call {
    struct id id;
    struct text name;
    struct text_buf arguments; /* when not streaming */
};

/* One answer. Those of one prompt stand side by side: choice i is of prompt i / n. */
struct infer_choice {
    struct engine_request *request; /* NULL: nothing is to be computed */
    struct model_answer *answer;
    struct model_reader *reader;       /* NULL: all of it is content */
    struct text_buf text, reasoning;   /* all of it, when not streaming */
    struct infer_generate_call *calls; /* in the request's arena; NULL until there is one */
    uint32_t calls_count;
    struct infer_generate_token *first_token, *last_token;
    uint64_t bytes;       /* of all tokens so far */
    struct text_buf logs; /* of tokens whose text was given out, with commas; streaming: those
                           * that were not written yet */
    const char *finish;   /* NULL while it runs */
    uint32_t tokens;      /* written so far, counted at the stop string when there is one */
    bool told;            /* its finish was sent */
    bool left_out;        /* by the form's choose */
};

struct infer_form {
    const char *id_prefix, *object, *chunk_object;
    /* Fills `call`, `prompts` and `prompts_count` (with infer_generate_prompts) and, for itself,
     * `own`. Fails: with what is answered. */
    bool (*read)(struct infer_generate *g, struct text body, struct status *st);
    /* Into `g->out`, as events: what comes before a choice's first text, maybe nothing; text; its
     * finish, which ends in infer_generate_event_end(g, last). */
    void (*add_start)(struct infer_generate *g, size_t index);
    void (*add_text)(struct infer_generate *g, size_t index, struct text text);
    void (*add_finish)(struct infer_generate *g, size_t index, bool last);
    /* Thoughts and calls, where the form's answers have them; else NULL. */
    void (*add_part)(struct infer_generate *g, size_t index, const struct model_part *part);
    /* What is told of a token, when the call asks for logprobs; NULL: never asked. */
    void (*add_token)(struct infer_generate *g, const struct engine_event *event,
                      struct text_buf *buf);
    /* Once all have finished, of an answer that is no stream: which to show, in which order among
     * those of a prompt; NULL: all of them. */
    void (*choose)(struct infer_generate *g);
    /* One object of the list of choices, of an answer that is no stream. */
    void (*add_choice)(struct infer_generate *g, size_t index, struct text_buf *buf);
};

struct infer_generate {
    struct infer_server *server;
    struct http_request *req;
    struct http_reply *reply;
    const struct infer_form *form;
    struct infer_call call;
    struct engine_job job; /* who asks; submit makes the rest of it */
    struct engine_tokens *prompts;
    size_t prompts_count;
    void *own;                 /* the form's, in the request's arena */
    struct infer_prompt shape; /* what answers must be like; zero: like anything */
    struct grammar *grammar;   /* of it, compiled; may be NULL */
    struct infer_choice *choices;
    size_t choices_count;
    struct id id;
    int64_t created_s;
    struct text_buf out; /* events that wait to be written */
};

/* The whole of it: a handler is this with its form. Fails: with what becomes the error body. */
MUST_CHECK bool infer_generate_post(const struct infer_form *form, struct http_request *req,
                                    struct http_reply *reply, struct status *st);

/* For forms. Room for the tokens of `count` prompts. */
void infer_generate_prompts(struct infer_generate *g, size_t count);
/* Compiles g->shape.grammar, where there is one. Fails: STATUS_INVALID with the field. */
MUST_CHECK bool infer_generate_take_grammar(struct infer_generate *g, struct status *st);
/* An event of the stream: up to the list of choices, and from its end on. `last`: nothing comes
 * behind it, so it tells the timings. */
void infer_generate_event(struct infer_generate *g);
void infer_generate_event_end(struct infer_generate *g, bool last);

/* For infer_generate.c. Takes whatever the engine has, of every choice that runs.
 * Fails: when an answer broke. */
MUST_CHECK bool infer_generate_take(struct infer_generate *g, struct status *st);
