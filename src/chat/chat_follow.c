/* Following a run: from memory where this process writes it, else from its rows. */
#include "chat_internal.h"
#include "chat_run.h"
#include "chat_store.h"
#include "clock.h"
#include "fiber.h"

enum { POLL_MS = 250, PIECE_BYTES_MAX = 64 * 1024 * 1024 };

struct chat_follow {
    struct chat *chat;
    struct chat_person person;
    struct text run_id;
    struct chat_live *live;    /* NULL: the rows */
    int64_t seq;               /* of the last event given out */
    struct arena *piece;       /* of what was given out last */
    struct chat_event *events; /* rows read ahead, in `piece` */
    size_t events_count, events_used;
};

static bool next_row(struct chat_follow *follow, struct chat_event *out, bool *found,
                     struct status *st);
static void give(struct chat_follow *follow, struct chat_event event, struct chat_event *out);
static struct arena *fresh(struct chat_follow *follow);

bool chat_follow_open(struct chat *chat, struct chat_person person, struct text run_id,
                      int64_t after, struct arena *arena, struct chat_follow **out, bool *ended,
                      struct status *st)
{
    struct chat_run_row row;
    /* Memory first: a run that ends in between is then found in its rows. */
    AUTO(chat_live) struct chat_live *live = chat_live_find(chat, person, run_id);
    if (!chat_store_get(chat, person, run_id, arena, &row, st))
        return false;
    int64_t last = row.last_seq;
    if (live != NULL && chat_live_last(live) > last)
        last = chat_live_last(live);
    /* Another replica may have shown more than it has stored so far. */
    bool known = row.ended || live != NULL;
    if (known && after > last)
        return status_fail_field(st, STATUS_INVALID, "after",
                                 "the run has no event %lld yet; its last is %lld",
                                 (long long)after, (long long)last);
    *ended = row.ended && after == last;
    struct chat_follow *follow = ARENA_NEW(arena, struct chat_follow);
    follow->chat = chat;
    follow->person = person;
    follow->run_id = arena_text(arena, run_id);
    follow->seq = after;
    follow->live = row.ended ? NULL : TAKE(live);
    *out = follow;
    return true;
}

bool chat_follow_next(struct chat_follow *follow, int64_t deadline_us, struct chat_event *out,
                      struct status *st)
{
    struct chat_event event;
    for (;;) {
        bool found = false;
        if (follow->live != NULL) {
            if (chat_live_next(follow->live, follow->seq, fresh(follow), &event)) {
                give(follow, event, out);
                return true;
            }
            if (!chat_live_wait(follow->live, follow->seq, deadline_us, st))
                return false;
            continue;
        }
        if (!next_row(follow, &event, &found, st))
            return false;
        if (found) {
            give(follow, event, out);
            return true;
        }
        if (clock_mono_us() >= deadline_us)
            return status_fail(st, STATUS_TIMEOUT, "nothing happened");
        if (!loop_sleep(clock_deadline_ms(POLL_MS), st))
            return false;
    }
}

void chat_follow_close(struct chat_follow *follow)
{
    if (follow == NULL)
        return;
    chat_live_release(follow->live);
    follow->live = NULL;
    arena_close(follow->piece);
    follow->piece = NULL;
}

static bool next_row(struct chat_follow *follow, struct chat_event *out, bool *found,
                     struct status *st)
{
    if (follow->events_used == follow->events_count) {
        struct arena *arena = fresh(follow);
        follow->events_used = follow->events_count = 0;
        if (!chat_store_events(follow->chat, follow->person, follow->run_id, follow->seq, arena,
                               &follow->events, &follow->events_count, st))
            return false;
    }
    *found = follow->events_used < follow->events_count;
    if (*found)
        *out = follow->events[follow->events_used++];
    return true;
}

static void give(struct chat_follow *follow, struct chat_event event, struct chat_event *out)
{
    follow->seq = event.seq;
    *out = event;
}

static struct arena *fresh(struct chat_follow *follow)
{
    arena_close(follow->piece);
    follow->piece = arena_open(PIECE_BYTES_MAX);
    return follow->piece;
}
