/* infer_chat: a conversation as the prompt that the model was trained on, by the model's own
 * template. A thin C face on the C++ of llama.cpp's `common`, the only place that includes it: what
 * a change of the pinned source has to touch.
 * Any thread: an opened one is only read. Takes from microseconds to some milliseconds, more for a
 * long conversation: the caller runs long ones off the loop. C++ includes it inside extern "C". */
#pragma once
#include "base.h"
#include "status.h"
#include "text.h"

struct infer_chat;
struct llama_model;

/* `source` is a Jinja template, or NULL for the model's (ChatML where it has none). `model` gives
 * start and end token, and may be NULL when there is a `source`.
 * Owns: the caller, infer_chat_close. Fails: STATUS_INVALID for a template that cannot be used. */
MUST_CHECK bool infer_chat_open(const struct llama_model *model, const char *source,
                                struct infer_chat **out, struct status *st);
void infer_chat_close(struct infer_chat *chat);

/* All are JSON, checked by the caller; NULL: none. */
struct infer_chat_input {
    const char *messages;    /* OpenAI's list */
    const char *tools;       /* OpenAI's list */
    const char *tool_choice; /* "auto", "required", "none" */
    const char *json_schema;
    bool parallel_tool_calls;
};
/* Memory of C's malloc: infer_chat_output_free. */
struct infer_chat_output {
    char *prompt;
    size_t prompt_len;
    char *grammar;     /* GBNF that the answer must follow; "" for none */
    bool grammar_lazy; /* only from a trigger on */
    char *stops;       /* JSON list of texts that end the answer */
};
/* Fails: STATUS_INVALID; the template's own words where it refuses the conversation. */
MUST_CHECK bool infer_chat_apply(const struct infer_chat *chat,
                                 const struct infer_chat_input *input,
                                 struct infer_chat_output *out, struct status *st);
void infer_chat_output_free(struct infer_chat_output *output);
