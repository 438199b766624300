/* cli_help: what the table of commands says, for people and for shells. */
#include "cli.h"
#include "cli_internal.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH = 78 };

static void print_usage(const struct cli_command *command);
static void print_wrapped(const char *text, const char *indent);
static void print_indented(const char *lines, const char *indent);
static void man_text(const char *text);
static void complete_bash(void);
static void complete_zsh(void);
static void complete_fish(void);
static size_t first_word(const char *name);

void cli_print_help(const struct cli_command *command)
{
    if (command == NULL) {
        puts("weir: serve language models: API, accounts, keys and a web app\n\n"
             "Usage: weir COMMAND [FLAGS]\n\nCommands:");
        for (const struct cli_command *each = cli_commands; each->name != NULL; each++)
            printf("  %-15s %s\n", each->name, each->summary);
        puts(
            "\nweir COMMAND --help says more of each. Every setting (weir config) can be given as a"
            "\nflag, --name=value, or as a variable, WEIR_NAME=value.\n\nExamples:\n"
            "  weir up --model=/models/smol.gguf\n"
            "  weir key create --name laptop");
        return;
    }
    print_usage(command);
    printf("\n%c%s.\n", command->summary[0] - ('a' - 'A'), command->summary + 1);
    if (command->about != NULL) {
        putchar('\n');
        print_wrapped(command->about, "");
    }
    if (command->flags[0].name != NULL)
        puts("\nFlags:");
    for (const struct cli_flag *flag = command->flags; flag->name != NULL; flag++) {
        char left[64];
        (void)snprintf(left, sizeof(left), "--%s %s", flag->name,
                       flag->value != NULL ? flag->value : "");
        printf("  %-22s %s%s\n", left, flag->help, flag->required ? " (needed)" : "");
    }
    if (command->examples != NULL) {
        puts("\nExamples:");
        print_indented(command->examples, "  ");
    }
}

void cli_print_man(void)
{
    printf(".TH WEIR 1 \"\" \"weir %s\" \"User Commands\"\n", CLI_VERSION);
    puts(".SH NAME\nweir \\- serve language models: API, accounts, keys and a web app\n"
         ".SH SYNOPSIS\n.B weir\n.I COMMAND\n.RI [ FLAGS ]\n.SH COMMANDS");
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
        printf(".SS weir %s%s%s\n%c%s.\n", command->name, command->args != NULL ? " " : "",
               command->args != NULL ? command->args : "", command->summary[0] - ('a' - 'A'),
               command->summary + 1);
        if (command->about != NULL) {
            puts(".PP");
            man_text(command->about);
        }
        for (const struct cli_flag *flag = command->flags; flag->name != NULL; flag++) {
            printf(".TP\n.BI \\-\\-%s%s%s\n", flag->name, flag->value != NULL ? " \" \" " : "",
                   flag->value != NULL ? flag->value : "");
            man_text(flag->help);
        }
    }
    puts(".SH SETTINGS\nEach can be given as a flag (\\-\\-name=value), as a variable\n"
         "(WEIR_NAME=value) or as a line of the configuration file (name = value).");
    for (const struct config_group *group = config_groups; group->title != NULL; group++) {
        printf(".SS %s\n", group->title);
        for (const struct config_setting *row = group->settings; row->name != NULL; row++) {
            printf(".TP\n.B %s\n", row->name);
            man_text(row->help);
            if (row->fallback[0] != '\0')
                printf("(default: %s)\n", row->fallback);
        }
    }
    puts(".SH EXIT STATUS\n0 when all went well, 1 when it did not, 2 for a wrong command line.\n"
         ".SH EXAMPLES\n.nf");
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
        if (command->examples != NULL)
            man_text(command->examples);
    }
    puts(".fi");
}

bool cli_print_completion(struct text shell, struct status *st)
{
    if (text_equal(shell, TEXT("bash")))
        complete_bash();
    else if (text_equal(shell, TEXT("zsh")))
        complete_zsh();
    else if (text_equal(shell, TEXT("fish")))
        complete_fish();
    else
        return status_fail(st, STATUS_INVALID,
                           "there is completion for bash, zsh and fish, not for "
                           "`%.*s`",
                           TEXT_ARG(text_take(shell, 40)));
    return true;
}

static void print_usage(const struct cli_command *command)
{
    printf("Usage: weir %s", command->name);
    if (command->args != NULL)
        printf(" %s", command->args);
    for (const struct cli_flag *flag = command->flags; flag->name != NULL; flag++)
        printf(flag->required ? " --%s%s%s" : " [--%s%s%s]", flag->name,
               flag->value != NULL ? " " : "", flag->value != NULL ? flag->value : "");
    putchar('\n');
}

