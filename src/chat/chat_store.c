#include "chat_store.h"
#include <stdio.h>
#include "clock.h"

enum { EVENTS_MAX = 100, DEAD_MAX = 50, ROW_BYTES_MAX = 16 * 1024 * 1024 };

static const char active_sql[] =
    "UPDATE thread SET active_run_id = $3, leaf_id = $4, model = $5, title = COALESCE(title, $6), "
    "updated_us = $7 WHERE org_id = $org AND user_id = $1 AND id = $2 AND active_run_id IS NULL";
static const char message_add_sql[] =
    "INSERT INTO message (org_id, thread_id, id, parent_id, role, content, status, run_id, model, "
    "created_us) VALUES ($org, $1, $2, $3, $4, $5, $6, $7, $8, $9)";
static const char run_add_sql[] =
    "INSERT INTO run (org_id, id, user_id, thread_id, message_id, replica_id, state, stop, "
    "last_seq, heartbeat_us, created_us) VALUES ($org, $1, $2, $3, $4, $5, 'active', $6, 0, $7, "
    "$7)";
static const char run_sql[] = "SELECT org_id, id, user_id, thread_id, message_id, state, last_seq "
                              "FROM run WHERE org_id = $org AND user_id = $1 AND id = $2";
static const char progress_sql[] =
    "UPDATE run SET last_seq = $3, heartbeat_us = $4 WHERE org_id = $org AND user_id = $1 AND "
    "id = $2 AND state = 'active' RETURNING stop";
static const char event_add_sql[] =
    "INSERT INTO run_event (org_id, run_id, seq_last, seq_first, kind, data) "
    "VALUES ($org, $1, $2, $3, $4, $5)";
static const char message_text_sql[] = "UPDATE message SET content = $3, status = 'running' "
                                       "WHERE org_id = $org AND thread_id = $1 AND id = $2";
static const char run_end_sql[] =
    "UPDATE run SET state = 'ended', last_seq = $3 WHERE org_id = $org AND user_id = $1 AND "
    "id = $2 AND state = 'active'";
static const char message_end_sql[] =
    "UPDATE message SET content = $3, status = $4, usage = $5, finish_reason = $6, error = $7 "
    "WHERE org_id = $org AND thread_id = $1 AND id = $2";
static const char thread_end_sql[] = "UPDATE thread SET active_run_id = NULL, updated_us = $3 "
                                     "WHERE org_id = $org AND id = $1 AND active_run_id = $2";
static const char stop_sql[] = "UPDATE run SET stop = $3 WHERE org_id = $org AND user_id = $1 AND "
                               "id = $2 AND state = 'active'";
static const char events_sql[] =
    "SELECT seq_last, seq_first, kind, data FROM run_event WHERE org_id = $org AND run_id = $1 "
    "AND seq_last > $2 ORDER BY seq_last LIMIT $3";
static const char dead_sql[] =
    "SELECT org_id, id, user_id, thread_id, message_id, state, last_seq FROM run "
    "WHERE state = 'active' AND heartbeat_us < $1 ORDER BY heartbeat_us LIMIT $2";

static struct arena *row_arena(const struct chat *chat);
static struct db_tx *begin(struct chat *chat, struct chat_person person, enum db_mode mode);
static struct chat_run_row row_of(const struct db_row *row);
static bool add_event(struct db_tx *tx, const struct vault_key *key, struct chat_person person,
                      struct text run_id, const struct chat_event *event, struct text data,
                      struct arena *arena, struct status *st);
static bool add_live(struct db_tx *tx, const struct vault_key *key, struct chat_person person,
                     struct chat_live *live, int64_t *stored, struct arena *arena,
                     struct status *st);
static struct text event_place(struct text run_id, int64_t seq, struct arena *arena);
static bool message_add(struct db_tx *tx, const struct vault_key *key, struct chat_person person,
                        struct text thread_id, const struct chat_message *message,
                        struct arena *arena, struct status *st);
