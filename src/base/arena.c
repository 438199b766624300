/* A list of chunks, newest first; an allocation takes the next bytes of the newest. The first chunk
 * holds the arena itself, so a small request costs one malloc. What is larger than a quarter of a
 * chunk gets one of its own behind the newest, so that no half-used chunk is left.
 * Under the address sanitizer every allocation is a chunk of its own. */
#include "arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_SINGLE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_SINGLE 1
#endif
#endif
#ifndef ARENA_SINGLE
#define ARENA_SINGLE 0
#endif

enum {
    ALIGN = _Alignof(max_align_t),
    CHUNK_FIRST_BYTES = 4 * 1024,
    CHUNK_BYTES_MAX = 64 * 1024,
};

struct chunk {
    struct chunk *next;
    size_t size, used; /* of the bytes behind this head */
};

struct at_end {
    struct at_end *next;
    void (*end)(void *what);
    void *what;
};

struct arena {
    struct chunk *chunks; /* the newest, from which we allocate */
    struct at_end *ends;
    size_t used, bytes_max;
    size_t chunk_bytes; /* of the next one */
};

static size_t align_up(size_t size);
static struct chunk *chunk_new(size_t size);
static void *chunk_take(struct chunk *chunk, size_t size);
static void *alloc_apart(struct arena *arena, size_t size);
static bool grow_in_place(struct arena *arena, const char *at, size_t size, size_t wanted);
static bool buf_room(struct text_buf *buf, size_t more);
static size_t json_escape(struct text text, size_t at, char out[8], size_t *used);

#define HEAD_BYTES (align_up(sizeof(struct chunk)))

struct arena *arena_open(size_t bytes_max)
{
    struct arena *arena;
    if (ARENA_SINGLE) {
        arena = base_alloc(sizeof(*arena));
    } else {
        struct chunk *chunk = chunk_new(CHUNK_FIRST_BYTES - HEAD_BYTES);
        arena = chunk_take(chunk, align_up(sizeof(*arena)));
        memset(arena, 0, sizeof(*arena));
        arena->chunks = chunk;
    }
    arena->bytes_max = bytes_max;
    arena->chunk_bytes = (size_t)CHUNK_FIRST_BYTES * 2;
    return arena;
}

