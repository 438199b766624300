#include "chat_live.h"
#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "chat_internal.h"
#include "fiber.h"
#include "loop.h"

enum { JOINED_BYTES_MAX = 64 * 1024 };

/* Where an event's data stands in `bytes`. */
struct place {
    enum chat_event_kind kind;
    uint32_t size;
    size_t at;
};

struct follower {
    struct notify *notify;
    struct follower *next;
};

struct chat_live {
    _Atomic int refs;
    char *id, *org_id, *user_id;
    struct loop *loop;
    struct chat_live *next; /* under the chat's lock */
    bool listed;

    pthread_mutex_t lock; /* of what follows */
    struct place *places; /* event n is places[n - 1] */
    size_t places_count, places_size;
    char *bytes;
    size_t bytes_used, bytes_size, text_bytes;
    struct follower *followers;
    enum chat_live_stop stop;
    struct fiber *fiber;
};

static void stop_one(struct chat_live *live, enum chat_live_stop why);
static void cancel_fiber(void *arg);
static char *copy(struct text text);

const char *chat_event_kind_name(enum chat_event_kind kind)
{
    static const char *const names[] = {"status", "delta", "usage", "done", "error"};
    static_assert(ARRAY_LEN(names) == CHAT_EVENT_KIND_COUNT, "a kind has no name");
    return names[kind];
}

struct chat_live *chat_live_new(struct chat *chat, struct chat_person person, struct text run_id)
{
    struct chat_live *live = calloc(1, sizeof(*live));
    WEIR_ASSERT(live != NULL);
    atomic_init(&live->refs, 2); /* the caller and the list */
    live->id = copy(run_id);
    live->org_id = copy(person.org_id);
    live->user_id = copy(person.user_id);
    live->loop = loop_current();
    (void)pthread_mutex_init(&live->lock, NULL);
    (void)pthread_mutex_lock(&chat->lock);
    live->listed = true;
    live->next = chat->first;
    chat->first = live;
    (void)pthread_mutex_unlock(&chat->lock);
    return live;
}

struct chat_live *chat_live_find(struct chat *chat, struct chat_person person, struct text run_id)
{
    struct chat_live *found = NULL;
    (void)pthread_mutex_lock(&chat->lock);
    for (struct chat_live *live = chat->first; live != NULL && found == NULL; live = live->next)
        if (text_equal(text_of(live->id), run_id) &&
            text_equal(text_of(live->user_id), person.user_id) &&
            text_equal(text_of(live->org_id), person.org_id))
            found = chat_live_take(live);
    (void)pthread_mutex_unlock(&chat->lock);
    return found;
}

struct chat_live *chat_live_take(struct chat_live *live)
{
    atomic_fetch_add(&live->refs, 1);
    return live;
}

void chat_live_release(struct chat_live *live)
{
    if (live == NULL || atomic_fetch_sub(&live->refs, 1) != 1)
        return;
    WEIR_ASSERT(live->followers == NULL);
    (void)pthread_mutex_destroy(&live->lock);
    if (live->bytes != NULL)
        explicit_bzero(live->bytes, live->bytes_used);
    free(live->bytes);
    free(live->places);
    free(live->id);
    free(live->org_id);
    free(live->user_id);
    free(live);
}

void chat_live_remove(struct chat *chat, struct chat_live *live)
{
    bool was = false;
    (void)pthread_mutex_lock(&chat->lock);
    for (struct chat_live **at = &chat->first; *at != NULL; at = &(*at)->next)
        if (*at == live) {
            *at = live->next;
            live->listed = false;
            was = true;
            break;
        }
    (void)pthread_mutex_unlock(&chat->lock);
    if (was)
        chat_live_release(live);
}

struct text chat_live_id(const struct chat_live *live)
{
    return text_of(live->id);
}

