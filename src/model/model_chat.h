/* model_chat: a conversation as the prompt that the model was trained on, by the model's own
 * template; and its answers taken apart as that template writes them. A thin C face on the C++ of
 * llama.cpp's `common`, the only place that includes it: what a change of the pinned source has to
 * touch.
 * Any thread: an opened one is only read. Takes from microseconds to some milliseconds, more for a
 * long conversation: the caller runs long ones off the loop. C++ includes it inside extern "C". */
#pragma once
#include "base.h"
#include "model_reader.h"
#include "status.h"
#include "text.h"

enum { MODEL_CHAT_WORDS_MAX = 8 };

struct model_chat;
struct model_chat_format;
struct llama_model;

/* `source` is a Jinja template, or NULL for the model's (ChatML where it has none). `model` gives
 * start and end token, and may be NULL when there is a `source`.
 * Owns: the caller, model_chat_close. Fails: STATUS_INVALID for a template that cannot be used. */
MUST_CHECK bool model_chat_open(const struct llama_model *model, const char *source,
                                struct model_chat **out, struct status *st);
void model_chat_close(struct model_chat *chat);
/* Whether the template tells the model of functions, and says how it calls them. Found out by
 * rendering it with one and without. */
bool model_chat_takes_tools(const struct model_chat *chat);
/* Whether it has a place for thoughts. */
bool model_chat_thinks(const struct model_chat *chat);
/* Texts of tokens by which its answers are taken apart; NULL behind the last. Those that are
 * control tokens must be in the text that a reader gets (model_vocab_kept.h). Owns: `chat`. */
const char *const *model_chat_kept(const struct model_chat *chat);

/* All texts are JSON, checked by the caller; NULL: none. */
struct model_chat_input {
    const char *messages; /* OpenAI's list */
    const char *tools;    /* OpenAI's list; only for a template that takes them */
    bool must_call;       /* one of the tools, and nothing else */
    bool parallel;        /* several calls in an answer */
    bool no_thoughts;     /* where the template can say so */
};
/* As grammar_trigger has it (grammar_matcher.h). */
struct model_chat_trigger {
    char *text;
    size_t before;
    bool at_start, at_end;
};
/* Memory of C's malloc: model_chat_output_free. */
struct model_chat_output {
    char *prompt;
    size_t prompt_len;
    char *grammar; /* GBNF that the answer must follow; "" for none */
    char *written; /* with a grammar that is not lazy: it begins with this end of the prompt */
    bool lazy;     /* only from one of `triggers` on */
    struct model_chat_trigger triggers[MODEL_CHAT_WORDS_MAX];
    size_t triggers_count;
    char *stops[MODEL_CHAT_WORDS_MAX]; /* texts that end the answer; NULL behind the last */
    struct model_chat_format *format;  /* how to read the answer; NULL: all of it is content */
};
/* Fails: STATUS_INVALID; the template's own words where it refuses the conversation. */
MUST_CHECK bool model_chat_apply(const struct model_chat *chat,
                                 const struct model_chat_input *input,
                                 struct model_chat_output *out, struct status *st);
void model_chat_output_free(struct model_chat_output *output);

/* Reads answers to what was rendered; `format` may go before it. */
struct model_reader *model_chat_reader_new(const struct model_chat_format *format);
void model_chat_format_free(struct model_chat_format *format);
