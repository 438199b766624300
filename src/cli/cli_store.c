/* cli_store: the data folder and what is opened in it, by a server or by a command without one. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "account.h"
#include "arena.h"
#include "cli_internal.h"
#include "db.h"
#include "observe.h"
#include "vault.h"

enum { SHARDS_MAX = 64 };

static bool make_folders(char *path, struct status *st);
static bool open_all(struct cli *cli, struct cli_store *store, struct status *st);

bool cli_data_folder(struct cli *cli, struct status *st)
{
    struct text folder = config_data_folder(cli->config);
    char *path = arena_cstr(cli->arena, folder);
    if (!make_folders(path, st))
        return status_wrap(st, "the data folder %s can not be made", path);
    if (access(path, R_OK | W_OK | X_OK) != 0)
        return status_fail_errno(st, errno,
                                 "the data folder %s can not be written (give it to this user, or "
                                 "set WEIR_DATA to another one)",
                                 path);
    return true;
}

struct text cli_database_url(struct cli *cli, struct text *path)
{
    struct text url = config_text(cli->config, "database");
    struct text sqlite = TEXT("sqlite:");
    *path = TEXT_NONE;
    if (text_find(url, TEXT("://")) < url.len)
        return url;
    *path = text_starts(url, sqlite) ? text_skip(url, sqlite.len) : url;
    if (path->len == 0)
        *path = arena_format(cli->arena, "%.*s/weir.db", TEXT_ARG(config_data_folder(cli->config)));
    return arena_format(cli->arena, "sqlite:%.*s", TEXT_ARG(*path));
}

struct text cli_control_path(struct cli *cli)
{
    return arena_format(cli->arena, "%.*s/control.sock", TEXT_ARG(config_data_folder(cli->config)));
}

bool cli_store_open(struct cli *cli, struct cli_store *out, struct status *st)
{
    struct cli_store store = {.lock = NULL};
    if (!cli_data_folder(cli, st))
        return false;
    if (!open_all(cli, &store, st)) {
        cli_store_close(&store);
        return false;
    }
    *out = store;
    return true;
}

void cli_store_close(struct cli_store *store)
{
    observe_close(store->observe);
    account_close(store->account);
    db_close(store->db);
    vault_close(store->vault);
    db_lock_release(store->lock);
    *store = (struct cli_store){.lock = NULL};
}

/* The vault comes before the database: its keys may be made only for a database that does not exist
 * yet, and if we end between the two they are there at the next start. */
static bool open_all(struct cli *cli, struct cli_store *store, struct status *st)
{
    struct text path, url = cli_database_url(cli, &path);
    struct text folder = config_data_folder(cli->config);
    if (path.len == 0) /* said before anything is made or missed; the address may hold a password */
        return status_fail(st, STATUS_INVALID,
                           "the database must be sqlite: or sqlite:/path/to/file, not %.*s://",
                           TEXT_ARG(text_take(url, text_find(url, TEXT("://")))));
    if (!db_lock_take(folder, &store->lock, st))
        return false;
    bool fresh = path.len > 0 && access(arena_cstr(cli->arena, path), F_OK) != 0;
    const struct vault_options vault_options = {
        .folder = arena_format(cli->arena, "%.*s/secrets", TEXT_ARG(folder)),
        .files = {[VAULT_RING_MASTER] = config_text(cli->config, "master_key_file"),
                  [VAULT_RING_PEPPER] = config_text(cli->config, "pepper_file"),
                  [VAULT_RING_TOKEN] = config_text(cli->config, "token_key_file")},
        .create = fresh,
    };
    if (!vault_open(&vault_options, &store->vault, st))
        return status_wrap(st, "could not open the secrets");
    const struct config *config = cli->config;
    const struct db_options db_options = {
        .url = url,
        .lock = store->lock,
        .readers = (int)config_int(config, "database_readers"),
        .statement_ms = config_ms(config, "database_statement_max"),
        .queue_max = config_int(config, "database_queue_max"),
        .size_max = (int64_t)config_bytes(config, "database_size_max"),
    };
    if (!db_open(&db_options, &store->db, st) || !db_migrate(store->db, &store->migrations, st))
        return status_wrap(st, "could not open the database");
    const struct account_options account_options = {
        .db = store->db,
        .vault = store->vault,
        .hashes_max = (int)config_int(config, "password_checks_max"),
        .hashes_waiting_max = (int)config_int(config, "password_checks_waiting_max"),
        .keys_cached_max = (size_t)config_int(config, "keys_cached_max"),
        .key_fresh_ms = config_ms(config, "key_memory"),
        .keys_max = config_int(config, "keys_max"),
        .session_idle_ms = config_ms(config, "session_idle"),
        .session_life_ms = config_ms(config, "session_max"),
        .sessions_max = config_int(config, "sessions_max"),
    };
    if (!account_open(&account_options, &store->account, st))
        return false;
    int64_t workers = config_int(cli->config, "workers");
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t shards = (workers > 0 ? (size_t)workers : cores > 0 ? (size_t)cores : 1) + 2;
    store->observe = observe_open(CLI_VERSION, shards < SHARDS_MAX ? shards : SHARDS_MAX);
    return true;
}

/* mkdir -p with mode 0700. `path` is changed and put back. */
static bool make_folders(char *path, struct status *st)
{
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash != NULL)
            *slash = '\0';
        bool made = mkdir(path, 0700) == 0 || errno == EEXIST;
        int error = errno;
        struct stat found;
        if (!made && stat(path, &found) == 0 && S_ISDIR(found.st_mode))
            made = true; /* a folder above that we may not write in */
        if (!made)
            (void)status_fail_errno(st, error, "%s", path);
        if (slash != NULL)
            *slash = '/';
        if (!made)
            return false;
        if (slash == NULL)
            return true;
    }
}
