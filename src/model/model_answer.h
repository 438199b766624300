/* model_answer: the tokens of an answer as text that can be sent: never half a character, never a
 * stop string nor the beginning of one, and always valid UTF-8 (bytes that cannot be are U+FFFD,
 * and so is the zero byte, which JSON's readers do not all take). One answer, one fiber. Nothing
 * here waits. */
#pragma once
#include "base.h"
#include "text.h"

enum { MODEL_STOPS_MAX = 16, MODEL_STOP_BYTES_MAX = 512 };

struct model_answer;

/* The stop strings are not empty, valid UTF-8, and are copied. */
struct model_answer *model_answer_new(const struct text *stops, size_t stops_count);
void model_answer_free(struct model_answer *answer);
AUTO_DEFINE(model_answer, model_answer_free)

/* Adds the bytes of one token. `*out` is what can be sent now, maybe nothing; valid until the next
 * call. True when a stop string is complete: it and what follows are left out, and this was the
 * last call. */
bool model_answer_add(struct model_answer *answer, struct text piece, struct text *out);
/* How many bytes of the tokens so far are held back. */
size_t model_answer_held(const struct model_answer *answer);
/* What was held back, at the end of an answer without a stop string. */
struct text model_answer_rest(struct model_answer *answer);
