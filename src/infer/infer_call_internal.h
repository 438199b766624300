/* infer_call_internal: the parts in which a request is read. */
#pragma once
#include "infer_call.h"
#include "json.h"

/* logprobs, response_format, grammar, tools: what the answer can be. */
MUST_CHECK bool infer_call_read_output(const struct json_at *in, struct arena *arena,
                                       struct infer_call *out, struct status *st);
/* After it: the messages, with the tools told in them where the model's template cannot. */
MUST_CHECK bool infer_call_read_messages(const struct json_at *in,
                                         const struct infer_call_model *model, struct arena *arena,
                                         struct infer_call *out, struct status *st);
/* Adds `text` as a JSON string in which no control token stands. */
void infer_call_add_guarded(struct text_buf *buf, const struct model_vocab *vocab,
                            struct text text);
/* Adds a JSON value whose strings and names are so. */
void infer_call_add_guarded_json(struct text_buf *buf, const struct model_vocab *vocab,
                                 const json_t *value);
