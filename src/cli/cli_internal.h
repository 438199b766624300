/* cli_internal: shared by the files of cli. */
#pragma once
#include "cli.h"

#ifndef CLI_VERSION
#error "CLI_VERSION comes from the build"
#endif

struct account;
struct api;
struct api_options;
struct db;
struct db_lock;
struct observe;
struct vault;

/* What a server stands on, opened in this order. */
struct cli_store {
    struct db_lock *lock;
    struct vault *vault;
    struct db *db;
    struct account *account;
    struct observe *observe;
    int migrations; /* how many were applied */
};
/* Makes the data folder when it is missing, takes its lock, opens everything and migrates.
 * Fails: with one sentence on what is in the way; nothing stays open. */
MUST_CHECK bool cli_store_open(struct cli *cli, struct cli_store *out, struct status *st);
void cli_store_close(struct cli_store *store);

/* The data folder, made (0700) when it is missing, and checked to be writable. */
MUST_CHECK bool cli_data_folder(struct cli *cli, struct status *st);
/* "sqlite:/…/weir.db": the setting with the default path filled in. `*path` is the file's. */
struct text cli_database_url(struct cli *cli, struct text *path);
struct text cli_control_path(struct cli *cli);

/* Whether a server answers on the control socket. */
bool cli_server_runs(struct cli *cli);

/* The options of the service, from the settings. Fails: STATUS_INVALID naming the setting or line.
 */
MUST_CHECK bool cli_api_options(struct cli *cli, const struct cli_store *store,
                                struct api_options *out, struct status *st);
/* Open files that the service can come to need: every connection that it may accept, what each may
 * have open to a model, and what a process has besides. `*least` is what it needs before it has to
 * turn connections away: without those to models. */
int64_t cli_files_needed(const struct config *config, int64_t *least);
/* "/opt/weir/bin/weir-infer": the setting, or beside this program. */
struct text cli_infer_program(struct cli *cli);
/* The name under which the file of the setting `model` is offered. */
struct text cli_model_name(struct text path, struct arena *arena);
/* What people read in its place, until somebody renames it. */
struct text cli_model_title(struct text path, struct arena *arena);

/* A text member of an answer; empty when there is none. */
struct text cli_member(const json_t *object, const char *name);

/* Columns of text, aligned, on stdout. The first row is the head. */
void cli_print_table(const struct text *cells, size_t columns, size_t rows);
/* "2026-11-25 03:04" or "never". */
struct text cli_time(struct arena *arena, int64_t us);
