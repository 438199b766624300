/* config_print: what the tables say, for people: the settings in force, the reference, the sample.
 */
#include "arena.h"
#include "config_internal.h"

#include <inttypes.h>

static void print_value(const struct config_setting *setting, const struct config_value *value,
                        struct text_buf *buf);
static void print_masked_url(struct text url, struct text_buf *buf);
static void print_section(const struct config_section *section, struct text_buf *buf);
static void markdown_rows(const struct config_setting *rows, bool environment,
                          struct text_buf *buf);
static void markdown_type(const struct config_setting *setting, struct text_buf *buf);
static void upper(const char *name, struct text_buf *buf);
static void capital(const char *sentence, struct text_buf *buf);
static void sample_rows(const struct config_setting *rows, struct text_buf *buf);

void config_print(const struct config *config, struct text_buf *buf)
{
    size_t place = 0;
    for (const struct config_group *group = config_groups; group->title != NULL; group++) {
        for (const struct config_setting *row = group->settings; row->name != NULL; row++) {
            const struct config_value *value = &config->values[place++];
            size_t start = buf->len;
            text_buf_addf(buf, "%-27s = ", row->name);
            print_value(row, value, buf);
            while (buf->len - start < 60 && !buf->cut)
                text_buf_add(buf, TEXT(" "));
            if (value->source.len > 0)
                text_buf_addf(buf, "  # %.*s\n", TEXT_ARG(value->source));
            else
                text_buf_add(buf, TEXT("  # default\n"));
        }
    }
    for (size_t kind = 0; kind < CONFIG_SECTION_KIND_COUNT; kind++) {
        for (size_t i = 0; i < config->sections_count[kind]; i++)
            print_section(&config->sections[kind][i], buf);
    }
}

void config_print_markdown(struct text_buf *buf)
{
    text_buf_add(
        buf,
        TEXT("# Configuration\n\n"
             "<!-- Written by `weir config --markdown` from src/base/config_table.c: change it "
             "there. -->\n\n"
             "A setting `name` can stand in the configuration file (`name = value`), in the "
             "environment (`WEIR_NAME`) and on the command line (`--name=value`); each goes over "
             "the one before. `weir config` shows what is in force, and from where. The file is "
             "the one that `WEIR_CONFIG` names, else `weir.ini` in the data folder, when there is "
             "one; `weir config --sample` prints one to start from. A setting that nobody knows is "
             "an error.\n\n"
             "Durations are written `250ms`, `5s`, `15min`, `12h`, `30d`; sizes `32KiB`, `8MiB`, "
             "`1GiB`; lists with commas.\n"));
    for (const struct config_group *group = config_groups; group->title != NULL; group++) {
        text_buf_addf(buf,
                      "\n## %s\n\n| setting | variable | type | default | what it does |\n"
                      "| --- | --- | --- | --- | --- |\n",
                      group->title);
        markdown_rows(group->settings, true, buf);
    }
    text_buf_add(buf, TEXT("\n## Sections of the file\n"));
    for (size_t kind = 0; kind < CONFIG_SECTION_KIND_COUNT; kind++) {
        text_buf_addf(buf,
                      "\n`[%s NAME]`: %s.\n\n| field | type | default | what it does |\n"
                      "| --- | --- | --- | --- |\n",
                      config_section_names[kind], config_section_helps[kind]);
        markdown_rows(config_section_fields[kind], false, buf);
    }
}

void config_print_sample(struct text_buf *buf)
{
    text_buf_add(buf,
                 TEXT("# weir.ini: every setting with its default. Lines without `#` in front "
                      "are in force.\n# The environment (WEIR_NAME) and flags (--name=value) go "
                      "over this file.\n"));
    for (const struct config_group *group = config_groups; group->title != NULL; group++) {
        text_buf_addf(buf, "\n# ---- %s ----\n", group->title);
        sample_rows(group->settings, buf);
    }
    for (size_t kind = 0; kind < CONFIG_SECTION_KIND_COUNT; kind++) {
        text_buf_addf(buf, "\n# ---- %s ----\n#[%s NAME]\n", config_section_helps[kind],
                      config_section_names[kind]);
        sample_rows(config_section_fields[kind], buf);
    }
}

static void print_value(const struct config_setting *setting, const struct config_value *value,
                        struct text_buf *buf)
{
    if ((setting->flags & CONFIG_SECRET) != 0 && value->raw.len > 0)
        text_buf_add(buf, TEXT("(hidden)"));
    else if ((setting->flags & CONFIG_PASSWORD) != 0)
        print_masked_url(value->raw, buf);
    else
        text_buf_add(buf, value->raw);
}

