#include "account_org.h"
#include "account_internal.h"
#include "db.h"

#define ADMIN DB_SCOPE_SYSTEM(DB_SYSTEM_ADMIN)

static const char list_sql[] = "SELECT id, name, weight, created_us FROM organisation "
                               "ORDER BY created_us, id LIMIT 1000 OFFSET $1";
static const char weight_sql[] = "UPDATE organisation SET weight = $2 WHERE id = $1";

bool account_org_list(struct account *account, int64_t skip, struct arena *arena,
                      struct account_org **out, size_t *count, struct status *st)
{
    struct db_rows rows;
    if (!db_read(account->db, ADMIN, arena, &rows, st, list_sql, db_int(skip)))
        return status_wrap(st, "could not list organisations");
    struct account_org *orgs = ARENA_ARRAY(arena, rows.count, struct account_org);
    for (size_t i = 0; i < rows.count; i++)
        orgs[i] = (struct account_org){.id = db_row_text(&rows.row[i], 0),
                                       .name = db_row_text(&rows.row[i], 1),
                                       .weight = (uint32_t)db_row_int(&rows.row[i], 2),
                                       .created_us = db_row_int(&rows.row[i], 3)};
    *out = orgs;
    *count = rows.count;
    return true;
}

bool account_org_set_weight(struct account *account, struct text org_id, int64_t weight,
                            struct status *st)
{
    int64_t changed;
    if (weight < 1 || weight > ACCOUNT_WEIGHT_MAX)
        return status_fail_field(st, STATUS_INVALID, "weight",
                                 "weight must be a whole number from 1 to %d", ACCOUNT_WEIGHT_MAX);
    AUTO(db_tx) struct db_tx *tx = db_begin(account->db, ADMIN, DB_WRITE);
    if (!db_exec(tx, &changed, st, weight_sql, db_text(org_id), db_int(weight)) ||
        !db_commit(tx, st))
        return status_wrap(st, "could not change organisation %.*s", TEXT_ARG(org_id));
    if (changed == 0)
        return status_fail(st, STATUS_NOT_FOUND, "no organisation %.*s", TEXT_ARG(org_id));
    cache_drop(&account->keys, TEXT_NONE); /* rare: all keys are asked for anew */
    return true;
}
