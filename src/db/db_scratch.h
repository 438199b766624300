/* db_scratch: a database of its own in a new folder under $TMPDIR, with all migrations applied and
 * gone at the end. For the tests of the modules above; a program does not use it. */
#pragma once
#include "db.h"

struct db_scratch {
    char folder[128]; /* also a place for other files of the test; all is removed */
    struct db *db;
};

/* Stops the program when it cannot be made. Outside a loop. */
void db_scratch_open(struct db_scratch *scratch);
/* Closes and opens the same file again, as a restart does. */
void db_scratch_reopen(struct db_scratch *scratch);
void db_scratch_close(struct db_scratch *scratch);
/* The folder alone. */
void db_scratch_folder(struct db_scratch *scratch);
/* Runs statements without any check of scope: what another program might have done to the file. */
void db_scratch_script(struct db_scratch *scratch, const char *sql);