/* postgres://user:secret@host/db?password=secret&x=1: both places where a password may stand. */
static void print_masked_url(struct text url, struct text_buf *buf)
{
    size_t scheme = text_find(url, TEXT("://"));
    struct text authority = text_skip(url, scheme + 3);
    authority = text_take(authority, text_find_byte(authority, '/'));
    size_t at = authority.len;
    while (at > 0 && authority.at[at - 1] != '@')
        at--;
    size_t colon = text_find_byte(text_take(authority, at), ':');
    if (at > 0 && colon < at) {
        text_buf_add(buf, text_take(url, scheme + 3 + colon + 1));
        text_buf_add(buf, TEXT("(hidden)@"));
        url = text_skip(url, scheme + 3 + at);
    }
    size_t password = text_find(url, TEXT("password="));
    if (password < url.len) {
        text_buf_add(buf, text_take(url, password));
        text_buf_add(buf, TEXT("password=(hidden)"));
        url = text_skip(url, password);
        url = text_skip(url, text_find_byte(url, '&'));
    }
    text_buf_add(buf, url);
}

static void print_section(const struct config_section *section, struct text_buf *buf)
{
    const struct config_setting *fields = config_section_fields[section->kind];
    text_buf_addf(buf, "\n[%s %.*s]  # %.*s\n", config_section_names[section->kind],
                  TEXT_ARG(section->name), TEXT_ARG(section->source));
    for (size_t i = 0; fields[i].name != NULL; i++) {
        if (section->values[i].source.len == 0)
            continue;
        text_buf_addf(buf, "%-18s = ", fields[i].name);
        print_value(&fields[i], &section->values[i], buf);
        text_buf_add(buf, TEXT("\n"));
    }
}

static void markdown_rows(const struct config_setting *rows, bool environment, struct text_buf *buf)
{
    for (; rows->name != NULL; rows++) {
        text_buf_addf(buf, "| `%s` | ", rows->name);
        if (environment) {
            text_buf_add(buf, TEXT("`WEIR_"));
            upper(rows->name, buf);
            text_buf_add(buf, TEXT("` | "));
        }
        markdown_type(rows, buf);
        if (rows->fallback[0] != '\0')
            text_buf_addf(buf, " | `%s` | ", rows->fallback);
        else
            text_buf_add(buf, TEXT(" | | "));
        capital(rows->help, buf);
        text_buf_add(buf, TEXT("."));
        if ((rows->flags & (CONFIG_SECRET | CONFIG_PASSWORD)) != 0)
            text_buf_addf(buf, " Can be read from a file: `%s_file`.", rows->name);
        if ((rows->flags & CONFIG_START) != 0)
            text_buf_add(buf, TEXT(" Not in the file itself."));
        text_buf_add(buf, TEXT(" |\n"));
    }
}

static void markdown_type(const struct config_setting *setting, struct text_buf *buf)
{
    struct text rest, choice;
    char memory[40];
    switch (setting->type) {
    case CONFIG_TEXT:
        text_buf_add(buf, TEXT("text"));
        break;
    case CONFIG_LIST:
        text_buf_add(buf, TEXT("list"));
        break;
    case CONFIG_INT:
        text_buf_addf(buf, "%" PRId64 " to %" PRId64, setting->min, setting->max);
        break;
    case CONFIG_BOOL:
        text_buf_add(buf, TEXT("on, off"));
        break;
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        text_buf_add(buf, config_value_written(setting, setting->min, memory, sizeof(memory)));
        text_buf_add(buf, TEXT(" to "));
        text_buf_add(buf, config_value_written(setting, setting->max, memory, sizeof(memory)));
        break;
    case CONFIG_CHOICE:
        rest = text_of(setting->choices);
        while (text_split(&rest, '|', &choice))
            text_buf_addf(buf, "`%.*s`%s", TEXT_ARG(choice), rest.at != NULL ? ", " : "");
        break;
    case CONFIG_TYPE_COUNT:
        WEIR_ASSERT(setting->type < CONFIG_TYPE_COUNT);
    }
}

static void upper(const char *name, struct text_buf *buf)
{
    for (; *name != '\0'; name++) {
        char c = (char)(*name >= 'a' && *name <= 'z' ? *name - ('a' - 'A') : *name);
        text_buf_add(buf, (struct text){&c, 1});
    }
}

static void capital(const char *sentence, struct text_buf *buf)
{
    char first =
        (char)(sentence[0] >= 'a' && sentence[0] <= 'z' ? sentence[0] - ('a' - 'A') : sentence[0]);
    text_buf_add(buf, (struct text){&first, 1});
    text_buf_add(buf, text_skip(text_of(sentence), 1));
}

static void sample_rows(const struct config_setting *rows, struct text_buf *buf)
{
    for (; rows->name != NULL; rows++) {
        if ((rows->flags & CONFIG_START) != 0)
            continue;
        text_buf_add(buf, TEXT("# "));
        capital(rows->help, buf);
        text_buf_add(buf, TEXT("."));
        if (rows->type == CONFIG_CHOICE)
            text_buf_addf(buf, " One of %s.", rows->choices);
        text_buf_addf(buf, "\n#%s = %s\n", rows->name, rows->fallback);
    }
}
