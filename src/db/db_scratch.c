#include "db_scratch.h"
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "db_internal.h"

static void must(bool ok, const struct status *st);
static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where);

void db_scratch_open(struct db_scratch *scratch)
{
    db_scratch_folder(scratch);
    db_scratch_reopen(scratch);
}

void db_scratch_folder(struct db_scratch *scratch)
{
    const char *tmp = getenv("TMPDIR");
    memset(scratch, 0, sizeof(*scratch));
    snprintf(scratch->folder, sizeof(scratch->folder), "%s/weir-test-XXXXXX",
             tmp != NULL && strlen(tmp) < 80 ? tmp : "/tmp");
    WEIR_ASSERT(mkdtemp(scratch->folder) != NULL);
}

void db_scratch_reopen(struct db_scratch *scratch)
{
    char url[sizeof(scratch->folder) + 32];
    struct status st = {0};
    db_close(TAKE(scratch->db));
    snprintf(url, sizeof(url), "sqlite:%s/weir.db", scratch->folder);
    must(db_open(&(struct db_options){.url = text_of(url)}, &scratch->db, &st), &st);
    must(db_migrate(scratch->db, NULL, &st), &st);
}

void db_scratch_close(struct db_scratch *scratch)
{
    db_close(TAKE(scratch->db));
    WEIR_ASSERT(strstr(scratch->folder, "/weir-test-") != NULL);
    nftw(scratch->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void db_scratch_script(struct db_scratch *scratch, const char *sql)
{
    struct status st = {0};
    AUTO(db_tx)
    struct db_tx *tx = db_begin(scratch->db, DB_SCOPE_SYSTEM(DB_SYSTEM_SCHEMA), DB_WRITE);
    must(db_run_script(tx, sql, &st) && db_commit(tx, &st), &st);
}

static void must(bool ok, const struct status *st)
{
    if (ok)
        return;
    fprintf(stderr, "scratch database: %s\n", st->text);
    abort();
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info, (void)kind, (void)where;
    return remove(path);
}
