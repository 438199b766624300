/* cli_migrate: `weir migrate`. A server that runs has migrated already, and holds the folder. */
#include <stdio.h>
#include "cli_internal.h"
#include "db.h"

int cli_migrate(struct cli *cli)
{
    struct status st;
    AUTO(db) struct db *db = NULL;
    int count = 0;
    bool check = cli_given(cli, "check");
    struct text path;
    const struct db_options options = {.url = cli_database_url(cli, &path), .read_only = check};
    if ((!check && !cli_data_folder(cli, &st)) || !db_open(&options, &db, &st) ||
        !(check ? db_schema_check(db, &count, &st) : db_migrate(db, &count, &st)))
        return cli_fail(&st);
    printf(check ? "%d migrations missing\n" : "%d migrations applied\n", count);
    return CLI_OK;
}
