/* config_file: the configuration file. Lines are
 *     # a comment, on a line of its own
 *     name = value            white space around both is dropped
 *     name = " value "        quotes keep it
 *     [model NAME]            what follows are fields of this section
 * Read by ourselves: the INI library that Debian has reads at most 200 bytes of a line and does not
 * tell the number of the line at fault. */
#include "arena.h"
#include "config_internal.h"

struct reader {
    struct config *config;
    struct text name;
    struct arena *arena;
    int line;
    struct config_section *section; /* NULL: before the first */
};

static bool read_line(struct reader *reader, struct text line, struct status *st);
static bool read_section(struct reader *reader, struct text head, struct status *st);
static bool read_setting(struct reader *reader, struct text name, struct text raw,
                         struct status *st);

bool config_file_read(struct config *config, struct text text, struct text name,
                      struct arena *arena, struct status *st)
{
    struct reader reader = {config, name, arena, 0, NULL};
    struct text line;
    if (text_starts(text, TEXT("\xef\xbb\xbf")))
        text = text_skip(text, 3);
    while (text_split(&text, '\n', &line)) {
        reader.line++;
        if (!read_line(&reader, text_trim(line), st))
            return status_wrap(st, "%.*s:%d", TEXT_ARG(name), reader.line);
    }
    return true;
}

static bool read_line(struct reader *reader, struct text line, struct status *st)
{
    if (line.len == 0 || line.at[0] == '#' || line.at[0] == ';')
        return true;
    if (line.at[0] == '[')
        return read_section(reader, line, st);
    size_t equals = text_find_byte(line, '=');
    if (equals == line.len)
        return status_fail(st, STATUS_INVALID,
                           "expected `name = value`, `[section]` or `# comment`");
    struct text name = text_trim(text_take(line, equals));
    struct text raw = text_trim(text_skip(line, equals + 1));
    if (raw.len >= 2 && raw.at[0] == '"' && raw.at[raw.len - 1] == '"')
        raw = (struct text){raw.at + 1, raw.len - 2};
    return read_setting(reader, name, raw, st);
}

static bool read_section(struct reader *reader, struct text head, struct status *st)
{
    if (head.at[head.len - 1] != ']')
        return status_fail(st, STATUS_INVALID, "expected `]` at the end of a section's head");
    struct text inner = text_trim((struct text){head.at + 1, head.len - 2});
    size_t space = text_find_byte(inner, ' ');
    struct text kind_name = text_take(inner, space), name = text_trim(text_skip(inner, space));
    size_t kind = 0;
    while (kind < CONFIG_SECTION_KIND_COUNT &&
           !text_equal(kind_name, text_of(config_section_names[kind])))
        kind++;
    if (kind == CONFIG_SECTION_KIND_COUNT)
        return status_fail(st, STATUS_INVALID,
                           "unknown section `%.*s`: there are [model NAME] and [upstream NAME]",
                           TEXT_ARG(text_take(inner, 40)));
    if (name.len == 0 || name.len > 128 || !text_utf8_valid(name))
        return status_fail(st, STATUS_INVALID, "a section needs a name, as in [%s NAME]",
                           config_section_names[kind]);
    struct config_section *sections = reader->config->sections[kind];
    size_t *count = &reader->config->sections_count[kind];
    for (size_t i = 0; i < *count; i++) {
        if (text_equal(sections[i].name, name))
            return status_fail(st, STATUS_INVALID, "[%s %.*s] stands already at %.*s",
                               config_section_names[kind], TEXT_ARG(name),
                               TEXT_ARG(sections[i].source));
    }
    if (*count == CONFIG_SECTIONS_MAX)
        return status_fail(st, STATUS_INVALID, "more than %d sections [%s …]", CONFIG_SECTIONS_MAX,
                           config_section_names[kind]);
    reader->section = &sections[(*count)++];
    *reader->section = (struct config_section){
        .kind = (enum config_section_kind)kind,
        .name = arena_text(reader->arena, name),
        .source = arena_format(reader->arena, "%.*s:%d", TEXT_ARG(reader->name), reader->line),
        .values = ARENA_ARRAY(reader->arena, CONFIG_FIELDS_MAX, struct config_value),
    };
    const struct config_setting *fields = config_section_fields[kind];
    for (size_t i = 0; fields[i].name != NULL; i++) {
        bool set = config_value_set(&fields[i], text_of(fields[i].fallback), TEXT_NONE,
                                    reader->arena, &reader->section->values[i], st);
        WEIR_ASSERT(set);
    }
    return true;
}

static bool read_setting(struct reader *reader, struct text name, struct text raw,
                         struct status *st)
{
    const struct config_setting *rows =
        reader->section != NULL ? config_section_fields[reader->section->kind] : NULL;
    bool by_file;
    const struct config_setting *setting = config_match(rows, name, &by_file);
    if (setting == NULL)
        return config_fail_unknown(st, name, rows);
    if ((setting->flags & CONFIG_START) != 0)
        return status_fail(st, STATUS_INVALID,
                           "`%s` can not stand in the file that it helps to find", setting->name);
    struct config_value *value;
    if (rows != NULL) {
        value = &reader->section->values[setting - rows];
    } else {
        size_t place;
        (void)config_row(text_of(setting->name), &place);
        value = &reader->config->values[place];
    }
    if (value->source.len > 0)
        return status_fail(st, STATUS_INVALID, "`%s` was set already at %.*s", setting->name,
                           TEXT_ARG(value->source));
    if (by_file) {
        if (!config_read_file(raw, CONFIG_SECRET_BYTES_MAX, reader->arena, &raw, st))
            return status_wrap(st, "`%.*s`", TEXT_ARG(name));
        raw = text_trim(raw);
    }
    struct text source =
        arena_format(reader->arena, "%.*s:%d", TEXT_ARG(reader->name), reader->line);
    if (!config_value_set(setting, raw, source, reader->arena, value, st))
        return status_wrap(st, "`%s`", setting->name);
    return true;
}
