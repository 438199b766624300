/* relay_stream: an upstream's event stream on its way to a client. What goes out is always valid
 * Server-Sent Events of whole chunks, whatever came in: an event that is already written as we
 * would is passed on as the same bytes; others (CRLF, comments, several data lines, a chunk in
 * pieces, another name of the model) are written anew. Each chunk is read once, for its usage. The
 * chunk that only has usage is left out unless the client asked for it. A stream that breaks ends
 * in an error event, never in [DONE]. One fiber at a time; nothing here waits. Memory: the part of
 * an event that is still to come (at most HTTP_SSE_EVENT_BYTES_MAX), and what has to be written
 * anew of one piece. */
#pragma once
#include "base.h"
#include "relay_chunk.h"
#include "status.h"
#include "text.h"

struct relay_stream;

enum relay_stream_state {
    RELAY_STREAM_OPEN,
    RELAY_STREAM_DONE,   /* [DONE] was seen and is in what feed gave */
    RELAY_STREAM_FAILED, /* no valid chunk, or the upstream said that it broke */
};

/* `model`: its public name, which stands in every chunk that goes out; it outlives the stream. */
struct relay_stream *relay_stream_new(struct text model, bool strip_usage);
void relay_stream_free(struct relay_stream *stream);
AUTO_DEFINE(relay_stream, relay_stream_free)

/* Takes a piece as it came. `*out` is what to pass on now, maybe nothing: it points into `piece` or
 * into the stream and is valid until the next call. When the state becomes FAILED, `st` tells why
 * and `*out` has the chunks before it. After DONE or FAILED nothing is taken any more. */
enum relay_stream_state relay_stream_feed(struct relay_stream *stream, struct text piece,
                                          struct text *out, struct status *st);
/* What the chunks said so far. */
const struct relay_usage *relay_stream_usage(const struct relay_stream *stream);
const struct relay_timings *relay_stream_timings(const struct relay_stream *stream);
size_t relay_stream_chunks(const struct relay_stream *stream); /* with choices: about one a token */
/* When the first chunk with choices had come, monotonic; 0 before. */
int64_t relay_stream_first_us(const struct relay_stream *stream);
