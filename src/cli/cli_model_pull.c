/* cli_model_pull: brings a model into the data folder and offers it. What is fetched is checked by
 * its SHA-256 and lies under that: models/<sha256>/<file>, so that two of the same are one.
 * curl does the fetching, in a process of its own: it knows proxies, redirects and how to go on
 * where a connection broke, and a hash is not checked by who fetched. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "arena.h"
#include "cli_internal.h"
#include "model_gguf.h"
#include "json.h"

enum { SHA256_HEX = 64, COPY_BYTES = 1 << 20, CURL_RANGE = 33, CURL_HTTP = 22 };

extern char **environ;

struct pull {
    struct cli *cli;
    struct text from, sha256; /* empty: not given */
    bool remote;
    const char *file;   /* what it is called */
    const char *models; /* the folder of all */
    const char *part;   /* where it is while it is not whole */
    const char *whole;  /* where it ends up */
};

static bool read_flags(struct pull *pull, struct status *st);
static bool prepare(struct pull *pull, struct status *st);
static bool is_sha256(struct text text);
static bool make_folder(const char *path, struct status *st);
static bool fetch(struct pull *pull, struct status *st);
static int run_curl(struct pull *pull, bool go_on, struct status *st);
static bool copy(struct pull *pull, struct status *st);
static bool write_all(int file, const char *bytes, size_t count);
static bool hash_file(const char *path, char hex[SHA256_HEX + 1], struct status *st);
static bool settle(struct pull *pull, const char *hex, struct status *st);
static bool offer(struct pull *pull, struct status *st);

int cli_model_pull(struct cli *cli)
{
    struct status st = {0};
    struct pull pull = {.cli = cli};
    char hex[SHA256_HEX + 1];
    if (!read_flags(&pull, &st) || !cli_data_folder(cli, &st) || !prepare(&pull, &st))
        return cli_fail(&st);
    /* A whole one of an earlier run, or what a run that was cut off has left. */
    bool have = pull.sha256.len > 0 && access(pull.part, R_OK) == 0 &&
                hash_file(pull.part, hex, &st) && text_equal(pull.sha256, text_of(hex));
    if (!have && !(pull.remote ? fetch(&pull, &st) : copy(&pull, &st)))
        return cli_fail(&st);
    if (!hash_file(pull.part, hex, &st) || !settle(&pull, hex, &st))
        return cli_fail(&st);
    fprintf(stderr, "weir: %s\n", pull.whole);
    if (!offer(&pull, &st)) {
        fprintf(stderr, "weir: the file is there; `weir model add %s --path %s` offers it\n",
                cli->words[0], pull.whole);
        return cli_fail(&st);
    }
    return CLI_OK;
}

static bool read_flags(struct pull *pull, struct status *st)
{
    struct cli *cli = pull->cli;
    pull->from = text_of(cli->words[1]);
    pull->sha256 = cli_value(cli, "sha256");
    bool plain = text_starts(pull->from, TEXT("http://"));
    pull->remote = plain || text_starts(pull->from, TEXT("https://"));
    if (cli_given(cli, "sha256") && !is_sha256(pull->sha256))
        return status_fail(st, STATUS_INVALID,
                           "--sha256 must be 64 hexadecimal digits, in lower case");
    if (plain && pull->sha256.len == 0)
        return status_fail(st, STATUS_INVALID,
                           "what comes over http:// may have been changed on its way: give its "
                           "--sha256, or fetch it from https://");
    struct text name = pull->from;
    if (pull->remote)
        name = text_take(name, text_find_byte(text_take(name, text_find_byte(name, '#')), '?'));
    while (text_find_byte(name, '/') < name.len)
        name = text_skip(name, text_find_byte(name, '/') + 1);
    if (!text_ends(name, TEXT(".gguf")) || name.at[0] == '.')
        return status_fail(st, STATUS_INVALID, "%.*s is not the name of a GGUF file",
                           TEXT_ARG(text_take(pull->from, 200)));
    pull->file = arena_cstr(cli->arena, name);
    return true;
}

