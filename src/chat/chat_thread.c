#include "chat_thread.h"
#include <string.h>
#include "chat_internal.h"
#include "chat_title.h"
#include "clock.h"
#include "fiber.h"
#include "ids.h"

enum { SEARCH_MAX = 10000, SEARCH_BATCH = 500 };

#define COLUMNS                                                                                    \
    "id, title, model, system_prompt, parameters, leaf_id, active_run_id, created_us, updated_us"
static const char get_sql[] =
    "SELECT " COLUMNS " FROM thread WHERE org_id = $org AND user_id = $1 AND id = $2";
static const char list_sql[] =
    "SELECT " COLUMNS " FROM thread WHERE org_id = $org AND user_id = $1 "
    "AND (updated_us < $2 OR (updated_us = $2 AND id < $3)) "
    "ORDER BY updated_us DESC, id DESC LIMIT $4";
static const char search_sql[] =
    "SELECT id, title, updated_us FROM thread WHERE org_id = $org AND user_id = $1 "
    "AND (updated_us < $2 OR (updated_us = $2 AND id < $3)) AND title IS NOT NULL "
    "ORDER BY updated_us DESC, id DESC LIMIT $4";
static const char count_sql[] = "SELECT COUNT(*) FROM thread WHERE org_id = $org AND user_id = $1";
static const char create_sql[] =
    "INSERT INTO thread (org_id, id, user_id, title, model, system_prompt, parameters, created_us, "
    "updated_us) VALUES ($org, $1, $2, $3, $4, $5, $6, $7, $7)";
static const char update_sql[] =
    "UPDATE thread SET title = $3, model = $4, system_prompt = $5, parameters = $6, leaf_id = $7, "
    "updated_us = $8 WHERE org_id = $org AND user_id = $1 AND id = $2";
static const char leaf_sql[] =
    "SELECT id FROM message WHERE org_id = $org AND thread_id = $1 AND id = $2";
static const char messages_delete_sql[] =
    "DELETE FROM message WHERE org_id = $org AND thread_id = $1";
static const char delete_sql[] =
    "DELETE FROM thread WHERE org_id = $org AND user_id = $1 AND id = $2";

/* Rows to open, or titles to compare, on a thread of the pool. */
struct opening {
    const struct vault_key *key;
    struct chat_person person;
    const struct db_rows *rows;
    struct arena *arena;
    struct text query;        /* folded */
    struct chat_thread *out;  /* when rows are opened */
    size_t *hits, hits_count; /* when titles are compared: numbers of rows */
    struct status st;
    bool ok;
};

static bool from_row(const struct vault_key *key, struct chat_person person,
                     const struct db_row *row, struct arena *arena, struct chat_thread *out,
                     struct status *st);
static void open_rows(void *arg);
static void match_rows(void *arg);
static bool list_all(struct chat *chat, struct chat_person person, const struct vault_key *key,
                     int64_t after_us, struct text after_id, int64_t limit, struct arena *arena,
                     struct chat_thread *out, size_t *count, bool *more, struct status *st);
static bool search(struct chat *chat, struct chat_person person, const struct vault_key *key,
                   struct text query, int64_t after_us, struct text after_id, int64_t limit,
                   struct arena *arena, struct chat_thread *out, size_t *count, bool *more,
                   struct status *st);

bool chat_thread_create(struct chat *chat, struct chat_person person,
                        const struct chat_thread_change *with, struct arena *arena,
                        struct chat_thread *out, struct status *st)
{
    AUTO(vault_key) struct vault_key *key = NULL;
    struct id id = ids_new("thr_");
    struct chat_thread thread = {
        .id = arena_text(arena, ids_text(&id)),
        .title = with->title != NULL ? *with->title : TEXT(""),
        .model = with->model != NULL ? *with->model : TEXT(""),
        .system_prompt = with->system_prompt != NULL ? *with->system_prompt : TEXT(""),
        .parameters = with->parameters != NULL ? *with->parameters : TEXT("{}"),
        .created_us = clock_wall_us(),
    };
    thread.updated_us = thread.created_us;
    if (!chat_key(chat, person, &key, st))
        return false;
    struct text title = chat_seal(key, person, "thread", "title", thread.id, thread.title, arena);
    struct text prompt =
        chat_seal(key, person, "thread", "system_prompt", thread.id, thread.system_prompt, arena);
    AUTO(db_tx)
    struct db_tx *tx = db_begin(chat->options.db, DB_SCOPE_ORG(person.org_id), DB_WRITE);
    struct db_row count;
    if (!db_one(tx, arena, &count, st, count_sql, db_text(person.user_id)))
        return status_wrap(st, "could not count threads");
    if (db_row_int(&count, 0) >= chat->options.threads_max)
        return status_fail(st, STATUS_CONFLICT, "there are %lld conversations, the most allowed",
                           (long long)chat->options.threads_max);
    if (!db_exec(tx, NULL, st, create_sql, db_text(thread.id), db_text(person.user_id),
                 chat_sealed_param(title), db_text_or_null(thread.model), chat_sealed_param(prompt),
                 db_text(thread.parameters), db_int(thread.created_us)) ||
        !db_commit(tx, st))
        return status_wrap(st, "could not store a thread");
    *out = thread;
    return true;
}

