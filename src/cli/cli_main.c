/* main() of weir. */
#include <stdio.h>
#include "arena.h"
#include "cli.h"
#include "cli_internal.h"
#include "log.h"

extern char **environ;

static bool needs_config(const struct cli *cli);

int main(int argc, char **argv)
{
    AUTO(arena) struct arena *arena = arena_open(16 * MIB);
    struct cli cli;
    struct status st;
    if (!cli_parse(argc, argv, arena, &cli, &st)) {
        (void)cli_fail(&st);
        return CLI_USAGE;
    }
    if (cli.version) {
        puts("weir " CLI_VERSION);
        return CLI_OK;
    }
    if (cli.help || cli.command == NULL) {
        cli_print_help(cli.command);
        return cli.help ? CLI_OK : CLI_USAGE;
    }
    if (needs_config(&cli)) {
        const struct config_input input = {
            .flags = cli.settings,
            .flags_count = cli.settings_count,
            .environment = (const char *const *)environ,
        };
        if (!config_load(&input, arena, &cli.config, &st)) {
            (void)cli_fail(&st);
            return CLI_USAGE;
        }
        static const char *const levels[] = {"debug", "info", "warn", "error"};
        size_t level = 0;
        while (!text_equal(text_of(levels[level]), config_text(cli.config, "log_level")))
            level++;
        bool serves = cli.command->run == cli_up || cli.command->run == cli_serve;
        if (!serves && !config_is_set(cli.config, "log_level"))
            level = LOG_LEVEL_WARN; /* a command has its say on stdout */
        bool json = text_equal(config_text(cli.config, "log_format"), TEXT("json"));
        log_open((enum log_level)level, json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
    }
    int code = cli.command->run(&cli);
    if (fflush(stdout) != 0 && code == CLI_OK) {
        perror("weir: could not write to standard output");
        code = CLI_FAILED;
    }
    return code;
}

/* What only prints works whatever is set. */
static bool needs_config(const struct cli *cli)
{
    if (cli->command->run == cli_config)
        return !cli_given(cli, "sample") && !cli_given(cli, "markdown");
    return cli->command->run != cli_completion && cli->command->run != cli_man;
}