static bool prepare(struct pull *pull, struct status *st)
{
    struct arena *arena = pull->cli->arena;
    pull->models = arena_cstr(
        arena, arena_format(arena, "%.*s/models", TEXT_ARG(config_data_folder(pull->cli->config))));
    /* By the whole address: two that end alike are not one that goes on with the other. */
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (EVP_Digest(pull->from.at, pull->from.len, digest, NULL, EVP_sha256(), NULL) != 1)
        return status_fail(st, STATUS_INTERNAL, "could not hash the address");
    pull->part =
        arena_cstr(arena, arena_format(arena, "%s/%s.%02x%02x%02x%02x.part", pull->models,
                                       pull->file, digest[0], digest[1], digest[2], digest[3]));
    return make_folder(pull->models, st);
}

static bool is_sha256(struct text text)
{
    bool good = text.len == SHA256_HEX;
    for (size_t i = 0; good && i < text.len; i++)
        good = strchr("0123456789abcdef", text.at[i]) != NULL;
    return good;
}

static bool make_folder(const char *path, struct status *st)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST
               ? true
               : status_fail_errno(st, errno, "could not make the folder %s", path);
}

/* Goes on with what an earlier run has left; where the server cannot, from the beginning. curl
 * touches the file only when something comes, so a server that is down costs nothing. */
static bool fetch(struct pull *pull, struct status *st)
{
    bool go_on = access(pull->part, F_OK) == 0;
    int code = run_curl(pull, go_on, st);
    if (go_on && (code == CURL_RANGE || code == CURL_HTTP))
        code = run_curl(pull, false, st);
    if (code < 0)
        return false;
    return code == 0 ? true
                     : status_fail(st, STATUS_UNAVAILABLE,
                                   "could not fetch %.*s (curl's status is %d); the same command "
                                   "goes on where it stopped",
                                   TEXT_ARG(text_take(pull->from, 200)), code);
}

/* Its exit code; -1 when it could not be run. */
static int run_curl(struct pull *pull, bool go_on, struct status *st)
{
    const char *argv[24] = {"curl",
                            "-q",
                            "--fail",
                            "--location",
                            "--proto",
                            "=http,https",
                            "--proto-redir",
                            pull->sha256.len > 0 ? "=http,https" : "=https",
                            "--retry",
                            "5",
                            "--connect-timeout",
                            "30",
                            "--speed-limit",
                            "1024",
                            "--speed-time",
                            "60"};
    size_t count = 16;
    argv[count++] = isatty(STDERR_FILENO) ? "--progress-bar" : "--no-progress-meter";
    if (go_on) {
        argv[count++] = "--continue-at";
        argv[count++] = "-";
    }
    if (cli_given(pull->cli, "header-file")) { /* a token is in no command line */
        struct text file = cli_value(pull->cli, "header-file");
        argv[count++] = "--header";
        argv[count++] =
            arena_cstr(pull->cli->arena, arena_format(pull->cli->arena, "@%.*s", TEXT_ARG(file)));
    }
    const char *last[] = {"--output", pull->part, "--", pull->cli->words[1]};
    const char *whole[32];
    memcpy(whole, argv, count * sizeof *argv);
    memcpy(whole + count, last, sizeof last);
    whole[count + ARRAY_LEN(last)] = NULL;
    pid_t child;
    int error = posix_spawnp(&child, "curl", NULL, NULL, (char *const *)(uintptr_t)whole, environ);
    if (error != 0) {
        (void)status_fail_errno(st, error, "could not run curl, which fetches (Debian: curl)");
        return -1;
    }
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) {
            (void)status_fail_errno(st, errno, "could not wait for curl");
            return -1;
        }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* From a path: a copy, so that the model does not go when its source does. */
