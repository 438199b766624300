#include "model_answer.h"
#include <stdlib.h>
#include <string.h>

/* Bytes that are not sent yet, and what is being sent. */
struct bytes {
    char *at;
    size_t len, size;
};

struct model_answer {
    struct text stops[MODEL_STOPS_MAX];
    size_t stops_count;
    struct bytes held, sent;
};

static bool find_stop(const struct model_answer *a, size_t *at);
static size_t stop_begun(const struct model_answer *a);
static struct text send(struct model_answer *a, size_t count);
static void add(struct bytes *bytes, const char *from, size_t len);

struct model_answer *model_answer_new(const struct text *stops, size_t stops_count)
{
    WEIR_ASSERT(stops_count <= MODEL_STOPS_MAX);
    struct model_answer *a = calloc(1, sizeof *a);
    WEIR_ASSERT(a != NULL);
    for (size_t i = 0; i < stops_count; i++) {
        WEIR_ASSERT(stops[i].len > 0 && stops[i].len <= MODEL_STOP_BYTES_MAX);
        char *copy = malloc(stops[i].len);
        WEIR_ASSERT(copy != NULL);
        memcpy(copy, stops[i].at, stops[i].len);
        a->stops[a->stops_count++] = (struct text){copy, stops[i].len};
    }
    return a;
}

void model_answer_free(struct model_answer *a)
{
    if (a == NULL)
        return;
    for (size_t i = 0; i < a->stops_count; i++)
        free((void *)(uintptr_t)a->stops[i].at);
    free(a->held.at);
    free(a->sent.at);
    free(a);
}

bool model_answer_add(struct model_answer *a, struct text piece, struct text *out)
{
    size_t stop;
    add(&a->held, piece.at, piece.len);
    if (find_stop(a, &stop)) {
        *out = send(a, stop);
        return true;
    }
    struct text free_to_go = {a->held.at, a->held.len - stop_begun(a)};
    *out = send(a, text_utf8_whole(free_to_go));
    return false;
}

size_t model_answer_held(const struct model_answer *a)
{
    return a->held.len;
}

struct text model_answer_rest(struct model_answer *a)
{
    return send(a, a->held.len);
}

/* The earliest place where one of them stands. */
static bool find_stop(const struct model_answer *a, size_t *at)
{
    size_t best = a->held.len;
    for (size_t i = 0; i < a->stops_count; i++) {
        size_t found = text_find((struct text){a->held.at, a->held.len}, a->stops[i]);
        if (found < best)
            best = found;
    }
    *at = best;
    return best < a->held.len;
}

/* How many bytes at the end may be the beginning of a stop string. */
static size_t stop_begun(const struct model_answer *a)
{
    size_t most = 0;
    for (size_t i = 0; i < a->stops_count; i++) {
        size_t len = a->stops[i].len - 1 < a->held.len ? a->stops[i].len - 1 : a->held.len;
        while (len > most && memcmp(a->held.at + a->held.len - len, a->stops[i].at, len) != 0)
            len--;
        most = len > most ? len : most;
    }
    return most;
}

/* The first `count` bytes held go out, as valid UTF-8. */
static struct text send(struct model_answer *a, size_t count)
{
    struct text left = {a->held.at, count};
    a->sent.len = 0;
    if (text_utf8_valid(left) && text_find_byte(left, 0) == left.len) {
        add(&a->sent, left.at, left.len);
        left.len = 0;
    }
    while (left.len > 0) {
        size_t width = 1;
        while (width < 4 && width <= left.len && !text_utf8_valid(text_take(left, width)))
            width++;
        if (width <= left.len && text_utf8_valid(text_take(left, width)) && left.at[0] != 0) {
            add(&a->sent, left.at, width);
            left = text_skip(left, width);
        } else {
            add(&a->sent, "\xef\xbf\xbd", 3);
            left = text_skip(left, 1);
        }
    }
    a->held.len -= count;
    if (a->held.len > 0)
        memmove(a->held.at, a->held.at + count, a->held.len);
    return (struct text){a->sent.at, a->sent.len};
}

static void add(struct bytes *bytes, const char *from, size_t len)
{
    if (len == 0)
        return;
    if (bytes->len + len > bytes->size) {
        bytes->size = (bytes->len + len) * 2 + 64;
        char *grown = realloc(bytes->at, bytes->size);
        WEIR_ASSERT(grown != NULL);
        bytes->at = grown;
    }
    memcpy(bytes->at + bytes->len, from, len);
    bytes->len += len;
}
