/* cli_doctor: looks at everything that a server needs, in the order in which it would need it, and
 * changes nothing. One function per thing; each says what it found, and what helps. */
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "api.h"
#include "arena.h"
#include "cli_internal.h"
#include "clock.h"
#include "db.h"
#include "http_tls.h"
#include "model_kind.h"
#include "loop.h"
#include "net.h"
#include "vault.h"

enum { FREE_BYTES_MIN = 1024 * 1024 * 1024, DAYS_WARN = 14 };

/* "/run/m-0123456789abcdef.sock" stands behind the data folder. */
enum { SOCKET_PATH_SHORT = 107, SOCKET_FOLDER_SHORT = SOCKET_PATH_SHORT - 30 };
enum { DATA_FOLDER_MAX = 480 }; /* SQLite takes paths of up to 512 bytes */

struct doctor {
    struct cli *cli;
    bool running; /* a server answers on the control socket */
    int failures;
};

enum verdict { VERDICT_OK, VERDICT_NOTE, VERDICT_FAIL };

static void say(struct doctor *doctor, enum verdict verdict, const char *what, const char *format,
                ...) PRINTF_LIKE(4, 5);
static void check_data_folder(struct doctor *doctor);
static void check_server(struct doctor *doctor);
static void check_running_models(struct doctor *doctor, struct cli_session *session);
static void check_path_length(struct doctor *doctor);
static void check_disk(struct doctor *doctor);
static void check_secrets(struct doctor *doctor);
static void check_database(struct doctor *doctor);
static void check_addresses(struct doctor *doctor, const struct api_options *options);
static void check_address(struct doctor *doctor, struct text at, bool plain);
static void check_tls(struct doctor *doctor, const struct api_options *options);
static void check_client_tls(struct doctor *doctor, const struct api_options *options);
static void check_models(struct doctor *doctor, const struct api_options *options);
static void check_model(struct doctor *doctor, const struct api_model_seed *model);
static void check_limits(struct doctor *doctor);
static int64_t memory_available(void);

int cli_doctor(struct cli *cli)
{
    struct doctor doctor = {.cli = cli};
    struct api_options options;
    const struct cli_store no_store = {.lock = NULL};
    struct status st;
    say(&doctor, VERDICT_OK, "configuration", "read; `weir config` shows it");
    check_data_folder(&doctor);
    check_server(&doctor);
    check_path_length(&doctor);
    check_disk(&doctor);
    check_secrets(&doctor);
    check_database(&doctor);
    if (cli_api_options(cli, &no_store, &options, &st)) {
        check_addresses(&doctor, &options);
        check_tls(&doctor, &options);
        check_client_tls(&doctor, &options);
        check_models(&doctor, &options);
    } else {
        say(&doctor, VERDICT_FAIL, "configuration", "%s", st.text);
    }
    check_limits(&doctor);
    if (doctor.failures == 0)
        puts("\nNothing is in the way.");
    else
        printf("\n%d to put right.\n", doctor.failures);
    return doctor.failures == 0 ? CLI_OK : CLI_FAILED;
}

static void say(struct doctor *doctor, enum verdict verdict, const char *what, const char *format,
                ...)
{
    static const char *const marks[] = {"ok  ", "note", "FAIL"};
    va_list args;
    printf("%s  %-14s ", marks[verdict], what);
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    putchar('\n');
    doctor->failures += verdict == VERDICT_FAIL;
}

static void check_data_folder(struct doctor *doctor)
{
    char *path = arena_cstr(doctor->cli->arena, config_data_folder(doctor->cli->config));
    struct stat found;
    if (stat(path, &found) != 0) {
        if (errno == ENOENT)
            say(doctor, VERDICT_NOTE, "data folder",
                "%s does not exist yet: it is made at the "
                "first start",
                path);
        else
            say(doctor, VERDICT_FAIL, "data folder", "%s can not be looked at: %s", path,
                strerror(errno));
    } else if (!S_ISDIR(found.st_mode)) {
        say(doctor, VERDICT_FAIL, "data folder", "%s is not a folder: set WEIR_DATA", path);
    } else if (access(path, R_OK | W_OK | X_OK) != 0 && errno == EROFS) {
        say(doctor, VERDICT_FAIL, "data folder",
            "%s is on a read-only file system: mount it for writing, or set WEIR_DATA", path);
    } else if (access(path, R_OK | W_OK | X_OK) != 0) {
        say(doctor, VERDICT_FAIL, "data folder",
            "%s can not be written by user %d: give it to this user (chown), or set WEIR_DATA",
            path, (int)geteuid());
    } else if ((found.st_mode & 0077) != 0) {
        say(doctor, VERDICT_NOTE, "data folder", "%s can be read by others: chmod 700 %s", path,
            path);
    } else {
        say(doctor, VERDICT_OK, "data folder", "%s", path);
    }
}