bool chat_thread_get(struct chat *chat, struct chat_person person, struct text id,
                     struct arena *arena, struct chat_thread *out, struct status *st)
{
    AUTO(vault_key) struct vault_key *key = NULL;
    struct db_row row;
    if (!db_read_one(chat->options.db, DB_SCOPE_ORG(person.org_id), arena, &row, st, get_sql,
                     db_text(person.user_id), db_text(id)))
        return status_wrap(st, "could not read thread %.*s", TEXT_ARG(id));
    return chat_key(chat, person, &key, st) && from_row(key, person, &row, arena, out, st);
}

bool chat_thread_list(struct chat *chat, struct chat_person person, struct text query,
                      int64_t after_us, struct text after_id, int64_t limit, struct arena *arena,
                      struct chat_thread **out, size_t *count, bool *more, struct status *st)
{
    AUTO(vault_key) struct vault_key *key = NULL;
    if (!chat_key(chat, person, &key, st))
        return false;
    *out = ARENA_ARRAY(arena, (size_t)limit, struct chat_thread);
    *count = 0;
    *more = false;
    if (after_id.len == 0)
        after_us = INT64_MAX;
    if (query.len == 0)
        return list_all(chat, person, key, after_us, after_id, limit, arena, *out, count, more, st);
    return search(chat, person, key, chat_title_fold(query, arena), after_us, after_id, limit,
                  arena, *out, count, more, st);
}

bool chat_thread_update(struct chat *chat, struct chat_person person, struct text id,
                        const struct chat_thread_change *change, struct arena *arena,
                        struct chat_thread *out, struct status *st)
{
    AUTO(vault_key) struct vault_key *key = NULL;
    if (!chat_key(chat, person, &key, st))
        return false;
    AUTO(db_tx)
    struct db_tx *tx = db_begin(chat->options.db, DB_SCOPE_ORG(person.org_id), DB_WRITE);
    struct db_row row;
    struct chat_thread thread;
    if (!db_one(tx, arena, &row, st, get_sql, db_text(person.user_id), db_text(id)))
        return status_wrap(st, "could not read thread %.*s", TEXT_ARG(id));
    if (!from_row(key, person, &row, arena, &thread, st))
        return false;
    if (change->leaf_id != NULL) {
        struct db_rows leaf;
        if (!db_query(tx, arena, &leaf, st, leaf_sql, db_text(id), db_text(*change->leaf_id)))
            return false;
        if (leaf.count == 0)
            return status_fail_field(st, STATUS_INVALID, "leaf_id",
                                     "leaf_id is no message of this thread");
        thread.leaf_id = *change->leaf_id;
    }
    bool more = change->title != NULL || change->model != NULL || change->system_prompt != NULL ||
                change->parameters != NULL;
    thread.title = change->title != NULL ? *change->title : thread.title;
    thread.model = change->model != NULL ? *change->model : thread.model;
    thread.system_prompt =
        change->system_prompt != NULL ? *change->system_prompt : thread.system_prompt;
    thread.parameters = change->parameters != NULL ? *change->parameters : thread.parameters;
    thread.updated_us = more ? clock_wall_us() : thread.updated_us;
    struct text title = chat_seal(key, person, "thread", "title", id, thread.title, arena);
    struct text prompt =
        chat_seal(key, person, "thread", "system_prompt", id, thread.system_prompt, arena);
    if (!db_exec(tx, NULL, st, update_sql, db_text(person.user_id), db_text(id),
                 chat_sealed_param(title), db_text_or_null(thread.model), chat_sealed_param(prompt),
                 db_text(thread.parameters), db_text_or_null(thread.leaf_id),
                 db_int(thread.updated_us)) ||
        !db_commit(tx, st))
        return status_wrap(st, "could not change thread %.*s", TEXT_ARG(id));
    *out = thread;
    return true;
}

bool chat_thread_delete(struct chat *chat, struct chat_person person, struct text id,
                        struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(256 * KIB);
    AUTO(db_tx)
    struct db_tx *tx = db_begin(chat->options.db, DB_SCOPE_ORG(person.org_id), DB_WRITE);
    struct db_row row;
    int64_t changed;
    if (!db_one(tx, arena, &row, st, get_sql, db_text(person.user_id), db_text(id)))
        return status_wrap(st, "could not read thread %.*s", TEXT_ARG(id));
    /* Messages first: they refer to each other. Runs and events go with the thread. */
    if (!db_exec(tx, NULL, st, messages_delete_sql, db_text(id)) ||
        !db_exec(tx, &changed, st, delete_sql, db_text(person.user_id), db_text(id)) ||
        !db_commit(tx, st))
        return status_wrap(st, "could not delete thread %.*s", TEXT_ARG(id));
    chat_live_stop(chat, db_row_text(&row, 6), CHAT_LIVE_STOP_PERSON);
    return true;
}

