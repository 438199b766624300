/* vault_key: the keys of organisations and people. Rows hold them wrapped; a table in memory holds
 * those in use unwrapped, each for a minute, so that a key that was erased is soon gone everywhere.
 *
 * The bytes of all unwrapped keys lie in one locked piece of memory, cut into slots. A set of keys
 * (struct vault_key) is counted by its users and wiped when it is neither in the table nor in use.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "clock.h"
#include "db.h"
#include "rand.h"
#include "vault_internal.h"

static const int64_t fresh_us = INT64_C(60) * 1000000;
static const char *const org_table = "org_key", *const user_table = "user_key";

/* Each twice: in the scope of the organisation, and of the system (set-up, commands). */
static const char org_insert_sql[] =
    "INSERT INTO org_key (org_id, version, wrapped, created_us) VALUES ($org, 1, $1, $2)";
static const char org_insert_system_sql[] =
    "INSERT INTO org_key (org_id, version, wrapped, created_us) VALUES ($3, 1, $1, $2)";
static const char user_insert_sql[] =
    "INSERT INTO user_key (org_id, user_id, version, wrapped, created_us) "
    "VALUES ($org, $1, 1, $2, $3)";
static const char user_insert_system_sql[] =
    "INSERT INTO user_key (org_id, user_id, version, wrapped, created_us) "
    "VALUES ($4, $1, 1, $2, $3)";
static const char org_select_sql[] =
    "SELECT version, wrapped FROM org_key WHERE org_id = $org ORDER BY version LIMIT 32";
static const char org_select_system_sql[] =
    "SELECT version, wrapped FROM org_key WHERE org_id = $1 ORDER BY version LIMIT 32";
static const char user_select_sql[] =
    "SELECT version, wrapped FROM user_key WHERE org_id = $org AND user_id = $1 "
    "ORDER BY version LIMIT 32";

static const char rewrap_select_sql[] =
    "SELECT org_id, version, wrapped FROM org_key "
    "WHERE org_id > $1 OR (org_id = $1 AND version > $2) ORDER BY org_id, version LIMIT 200";
static const char rewrap_sql[] =
    "UPDATE org_key SET wrapped = $1 WHERE org_id = $2 AND version = $3";

static struct vault_key *key_find(struct vault *vault, const char *name);
static struct vault_key *key_new(struct vault *vault, const char *name);
static bool key_add(struct vault_key *key, uint32_t id, const uint8_t *bytes);
static void key_put(struct vault_key *key);
static void key_drop(struct vault_key *key);
static void key_detach(struct vault_key *key);
static bool key_load(struct vault *vault, struct db *db, struct text org_id, struct text user_id,
                     struct vault_key *key, struct status *st);
static bool rows_unwrap(const struct vault_key *parent, struct vault_place place,
                        struct text prefix, const struct db_rows *rows, struct vault_key *key,
                        struct status *st);
static bool master_key(struct vault *vault, struct vault_key *key);
static bool unwrap(const struct vault_key *parent, struct vault_place place, struct text wrapped,
                   uint8_t out[VAULT_KEY_BYTES], struct status *st);
static void wrap(const struct vault_key *parent, struct vault_place place,
                 const uint8_t key[VAULT_KEY_BYTES],
                 uint8_t blob[VAULT_KEY_BYTES + VAULT_SEAL_BYTES]);
static bool org_key_in(struct vault *vault, struct db_tx *tx, struct text org_id,
                       struct vault_key *key, struct status *st);
static bool rewrap_some(struct vault *vault, struct db_tx *tx, const struct db_rows *rows,
                        int64_t *changed, struct status *st);

void keys_open(struct vault *vault)
{
    vault->slots = sodium_malloc((size_t)SLOTS_MAX * VAULT_KEY_BYTES);
    WEIR_ASSERT(vault->slots != NULL);
    for (size_t i = 0; i < SLOTS_MAX; i++)
        vault->free_slots[i] = (uint16_t)(SLOTS_MAX - 1 - i);
    vault->free_slots_count = SLOTS_MAX;
}

void keys_close(struct vault *vault)
{
    while (vault->newest != NULL) {
        struct vault_key *key = vault->newest;
        WEIR_ASSERT(key->refs == 0);
        key_detach(key);
        key_drop(key);
    }
    WEIR_ASSERT(vault->free_slots_count == SLOTS_MAX); /* none is still taken */
    sodium_free(vault->slots);
}