static struct text pack(const uint32_t *sizes, size_t count, struct text data, struct arena *arena);
static bool unpack(struct chat_event *event, int64_t after, struct status *st);

bool chat_store_start(struct chat *chat, struct chat_person person, const struct chat_run *run,
                      struct arena *arena, struct status *st)
{
    AUTO(vault_key) struct vault_key *key = NULL;
    const struct chat_thread *thread = &run->thread;
    int64_t changed, now_us = run->answer.created_us;
    if (!chat_key(chat, person, &key, st))
        return false;
    struct text title = chat_seal(key, person, "thread", "title", thread->id, thread->title, arena);
    AUTO(db_tx) struct db_tx *tx = begin(chat, person, DB_WRITE);
    if (!db_exec(tx, &changed, st, active_sql, db_text(person.user_id), db_text(thread->id),
                 db_text(run->id), db_text(run->answer.id), db_text(thread->model),
                 chat_sealed_param(title), db_int(now_us)))
        return status_wrap(st, "could not start a run");
    if (changed == 0) /* it was there a moment ago, so somebody was faster */
        return status_fail_field(st, STATUS_CONFLICT, "run",
                                 "an answer is being written in this conversation");
    if ((run->has_user_message &&
         !message_add(tx, key, person, thread->id, &run->user_message, arena, st)) ||
        !message_add(tx, key, person, thread->id, &run->answer, arena, st) ||
        !db_exec(tx, NULL, st, run_add_sql, db_text(run->id), db_text(person.user_id),
                 db_text(thread->id), db_text(run->answer.id), db_text(text_of(chat->replica_id)),
                 db_bool(false), db_int(now_us)) ||
        !db_commit(tx, st))
        return status_wrap(st, "could not start a run");
    return true;
}

bool chat_store_get(struct chat *chat, struct chat_person person, struct text run_id,
                    struct arena *arena, struct chat_run_row *out, struct status *st)
{
    struct db_row row;
    if (!db_read_one(chat->options.db, DB_SCOPE_ORG(person.org_id), arena, &row, st, run_sql,
                     db_text(person.user_id), db_text(run_id)))
        return status_wrap(st, "could not read run %.*s", TEXT_ARG(run_id));
    *out = row_of(&row);
    return true;
}

bool chat_store_progress(struct chat *chat, struct chat_person person,
                         const struct chat_run_row *row, struct chat_live *live, int64_t *stored,
                         bool *stop, struct status *st)
{
    AUTO(arena) struct arena *arena = row_arena(chat);
    AUTO(vault_key) struct vault_key *key = NULL;
    struct db_rows rows;
    int64_t upto = *stored;
    if (!chat_key(chat, person, &key, st))
        return false;
    struct text content = chat_seal(key, person, "message", "content", row->message_id,
                                    chat_live_text(live, arena), arena);
    int64_t last = chat_live_last(live);
    AUTO(db_tx) struct db_tx *tx = begin(chat, person, DB_WRITE);
    if (!db_query(tx, arena, &rows, st, progress_sql, db_text(person.user_id), db_text(row->id),
                  db_int(last), db_int(clock_wall_us())))
        return status_wrap(st, "could not store the progress of a run");
    if (rows.count == 0) { /* the thread was deleted, or somebody took us for dead */
        *stop = true;
        return true;
    }
    *stop = db_row_bool(&rows.row[0], 0);
    if (!add_live(tx, key, person, live, &upto, arena, st) ||
        (upto > *stored && !db_exec(tx, NULL, st, message_text_sql, db_text(row->thread_id),
                                    db_text(row->message_id), chat_sealed_param(content))))
        return status_wrap(st, "could not store the progress of a run");
    /* More may have come since `last` was asked for: what is stored is what counts. */
    if (upto != last && !db_query(tx, arena, &rows, st, progress_sql, db_text(person.user_id),
                                  db_text(row->id), db_int(upto), db_int(clock_wall_us())))
        return false;
    if (!db_commit(tx, st))
        return status_wrap(st, "could not store the progress of a run");
    *stored = upto;
    return true;
}