static bool copy(struct pull *pull, struct status *st)
{
    int from = open(pull->cli->words[1], O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return status_fail_errno(st, errno, "could not open %s", pull->cli->words[1]);
    int to = open(pull->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char *buffer = malloc(COPY_BYTES);
    WEIR_ASSERT(buffer != NULL);
    ssize_t got = 0;
    bool good = to >= 0;
    while (good && (got = read(from, buffer, COPY_BYTES)) > 0)
        good = write_all(to, buffer, (size_t)got);
    good = good && got == 0;
    if (!good)
        (void)status_fail_errno(st, errno, "could not copy %s", pull->cli->words[1]);
    free(buffer);
    (void)close(from);
    if (to >= 0)
        (void)close(to);
    return good;
}

static bool write_all(int file, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t written = write(file, bytes, count);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        bytes += written;
        count -= (size_t)written;
    }
    return true;
}

static bool hash_file(const char *path, char hex[SHA256_HEX + 1], struct status *st)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return status_fail_errno(st, errno, "could not open %s", path);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char *buffer = malloc(COPY_BYTES), digest[EVP_MAX_MD_SIZE];
    WEIR_ASSERT(context != NULL && buffer != NULL);
    ssize_t got = 0;
    bool good = EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
    while (good && (got = read(file, buffer, COPY_BYTES)) > 0)
        good = EVP_DigestUpdate(context, buffer, (size_t)got) == 1;
    good = good && got == 0 && EVP_DigestFinal_ex(context, digest, NULL) == 1;
    for (size_t i = 0; good && i < SHA256_HEX / 2; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    if (!good)
        (void)status_fail_errno(st, errno, "could not read %s", path);
    EVP_MD_CTX_free(context);
    free(buffer);
    (void)close(file);
    return good;
}

/* What was fetched is what was asked for, and a model; then it gets its place. */
static bool settle(struct pull *pull, const char *hex, struct status *st)
{
    struct arena *arena = pull->cli->arena;
    if (pull->sha256.len > 0 && !text_equal(pull->sha256, text_of(hex))) {
        (void)unlink(pull->part);
        return status_fail(st, STATUS_INVALID,
                           "the SHA-256 of what was fetched is %s, and not the one that was given: "
                           "it was thrown away",
                           hex);
    }
    if (!model_gguf_check(pull->part, st)) {
        (void)unlink(pull->part);
        return status_wrap(st, "what was fetched was thrown away");
    }
    const char *place = arena_cstr(arena, arena_format(arena, "%s/%s", pull->models, hex));
    pull->whole = arena_cstr(arena, arena_format(arena, "%s/%s", place, pull->file));
    if (!make_folder(place, st))
        return false;
    int file = open(pull->part, O_RDONLY | O_CLOEXEC);
    bool good = file >= 0 && fsync(file) == 0 && rename(pull->part, pull->whole) == 0;
    int error = errno;
    if (file >= 0)
        (void)close(file);
    return good ? true : status_fail_errno(st, error, "could not keep %s", pull->whole);
}

static bool offer(struct pull *pull, struct status *st)
{
    struct cli *cli = pull->cli;
    AUTO(cli_session) struct cli_session *session = NULL;
    AUTO(json_t) json_t *body = json_object();
    json_t *answer = NULL;
    struct text name = cli_value(cli, "name");
    (void)json_object_set_new(body, "id", json_string(cli->words[0]));
    (void)json_object_set_new(body, "kind", json_string("local"));
    (void)json_object_set_new(body, "path", json_string(pull->whole));
    (void)json_object_set_new(
        body, "name", name.len > 0 ? json_stringn(name.at, name.len) : json_string(cli->words[0]));
    if (!cli_session_open(cli, &session, st) ||
        !cli_call(session, cli, "POST", TEXT("/api/models"), body, &answer, st))
        return false;
    printf("%.*s\n", TEXT_ARG(cli_member(answer, "id")));
    return true;
}