static void check_server(struct doctor *doctor)
{
    struct status st;
    AUTO(cli_session) struct cli_session *session = NULL;
    json_t *answer = NULL;
    doctor->running = cli_server_runs(doctor->cli);
    if (!doctor->running) {
        say(doctor, VERDICT_NOTE, "server", "none runs on this data folder");
        return;
    }
    if (!cli_session_open(doctor->cli, &session, &st) ||
        !cli_call(session, doctor->cli, "GET", TEXT("/readyz"), NULL, &answer, &st)) {
        say(doctor, VERDICT_FAIL, "server", "runs, but is not ready: %s", st.text);
        return;
    }
    say(doctor, VERDICT_OK, "server", "runs and is ready");
    json_t *checks = json_object_get(answer, "checks");
    for (size_t i = 0; i < json_array_size(checks); i++) {
        const json_t *check = json_array_get(checks, i);
        if (json_is_true(json_object_get(check, "ok")))
            continue;
        struct text name = cli_member(check, "name"), why = cli_member(check, "why");
        if (!text_equal(name, TEXT("models"))) /* each of them has its own line below */
            say(doctor, VERDICT_NOTE, "server", "%.*s: %.*s", TEXT_ARG(name), TEXT_ARG(why));
    }
    check_running_models(doctor, session);
}

/* The server knows models that no setting names. Before the set-up nobody may ask for them. */
static void check_running_models(struct doctor *doctor, struct cli_session *session)
{
    struct status st;
    json_t *answer = NULL;
    if (!cli_call(session, doctor->cli, "GET", TEXT("/api/models"), NULL, &answer, &st))
        return;
    const json_t *rows = json_object_get(answer, "data");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i), *state = json_object_get(row, "state");
        struct text id = cli_member(row, "id"), phase = cli_member(state, "phase");
        if (text_equal(phase, TEXT("failed")))
            say(doctor, VERDICT_FAIL, "model", "%.*s: %.*s", TEXT_ARG(id),
                TEXT_ARG(cli_member(state, "reason")));
        else if (text_equal(phase, TEXT("asleep")) && cli_member(state, "reason").len > 0)
            say(doctor, VERDICT_NOTE, "model", "there is no room for %.*s: %.*s", TEXT_ARG(id),
                TEXT_ARG(cli_member(state, "reason")));
        else
            say(doctor, VERDICT_OK, "model", "%.*s is %.*s", TEXT_ARG(id), TEXT_ARG(phase));
    }
}

/* Sockets stand in it, by which commands and local models are reached. */
static void check_path_length(struct doctor *doctor)
{
    struct text folder = config_data_folder(doctor->cli->config);
    if (folder.len > SOCKET_FOLDER_SHORT && access("/proc/self/fd", X_OK) != 0)
        say(doctor, VERDICT_FAIL, "sockets",
            "the path of the data folder is long, and /proc is not there to make do with it: "
            "mount it, or set WEIR_DATA to a path of at most %d bytes",
            SOCKET_FOLDER_SHORT);
    else if (folder.len > DATA_FOLDER_MAX)
        say(doctor, VERDICT_FAIL, "data folder",
            "the path of the data folder is too long for a database in it: set WEIR_DATA to one "
            "of at most %d bytes",
            DATA_FOLDER_MAX);
}

static void check_disk(struct doctor *doctor)
{
    char *path = arena_cstr(doctor->cli->arena, config_data_folder(doctor->cli->config));
    struct statvfs disk;
    while (statvfs(path, &disk) != 0) { /* the folder may not exist yet: the one above it */
        char *slash = strrchr(path, '/');
        if (errno != ENOENT || slash == NULL || slash == path)
            return;
        *slash = '\0';
    }
    unsigned long long bytes = (unsigned long long)disk.f_bavail * disk.f_frsize;
    bool full = bytes < FREE_BYTES_MIN;
    say(doctor, full ? VERDICT_FAIL : VERDICT_OK, "disk", "%llu MiB free in %s%s", bytes >> 20,
        path, full ? ": make room, or set WEIR_DATA to another disk" : "");
}

