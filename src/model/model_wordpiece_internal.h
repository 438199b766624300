/* model_wordpiece_internal: what the reader of tokenizer files (model_wordpiece_open.c) hands to
 * the tokenizer (model_wordpiece.c). */
#pragma once
#include "model_wordpiece.h"

/* A token, without the sign by which it goes on inside a word. */
struct wordpiece_entry {
    struct text text; /* empty: a free place */
    int32_t id;
    bool goes_on;
};

struct model_wordpiece {
    struct model_wordpiece_ids ids;
    bool clean, chinese, strip, lower;
    uint32_t word_chars_max; /* a longer word is unknown */
    uint32_t count;
    size_t piece_bytes_max;        /* of the longest entry */
    struct wordpiece_entry *table; /* open addressing */
    uint32_t table_size;           /* a power of two */
    char *memory;                  /* of the entries' texts, and of `prefix` */
    struct text prefix;            /* the sign by which a token goes on inside a word: "##" */
    const struct wordpiece_entry **by_id; /* the entries in the order of their ids */
    size_t by_id_count;
};

uint64_t model_wordpiece_hash(uint64_t hash, struct text text);
/* Where a word begins, and where it goes on. */
enum { WORDPIECE_SEED_BEGINS = 1, WORDPIECE_SEED_GOES_ON = 2 };
