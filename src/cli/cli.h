/* cli: the program `weir`: its commands, and how they reach what they work on.
 * A command that reads or changes the service speaks HTTP to the control socket of the server that
 * runs on the data folder; when none runs, it opens the data folder itself and serves itself, so
 * that there is one way to do a thing (docs/decisions.md, "The control socket").
 * One thread, but what api starts. Nothing here runs in a fiber. */
#pragma once
#include <jansson.h>
#include "base.h"
#include "config.h"
#include "status.h"
#include "text.h"

struct arena;
struct cli_session;

enum { CLI_FLAGS_MAX = 12, CLI_WORDS_MAX = 4 };
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 }; /* exit codes */

/* A flag of one command. Settings (config_table.c) can be given as flags to every command. */
struct cli_flag {
    const char *name;  /* "password-file" */
    const char *value; /* what its value is called: "FILE"; NULL: it has none */
    const char *help;
    bool required;
};

struct cli;
struct cli_command {
    const char *name;                     /* "key create" */
    const char *args;                     /* "ID", or NULL; all of them are needed */
    const char *summary;                  /* a line without a full stop */
    const char *about;                    /* more, or NULL */
    struct cli_flag flags[CLI_FLAGS_MAX]; /* ended by a NULL name */
    const char *examples;                 /* lines, each a command; or NULL */
    int (*run)(struct cli *cli);          /* gives the exit code */
    bool hidden;                          /* not in the lists */
};
extern const struct cli_command cli_commands[]; /* ended by a NULL name */

/* One run of the program. */
struct cli {
    struct arena *arena;
    const struct cli_command *command; /* NULL: none was named */
    struct config *config;             /* NULL when the command does without */
    const char *words[CLI_WORDS_MAX];  /* the arguments that are no flags */
    size_t words_count;
    struct text values[CLI_FLAGS_MAX]; /* of command->flags; at is NULL when not given */
    const char **settings;             /* flags that are settings, "--name=value" */
    size_t settings_count;
    bool help, version;
};

/* Reads the command line. Fails: STATUS_INVALID: unknown command or flag, what is missing. */
MUST_CHECK bool cli_parse(int argc, char **argv, struct arena *arena, struct cli *out,
                          struct status *st);
/* The value of a flag of the command; at is NULL when it was not given. */
struct text cli_value(const struct cli *cli, const char *flag);
bool cli_given(const struct cli *cli, const char *flag);
/* Writes "weir: <text>" to stderr and gives CLI_FAILED. */
int cli_fail(const struct status *st);

/* --help of the program (NULL) or of a command; the man page; completion for a shell. */
void cli_print_help(const struct cli_command *command);
void cli_print_man(void);
MUST_CHECK bool cli_print_completion(struct text shell, struct status *st);

/* Opens the way to the service. Fails: with what is in the way. */
MUST_CHECK bool cli_session_open(struct cli *cli, struct cli_session **out, struct status *st);
void cli_session_close(struct cli_session *session);
AUTO_DEFINE(cli_session, cli_session_close)
/* Asks the service. `body` may be NULL, and is not taken over. `*answer` is NULL for one without a
 * body; it lives as long as the run.
 * Fails: with the code that belongs to the HTTP status, and the text of the problem. */
MUST_CHECK bool cli_call(struct cli_session *session, struct cli *cli, const char *method,
                         struct text target, const json_t *body, json_t **answer,
                         struct status *st);

/* The secret in the file that `--<flag>` names ("-" is standard input), without its last new line;
 * asked for on the terminal when the flag was not given. */
MUST_CHECK bool cli_read_secret(struct cli *cli, const char *flag, const char *question,
                                struct text *out, struct status *st);

/* The commands, cli_commands.c in order. */
int cli_up(struct cli *cli);
int cli_serve(struct cli *cli);
int cli_doctor(struct cli *cli);
int cli_migrate(struct cli *cli);
int cli_setup(struct cli *cli);
int cli_user_list(struct cli *cli);
int cli_user_add(struct cli *cli);
int cli_user_password(struct cli *cli);
int cli_user_disable(struct cli *cli);
int cli_user_enable(struct cli *cli);
int cli_org_list(struct cli *cli);
int cli_org_weight(struct cli *cli);
int cli_key_create(struct cli *cli);
int cli_key_list(struct cli *cli);
int cli_key_revoke(struct cli *cli);
int cli_model_list(struct cli *cli);
int cli_model_add(struct cli *cli);
int cli_model_pull(struct cli *cli);
int cli_model_change(struct cli *cli);
int cli_model_enable(struct cli *cli);
int cli_model_disable(struct cli *cli);
int cli_model_pin(struct cli *cli);
int cli_model_unpin(struct cli *cli);
int cli_model_remove(struct cli *cli);
int cli_upstream_list(struct cli *cli);
int cli_upstream_add(struct cli *cli);
int cli_upstream_remove(struct cli *cli);
int cli_secret_rotate(struct cli *cli);
int cli_config(struct cli *cli);
int cli_completion(struct cli *cli);
int cli_man(struct cli *cli);