bool chat_store_end(struct chat *chat, struct chat_person person, const struct chat_run_row *row,
                    struct chat_live *live, int64_t stored, const struct chat_outcome *outcome,
                    struct status *st)
{
    AUTO(arena) struct arena *arena = row_arena(chat);
    AUTO(vault_key) struct vault_key *key = NULL;
    int64_t changed, seq = stored, now_us = clock_wall_us();
    if (!chat_key(chat, person, &key, st))
        return false;
    struct text content =
        chat_seal(key, person, "message", "content", row->message_id, outcome->content, arena);
    int64_t last = (live == NULL ? stored : chat_live_last(live)) + 1 + (outcome->usage.len > 0);
    AUTO(db_tx) struct db_tx *tx = begin(chat, person, DB_WRITE);
    if (!db_exec(tx, &changed, st, run_end_sql, db_text(person.user_id), db_text(row->id),
                 db_int(last)))
        return status_wrap(st, "could not store the end of a run");
    if (changed == 0)
        return true; /* deleted, or ended by another */
    if (live != NULL && !add_live(tx, key, person, live, &seq, arena, st))
        return false;
    struct chat_event usage = {.seq = seq + 1, .seq_first = seq + 1, .kind = CHAT_EVENT_USAGE};
    if (outcome->usage.len > 0) {
        if (!add_event(tx, key, person, row->id, &usage, outcome->usage, arena, st))
            return false;
        seq++;
    }
    struct chat_event done = {
        .seq = seq + 1,
        .seq_first = seq + 1,
        .kind = outcome->error.len > 0 ? CHAT_EVENT_ERROR : CHAT_EVENT_DONE,
    };
    WEIR_ASSERT(done.seq == last);
    if (!add_event(tx, key, person, row->id, &done, outcome->done, arena, st) ||
        !db_exec(tx, NULL, st, message_end_sql, db_text(row->thread_id), db_text(row->message_id),
                 chat_sealed_param(content), db_text(outcome->status),
                 db_text_or_null(outcome->usage), db_text_or_null(outcome->finish_reason),
                 db_text_or_null(outcome->error)) ||
        !db_exec(tx, NULL, st, thread_end_sql, db_text(row->thread_id), db_text(row->id),
                 db_int(now_us)) ||
        !db_commit(tx, st))
        return status_wrap(st, "could not store the end of a run");
    return true;
}

bool chat_store_stop(struct chat *chat, struct chat_person person, struct text run_id,
                     struct status *st)
{
    AUTO(db_tx) struct db_tx *tx = begin(chat, person, DB_WRITE);
    if (!db_exec(tx, NULL, st, stop_sql, db_text(person.user_id), db_text(run_id), db_bool(true)) ||
        !db_commit(tx, st))
        return status_wrap(st, "could not stop run %.*s", TEXT_ARG(run_id));
    return true;
}

bool chat_store_events(struct chat *chat, struct chat_person person, struct text run_id,
                       int64_t seq, struct arena *arena, struct chat_event **out, size_t *count,
                       struct status *st)
{
    AUTO(vault_key) struct vault_key *key = NULL;
    struct db_rows rows;
    if (!chat_key(chat, person, &key, st))
        return false;
    if (!db_read(chat->options.db, DB_SCOPE_ORG(person.org_id), arena, &rows, st, events_sql,
                 db_text(run_id), db_int(seq), db_int(EVENTS_MAX)))
        return status_wrap(st, "could not read the events of run %.*s", TEXT_ARG(run_id));
    struct chat_event *events = ARENA_ARRAY(arena, rows.count, struct chat_event);
    for (size_t i = 0; i < rows.count; i++) {
        const struct db_row *row = &rows.row[i];
        struct chat_event *event = &events[i];
        event->seq = db_row_int(row, 0);
        event->seq_first = db_row_int(row, 1);
        for (int k = 0; k < CHAT_EVENT_KIND_COUNT; k++)
            if (text_equal(db_row_text(row, 2),
                           text_of(chat_event_kind_name((enum chat_event_kind)k))))
                event->kind = (enum chat_event_kind)k;
        if (!chat_unseal(key, person, "run_event", "data", event_place(run_id, event->seq, arena),
                         db_row_blob(row, 3), arena, &event->data, st) ||
            (event->kind == CHAT_EVENT_DELTA && !unpack(event, seq, st)))
            return status_wrap(st, "could not read the events of run %.*s", TEXT_ARG(run_id));
    }
    *out = events;
    *count = rows.count;
    return true;
}

