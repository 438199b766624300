#include "grammar_pieces.h"
#include <stdlib.h>
#include <string.h>

/* What is sorted: the bytes come along, since qsort's order function gets nothing else. */
struct entry {
    struct text text;
    int32_t token;
};

static int by_bytes(const void *left, const void *right);
static uint16_t shared_of(struct text a, struct text b);

struct grammar_pieces *grammar_pieces_new(uint32_t count,
                                          size_t (*piece)(void *arg, int32_t token, char *out),
                                          void *arg, const int32_t *ends, size_t ends_count)
{
    struct grammar_pieces *pieces = base_alloc(sizeof *pieces);
    uint32_t *at = base_alloc(count * sizeof *at), used = 0, size = 0;
    char one[GRAMMAR_PIECES_BYTES_MAX];
    pieces->count = count;
    pieces->place = base_alloc(count * sizeof *pieces->place);
    pieces->ends = base_alloc(count * sizeof *pieces->ends);
    pieces->sorted = base_alloc(count * sizeof *pieces->sorted);
    struct entry *entries = base_alloc(count * sizeof *entries);
    for (size_t i = 0; i < ends_count; i++)
        pieces->ends[ends[i]] = true;
    for (uint32_t i = 0; i < count; i++) {
        size_t len = piece(arg, (int32_t)i, one);
        WEIR_ASSERT(len <= sizeof one);
        pieces->place[i] = UINT32_MAX;
        if (len == 0 || pieces->ends[i] || memchr(one, 0, len) != NULL)
            continue;
        if (size - used < len) {
            size = (size + GRAMMAR_PIECES_BYTES_MAX) * 2;
            pieces->bytes = base_resize(pieces->bytes, size);
        }
        memcpy(pieces->bytes + used, one, len);
        at[pieces->sorted_count] = used;
        entries[pieces->sorted_count++] = (struct entry){{NULL, len}, (int32_t)i};
        used += (uint32_t)len;
    }
    for (uint32_t i = 0; i < pieces->sorted_count; i++)
        entries[i].text.at = pieces->bytes + at[i];
    free(at);
    if (pieces->sorted_count > 0)
        qsort(entries, pieces->sorted_count, sizeof *entries, by_bytes);
    for (uint32_t i = 0; i < pieces->sorted_count; i++) {
        pieces->sorted[i] = (struct grammar_piece){
            .token = entries[i].token,
            .at = (uint32_t)(entries[i].text.at - pieces->bytes),
            .len = (uint16_t)entries[i].text.len,
            .shared = i == 0 ? 0 : shared_of(entries[i - 1].text, entries[i].text),
        };
        pieces->place[entries[i].token] = i;
    }
    free(entries);
    return pieces;
}

void grammar_pieces_free(struct grammar_pieces *pieces)
{
    if (pieces == NULL)
        return;
    free(pieces->sorted);
    free(pieces->bytes);
    free(pieces->place);
    free(pieces->ends);
    free(pieces);
}

struct text grammar_pieces_text(const struct grammar_pieces *pieces, int32_t token)
{
    WEIR_ASSERT(token >= 0 && (uint32_t)token < pieces->count);
    uint32_t place = pieces->place[token];
    if (place == UINT32_MAX)
        return TEXT_NONE;
    return (struct text){pieces->bytes + pieces->sorted[place].at, pieces->sorted[place].len};
}

static int by_bytes(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int order = text_compare(a->text, b->text);
    return order != 0 ? order : a->token < b->token ? -1 : a->token > b->token;
}

static uint16_t shared_of(struct text a, struct text b)
{
    size_t most = a.len < b.len ? a.len : b.len, i = 0;
    while (i < most && a.at[i] == b.at[i])
        i++;
    return (uint16_t)i;
}