int64_t chat_live_add(struct chat_live *live, enum chat_event_kind kind, struct text data)
{
    (void)pthread_mutex_lock(&live->lock);
    if (live->places_count == live->places_size) {
        live->places_size = live->places_size == 0 ? 64 : 2 * live->places_size;
        live->places = base_resize(live->places, live->places_size * sizeof(*live->places));
    }
    if (live->bytes_size - live->bytes_used < data.len) {
        size_t size = live->bytes_size == 0 ? 4096 : live->bytes_size;
        while (size - live->bytes_used < data.len)
            size *= 2;
        live->bytes = base_resize(live->bytes, size);
        live->bytes_size = size;
    }
    if (data.len > 0)
        memcpy(live->bytes + live->bytes_used, data.at, data.len);
    live->places[live->places_count++] = (struct place){kind, (uint32_t)data.len, live->bytes_used};
    live->bytes_used += data.len;
    if (kind == CHAT_EVENT_DELTA)
        live->text_bytes += data.len;
    int64_t seq = (int64_t)live->places_count;
    for (struct follower *follower = live->followers; follower != NULL; follower = follower->next)
        notify_signal(follower->notify);
    (void)pthread_mutex_unlock(&live->lock);
    return seq;
}

int64_t chat_live_last(struct chat_live *live)
{
    (void)pthread_mutex_lock(&live->lock);
    int64_t last = (int64_t)live->places_count;
    (void)pthread_mutex_unlock(&live->lock);
    return last;
}

size_t chat_live_text_bytes(struct chat_live *live)
{
    (void)pthread_mutex_lock(&live->lock);
    size_t bytes = live->text_bytes;
    (void)pthread_mutex_unlock(&live->lock);
    return bytes;
}

struct text chat_live_text(struct chat_live *live, struct arena *arena)
{
    (void)pthread_mutex_lock(&live->lock);
    char *out = arena_alloc(arena, live->text_bytes);
    size_t len = 0;
    for (size_t i = 0; i < live->places_count; i++) {
        if (live->places[i].kind != CHAT_EVENT_DELTA)
            continue;
        memcpy(out + len, live->bytes + live->places[i].at, live->places[i].size);
        len += live->places[i].size;
    }
    (void)pthread_mutex_unlock(&live->lock);
    return (struct text){out, len};
}

bool chat_live_next(struct chat_live *live, int64_t seq, struct arena *arena,
                    struct chat_event *out)
{
    bool found = false;
    (void)pthread_mutex_lock(&live->lock);
    size_t first = (size_t)seq;
    if (first < live->places_count) {
        const struct place *place = &live->places[first];
        size_t last = first, size = place->size;
        while (place->kind == CHAT_EVENT_DELTA && last + 1 < live->places_count &&
               live->places[last + 1].kind == CHAT_EVENT_DELTA && size < JOINED_BYTES_MAX)
            size += live->places[++last].size; /* they stand one behind the other */
        *out = (struct chat_event){
            .seq = (int64_t)last + 1,
            .seq_first = (int64_t)first + 1,
            .kind = place->kind,
            .data = arena_text(arena, (struct text){live->bytes + place->at, size}),
        };
        found = true;
    }
    (void)pthread_mutex_unlock(&live->lock);
    return found;
}

const uint32_t *chat_live_sizes(struct chat_live *live, const struct chat_event *event,
                                struct arena *arena)
{
    size_t count = (size_t)(event->seq - event->seq_first) + 1;
    uint32_t *sizes = ARENA_ARRAY(arena, count, uint32_t);
    (void)pthread_mutex_lock(&live->lock);
    for (size_t i = 0; i < count; i++)
        sizes[i] = live->places[(size_t)event->seq_first - 1 + i].size;
    (void)pthread_mutex_unlock(&live->lock);
    return sizes;
}