bool chat_store_dead(struct chat *chat, struct arena *arena, struct chat_run_row **out,
                     size_t *count, struct status *st)
{
    struct db_rows rows;
    int64_t before_us = clock_wall_us() - (int64_t)CHAT_DEAD_MS * 1000;
    if (!db_read(chat->options.db, DB_SCOPE_SYSTEM(DB_SYSTEM_JOB), arena, &rows, st, dead_sql,
                 db_int(before_us), db_int(DEAD_MAX)))
        return status_wrap(st, "could not look for dead runs");
    *out = ARENA_ARRAY(arena, rows.count, struct chat_run_row);
    *count = rows.count;
    for (size_t i = 0; i < rows.count; i++)
        (*out)[i] = row_of(&rows.row[i]);
    return true;
}

struct text chat_problem(const struct status *st, struct text instance, struct arena *arena)
{
    static const struct {
        enum status_code code;
        int http;
        const char *name, *title;
    } problems[] = {
        {STATUS_INVALID, 400, "invalid-input", "Invalid input"},
        {STATUS_NOT_FOUND, 404, "not-found", "Not found"},
        {STATUS_TOO_LARGE, 413, "too-large", "Too large"},
        {STATUS_RATE_LIMITED, 429, "throttled", "Too many requests"},
        {STATUS_UPSTREAM, 502, "upstream-failed", "The upstream failed"},
        {STATUS_TIMEOUT, 502, "upstream-failed", "The upstream failed"},
        {STATUS_UNAVAILABLE, 503, "unavailable", "Not available now"},
        {STATUS_INTERNAL, 500, "internal", "Something went wrong here"}, /* and all others */
    };
    size_t i = 0;
    while (i < ARRAY_LEN(problems) - 1 && problems[i].code != st->code)
        i++;
    bool own = problems[i].code == STATUS_INTERNAL;
    struct text_buf buf = text_buf_in(arena, 8 * KIB);
    text_buf_addf(&buf, "{\"type\":\"urn:weir:problem:%s\",\"title\":\"%s\",\"status\":%d,",
                  problems[i].name, problems[i].title, problems[i].http);
    text_buf_add(&buf, TEXT("\"detail\":"));
    text_buf_add_json(&buf, own || !text_utf8_valid(status_text(st)) ? text_of(problems[i].title)
                                                                     : status_text(st));
    text_buf_add(&buf, TEXT(",\"instance\":"));
    text_buf_add_json(&buf, instance);
    text_buf_add(&buf, TEXT("}"));
    return text_buf_text(&buf);
}

/* An answer stands in it whole, sealed, and up to three times in pieces. */
static struct arena *row_arena(const struct chat *chat)
{
    return arena_open(ROW_BYTES_MAX + 8 * (size_t)chat->options.answer_bytes_max);
}

static struct db_tx *begin(struct chat *chat, struct chat_person person, enum db_mode mode)
{
    return db_begin(chat->options.db, DB_SCOPE_ORG(person.org_id), mode);
}

