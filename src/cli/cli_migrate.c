/* cli_migrate: `weir migrate`. A server that runs has migrated already, and holds the folder. */
#include <stdio.h>
#include "cli_internal.h"
#include "db.h"

static int check(struct cli *cli);

/* As a server's start does it: on a folder where nothing was yet the key rings come first, since
 * they are made for a new database alone. */
int cli_migrate(struct cli *cli)
{
    struct status st;
    struct cli_store store;
    if (cli_given(cli, "check"))
        return check(cli);
    if (!cli_store_open(cli, &store, &st))
        return cli_fail(&st);
    printf("%d migrations applied\n", store.migrations);
    cli_store_close(&store);
    return CLI_OK;
}

static int check(struct cli *cli)
{
    struct status st;
    AUTO(db) struct db *db = NULL;
    int count = 0;
    struct text path;
    const struct db_options options = {.url = cli_database_url(cli, &path), .read_only = true};
    if (!db_open(&options, &db, &st) || !db_schema_check(db, &count, &st))
        return cli_fail(&st);
    printf("%d migrations missing\n", count);
    return CLI_OK;
}