bool chat_live_wait(struct chat_live *live, int64_t seq, int64_t deadline_us, struct status *st)
{
    struct follower follower = {.notify = notify_new(loop_current())};
    bool ok = true;
    (void)pthread_mutex_lock(&live->lock);
    follower.next = live->followers;
    live->followers = &follower;
    while (ok && (int64_t)live->places_count <= seq) {
        (void)pthread_mutex_unlock(&live->lock);
        ok = notify_wait(follower.notify, deadline_us, st);
        (void)pthread_mutex_lock(&live->lock);
    }
    for (struct follower **at = &live->followers; *at != NULL; at = &(*at)->next)
        if (*at == &follower) {
            *at = follower.next;
            break;
        }
    (void)pthread_mutex_unlock(&live->lock);
    notify_free(follower.notify);
    return ok;
}

void chat_live_stop(struct chat *chat, struct text run_id, enum chat_live_stop why)
{
    (void)pthread_mutex_lock(&chat->lock);
    for (struct chat_live *live = chat->first; live != NULL; live = live->next)
        if (text_equal(text_of(live->id), run_id))
            stop_one(live, why);
    (void)pthread_mutex_unlock(&chat->lock);
}

void chat_live_stop_all(struct chat *chat, struct loop *loop, enum chat_live_stop why)
{
    (void)pthread_mutex_lock(&chat->lock);
    for (struct chat_live *live = chat->first; live != NULL; live = live->next)
        if (live->loop == loop)
            stop_one(live, why);
    (void)pthread_mutex_unlock(&chat->lock);
}

enum chat_live_stop chat_live_stopped(struct chat_live *live)
{
    (void)pthread_mutex_lock(&live->lock);
    enum chat_live_stop stop = live->stop;
    (void)pthread_mutex_unlock(&live->lock);
    return stop;
}

size_t chat_live_count(struct chat *chat, struct loop *loop)
{
    size_t count = 0;
    (void)pthread_mutex_lock(&chat->lock);
    for (struct chat_live *live = chat->first; live != NULL; live = live->next)
        count += loop == NULL || live->loop == loop;
    (void)pthread_mutex_unlock(&chat->lock);
    return count;
}

size_t chat_live_count_person(struct chat *chat, struct chat_person person)
{
    size_t count = 0;
    (void)pthread_mutex_lock(&chat->lock);
    for (struct chat_live *live = chat->first; live != NULL; live = live->next)
        count += text_equal(text_of(live->user_id), person.user_id) &&
                 text_equal(text_of(live->org_id), person.org_id);
    (void)pthread_mutex_unlock(&chat->lock);
    return count;
}

void chat_live_set_fiber(struct chat_live *live, struct fiber *fiber)
{
    (void)pthread_mutex_lock(&live->lock);
    live->fiber = fiber;
    bool stopped = live->stop != CHAT_LIVE_STOP_NONE;
    (void)pthread_mutex_unlock(&live->lock);
    if (stopped && fiber != NULL) /* the stop came before the fiber was known */
        fiber_cancel(fiber);
}

static void stop_one(struct chat_live *live, enum chat_live_stop why)
{
    (void)pthread_mutex_lock(&live->lock);
    bool first = live->stop == CHAT_LIVE_STOP_NONE;
    if (first)
        live->stop = why;
    (void)pthread_mutex_unlock(&live->lock);
    if (first && !loop_post(live->loop, cancel_fiber, chat_live_take(live)))
        chat_live_release(live);
}

/* On the run's loop: only there may its fiber be touched. */
static void cancel_fiber(void *arg)
{
    struct chat_live *live = arg;
    (void)pthread_mutex_lock(&live->lock);
    struct fiber *fiber = live->fiber;
    (void)pthread_mutex_unlock(&live->lock);
    if (fiber != NULL)
        fiber_cancel(fiber);
    chat_live_release(live);
}

static char *copy(struct text text)
{
    char *bytes = strndup(text.len == 0 ? "" : text.at, text.len);
    WEIR_ASSERT(bytes != NULL);
    return bytes;
}