static bool from_row(const struct vault_key *key, struct chat_person person,
                     const struct db_row *row, struct arena *arena, struct chat_thread *out,
                     struct status *st)
{
    struct chat_thread thread = {
        .id = db_row_text(row, 0),
        .model = db_row_text(row, 2),
        .parameters = db_row_text(row, 4),
        .leaf_id = db_row_text(row, 5),
        .active_run_id = db_row_text(row, 6),
        .created_us = db_row_int(row, 7),
        .updated_us = db_row_int(row, 8),
    };
    if (!chat_unseal(key, person, "thread", "title", thread.id, db_row_blob(row, 1), arena,
                     &thread.title, st) ||
        !chat_unseal(key, person, "thread", "system_prompt", thread.id, db_row_blob(row, 3), arena,
                     &thread.system_prompt, st))
        return false;
    *out = thread;
    return true;
}

static void open_rows(void *arg)
{
    struct opening *opening = arg;
    opening->ok = true;
    for (size_t i = 0; i < opening->rows->count && opening->ok; i++)
        opening->ok = from_row(opening->key, opening->person, &opening->rows->row[i],
                               opening->arena, &opening->out[i], &opening->st);
}

static void match_rows(void *arg)
{
    struct opening *opening = arg;
    opening->ok = true;
    opening->hits_count = 0;
    for (size_t i = 0; i < opening->rows->count && opening->ok; i++) {
        const struct db_row *row = &opening->rows->row[i];
        struct text title;
        opening->ok =
            chat_unseal(opening->key, opening->person, "thread", "title", db_row_text(row, 0),
                        db_row_blob(row, 1), opening->arena, &title, &opening->st);
        if (!opening->ok)
            return;
        title = chat_title_fold(title, opening->arena);
        if (text_find(title, opening->query) < title.len)
            opening->hits[opening->hits_count++] = i;
    }
}

static bool list_all(struct chat *chat, struct chat_person person, const struct vault_key *key,
                     int64_t after_us, struct text after_id, int64_t limit, struct arena *arena,
                     struct chat_thread *out, size_t *count, bool *more, struct status *st)
{
    struct db_rows rows;
    struct opening opening = {
        .key = key, .person = person, .rows = &rows, .arena = arena, .out = out};
    if (!db_read(chat->options.db, DB_SCOPE_ORG(person.org_id), arena, &rows, st, list_sql,
                 db_text(person.user_id), db_int(after_us), db_text(after_id), db_int(limit + 1)))
        return status_wrap(st, "could not list threads");
    *more = rows.count > (size_t)limit;
    rows.count = *more ? (size_t)limit : rows.count;
    *count = rows.count;
    if (!offload(open_rows, &opening, st))
        return false;
    if (!opening.ok)
        *st = opening.st;
    return opening.ok;
}

/* In batches, each in memory of its own; what fits is then read whole. */
static bool search(struct chat *chat, struct chat_person person, const struct vault_key *key,
                   struct text query, int64_t after_us, struct text after_id, int64_t limit,
                   struct arena *arena, struct chat_thread *out, size_t *count, bool *more,
                   struct status *st)
{
    size_t hits[SEARCH_BATCH];
    char last_id[IDS_BYTES];
    for (size_t seen = 0; seen < SEARCH_MAX;) {
        AUTO(arena) struct arena *batch = arena_open(4 * MIB);
        struct db_rows rows;
        struct opening opening = {.key = key,
                                  .person = person,
                                  .rows = &rows,
                                  .arena = batch,
                                  .query = query,
                                  .hits = hits};
        if (!db_read(chat->options.db, DB_SCOPE_ORG(person.org_id), batch, &rows, st, search_sql,
                     db_text(person.user_id), db_int(after_us), db_text(after_id),
                     db_int(SEARCH_BATCH)))
            return status_wrap(st, "could not search threads");
        if (!offload(match_rows, &opening, st))
            return false;
        if (!opening.ok) {
            *st = opening.st;
            return false;
        }
        for (size_t i = 0; i < opening.hits_count; i++) {
            if (*count == (size_t)limit) {
                *more = true;
                return true;
            }
            struct text id = arena_text(arena, db_row_text(&rows.row[hits[i]], 0));
            if (chat_thread_get(chat, person, id, arena, &out[*count], st))
                ++*count;
            else if (st->code != STATUS_NOT_FOUND) /* deleted meanwhile */
                return false;
        }
        if (rows.count < SEARCH_BATCH)
            return true;
        seen += rows.count;
        after_us = db_row_int(&rows.row[rows.count - 1], 2);
        struct text last = db_row_text(&rows.row[rows.count - 1], 0);
        WEIR_ASSERT(last.len == IDS_BYTES);
        memcpy(last_id, last.at, sizeof(last_id));
        after_id = (struct text){last_id, sizeof(last_id)};
    }
    return true;
}
