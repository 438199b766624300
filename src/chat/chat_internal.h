/* chat_internal: what the files of this folder share. */
#pragma once
#include <pthread.h>
#include "arena.h"
#include "chat.h"
#include "chat_live.h"
#include "db.h"
#include "vault.h"

struct chat {
    struct chat_options options; /* with the defaults filled in */
    char *replica_id;
    /* The runs of this process, for every worker to find; see chat_live.h. */
    pthread_mutex_t lock;
    struct chat_live *first;
};

/* Sealing and opening the columns of this folder with the key of one person. */
struct text chat_seal(const struct vault_key *key, struct chat_person person, const char *table,
                      const char *column, struct text row_id, struct text plain,
                      struct arena *arena);
/* An empty blob is an empty text. Fails: as vault_open_sealed. */
MUST_CHECK bool chat_unseal(const struct vault_key *key, struct chat_person person,
                            const char *table, const char *column, struct text row_id,
                            struct text blob, struct arena *arena, struct text *plain,
                            struct status *st);
MUST_CHECK bool chat_key(struct chat *chat, struct chat_person person, struct vault_key **out,
                         struct status *st);
struct db_param chat_sealed_param(struct text blob); /* NULL when it is empty */
