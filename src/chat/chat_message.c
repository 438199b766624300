#include "chat_message.h"
#include "chat_internal.h"
#include "fiber.h"

static const char list_sql[] =
    "SELECT id, parent_id, role, content, status, run_id, model, usage, error, finish_reason, "
    "created_us FROM message WHERE org_id = $org AND thread_id = $1 "
    "ORDER BY created_us, id LIMIT 10000";

struct opening {
    const struct vault_key *key;
    struct chat_person person;
    const struct db_rows *rows;
    struct arena *arena;
    struct chat_message *out;
    struct status st;
    bool ok;
};

static void open_rows(void *arg);

bool chat_message_list(struct chat *chat, struct chat_person person, struct text thread_id,
                       struct arena *arena, struct chat_message **out, size_t *count,
                       struct status *st)
{
    AUTO(vault_key) struct vault_key *key = NULL;
    struct db_rows rows;
    if (!chat_key(chat, person, &key, st))
        return false;
    if (!db_read(chat->options.db, DB_SCOPE_ORG(person.org_id), arena, &rows, st, list_sql,
                 db_text(thread_id)))
        return status_wrap(st, "could not read the messages of thread %.*s", TEXT_ARG(thread_id));
    struct opening opening = {
        .key = key,
        .person = person,
        .rows = &rows,
        .arena = arena,
        .out = ARENA_ARRAY(arena, rows.count, struct chat_message),
    };
    if (!offload(open_rows, &opening, st)) /* a long thread takes milliseconds to open */
        return false;
    if (!opening.ok) {
        *st = opening.st;
        return false;
    }
    *out = opening.out;
    *count = rows.count;
    return true;
}

size_t chat_message_path(const struct chat_message *messages, size_t count, struct text leaf,
                         const struct chat_message **out, size_t max)
{
    size_t used = 0;
    const struct chat_message *at = chat_message_find(messages, count, leaf);
    for (; at != NULL && used < max; used++) {
        out[used] = at;
        at = at->parent_id.len == 0 ? NULL : chat_message_find(messages, count, at->parent_id);
    }
    for (size_t i = 0; i < used / 2; i++) {
        const struct chat_message *held = out[i];
        out[i] = out[used - 1 - i];
        out[used - 1 - i] = held;
    }
    return used;
}

const struct chat_message *chat_message_find(const struct chat_message *messages, size_t count,
                                             struct text id)
{
    for (size_t i = 0; i < count; i++)
        if (text_equal(messages[i].id, id))
            return &messages[i];
    return NULL;
}

static void open_rows(void *arg)
{
    struct opening *opening = arg;
    for (size_t i = 0; i < opening->rows->count; i++) {
        const struct db_row *row = &opening->rows->row[i];
        struct chat_message *message = &opening->out[i];
        *message = (struct chat_message){
            .id = db_row_text(row, 0),
            .parent_id = db_row_text(row, 1),
            .role = db_row_text(row, 2),
            .status = db_row_text(row, 4),
            .run_id = db_row_text(row, 5),
            .model = db_row_text(row, 6),
            .usage = db_row_text(row, 7),
            .error = db_row_text(row, 8),
            .finish_reason = db_row_text(row, 9),
            .created_us = db_row_int(row, 10),
        };
        if (!chat_unseal(opening->key, opening->person, "message", "content", message->id,
                         db_row_blob(row, 3), opening->arena, &message->content, &opening->st))
            return;
    }
    opening->ok = true;
}
