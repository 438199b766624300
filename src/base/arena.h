/* arena: memory with one end. A request's memory is one arena, closed once, after the last byte
 * is sent and when nothing in flight points into it.
 * One thread at a time; lent to a worker thread while its fiber waits in an offload.
 * Never returns NULL: a process out of memory stops with a message, and an arena over its limit
 * says so in arena_over_limit(), which the waiting functions check and turn into STATUS_LIMIT.
 * Under the address sanitizer each allocation is a malloc of its own, so that overruns show. */
#pragma once
#include "base.h"
#include "text.h"

struct arena;

/* `bytes_max` is what all allocations together should not pass (a bound on bugs and on abuse; each
 * thing read is bounded where it enters, so honest requests stay far below). */
struct arena *arena_open(size_t bytes_max);
void arena_close(
    struct arena *arena); /* runs the ends in reverse order, then frees; NULL is fine */
AUTO_DEFINE(arena, arena_close)

/* Zeroed, aligned for any type. size 0 gives a valid unique pointer. */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_alloc_array(struct arena *arena, size_t count, size_t size); /* overflow-checked */
#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, count, type) ((type *)arena_alloc_array((arena), (count), sizeof(type)))

struct text arena_text(struct arena *arena, struct text text); /* a copy, with a zero behind it */
char *arena_cstr(struct arena *arena, struct text text);       /* the same as a C string */
struct text arena_format(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);

/* Ties to the arena what is not memory: `end(what)` runs when it closes, last come first. */
void arena_at_end(struct arena *arena, void (*end)(void *what), void *what);
bool arena_over_limit(const struct arena *arena);
size_t arena_used(const struct arena *arena); /* bytes handed out */

/* A text of unknown length that grows in an arena, up to `bytes_max`. */
struct text_buf {
    struct arena *arena;
    char *at;
    size_t len, size, bytes_max;
    bool cut; /* bytes_max was reached: what came after is missing */
};
struct text_buf text_buf_in(struct arena *arena, size_t bytes_max);
void text_buf_add(struct text_buf *buf, struct text text);
void text_buf_addf(struct text_buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
/* As a JSON string with its quotes; `text` must be valid UTF-8. Escapes what JSON and JavaScript
 * demand, nothing else. */
void text_buf_add_json(struct text_buf *buf, struct text text);
struct text text_buf_text(const struct text_buf *buf);