void arena_close(struct arena *arena)
{
    if (arena == NULL)
        return;
    while (arena->ends != NULL) { /* an end may still allocate, and tie more */
        struct at_end *last = arena->ends;
        arena->ends = last->next;
        last->end(last->what);
    }
    struct chunk *chunk = arena->chunks;
    if (ARENA_SINGLE)
        free(arena);
    while (chunk != NULL) { /* the oldest, the last here, holds the arena */
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

void *arena_alloc(struct arena *arena, size_t size)
{
    WEIR_ASSERT(arena != NULL);
    if (size > SIZE_MAX / 4)
        base_out_of_memory(size);
    if (ARENA_SINGLE) {
        arena->used += size;
        return alloc_apart(arena, size);
    }
    size_t whole = align_up(size > 0 ? size : 1);
    arena->used += whole;
    struct chunk *newest = arena->chunks;
    if (newest->size - newest->used < whole) {
        if (whole > arena->chunk_bytes / 4)
            return alloc_apart(arena, whole);
        newest = chunk_new(arena->chunk_bytes - HEAD_BYTES);
        newest->next = arena->chunks;
        arena->chunks = newest;
        if (arena->chunk_bytes < CHUNK_BYTES_MAX)
            arena->chunk_bytes *= 2;
    }
    return memset(chunk_take(newest, whole), 0, whole);
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        base_out_of_memory(SIZE_MAX);
    return arena_alloc(arena, bytes);
}

struct text arena_text(struct arena *arena, struct text text)
{
    return (struct text){arena_cstr(arena, text), text.len};
}

char *arena_cstr(struct arena *arena, struct text text)
{
    char *copy = arena_alloc(arena, text.len + 1);
    if (text.len > 0)
        memcpy(copy, text.at, text.len);
    return copy;
}

struct text arena_format(struct arena *arena, const char *format, ...)
{
    char small[256];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int written = vsnprintf(small, sizeof(small), format, args);
    va_end(args);
    WEIR_ASSERT(written >= 0);
    size_t len = (size_t)written;
    char *text = arena_alloc(arena, len + 1);
    if (len < sizeof(small))
        memcpy(text, small, len);
    else
        (void)vsnprintf(text, len + 1, format, again);
    va_end(again);
    return (struct text){text, len};
}

void arena_at_end(struct arena *arena, void (*end)(void *what), void *what)
{
    WEIR_ASSERT(end != NULL);
    struct at_end *entry = ARENA_NEW(arena, struct at_end);
    *entry = (struct at_end){arena->ends, end, what};
    arena->ends = entry;
}

bool arena_over_limit(const struct arena *arena)
{
    return arena->used > arena->bytes_max;
}

size_t arena_used(const struct arena *arena)
{
    return arena->used;
}

struct text_buf text_buf_in(struct arena *arena, size_t bytes_max)
{
    WEIR_ASSERT(arena != NULL);
    return (struct text_buf){.arena = arena, .bytes_max = bytes_max};
}

void text_buf_add(struct text_buf *buf, struct text text)
{
    if (!buf_room(buf, text.len))
        text = text_take(text, buf->size - buf->len);
    if (text.len > 0)
        memcpy(buf->at + buf->len, text.at, text.len);
    buf->len += text.len;
}

void text_buf_addf(struct text_buf *buf, const char *format, ...)
{
    char small[256];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int written = vsnprintf(small, sizeof(small), format, args);
    va_end(args);
    WEIR_ASSERT(written >= 0);
    size_t len = (size_t)written;
    if (len < sizeof(small)) {
        text_buf_add(buf, (struct text){small, len});
    } else {
        char *large = base_alloc(len + 1);
        (void)vsnprintf(large, len + 1, format, again);
        text_buf_add(buf, (struct text){large, len});
        free(large);
    }
    va_end(again);
}

void text_buf_add_json(struct text_buf *buf, struct text text)
{
    text_buf_add(buf, TEXT("\""));
    size_t from = 0, used;
    for (size_t at = 0; at < text.len; at += used) {
        char escape[8];
        size_t len = json_escape(text, at, escape, &used);
        if (len == 0)
            continue;
        text_buf_add(buf, (struct text){text.at + from, at - from});
        text_buf_add(buf, (struct text){escape, len});
        from = at + used;
    }
    text_buf_add(buf, text_skip(text, from));
    text_buf_add(buf, TEXT("\""));
}

struct text text_buf_text(const struct text_buf *buf)
{
    return (struct text){buf->at, buf->len};
}

static size_t align_up(size_t size)
{
    return (size + ALIGN - 1) / ALIGN * ALIGN;
}

static struct chunk *chunk_new(size_t size)
{
    struct chunk *chunk = malloc(HEAD_BYTES + size);
    if (chunk == NULL)
        base_out_of_memory(size);
    *chunk = (struct chunk){.size = size};
    return chunk;
}

static void *chunk_take(struct chunk *chunk, size_t size)
{
    char *at = (char *)chunk + HEAD_BYTES + chunk->used;
    chunk->used += size;
    return at;
}

static void *alloc_apart(struct arena *arena, size_t size)
{
    struct chunk *chunk = chunk_new(size);
    if (arena->chunks == NULL) {
        arena->chunks = chunk;
    } else { /* behind the newest, which still has room for small ones */
        chunk->next = arena->chunks->next;
        arena->chunks->next = chunk;
    }
    return memset(chunk_take(chunk, size), 0, size);
}

/* Makes the allocation at `at` larger without moving it, if it is the last of the newest chunk. */
static bool grow_in_place(struct arena *arena, const char *at, size_t size, size_t wanted)
{
    if (ARENA_SINGLE || at == NULL)
        return false;
    struct chunk *newest = arena->chunks;
    const char *end = (const char *)newest + HEAD_BYTES + newest->used;
    size_t more = align_up(wanted) - align_up(size);
    if (at + align_up(size) != end || newest->size - newest->used < more)
        return false;
    newest->used += more;
    arena->used += more;
    return true;
}

/* False when only a part of `more` bytes fits: then all room there may be is there. */
static bool buf_room(struct text_buf *buf, size_t more)
{
    bool fits = more <= buf->bytes_max - buf->len;
    if (!fits) {
        buf->cut = true;
        more = buf->bytes_max - buf->len;
    }
    if (more <= buf->size - buf->len)
        return fits;
    size_t size = buf->size < 128 ? 256 : buf->size * 2;
    if (size < buf->len + more)
        size = buf->len + more;
    if (size > buf->bytes_max)
        size = buf->bytes_max;
    if (!grow_in_place(buf->arena, buf->at, buf->size, size)) {
        char *larger = arena_alloc(buf->arena, size);
        if (buf->len > 0)
            memcpy(larger, buf->at, buf->len);
        buf->at = larger;
    }
    buf->size = size;
    return fits;
}

/* What stands for the character at `at` in a JSON string; 0 when it stands for itself. `*used` is
 * how many bytes of `text` that covers. U+2028 and U+2029 end a line in older JavaScript. */
static size_t json_escape(struct text text, size_t at, char out[8], size_t *used)
{
    static const char short_escapes[32] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    unsigned char c = (unsigned char)text.at[at];
    *used = 1;
    if (c == '"' || c == '\\' || (c < 0x20 && short_escapes[c] != '\0')) {
        out[0] = '\\';
        out[1] = c < 0x20 ? short_escapes[c] : (char)c;
        return 2;
    }
    if (c < 0x20)
        return (size_t)snprintf(out, 8, "\\u%04x", c);
    if (c == 0xE2 && text.len - at >= 3 && (unsigned char)text.at[at + 1] == 0x80 &&
        ((unsigned char)text.at[at + 2] & 0xFE) == 0xA8) {
        *used = 3;
        return (size_t)snprintf(out, 8, "\\u20%02x",
                                (unsigned)(unsigned char)text.at[at + 2] - 0x80u);
    }
    return 0;
}
