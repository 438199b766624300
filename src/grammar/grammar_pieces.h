/* grammar_pieces: the bytes of all tokens of a vocabulary, in bytewise order, so that many tokens
 * can be tried against a grammar at once. Made once; then only read: any thread. */
#pragma once
#include "base.h"
#include "text.h"

enum { GRAMMAR_PIECES_BYTES_MAX = 512 };

struct grammar_piece {
    int32_t token;
    uint32_t at;     /* in `bytes` */
    uint16_t len;    /* at least 1 */
    uint16_t shared; /* bytes at the front that the piece before has too */
};
struct grammar_pieces {
    uint32_t count; /* tokens in all */
    struct grammar_piece *sorted;
    uint32_t sorted_count;
    char *bytes;
    uint32_t *place; /* by token: its place in `sorted`; UINT32_MAX: it has no bytes */
    bool *ends;      /* by token: it ends an answer */
};

/* `piece` writes the bytes of a token, at most GRAMMAR_PIECES_BYTES_MAX, and returns how many; 0
 * for a token that may never stand in an answer, as those with a zero byte may not. `ends`: tokens
 * that end one. Owns: the caller, grammar_pieces_free. */
struct grammar_pieces *grammar_pieces_new(uint32_t count,
                                          size_t (*piece)(void *arg, int32_t token, char *out),
                                          void *arg, const int32_t *ends, size_t ends_count);
void grammar_pieces_free(struct grammar_pieces *pieces);
AUTO_DEFINE(grammar_pieces, grammar_pieces_free)

/* "" when it has none. */
struct text grammar_pieces_text(const struct grammar_pieces *pieces, int32_t token);