static void check_secrets(struct doctor *doctor)
{
    struct cli *cli = doctor->cli;
    struct status st;
    AUTO(vault) struct vault *vault = NULL;
    struct text folder =
        arena_format(cli->arena, "%.*s/secrets", TEXT_ARG(config_data_folder(cli->config)));
    struct text database;
    (void)cli_database_url(cli, &database);
    const struct vault_options options = {
        .folder = folder,
        .files = {[VAULT_RING_MASTER] = config_text(cli->config, "master_key_file"),
                  [VAULT_RING_PEPPER] = config_text(cli->config, "pepper_file"),
                  [VAULT_RING_TOKEN] = config_text(cli->config, "token_key_file")},
    };
    if (vault_open(&options, &vault, &st))
        say(doctor, VERDICT_OK, "secrets", "%.*s", TEXT_ARG(folder));
    else if (st.code == STATUS_NOT_FOUND && access(arena_cstr(cli->arena, database), F_OK) != 0)
        say(doctor, VERDICT_NOTE, "secrets",
            "there are none yet: they are made at the first start");
    else
        say(doctor, VERDICT_FAIL, "secrets", "%s%s", st.text,
            st.code == STATUS_NOT_FOUND ? ": put back the key rings that belong to this database"
                                        : "");
}

static void check_database(struct doctor *doctor)
{
    struct status st;
    AUTO(db) struct db *db = NULL;
    int pending = 0;
    struct text path, url = cli_database_url(doctor->cli, &path);
    const struct db_options options = {.url = url, .read_only = true};
    if (path.len > 0 && access(arena_cstr(doctor->cli->arena, path), F_OK) != 0)
        say(doctor, VERDICT_NOTE, "database",
            "%.*s does not exist yet: it is made at the first "
            "start",
            TEXT_ARG(path));
    else if (!db_open(&options, &db, &st) || !db_schema_check(db, &pending, &st))
        say(doctor, VERDICT_FAIL, "database", "%s", st.text);
    else if (pending > 0)
        say(doctor, VERDICT_NOTE, "database",
            "%d migrations are missing: they are applied at the "
            "next start, or by `weir migrate`",
            pending);
    else
        say(doctor, VERDICT_OK, "database", "%.*s", TEXT_ARG(path.len > 0 ? path : url));
}

static void check_addresses(struct doctor *doctor, const struct api_options *options)
{
    if (doctor->running) {
        say(doctor, VERDICT_NOTE, "addresses", "not tried: the server has them");
        return;
    }
    bool plain = options->tls_certificate.len == 0 && !options->plain_anywhere;
    for (size_t i = 0; i < options->listen_count; i++)
        check_address(doctor, options->listen[i], plain && !options->behind_tls_proxy);
    if (options->metrics_listen.len > 0)
        check_address(doctor, options->metrics_listen, plain);
}

/* Listens there for a moment, as the server would. `plain`: without TLS, and not allowed to. */
static void check_address(struct doctor *doctor, struct text at, bool plain)
{
    struct status st;
    struct net_address address;
    struct loop *loop = NULL;
    AUTO(net_listener) struct net_listener *listener = NULL;
    const struct loop_options options = {.name = "doctor", .cpu = -1};
    const struct net_listen_options listen_options = {.reuse_port = false};
    if (!net_address_parse(at, &address, &st)) {
        say(doctor, VERDICT_FAIL, "address", "%s", st.text);
        return;
    }
    if (plain && !net_address_is_loopback(&address)) {
        say(doctor, VERDICT_FAIL, "address",
            "%.*s can be reached from other machines without TLS: set tls_certificate and "
            "tls_key, or allow_plaintext=on",
            TEXT_ARG(at));
        return;
    }
    if (address.is_unix || !loop_open(&options, &loop, &st))
        return; /* a socket's file is made and taken away: nothing to try */
    if (net_listen(loop, &address, &listen_options, &listener, &st))
        say(doctor, VERDICT_OK, "address", "%.*s is free", TEXT_ARG(at));
    else if (st.code == STATUS_CONFLICT)
        say(doctor, VERDICT_FAIL, "address",
            "%.*s is used by another program: stop it (ss -ltnp shows it), or set WEIR_LISTEN to "
            "another address",
            TEXT_ARG(at));
    else
        say(doctor, VERDICT_FAIL, "address", "%.*s: %s", TEXT_ARG(at), st.text);
    net_listener_close(listener);
    listener = NULL;
    loop_stop(loop);
    loop_run(loop);
    loop_close(loop);
}

