/* account_touch: when a key or a session was last used, to the minute. Noted in memory on the way,
 * written every few seconds in one transaction: a request never waits for it, and a crash loses
 * nothing but the last minute of "last used". A key found under an old pepper gets its new digest
 * here as well. */
#include <stdlib.h>
#include <string.h>
#include "account_internal.h"
#include "clock.h"
#include "db.h"

const int64_t touch_every_us = 60 * 1000000LL;

static const char key_sql[] =
    "UPDATE api_key SET used_us = $1 WHERE org_id = $2 AND project_id = $3 "
    "AND id = $4 AND (used_us IS NULL OR used_us < $1)";
static const char digest_sql[] =
    "UPDATE api_key SET digest = $1, pepper_id = $2 WHERE org_id = $3 AND project_id = $4 "
    "AND id = $5 AND pepper_id <> $2";
static const char session_sql[] =
    "UPDATE session SET seen_us = $1, address = coalesce($2, address) "
    "WHERE org_id = $3 AND id = $4 AND seen_us < $1";

static bool touch_write(struct db_tx *tx, const struct touch *touch, struct status *st);

void touch_add(struct account *account, const struct touch *touch)
{
    struct touch_list *list = &account->touches;
    pthread_mutex_lock(&list->mutex);
    if (list->touches == NULL) {
        list->touches = calloc(TOUCHES_MAX, sizeof(*list->touches));
        WEIR_ASSERT(list->touches != NULL);
    }
    size_t i = 0; /* few: each row comes once a minute */
    while (i < list->count && memcmp(&list->touches[i].id, &touch->id, sizeof(touch->id)) != 0)
        i++;
    if (i < TOUCHES_MAX) {
        list->touches[i] = *touch;
        list->count = i == list->count ? i + 1 : list->count;
    }
    pthread_mutex_unlock(&list->mutex);
}

bool touch_flush(struct account *account, struct status *st)
{
    struct touch_list *list = &account->touches;
    pthread_mutex_lock(&list->mutex);
    struct touch *touches = TAKE(list->touches);
    size_t count = list->count;
    list->count = 0;
    pthread_mutex_unlock(&list->mutex);
    if (touches == NULL)
        return true;
    AUTO(db_tx) struct db_tx *tx = db_begin(account->db, DB_SCOPE_SYSTEM(DB_SYSTEM_KEY), DB_WRITE);
    bool ok = true;
    for (size_t i = 0; i < count && ok; i++)
        ok = touch_write(tx, &touches[i], st);
    ok = ok && db_commit(tx, st);
    free(touches);
    return ok || status_wrap(st, "could not note the last uses of keys and sessions");
}

static bool touch_write(struct db_tx *tx, const struct touch *touch, struct status *st)
{
    struct db_param at = db_int(touch->at_us), org = db_text(ids_text(&touch->org)),
                    id = db_text(ids_text(&touch->id));
    if (touch->kind == TOUCH_SESSION)
        return db_exec(tx, NULL, st, session_sql, at, db_text_or_null(text_of(touch->address)), org,
                       id);
    struct db_param project = db_text(ids_text(&touch->project));
    return db_exec(tx, NULL, st, key_sql, at, org, project, id) &&
           (!touch->has_digest ||
            db_exec(tx, NULL, st, digest_sql, db_blob(touch->digest.bytes, VAULT_DIGEST_BYTES),
                    db_text(text_of(touch->digest.key_id)), org, project, id));
}