static struct chat_run_row row_of(const struct db_row *row)
{
    return (struct chat_run_row){
        .org_id = db_row_text(row, 0),
        .id = db_row_text(row, 1),
        .user_id = db_row_text(row, 2),
        .thread_id = db_row_text(row, 3),
        .message_id = db_row_text(row, 4),
        .ended = text_equal(db_row_text(row, 5), TEXT("ended")),
        .last_seq = db_row_int(row, 6),
    };
}

static bool message_add(struct db_tx *tx, const struct vault_key *key, struct chat_person person,
                        struct text thread_id, const struct chat_message *message,
                        struct arena *arena, struct status *st)
{
    struct text content =
        chat_seal(key, person, "message", "content", message->id, message->content, arena);
    return db_exec(tx, NULL, st, message_add_sql, db_text(thread_id), db_text(message->id),
                   db_text_or_null(message->parent_id), db_text(message->role),
                   chat_sealed_param(content), db_text(message->status),
                   db_text_or_null(message->run_id), db_text_or_null(message->model),
                   db_int(message->created_us));
}

/* --- events ----------------------------------------------------------------------------------- */

/* A row's place names run and number, so that events cannot change places unseen. */
static struct text event_place(struct text run_id, int64_t seq, struct arena *arena)
{
    return arena_format(arena, "%.*s/%lld", TEXT_ARG(run_id), (long long)seq);
}

static bool add_event(struct db_tx *tx, const struct vault_key *key, struct chat_person person,
                      struct text run_id, const struct chat_event *event, struct text data,
                      struct arena *arena, struct status *st)
{
    struct text sealed = chat_seal(key, person, "run_event", "data",
                                   event_place(run_id, event->seq, arena), data, arena);
    return db_exec(tx, NULL, st, event_add_sql, db_text(run_id), db_int(event->seq),
                   db_int(event->seq_first), db_text(text_of(chat_event_kind_name(event->kind))),
                   db_blob(sealed.at, sealed.len));
}

static bool add_live(struct db_tx *tx, const struct vault_key *key, struct chat_person person,
                     struct chat_live *live, int64_t *stored, struct arena *arena,
                     struct status *st)
{
    struct chat_event event;
    while (chat_live_next(live, *stored, arena, &event)) {
        struct text data = event.data;
        if (event.kind == CHAT_EVENT_DELTA)
            data = pack(chat_live_sizes(live, &event, arena),
                        (size_t)(event.seq - event.seq_first) + 1, data, arena);
        if (!add_event(tx, key, person, chat_live_id(live), &event, data, arena, st))
            return false;
        *stored = event.seq;
    }
    return true;
}

/* "3,1,4;the text": so that any number within it is a place to go on from. */
static struct text pack(const uint32_t *sizes, size_t count, struct text data, struct arena *arena)
{
    struct text_buf buf = text_buf_in(arena, data.len + 11 * count + 1);
    for (size_t i = 0; i < count; i++)
        text_buf_addf(&buf, "%u%s", sizes[i], i + 1 < count ? "," : ";");
    text_buf_add(&buf, data);
    return text_buf_text(&buf);
}

/* Leaves of a row of deltas what comes after number `after`. */
static bool unpack(struct chat_event *event, int64_t after, struct status *st)
{
    size_t semicolon = text_find_byte(event->data, ';'), skip = 0;
    struct text sizes = text_take(event->data, semicolon), piece;
    struct text data = text_skip(event->data, semicolon + 1);
    int64_t seq = event->seq_first, size;
    while (text_split(&sizes, ',', &piece)) {
        if (!text_to_i64(piece, &size) || size < 0)
            return status_fail(st, STATUS_INTERNAL, "a stored row of deltas is broken");
        if (seq <= after)
            skip += (size_t)size;
        seq++;
    }
    if (seq != event->seq + 1 || skip > data.len)
        return status_fail(st, STATUS_INTERNAL, "a stored row of deltas is broken");
    event->data = text_skip(data, skip);
    if (event->seq_first <= after)
        event->seq_first = after + 1;
    return true;
}
