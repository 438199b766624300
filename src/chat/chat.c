#include "chat.h"
#include <stdlib.h>
#include <string.h>
#include "chat_internal.h"
#include "chat_store.h"
#include "clock.h"
#include "fiber.h"
#include "log.h"

enum {
    THREADS_MAX = 10000,
    MESSAGES_MAX = 2000,
    RUNS_MAX = 4,
    ANSWER_BYTES_MAX = 1024 * 1024,
    RUN_MAX_MS = 15 * 60 * 1000,
    LOOK_MS = 2000,
};

static void end_dead(struct chat *chat);
static void end_one(struct chat *chat, const struct chat_run_row *row);

struct chat *chat_open(const struct chat_options *options)
{
    struct chat *chat = calloc(1, sizeof(*chat));
    WEIR_ASSERT(chat != NULL);
    chat->options = *options;
    struct chat_options *own = &chat->options;
    own->threads_max = own->threads_max > 0 ? own->threads_max : THREADS_MAX;
    own->messages_max = own->messages_max > 0 ? own->messages_max : MESSAGES_MAX;
    own->runs_max = own->runs_max > 0 ? own->runs_max : RUNS_MAX;
    own->answer_bytes_max = own->answer_bytes_max > 0 ? own->answer_bytes_max : ANSWER_BYTES_MAX;
    own->run_max_ms = own->run_max_ms > 0 ? own->run_max_ms : RUN_MAX_MS;
    chat->replica_id = strndup(options->replica_id.at, options->replica_id.len);
    WEIR_ASSERT(chat->replica_id != NULL);
    (void)pthread_mutex_init(&chat->lock, NULL);
    return chat;
}

void chat_close(struct chat *chat)
{
    if (chat == NULL)
        return;
    WEIR_ASSERT(chat->first == NULL);
    (void)pthread_mutex_destroy(&chat->lock);
    free(chat->replica_id);
    free(chat);
}

void chat_background(void *arg)
{
    struct chat *chat = arg;
    struct status st = {0};
    do {
        end_dead(chat);
    } while (loop_sleep(clock_deadline_ms(LOOK_MS), &st));
}

void chat_drain(struct chat *chat, struct loop *loop, int64_t deadline_us)
{
    if (clock_mono_us() >= deadline_us)
        chat_live_stop_all(chat, loop, CHAT_LIVE_STOP_SHUTDOWN);
}

size_t chat_running(struct chat *chat, struct loop *loop)
{
    return chat_live_count(chat, loop);
}

struct text chat_seal(const struct vault_key *key, struct chat_person person, const char *table,
                      const char *column, struct text row_id, struct text plain,
                      struct arena *arena)
{
    struct vault_place place = {text_of(table), text_of(column), person.org_id, row_id};
    if (plain.len == 0)
        return TEXT_NONE;
    return vault_seal(key, place, plain, arena);
}

bool chat_unseal(const struct vault_key *key, struct chat_person person, const char *table,
                 const char *column, struct text row_id, struct text blob, struct arena *arena,
                 struct text *plain, struct status *st)
{
    struct vault_place place = {text_of(table), text_of(column), person.org_id, row_id};
    *plain = TEXT("");
    if (blob.len == 0)
        return true;
    if (!vault_open_sealed(key, place, blob, arena, plain, st))
        return status_wrap(st, "could not open %s.%s of %.*s", table, column, TEXT_ARG(row_id));
    return true;
}

bool chat_key(struct chat *chat, struct chat_person person, struct vault_key **out,
              struct status *st)
{
    return vault_key_take(chat->options.vault, chat->options.db, person.org_id, person.user_id, out,
                          st);
}

struct db_param chat_sealed_param(struct text blob)
{
    return blob.len == 0 ? db_null() : db_blob(blob.at, blob.len);
}

/* A run whose owner is gone ends with an error; what it had stored stays. */
static void end_dead(struct chat *chat)
{
    AUTO(arena) struct arena *arena = arena_open(4 * MIB);
    struct status st = {0};
    struct chat_run_row *rows;
    size_t count;
    if (!chat_store_dead(chat, arena, &rows, &count, &st)) {
        if (st.code != STATUS_CANCELLED)
            LOG_WARN("could not look for runs whose owner has died",
                     LOG_TEXT("why", status_text(&st)));
        return;
    }
    for (size_t i = 0; i < count; i++)
        end_one(chat, &rows[i]);
}

static void end_one(struct chat *chat, const struct chat_run_row *row)
{
    AUTO(arena) struct arena *arena = arena_open(64 * MIB);
    struct chat_person person = {row->org_id, row->user_id};
    AUTO(chat_live) struct chat_live *live = chat_live_find(chat, person, row->id);
    struct status st = {0}, why = {0};
    struct chat_event *events;
    size_t count;
    int64_t seq = 0;
    if (live != NULL) /* our own, only slow: its fiber will say so itself */
        return;
    struct text_buf text = text_buf_in(arena, 8 * MIB);
    do {
        if (!chat_store_events(chat, person, row->id, seq, arena, &events, &count, &st))
            break;
        for (size_t i = 0; i < count; i++) {
            seq = events[i].seq;
            if (events[i].kind == CHAT_EVENT_DELTA)
                text_buf_add(&text, events[i].data);
        }
    } while (count > 0);
    (void)status_fail(&why, STATUS_UNAVAILABLE, "the server that wrote this answer has stopped");
    struct text problem = chat_problem(&why, row->id, arena);
    struct chat_outcome outcome = {
        .status = TEXT("failed"),
        .error = problem,
        .done = problem,
        .content = text_buf_text(&text),
    };
    if (chat_store_end(chat, person, row, NULL, row->last_seq, &outcome, &st))
        LOG_INFO("ended a run whose owner has died", LOG_TEXT("run", row->id));
    else if (st.code != STATUS_CANCELLED)
        LOG_WARN("could not end a run whose owner has died", LOG_TEXT("run", row->id),
                 LOG_TEXT("why", status_text(&st)));
}
