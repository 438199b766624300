/* infer_llama_internal: the vocabulary as infer_llama.c and infer_vocab.c share it. */
#pragma once
#include "infer_vocab.h"

struct llama_vocab;

struct infer_vocab {
    const struct llama_vocab *llama;
    uint32_t count;
    struct text *control; /* texts of the control tokens, in bytewise order */
    uint32_t control_count;
    size_t control_bytes_max;
    bool control_starts[256]; /* by first byte */
};

void infer_vocab_open(struct infer_vocab *vocab, const struct llama_vocab *llama);
void infer_vocab_close(struct infer_vocab *vocab);
