/* model_wordpiece: the tokenizer of BERT and its kin. Text is cleaned of control characters, put in
 * lower case and stripped of accents where the model wants so, cut at spaces, at punctuation and
 * around Chinese characters, and each word is cut into the longest pieces of the vocabulary.
 * Strict: a tokenizer.json that asks for anything else is refused by name, since near enough would
 * give quietly worse vectors. Names of special tokens inside a text are text.
 * Any thread, once open; nothing here waits. */
#pragma once
#include "base.h"
#include "model_vocab.h"
#include "status.h"
#include "text.h"

struct model_wordpiece;
struct text_buf;

/* Tokens with a duty of their own. */
struct model_wordpiece_ids {
    int32_t unknown, first, end, padding; /* [UNK], [CLS], [SEP], [PAD] */
};

/* From the text of a tokenizer.json.
 * Fails: STATUS_INVALID, saying what of it cannot be used. */
MUST_CHECK bool model_wordpiece_open(struct text tokenizer_json, struct model_wordpiece **out,
                                     struct status *st);
/* From a vocab.txt, one token a line, and the text of a tokenizer_config.json, which may be empty:
 * then it is lower case without accents. Fails: as above. */
MUST_CHECK bool model_wordpiece_open_lines(struct text vocab_txt, struct text config_json,
                                           struct model_wordpiece **out, struct status *st);
void model_wordpiece_close(struct model_wordpiece *wordpiece);
AUTO_DEFINE(model_wordpiece, model_wordpiece_close)

struct model_wordpiece_ids model_wordpiece_ids(const struct model_wordpiece *wordpiece);
uint32_t model_wordpiece_count(const struct model_wordpiece *wordpiece); /* highest id and 1 */

/* Adds a token as the vocabulary has it, "##ing" say; nothing for one that it lacks. */
void model_wordpiece_piece(const struct model_wordpiece *wordpiece, int32_t token,
                           struct text_buf *out);
/* Fails: STATUS_INVALID, saying that tokens do not tell the text that they were cut from. */
bool model_wordpiece_no_text(struct status *st);
/* Appends the tokens of `text`, without those that begin and end a sequence; keeps at most
 * `tokens_max` of them. `*count` (may be NULL): how many the text has, kept or not.
 * Fails: STATUS_INVALID when `text` is not UTF-8. */
MUST_CHECK bool model_wordpiece_encode(const struct model_wordpiece *wordpiece, struct text text,
                                       uint32_t tokens_max, struct engine_tokens *out,
                                       size_t *count, struct status *st);