bool vault_key_take(struct vault *vault, struct db *db, struct text org_id, struct text user_id,
                    struct vault_key **out, struct status *st)
{
    char name[sizeof(((struct vault_key *)NULL)->name)];
    WEIR_ASSERT(org_id.len <= 64 && user_id.len <= 64 && (org_id.len > 0 || user_id.len == 0));
    snprintf(name, sizeof(name), "%.*s%s%.*s", TEXT_ARG(org_id), user_id.len > 0 ? "/" : "",
             TEXT_ARG(user_id));
    pthread_mutex_lock(&vault->mutex);
    struct vault_key *key = key_find(vault, name);
    pthread_mutex_unlock(&vault->mutex);
    if (key == NULL) {
        key = key_new(vault, name);
        bool loaded = org_id.len == 0 ? master_key(vault, key)
                                      : key_load(vault, db, org_id, user_id, key, st);
        pthread_mutex_lock(&vault->mutex);
        if (loaded && org_id.len > 0)
            key_put(key);
        pthread_mutex_unlock(&vault->mutex);
        if (!loaded) {
            vault_key_release(key);
            return status_wrap(st, "could not get the key of %s", name);
        }
    }
    *out = key;
    return true;
}

void vault_key_release(struct vault_key *key)
{
    if (key == NULL)
        return;
    struct vault *vault = key->vault;
    pthread_mutex_lock(&vault->mutex);
    WEIR_ASSERT(key->refs > 0);
    if (--key->refs == 0 && !key->cached)
        key_drop(key);
    pthread_mutex_unlock(&vault->mutex);
}

void vault_key_forget(struct vault *vault, struct text org_id, struct text user_id)
{
    pthread_mutex_lock(&vault->mutex);
    for (struct vault_key *key = vault->newest, *older; key != NULL; key = older) {
        older = key->older;
        struct text name = text_of(key->name), rest = text_skip(name, org_id.len);
        bool of_org = text_starts(name, org_id) && (rest.len == 0 || rest.at[0] == '/');
        if (!of_org || (user_id.len > 0 && !text_equal(text_skip(rest, 1), user_id)))
            continue;
        key_detach(key);
        if (key->refs == 0)
            key_drop(key);
    }
    pthread_mutex_unlock(&vault->mutex);
}

struct text vault_seal(const struct vault_key *key, struct vault_place place, struct text plain,
                       struct arena *arena)
{
    WEIR_ASSERT(key->count > 0);
    uint8_t *blob = arena_alloc(arena, plain.len + VAULT_SEAL_BYTES);
    seal_with(key->bytes[key->count - 1], key->ids[key->count - 1], place, plain, blob);
    return (struct text){(const char *)blob, plain.len + VAULT_SEAL_BYTES};
}

bool vault_open_sealed(const struct vault_key *key, struct vault_place place, struct text blob,
                       struct arena *arena, struct text *plain, struct status *st)
{
    uint32_t id;
    if (!seal_key_id(blob, &id))
        return status_fail(st, STATUS_SYSTEM, "%.*s.%.*s of %.*s is damaged", TEXT_ARG(place.table),
                           TEXT_ARG(place.column), TEXT_ARG(place.row_id));
    for (size_t i = key->count; i > 0; i--) {
        if (key->ids[i - 1] != id)
            continue;
        uint8_t *bytes = arena_alloc(arena, blob.len - VAULT_SEAL_BYTES + 1);
        if (!open_with(key->bytes[i - 1], place, blob, bytes))
            return status_fail(st, STATUS_SYSTEM, "%.*s.%.*s of %.*s was damaged or moved",
                               TEXT_ARG(place.table), TEXT_ARG(place.column),
                               TEXT_ARG(place.row_id));
        *plain = (struct text){(const char *)bytes, blob.len - VAULT_SEAL_BYTES};
        return true;
    }
    return status_fail(st, STATUS_NOT_FOUND, "the key %08x that sealed %.*s.%.*s is not there", id,
                       TEXT_ARG(place.table), TEXT_ARG(place.column));
}

bool vault_sealed_newest(const struct vault_key *key, struct text blob)
{
    uint32_t id;
    return seal_key_id(blob, &id) && key->count > 0 && id == key->ids[key->count - 1];
}