static void check_tls(struct doctor *doctor, const struct api_options *options)
{
    struct status st;
    AUTO(http_tls) struct http_tls *tls = NULL;
    struct arena *arena = doctor->cli->arena;
    if (options->tls_certificate.len == 0)
        return;
    const struct http_tls_server_options files = {
        .certificate_file = arena_cstr(arena, options->tls_certificate),
        .key_file = arena_cstr(arena, options->tls_key),
        .client_ca_file =
            options->tls_client_ca.len > 0 ? arena_cstr(arena, options->tls_client_ca) : NULL,
    };
    if (!http_tls_server_open(&files, &tls, &st)) {
        say(doctor, VERDICT_FAIL, "certificate", "%s", st.text);
        return;
    }
    int64_t days = (http_tls_expires_s(tls) - clock_wall_us() / 1000000) / 86400;
    say(doctor,
        days < 0           ? VERDICT_FAIL
        : days < DAYS_WARN ? VERDICT_NOTE
                           : VERDICT_OK,
        "certificate",
        days < 0 ? "%.*s ended %lld days ago: renew it" : "%.*s is good for %lld more days",
        TEXT_ARG(options->tls_certificate), (long long)(days < 0 ? -days : days));
}

/* What is shown to upstreams, and by what they are known. */
static void check_client_tls(struct doctor *doctor, const struct api_options *options)
{
    struct status st;
    AUTO(http_tls) struct http_tls *tls = NULL;
    struct arena *arena = doctor->cli->arena;
    bool shows = options->upstream_certificate.len > 0;
    if (!shows && options->upstream_ca.len == 0)
        return;
    const struct http_tls_client_options files = {
        .ca_file = options->upstream_ca.len > 0 ? arena_cstr(arena, options->upstream_ca) : NULL,
        .certificate_file = shows ? arena_cstr(arena, options->upstream_certificate) : NULL,
        .key_file = shows ? arena_cstr(arena, options->upstream_key) : NULL,
    };
    if (http_tls_client_open(&files, &tls, &st))
        say(doctor, VERDICT_OK, "upstreams", "the certificates for https can be used");
    else
        say(doctor, VERDICT_FAIL, "upstreams", "%s", st.text);
}

static void check_models(struct doctor *doctor, const struct api_options *options)
{
    bool local = false;
    if (options->models_count == 0 && !doctor->running)
        say(doctor, VERDICT_NOTE, "models",
            "none is configured: set WEIR_MODEL to a GGUF file, or "
            "add one in the web app");
    for (size_t i = 0; i < options->models_count; i++) {
        local = local || options->models[i].path.len > 0;
        if (!doctor->running) /* else the server has told of each */
            check_model(doctor, &options->models[i]);
    }
    char *program = arena_cstr(doctor->cli->arena, options->infer_path);
    if (local && access(program, X_OK) != 0)
        say(doctor, VERDICT_FAIL, "weir-infer", "%s can not be run: %s; set WEIR_INFER_PROGRAM",
            program, strerror(errno));
}

static void check_model(struct doctor *doctor, const struct api_model_seed *model)
{
    struct status st;
    struct stat found;
    if (model->path.len == 0)
        return;
    char *path = arena_cstr(doctor->cli->arena, model->path);
    if (!model_kind_check(path, &st)) {
        say(doctor, VERDICT_FAIL, "model", "%.*s: %s", TEXT_ARG(model->id), st.text);
        return;
    }
    int64_t available = memory_available();
    bool large = stat(path, &found) == 0 && available > 0 && found.st_size > available;
    say(doctor, large ? VERDICT_NOTE : VERDICT_OK, "model", "%.*s: %s (%lld MiB)%s",
        TEXT_ARG(model->id), path, (long long)(found.st_size >> 20),
        large ? ", which is more than the memory that is free" : "");
}

static void check_limits(struct doctor *doctor)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    int64_t least;
    (void)cli_files_needed(doctor->cli->config, &least);
    bool low = files.rlim_max < (rlim_t)least;
    if (low)
        say(doctor, VERDICT_NOTE, "open files",
            "up to %llu, but %lld are needed for connections_max: raise it (ulimit -Hn, "
            "LimitNOFILE=), or lower connections_max",
            (unsigned long long)files.rlim_max, (long long)least);
    else
        say(doctor, VERDICT_OK, "open files", "up to %llu", (unsigned long long)files.rlim_max);
}

/* 0 when the kernel does not say. */
static int64_t memory_available(void)
{
    char line[128];
    long long kib = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file != NULL && kib == 0 && fgets(line, sizeof(line), file) != NULL)
        if (text_starts(text_of(line), TEXT("MemAvailable:")))
            kib = strtoll(line + TEXT("MemAvailable:").len, NULL, 10);
    if (file != NULL)
        fclose(file);
    return kib * 1024;
}
