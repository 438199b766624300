/* cli_print: what several commands print, and the small commands that only print. */
#include <stdio.h>
#include <string.h>
#include "arena.h"
#include "cli.h"
#include "cli_internal.h"
#include "clock.h"

enum { COLUMNS_MAX = 8, PRINTED_BYTES_MAX = 1024 * 1024 };

static size_t width_of(struct text text);

int cli_fail(const struct status *st)
{
    if (st->field[0] != '\0' && strstr(st->text, st->field) == NULL)
        fprintf(stderr, "weir: %s: %s\n", st->field, st->text);
    else
        fprintf(stderr, "weir: %s\n", st->text);
    return CLI_FAILED;
}

void cli_print_table(const struct text *cells, size_t columns, size_t rows)
{
    size_t widths[COLUMNS_MAX] = {0};
    WEIR_ASSERT(columns > 0 && columns <= COLUMNS_MAX);
    for (size_t i = 0; i < columns * rows; i++) {
        size_t width = width_of(cells[i]);
        if (width > widths[i % columns])
            widths[i % columns] = width;
    }
    for (size_t i = 0; i < columns * rows; i++) {
        bool last = i % columns == columns - 1;
        int pad = (int)(widths[i % columns] - width_of(cells[i]));
        printf("%.*s%*s%s", TEXT_ARG(cells[i]), last ? 0 : pad, "", last ? "\n" : "  ");
    }
}

struct text cli_time(struct arena *arena, int64_t us)
{
    char time[CLOCK_RFC3339_BYTES];
    if (us == 0)
        return TEXT("never");
    clock_rfc3339(us, time);
    return arena_format(arena, "%.10s %.5sZ", time, time + 11);
}

int cli_config(struct cli *cli)
{
    struct text_buf buf = text_buf_in(cli->arena, PRINTED_BYTES_MAX);
    if (cli_given(cli, "markdown"))
        config_print_markdown(&buf);
    else if (cli_given(cli, "sample"))
        config_print_sample(&buf);
    else
        config_print(cli->config, &buf);
    printf("%.*s", TEXT_ARG(text_buf_text(&buf)));
    return CLI_OK;
}

int cli_completion(struct cli *cli)
{
    struct status st;
    return cli_print_completion(text_of(cli->words[0]), &st) ? CLI_OK : cli_fail(&st);
}

int cli_man(struct cli *cli)
{
    (void)cli;
    cli_print_man();
    return CLI_OK;
}

/* Characters, each taken to be one column wide. */
static size_t width_of(struct text text)
{
    size_t width = 0;
    for (size_t i = 0; i < text.len; i++)
        width += ((unsigned char)text.at[i] & 0xC0) != 0x80;
    return width;
}