bool vault_org_key_make(struct vault *vault, struct db_tx *tx, struct text org_id,
                        struct status *st)
{
    struct vault_place place = {text_of(org_table), TEXT("wrapped"), org_id, TEXT("1")};
    uint8_t fresh[VAULT_KEY_BYTES], blob[VAULT_KEY_BYTES + VAULT_SEAL_BYTES];
    struct vault_key master = {.vault = vault};
    bool got = master_key(vault, &master);
    WEIR_ASSERT(got);
    rand_bytes(fresh, sizeof(fresh));
    wrap(&master, place, fresh, blob);
    sodium_memzero(fresh, sizeof(fresh));
    int64_t now_us = clock_wall_us();
    bool system = db_tx_scope(tx).system != DB_SYSTEM_NONE;
    bool ok =
        system ? db_exec(tx, NULL, st, org_insert_system_sql, db_blob(blob, sizeof(blob)),
                         db_int(now_us), db_text(org_id))
               : db_exec(tx, NULL, st, org_insert_sql, db_blob(blob, sizeof(blob)), db_int(now_us));
    return ok || status_wrap(st, "could not make the key of %.*s", TEXT_ARG(org_id));
}

bool vault_user_key_make(struct vault *vault, struct db_tx *tx, struct text org_id,
                         struct text user_id, struct status *st)
{
    char row[80];
    snprintf(row, sizeof(row), "%.*s/1", TEXT_ARG(user_id));
    struct vault_place place = {text_of(user_table), TEXT("wrapped"), org_id, text_of(row)};
    uint8_t fresh[VAULT_KEY_BYTES], blob[VAULT_KEY_BYTES + VAULT_SEAL_BYTES];
    struct vault_key *org = key_new(vault, "");
    if (!org_key_in(vault, tx, org_id, org, st)) {
        vault_key_release(org);
        return status_wrap(st, "could not make the key of %.*s", TEXT_ARG(user_id));
    }
    rand_bytes(fresh, sizeof(fresh));
    wrap(org, place, fresh, blob);
    sodium_memzero(fresh, sizeof(fresh));
    vault_key_release(org);
    int64_t now_us = clock_wall_us();
    bool system = db_tx_scope(tx).system != DB_SYSTEM_NONE;
    bool ok = system ? db_exec(tx, NULL, st, user_insert_system_sql, db_text(user_id),
                               db_blob(blob, sizeof(blob)), db_int(now_us), db_text(org_id))
                     : db_exec(tx, NULL, st, user_insert_sql, db_text(user_id),
                               db_blob(blob, sizeof(blob)), db_int(now_us));
    return ok || status_wrap(st, "could not make the key of %.*s", TEXT_ARG(user_id));
}

bool vault_org_keys_rewrap(struct vault *vault, struct db *db, int64_t *changed, struct status *st)
{
    struct db_scope scope = DB_SCOPE_SYSTEM(DB_SYSTEM_ADMIN);
    char last[64 + 1] = "";
    int64_t last_version = 0;
    *changed = 0;
    for (;;) {
        AUTO(arena) struct arena *arena = arena_open(1 * MIB);
        AUTO(db_tx) struct db_tx *tx = db_begin(db, scope, DB_WRITE);
        struct db_rows rows;
        if (!db_query(tx, arena, &rows, st, rewrap_select_sql, db_text(text_of(last)),
                      db_int(last_version)) ||
            !rewrap_some(vault, tx, &rows, changed, st) || !db_commit(tx, st))
            return status_wrap(st, "could not seal the organisations' keys anew");
        if (rows.count == 0)
            return true;
        const struct db_row *row = &rows.row[rows.count - 1];
        snprintf(last, sizeof(last), "%.*s", TEXT_ARG(db_row_text(row, 0)));
        last_version = db_row_int(row, 1);
    }
}

static bool rewrap_some(struct vault *vault, struct db_tx *tx, const struct db_rows *rows,
                        int64_t *changed, struct status *st)
{
    struct vault_key master = {.vault = vault};
    bool got = master_key(vault, &master);
    WEIR_ASSERT(got);
    for (size_t i = 0; i < rows->count; i++) {
        const struct db_row *row = &rows->row[i];
        struct text org_id = db_row_text(row, 0), wrapped = db_row_blob(row, 2);
        uint8_t bytes[VAULT_KEY_BYTES], blob[VAULT_KEY_BYTES + VAULT_SEAL_BYTES];
        char version[24];
        if (vault_sealed_newest(&master, wrapped))
            continue;
        snprintf(version, sizeof(version), "%lld", (long long)db_row_int(row, 1));
        struct vault_place place = {text_of(org_table), TEXT("wrapped"), org_id, text_of(version)};
        if (!unwrap(&master, place, wrapped, bytes, st))
            return status_wrap(st, "organisation %.*s", TEXT_ARG(org_id));
        wrap(&master, place, bytes, blob);
        sodium_memzero(bytes, sizeof(bytes));
        if (!db_exec(tx, NULL, st, rewrap_sql, db_blob(blob, sizeof(blob)), db_text(org_id),
                     db_int(db_row_int(row, 1))))
            return false;
        ++*changed;
    }
    return true;
}

