/* cli_parse: from argv to a command with its flags. A flag with a value is `--name value` or
 * `--name=value`; what the command does not know may be a setting. */
#include "arena.h"
#include "cli.h"

#include <stdio.h>
#include <string.h>

struct args {
    char **at, **end;
};

static bool find_command(struct cli *cli, struct args *args, struct status *st);
static bool take_flag(struct cli *cli, struct args *args, struct text arg, struct status *st);
static bool take_value(struct args *args, struct text name, bool has_value, struct text *value,
                       struct status *st);
static bool check_complete(const struct cli *cli, struct status *st);
static size_t words_of(const char *list);

bool cli_parse(int argc, char **argv, struct arena *arena, struct cli *out, struct status *st)
{
    struct cli cli = {.arena = arena};
    struct args args = {argv + 1, argv + argc};
    bool flags_ended = false;
    cli.settings = ARENA_ARRAY(arena, (size_t)argc + 1, const char *);
    /* Flags may stand before the command: they are looked at once it is known. */
    if (!find_command(&cli, &args, st))
        return false;
    while (args.at < args.end) {
        struct text arg = text_of(*args.at++);
        if (!flags_ended && text_equal(arg, TEXT("--"))) {
            flags_ended = true;
        } else if (!flags_ended && text_starts(arg, TEXT("-")) && arg.len > 1) {
            if (!take_flag(&cli, &args, arg, st))
                return false;
        } else if (cli.words_count < CLI_WORDS_MAX) {
            cli.words[cli.words_count++] = arg.at;
        } else {
            return status_fail(st, STATUS_INVALID, "too many arguments: `%.*s`",
                               TEXT_ARG(text_take(arg, 80)));
        }
    }
    if (!cli.help && !cli.version && cli.command != NULL && !check_complete(&cli, st))
        return false;
    *out = cli;
    return true;
}

struct text cli_value(const struct cli *cli, const char *flag)
{
    for (size_t i = 0; cli->command->flags[i].name != NULL; i++) {
        if (strcmp(cli->command->flags[i].name, flag) == 0)
            return cli->values[i];
    }
    WEIR_ASSERT(flag == NULL);
    return TEXT_NONE;
}

bool cli_given(const struct cli *cli, const char *flag)
{
    return cli_value(cli, flag).at != NULL;
}

/* The words in front are the command's name: two of them, or one. */
static bool find_command(struct cli *cli, struct args *args, struct status *st)
{
    if (args->at == args->end || args->at[0][0] == '-')
        return true;
    const char *first = *args->at++;
    if (strcmp(first, "help") == 0) {
        cli->help = true;
        if (args->at == args->end)
            return true;
        first = *args->at++;
    }
    const char *second = args->at < args->end && args->at[0][0] != '-' ? args->at[0] : "";
    char both[64];
    (void)snprintf(both, sizeof(both), "%s %s", first, second);
    size_t first_len = strlen(first);
    bool is_group = false;
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
        if (strcmp(command->name, first) == 0)
            cli->command = command;
        if (strcmp(command->name, both) == 0) {
            cli->command = command;
            args->at++;
            return true;
        }
        is_group = is_group || (strncmp(command->name, first, first_len) == 0 &&
                                command->name[first_len] == ' ');
    }
    if (cli->command != NULL)
        return true;
    if (!is_group)
        return status_fail(st, STATUS_INVALID, "there is no command `%.40s`: see weir --help",
                           first);
    char list[200];
    struct text_out out = text_out_over(list, sizeof(list));
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
        if (strncmp(command->name, first, first_len) == 0 && command->name[first_len] == ' ')
            text_out_addf(&out, "%s%s", out.len > 0 ? ", " : "", command->name);
    }
    return status_fail(st, STATUS_INVALID, "which `weir %s`? There are: %.*s", first,
                       TEXT_ARG(text_out_text(&out)));
}

static bool take_flag(struct cli *cli, struct args *args, struct text arg, struct status *st)
{
    if (text_equal(arg, TEXT("-h")) || text_equal(arg, TEXT("--help"))) {
        cli->help = true;
        return true;
    }
    if (text_equal(arg, TEXT("-V")) || text_equal(arg, TEXT("--version"))) {
        cli->version = true;
        return true;
    }
    struct text flag = text_take(arg, text_find_byte(arg, '='));
    bool has_value = flag.len < arg.len;
    struct text name = text_skip(flag, 2), value = text_skip(arg, flag.len + 1);
    if (!text_starts(arg, TEXT("--")))
        return status_fail(st, STATUS_INVALID, "unknown flag `%.*s`", TEXT_ARG(text_take(arg, 80)));
    const struct cli_flag *known = cli->command != NULL ? cli->command->flags : NULL;
    for (size_t i = 0; known != NULL && known[i].name != NULL; i++) {
        if (!text_equal(name, text_of(known[i].name)))
            continue;
        if (known[i].value == NULL && has_value)
            return status_fail(st, STATUS_INVALID, "--%s takes no value", known[i].name);
        if (known[i].value != NULL && !take_value(args, name, has_value, &value, st))
            return false;
        cli->values[i] = known[i].value == NULL ? TEXT("on") : value;
        return true;
    }
    const struct config_setting *setting = config_setting_find(name);
    if (setting == NULL && !text_ends(name, TEXT("-file")) && !has_value)
        return status_fail(st, STATUS_INVALID, "unknown flag `%.*s`", TEXT_ARG(text_take(arg, 80)));
    /* A wrong setting is config's to tell. */
    if (setting == NULL || setting->type == CONFIG_BOOL || has_value) {
        cli->settings[cli->settings_count++] = arg.at;
        return true;
    }
    if (!take_value(args, name, has_value, &value, st))
        return false;
    cli->settings[cli->settings_count++] =
        arena_format(cli->arena, "--%.*s=%.*s", TEXT_ARG(name), TEXT_ARG(value)).at;
    return true;
}

static bool take_value(struct args *args, struct text name, bool has_value, struct text *value,
                       struct status *st)
{
    if (has_value)
        return true;
    if (args->at == args->end)
        return status_fail(st, STATUS_INVALID, "--%.*s needs a value", TEXT_ARG(name));
    *value = text_of(*args->at++);
    return true;
}

static bool check_complete(const struct cli *cli, struct status *st)
{
    const struct cli_command *command = cli->command;
    size_t wanted = words_of(command->args);
    if (cli->words_count > wanted)
        return status_fail(st, STATUS_INVALID, "weir %s: `%.80s` is one argument too many",
                           command->name, cli->words[wanted]);
    if (cli->words_count < wanted)
        return status_fail(st, STATUS_INVALID, "weir %s needs %s", command->name, command->args);
    for (size_t i = 0; command->flags[i].name != NULL; i++) {
        if (command->flags[i].required && cli->values[i].at == NULL)
            return status_fail(st, STATUS_INVALID, "weir %s needs --%s %s", command->name,
                               command->flags[i].name, command->flags[i].value);
    }
    return true;
}

static size_t words_of(const char *list)
{
    struct text rest = text_of(list), word;
    size_t count = 0;
    while (text_split(&rest, ' ', &word))
        count++;
    return count;
}
