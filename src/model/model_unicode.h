/* model_unicode: what a BERT tokenizer asks of a character, as the tokenizers that the models were
 * trained with answer it (scripts/unicode-tables). Any thread; nothing waits or allocates. */
#pragma once
#include "base.h"

enum model_unicode_kind {
    MODEL_UNICODE_OTHER, /* letters, digits, signs, what is not assigned */
    MODEL_UNICODE_CONTROL,
    MODEL_UNICODE_MARK, /* combines with what is before it */
    MODEL_UNICODE_PUNCTUATION,
    MODEL_UNICODE_SPACE,
    MODEL_UNICODE_KIND_COUNT
};
enum { MODEL_UNICODE_PARTS_MAX = 3, MODEL_UNICODE_LOWER_MAX = 2 };

enum model_unicode_kind model_unicode_kind(uint32_t code);
bool model_unicode_is_ideograph(uint32_t code); /* Chinese characters, each a word of its own */
/* The character taken apart (canonical decomposition) without the marks: 0 to 3 characters. */
uint32_t model_unicode_plain(uint32_t code, uint32_t out[MODEL_UNICODE_PARTS_MAX]);
/* 0, or its place among neighbours that have one too, in which the lower stands first. */
uint32_t model_unicode_order(uint32_t code);
uint32_t model_unicode_lower(uint32_t code, uint32_t out[MODEL_UNICODE_LOWER_MAX]);

/* Takes one character off the front of valid UTF-8, which is not empty. */
uint32_t model_unicode_take(const char **at, const char *end);
size_t model_unicode_put(uint32_t code, char out[4]); /* its bytes */