/* Reads what is not in memory. Waits. */
static bool key_load(struct vault *vault, struct db *db, struct text org_id, struct text user_id,
                     struct vault_key *key, struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    struct db_rows rows;
    struct db_scope scope = DB_SCOPE_ORG(org_id);
    bool of_user = user_id.len > 0;
    if (!(of_user ? db_read(db, scope, arena, &rows, st, user_select_sql, db_text(user_id))
                  : db_read(db, scope, arena, &rows, st, org_select_sql)))
        return false;
    struct vault_place place = {text_of(of_user ? user_table : org_table), TEXT("wrapped"), org_id,
                                TEXT_NONE};
    struct vault_key master = {.vault = vault};
    if (!of_user)
        return master_key(vault, &master) && rows_unwrap(&master, place, TEXT_NONE, &rows, key, st);
    AUTO(vault_key) struct vault_key *org = NULL;
    return vault_key_take(vault, db, org_id, TEXT_NONE, &org, st) &&
           rows_unwrap(org, place, user_id, &rows, key, st);
}

/* The organisation's keys, read in the caller's own transaction. */
static bool org_key_in(struct vault *vault, struct db_tx *tx, struct text org_id,
                       struct vault_key *key, struct status *st)
{
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    struct db_rows rows;
    bool system = db_tx_scope(tx).system != DB_SYSTEM_NONE;
    if (!(system ? db_query(tx, arena, &rows, st, org_select_system_sql, db_text(org_id))
                 : db_query(tx, arena, &rows, st, org_select_sql)))
        return false;
    struct vault_place place = {text_of(org_table), TEXT("wrapped"), org_id, TEXT_NONE};
    struct vault_key master = {.vault = vault};
    return master_key(vault, &master) && rows_unwrap(&master, place, TEXT_NONE, &rows, key, st);
}

/* Rows (version, wrapped) into `key`. The row's place is its version, behind the user's id. */
static bool rows_unwrap(const struct vault_key *parent, struct vault_place place,
                        struct text prefix, const struct db_rows *rows, struct vault_key *key,
                        struct status *st)
{
    uint8_t bytes[VAULT_KEY_BYTES];
    if (rows->count == 0)
        return status_fail(st, STATUS_NOT_FOUND, "there is no key, or it was erased");
    for (size_t i = 0; i < rows->count; i++) {
        char row[80];
        int64_t version = db_row_int(&rows->row[i], 0);
        snprintf(row, sizeof(row), "%.*s%s%lld", TEXT_ARG(prefix), prefix.len > 0 ? "/" : "",
                 (long long)version);
        place.row_id = text_of(row);
        if (!unwrap(parent, place, db_row_blob(&rows->row[i], 1), bytes, st))
            return false;
        bool added = key_add(key, (uint32_t)version, bytes);
        sodium_memzero(bytes, sizeof(bytes));
        if (!added)
            return status_fail(st, STATUS_UNAVAILABLE, "too many keys are in use at a time");
    }
    return true;
}

/* The ring as a set of keys, without slots of its own. */
static bool master_key(struct vault *vault, struct vault_key *key)
{
    const struct ring *ring = vault_ring_of(vault, VAULT_RING_MASTER);
    size_t skip = ring->count > KEY_VERSIONS_MAX ? ring->count - KEY_VERSIONS_MAX : 0;
    for (size_t i = skip; i < ring->count; i++) {
        key->ids[key->count] = ring->keys[i].id;
        key->bytes[key->count++] = (uint8_t *)(uintptr_t)ring->keys[i].bytes;
    }
    return true;
}

static void wrap(const struct vault_key *parent, struct vault_place place,
                 const uint8_t key[VAULT_KEY_BYTES],
                 uint8_t blob[VAULT_KEY_BYTES + VAULT_SEAL_BYTES])
{
    struct text plain = {(const char *)key, VAULT_KEY_BYTES};
    seal_with(parent->bytes[parent->count - 1], parent->ids[parent->count - 1], place, plain, blob);
}

static bool unwrap(const struct vault_key *parent, struct vault_place place, struct text wrapped,
                   uint8_t out[VAULT_KEY_BYTES], struct status *st)
{
    uint32_t id;
    if (wrapped.len != VAULT_KEY_BYTES + VAULT_SEAL_BYTES || !seal_key_id(wrapped, &id))
        return status_fail(st, STATUS_SYSTEM, "the wrapped key is damaged");
    for (size_t i = parent->count; i > 0; i--)
        if (parent->ids[i - 1] == id)
            return open_with(parent->bytes[i - 1], place, wrapped, out) ||
                   status_fail(st, STATUS_SYSTEM, "the wrapped key was damaged or moved");
    return status_fail(st, STATUS_NOT_FOUND, "the key %08x that wraps it is not in the ring", id);
}

