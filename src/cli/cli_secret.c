/* cli_secret: a password from a file, from standard input or from the terminal; never from the
 * command line, which others on the machine can see. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include "arena.h"
#include "cli.h"

enum { SECRET_BYTES_MAX = 4096 };

static bool read_stream(FILE *file, struct text name, struct arena *arena, struct text *out,
                        struct status *st);
static bool ask(const char *question, struct arena *arena, struct text *out, struct status *st);

bool cli_read_secret(struct cli *cli, const char *flag, const char *question, struct text *out,
                     struct status *st)
{
    struct text path = cli_value(cli, flag);
    if (path.at == NULL && isatty(STDIN_FILENO))
        return ask(question, cli->arena, out, st);
    if (path.at == NULL)
        return status_fail(st, STATUS_INVALID, "--%s is needed where there is no terminal", flag);
    if (text_equal(path, TEXT("-")))
        return read_stream(stdin, TEXT("standard input"), cli->arena, out, st);
    FILE *file = fopen(arena_cstr(cli->arena, path), "re");
    if (file == NULL)
        return status_fail_errno(st, errno, "could not open %.*s", TEXT_ARG(path));
    bool good = read_stream(file, path, cli->arena, out, st);
    fclose(file);
    return good;
}

static bool read_stream(FILE *file, struct text name, struct arena *arena, struct text *out,
                        struct status *st)
{
    char buffer[SECRET_BYTES_MAX + 1];
    size_t len = fread(buffer, 1, sizeof(buffer), file);
    if (ferror(file))
        return status_fail_errno(st, errno, "could not read %.*s", TEXT_ARG(name));
    if (len == sizeof(buffer))
        return status_fail(st, STATUS_INVALID, "%.*s has more than %d bytes", TEXT_ARG(name),
                           SECRET_BYTES_MAX);
    /* An editor ends a file with a new line; nothing else is taken off. */
    if (len > 0 && buffer[len - 1] == '\n')
        len--;
    if (len > 0 && buffer[len - 1] == '\r')
        len--;
    if (len == 0)
        return status_fail(st, STATUS_INVALID, "%.*s is empty", TEXT_ARG(name));
    *out = arena_text(arena, (struct text){buffer, len});
    return true;
}

/* Twice, since nobody sees what they type. */
static bool ask(const char *question, struct arena *arena, struct text *out, struct status *st)
{
    struct termios before, silent;
    char lines[2][SECRET_BYTES_MAX] = {"", ""};
    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return status_fail_errno(st, errno, "could not ask for the password");
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    bool read = true;
    for (int i = 0; i < 2 && read; i++) {
        fprintf(stderr, "%s%s: ", question, i == 0 ? "" : ", again");
        read = fgets(lines[i], sizeof(lines[i]), stdin) != NULL;
        fputc('\n', stderr);
        lines[i][strcspn(lines[i], "\r\n")] = '\0';
    }
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    if (!read || lines[0][0] == '\0')
        return status_fail(st, STATUS_INVALID, "there is no password");
    if (strcmp(lines[0], lines[1]) != 0)
        return status_fail(st, STATUS_INVALID, "the two passwords differ");
    *out = arena_text(arena, text_of(lines[0]));
    return true;
}
