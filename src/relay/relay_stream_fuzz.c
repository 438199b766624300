/* Any bytes as an upstream's stream: the same goes out wherever it is cut, and what goes out is a
 * stream that passes unchanged. */
#include <stdlib.h>
#include <string.h>
#include "relay_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum relay_stream_state pass(struct text in, size_t step, struct text_buf *out)
{
    AUTO(relay_stream) struct relay_stream *stream = relay_stream_new(TEXT("m"), true);
    enum relay_stream_state state = RELAY_STREAM_OPEN;
    struct status st = {0};
    for (; in.len > 0 && state == RELAY_STREAM_OPEN; in = text_skip(in, step)) {
        struct text piece = text_take(in, step), got;
        char *copy = malloc(piece.len); /* so that an overrun shows */
        WEIR_ASSERT(copy != NULL);
        memcpy(copy, piece.at, piece.len);
        state = relay_stream_feed(stream, (struct text){copy, piece.len}, &got, &st);
        text_buf_add(out, got);
        free(copy);
    }
    return state;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(arena) struct arena *arena = arena_open(64 * MIB);
    struct text in = {(const char *)data, size};
    struct text_buf whole = text_buf_in(arena, 16 * MIB), bytes = whole, again = whole;
    enum relay_stream_state state = pass(in, size + 1, &whole);
    WEIR_ASSERT(pass(in, 1, &bytes) == state);
    WEIR_ASSERT(text_equal(text_buf_text(&whole), text_buf_text(&bytes)));
    enum relay_stream_state second = pass(text_buf_text(&whole), size + 1, &again);
    WEIR_ASSERT(second == (state == RELAY_STREAM_DONE ? state : RELAY_STREAM_OPEN));
    WEIR_ASSERT(text_equal(text_buf_text(&whole), text_buf_text(&again)));
    return 0;
}