static size_t bucket_of(const char *name)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a: ids are ours, nobody can aim at a bucket */
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * 1099511628211u;
    return (size_t)(hash % KEYS_CACHED_MAX);
}

/* Under the mutex, as the rest of this file. */
static struct vault_key *key_find(struct vault *vault, const char *name)
{
    struct vault_key *key = vault->table[bucket_of(name)];
    while (key != NULL && strcmp(key->name, name) != 0)
        key = key->next;
    if (key == NULL)
        return NULL;
    bool fresh = clock_mono_us() < key->fresh_until_us;
    key_detach(key);
    if (!fresh) {
        if (key->refs == 0)
            key_drop(key);
        return NULL;
    }
    key_put(key); /* as the one used last */
    key->refs++;
    return key;
}

/* Without the mutex: nobody else knows it yet. */
static struct vault_key *key_new(struct vault *vault, const char *name)
{
    struct vault_key *key = calloc(1, sizeof(*key));
    WEIR_ASSERT(key != NULL);
    key->vault = vault;
    snprintf(key->name, sizeof(key->name), "%s", name);
    key->refs = 1;
    key->fresh_until_us = clock_mono_us() + fresh_us;
    return key;
}

static bool key_add(struct vault_key *key, uint32_t id, const uint8_t *bytes)
{
    struct vault *vault = key->vault;
    pthread_mutex_lock(&vault->mutex);
    struct vault_key *oldest = vault->oldest;
    while (vault->free_slots_count == 0 && oldest != NULL) {
        struct vault_key *newer = oldest->newer;
        if (oldest->refs == 0) {
            key_detach(oldest);
            key_drop(oldest);
        }
        oldest = newer;
    }
    bool ok = vault->free_slots_count > 0 && key->count < KEY_VERSIONS_MAX;
    if (ok) {
        size_t slot = vault->free_slots[--vault->free_slots_count];
        key->bytes[key->count] = vault->slots + slot * VAULT_KEY_BYTES;
        memcpy(key->bytes[key->count], bytes, VAULT_KEY_BYTES);
        key->ids[key->count++] = id;
    }
    pthread_mutex_unlock(&vault->mutex);
    return ok;
}

/* Into the table, as the newest; in place of one with the same name. */
static void key_put(struct vault_key *key)
{
    struct vault *vault = key->vault;
    struct vault_key **bucket = &vault->table[bucket_of(key->name)];
    for (struct vault_key *same = *bucket; same != NULL; same = same->next) {
        if (strcmp(same->name, key->name) != 0)
            continue;
        key_detach(same);
        if (same->refs == 0)
            key_drop(same);
        break;
    }
    if (vault->cached == KEYS_CACHED_MAX) {
        struct vault_key *oldest = vault->oldest;
        key_detach(oldest);
        if (oldest->refs == 0)
            key_drop(oldest);
    }
    key->next = *bucket;
    *bucket = key;
    key->older = vault->newest;
    key->newer = NULL;
    *(vault->newest != NULL ? &vault->newest->newer : &vault->oldest) = key;
    vault->newest = key;
    vault->cached++;
    key->cached = true;
}

static void key_detach(struct vault_key *key)
{
    struct vault *vault = key->vault;
    struct vault_key **at = &vault->table[bucket_of(key->name)];
    while (*at != key)
        at = &(*at)->next;
    *at = key->next;
    *(key->older != NULL ? &key->older->newer : &vault->oldest) = key->newer;
    *(key->newer != NULL ? &key->newer->older : &vault->newest) = key->older;
    vault->cached--;
    key->cached = false;
}

/* Wipes and frees what nobody uses. */
static void key_drop(struct vault_key *key)
{
    struct vault *vault = key->vault;
    WEIR_ASSERT(key->refs == 0 && !key->cached);
    for (size_t i = 0; i < key->count; i++) {
        uint8_t *bytes = key->bytes[i];
        if (bytes < vault->slots || bytes >= vault->slots + (size_t)SLOTS_MAX * VAULT_KEY_BYTES)
            continue; /* the ring's own */
        sodium_memzero(bytes, VAULT_KEY_BYTES);
        size_t slot = (size_t)(bytes - vault->slots) / VAULT_KEY_BYTES;
        vault->free_slots[vault->free_slots_count++] = (uint16_t)slot;
    }
    free(key);
}
