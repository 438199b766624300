#include "relay_stream.h"
#include <stdlib.h>
#include <string.h>
#include "arena.h"
#include "clock.h"
#include "http_sse.h"

struct relay_stream {
    struct http_sse_parser *parser;
    struct text model;
    bool strip_usage;
    enum relay_stream_state state;
    struct relay_usage usage;
    struct relay_timings timings;
    size_t chunks;
    int64_t first_us;
    /* Events written anew; grown as needed, kept until the end. */
    char *memory;
    size_t len, size;
};

/* Bytes of the piece that can go out as they are. */
struct run {
    const char *from, *to;
};

static enum relay_stream_state take(struct relay_stream *stream, struct text data,
                                    struct relay_chunk *chunk, bool *keep, struct status *st);
static bool is_named(const struct relay_stream *stream, const struct relay_chunk *chunk);
static void add_event(struct relay_stream *stream, const struct relay_chunk *chunk,
                      struct text data);
static void add(struct relay_stream *stream, struct text text);
static void flush(struct relay_stream *stream, struct run *run);

struct relay_stream *relay_stream_new(struct text model, bool strip_usage)
{
    struct relay_stream *stream = calloc(1, sizeof(*stream));
    WEIR_ASSERT(stream != NULL);
    stream->parser = http_sse_parser_new();
    stream->model = model;
    stream->strip_usage = strip_usage;
    stream->timings = (struct relay_timings){-1, -1, -1};
    return stream;
}

void relay_stream_free(struct relay_stream *stream)
{
    if (stream == NULL)
        return;
    http_sse_parser_free(stream->parser);
    free(stream->memory);
    free(stream);
}

enum relay_stream_state relay_stream_feed(struct relay_stream *stream, struct text piece,
                                          struct text *out, struct status *st)
{
    struct run run = {NULL, NULL};
    struct http_sse_event event;
    stream->len = 0;
    *out = TEXT("");
    while (stream->state == RELAY_STREAM_OPEN) {
        const char *before = piece.at;
        enum http_sse_result result = http_sse_feed(stream->parser, &piece, &event);
        if (result == HTTP_SSE_MORE)
            break;
        if (result == HTTP_SSE_BAD) {
            (void)status_fail(st, STATUS_UPSTREAM, "the upstream sent an event of over %d bytes",
                              HTTP_SSE_EVENT_BYTES_MAX);
            stream->state = RELAY_STREAM_FAILED;
            break;
        }
        struct relay_chunk chunk;
        bool keep = true;
        stream->state = take(stream, event.data, &chunk, &keep, st);
        if (stream->state == RELAY_STREAM_FAILED || !keep)
            continue;
        /* "data: …\n\n" and not a byte more, all of it in this piece, under the right name? */
        bool as_is = event.data.at == before + 6 && memcmp(before, "data: ", 6) == 0 &&
                     piece.at == event.data.at + event.data.len + 2 &&
                     memcmp(piece.at - 2, "\n\n", 2) == 0 && is_named(stream, &chunk);
        if (as_is) {
            if (run.to != before) {
                flush(stream, &run);
                run.from = before;
            }
            run.to = piece.at;
        } else {
            flush(stream, &run);
            add_event(stream, &chunk, event.data);
        }
    }
    if (stream->len == 0) {
        if (run.from != NULL)
            *out = (struct text){run.from, (size_t)(run.to - run.from)};
        return stream->state;
    }
    flush(stream, &run);
    *out = (struct text){stream->memory, stream->len};
    return stream->state;
}

const struct relay_usage *relay_stream_usage(const struct relay_stream *stream)
{
    return &stream->usage;
}

const struct relay_timings *relay_stream_timings(const struct relay_stream *stream)
{
    return &stream->timings;
}

size_t relay_stream_chunks(const struct relay_stream *stream)
{
    return stream->chunks;
}

int64_t relay_stream_first_us(const struct relay_stream *stream)
{
    return stream->first_us;
}

/* Reads one chunk; `*keep` becomes false when the client is not to see it. */
static enum relay_stream_state take(struct relay_stream *stream, struct text data,
                                    struct relay_chunk *out, bool *keep, struct status *st)
{
    struct relay_chunk chunk;
    *out = (struct relay_chunk){.done = false};
    if (data.len == 0) { /* an event without data means nothing in this dialect */
        *keep = false;
        return RELAY_STREAM_OPEN;
    }
    /* Completions stream the same chunks, as far as they are understood here. */
    if (!relay_chunk_read(RELAY_CHAT, data, &chunk, st)) {
        (void)status_wrap(st, "the upstream sent a chunk that is broken");
        return RELAY_STREAM_FAILED;
    }
    *out = chunk;
    if (chunk.done)
        return RELAY_STREAM_DONE;
    if (chunk.is_error) {
        (void)status_fail(st, STATUS_UPSTREAM, "the upstream reported an error in its stream");
        return RELAY_STREAM_FAILED;
    }
    if (chunk.usage.known)
        stream->usage = chunk.usage;
    if (chunk.timings.decode_ms >= 0)
        stream->timings = chunk.timings;
    *keep = !(chunk.bare_usage && stream->strip_usage);
    if (!chunk.bare_usage) {
        stream->chunks++;
        if (stream->first_us == 0)
            stream->first_us = clock_mono_us();
    }
    return RELAY_STREAM_OPEN;
}

/* Whether the chunk has the public name, or none. */
static bool is_named(const struct relay_stream *stream, const struct relay_chunk *chunk)
{
    struct text name = chunk->model.raw;
    return name.at == NULL || (name.len == stream->model.len + 2 &&
                               memcmp(name.at + 1, stream->model.at, stream->model.len) == 0);
}

/* An event written anew: one line for each line of its data. */
static void add_event(struct relay_stream *stream, const struct relay_chunk *chunk,
                      struct text data)
{
    AUTO(arena) struct arena *arena = is_named(stream, chunk) ? NULL : arena_open(4 * MIB);
    struct text rest = data, line;
    if (arena != NULL)
        rest = relay_chunk_renamed(chunk, data, stream->model, arena);
    while (text_split(&rest, '\n', &line)) {
        add(stream, TEXT("data: "));
        add(stream, line);
        add(stream, TEXT("\n"));
    }
    add(stream, TEXT("\n"));
}

static void flush(struct relay_stream *stream, struct run *run)
{
    if (run->from != NULL)
        add(stream, (struct text){run->from, (size_t)(run->to - run->from)});
    *run = (struct run){NULL, NULL};
}

static void add(struct relay_stream *stream, struct text text)
{
    if (text.len > stream->size - stream->len) {
        size_t size = stream->size == 0 ? 1024 : stream->size;
        while (size - stream->len < text.len)
            size *= 2;
        char *memory = realloc(stream->memory, size);
        WEIR_ASSERT(memory != NULL);
        stream->memory = memory;
        stream->size = size;
    }
    memcpy(stream->memory + stream->len, text.at, text.len);
    stream->len += text.len;
}