static void print_wrapped(const char *text, const char *indent)
{
    struct text rest = text_of(text), word;
    size_t column = 0;
    while (text_split(&rest, ' ', &word)) {
        if (column > 0 && column + 1 + word.len > WIDTH) {
            putchar('\n');
            column = 0;
        }
        printf("%s%.*s", column == 0 ? indent : " ", TEXT_ARG(word));
        column += word.len + (column == 0 ? strlen(indent) : 1);
    }
    putchar('\n');
}

static void print_indented(const char *lines, const char *indent)
{
    struct text rest = text_of(lines), line;
    while (text_split(&rest, '\n', &line))
        printf("%s%.*s\n", indent, TEXT_ARG(line));
}

/* A dash that is no hyphen, a backslash, and a point at the front of a line mean something. */
static void man_text(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if ((*c == '.' || *c == '\'') && (c == text || c[-1] == '\n'))
            fputs("\\&", stdout);
        if (*c == '\\')
            fputs("\\e", stdout);
        else if (*c == '-')
            fputs("\\-", stdout);
        else
            putchar(*c);
    }
    putchar('\n');
}

/* "--listen=" for those with a value. */
static void setting_words(const char *before, const char *after)
{
    for (const struct config_group *group = config_groups; group->title != NULL; group++) {
        for (const struct config_setting *row = group->settings; row->name != NULL; row++) {
            fputs(before, stdout);
            for (const char *c = row->name; *c != '\0'; c++)
                putchar(*c == '_' ? '-' : *c);
            fputs(row->type == CONFIG_BOOL ? "" : "=", stdout);
            fputs(after, stdout);
        }
    }
}

static void complete_bash(void)
{
    puts("# bash completion for weir: weir completion bash\n"
         "_weir() {\n"
         "    local cur=${COMP_WORDS[COMP_CWORD]} words='' settings");
    fputs("    settings='", stdout);
    setting_words("--", " ");
    puts("--help'\n    case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in");
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
        printf("    '%s%s) words='", command->name,
               strchr(command->name, ' ') != NULL ? "'*" : " '*");
        for (const struct cli_flag *flag = command->flags; flag->name != NULL; flag++)
            printf("--%s ", flag->name);
        if (strcmp(command->name, "completion") == 0)
            fputs("bash zsh fish", stdout);
        puts("' ;;");
    }
    puts("    esac\n    if [ \"$COMP_CWORD\" -eq 1 ]; then");
    fputs("        words='help", stdout);
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
        size_t len = first_word(command->name);
        if (command == cli_commands || strncmp(command[-1].name, command->name, len) != 0)
            printf(" %.*s", (int)len, command->name);
    }
    puts("'\n    elif [ \"$COMP_CWORD\" -eq 2 ]; then\n        case \"${COMP_WORDS[1]}\" in");
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
        size_t len = first_word(command->name);
        if (command->name[len] == ' ')
            printf("        %.*s) words=\"$words %s\" ;;&\n", (int)len, command->name,
                   command->name + len + 1);
    }
    puts("        esac\n    fi\n"
         "    case \"$cur\" in -*) words=\"$words $settings\" ;; esac\n"
         "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
         "    case \"${COMPREPLY[0]}\" in *=) compopt -o nospace ;; esac\n"
         "}\n"
         "complete -o default -F _weir weir");
}

/* zsh runs the functions of bash. */
static void complete_zsh(void)
{
    puts("#compdef weir\n# zsh completion for weir: weir completion zsh\n"
         "autoload -U +X bashcompinit && bashcompinit\n"
         "mapfile() { shift; local line; COMPREPLY=(); while IFS= read -r line; do "
         "COMPREPLY+=(\"$line\"); done; }\n"
         "compopt() { :; }");
    complete_bash();
}

static void complete_fish(void)
{
    puts("# fish completion for weir: weir completion fish\ncomplete -c weir -f");
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
        size_t len = first_word(command->name);
        if (command->name[len] == '\0')
            printf("complete -c weir -n __fish_use_subcommand -a %s -d '%s'\n", command->name,
                   command->summary);
        else
            printf("complete -c weir -n __fish_use_subcommand -a %.*s\n"
                   "complete -c weir -n '__fish_seen_subcommand_from %.*s; and test (count "
                   "(commandline -opc)) -eq 2' -a %s -d '%s'\n",
                   (int)len, command->name, (int)len, command->name, command->name + len + 1,
                   command->summary);
        for (const struct cli_flag *flag = command->flags; flag->name != NULL; flag++)
            printf("complete -c weir -n '__fish_seen_subcommand_from %.*s' -l %s%s -d '%s'\n",
                   (int)len, command->name, flag->name, flag->value != NULL ? " -r" : "",
                   flag->help);
    }
}

static size_t first_word(const char *name)
{
    return strcspn(name, " ");
}
