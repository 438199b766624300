#include "config.h"
#include "arena.h"
#include "config_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Variables that begin with WEIR_ and are no settings: those of our own scripts and tests, and
 * those that Kubernetes gives every container of a namespace that has a service called weir. */
static const char *const other_variables[] = {"WEIR_DEPS_DIR", "WEIR_FUZZ_SECONDS", "WEIR_BIN",
                                              "WEIR_REPORT",   "WEIR_CACHE",        "WEIR_ROOT"},
                         *const other_prefixes[] = {"WEIR_TEST_", "WEIR_BENCH_", "WEIR_SERVICE_",
                                                    "WEIR_PORT"};

static struct config *config_defaults(struct arena *arena);
static bool read_environment(struct config *config, const struct config_input *input,
                             bool start_only, struct arena *arena, struct status *st);
static bool read_flags(struct config *config, const struct config_input *input, bool start_only,
                       struct arena *arena, struct status *st);
static bool read_file(struct config *config, struct arena *arena, struct status *st);
static bool find_data_folder(struct config *config, const struct config_input *input,
                             struct arena *arena, struct status *st);
static bool set(struct config *config, struct text name, struct text raw, struct text source,
                bool start_only, struct arena *arena, struct status *st);
static struct text environment(const struct config_input *input, const char *name);
static bool is_other_variable(struct text name);
static struct text underscored(struct text name, struct arena *arena);
static size_t distance(struct text a, struct text b);
static const struct config_value *value_of(const struct config *config, const char *name,
                                           unsigned types);
static const struct config_value *field_of(const struct config_section *section, const char *name,
                                           unsigned types);

bool config_load(const struct config_input *input, struct arena *arena, struct config **out,
                 struct status *st)
{
    struct config *config = config_defaults(arena);
    /* First only where the file is; then the file; then all that goes over it. */
    if (!read_environment(config, input, true, arena, st) ||
        !read_flags(config, input, true, arena, st) ||
        !find_data_folder(config, input, arena, st) || !read_file(config, arena, st) ||
        !read_environment(config, input, false, arena, st) ||
        !read_flags(config, input, false, arena, st))
        return false;
    *out = config;
    return true;
}

bool config_load_text(struct text text, struct text name, struct arena *arena, struct config **out,
                      struct status *st)
{
    struct config *config = config_defaults(arena);
    if (!config_file_read(config, text, name, arena, st))
        return false;
    *out = config;
    return true;
}

const struct config_setting *config_setting_find(struct text name)
{
    char copy[64];
    if (name.len >= sizeof(copy))
        return NULL;
    for (size_t i = 0; i < name.len; i++)
        copy[i] = name.at[i] == '-' ? '_' : name.at[i];
    size_t place;
    return config_row((struct text){copy, name.len}, &place);
}

const struct config_setting *config_row(struct text name, size_t *place)
{
    *place = 0;
    for (const struct config_group *group = config_groups; group->title != NULL; group++) {
        for (const struct config_setting *row = group->settings; row->name != NULL; row++) {
            if (text_equal(name, text_of(row->name)))
                return row;
            ++*place;
        }
    }
    return NULL;
}

const struct config_setting *config_match(const struct config_setting *rows, struct text name,
                                          bool *by_file)
{
    struct text suffix = TEXT("_file");
    size_t place;
    for (int with_suffix = 0; with_suffix < 2; with_suffix++) {
        const struct config_setting *found = NULL;
        if (with_suffix == 1 && !text_ends(name, suffix))
            return NULL;
        struct text base = with_suffix == 1 ? text_take(name, name.len - suffix.len) : name;
        if (rows == NULL)
            found = config_row(base, &place);
        for (size_t i = 0; rows != NULL && found == NULL && rows[i].name != NULL; i++) {
            if (text_equal(base, text_of(rows[i].name)))
                found = &rows[i];
        }
        *by_file = with_suffix == 1;
        if (found != NULL &&
            (with_suffix == 0 || (found->flags & (CONFIG_SECRET | CONFIG_PASSWORD)) != 0))
            return found;
    }
    return NULL;
}

bool config_fail_unknown(struct status *st, struct text name, const struct config_setting *rows)
{
    const char *nearest = NULL;
    size_t best = name.len / 4 + 2; /* what differs more is no typing error */
    name = text_take(name, 60);
    for (const struct config_group *group = config_groups; group->title != NULL; group++) {
        const struct config_setting *row = rows != NULL ? rows : group->settings;
        for (; row->name != NULL; row++) {
            size_t far = distance(name, text_of(row->name));
            if (far < best) {
                best = far;
                nearest = row->name;
            }
        }
    }
    if (nearest == NULL)
        return status_fail(st, STATUS_INVALID, "unknown setting `%.*s`", TEXT_ARG(name));
    return status_fail(st, STATUS_INVALID, "unknown setting `%.*s`, did you mean `%s`?",
                       TEXT_ARG(name), nearest);
}

bool config_read_file(struct text path, size_t bytes_max, struct arena *arena, struct text *out,
                      struct status *st)
{
    FILE *file = fopen(arena_cstr(arena, path), "re");
    if (file == NULL)
        return status_fail_errno(st, errno, "could not open %.*s", TEXT_ARG(path));
    struct text_buf buf = text_buf_in(arena, bytes_max);
    char piece[4096];
    size_t got;
    do {
        got = fread(piece, 1, sizeof(piece), file);
        text_buf_add(&buf, (struct text){piece, got});
    } while (got == sizeof(piece) && !buf.cut);
    int error = ferror(file) ? errno : 0;
    fclose(file);
    if (error != 0)
        return status_fail_errno(st, error, "could not read %.*s", TEXT_ARG(path));
    if (buf.cut)
        return status_fail(st, STATUS_TOO_LARGE, "%.*s has more than %zu bytes", TEXT_ARG(path),
                           bytes_max);
    *out = text_buf_text(&buf);
    return true;
}

struct text config_text(const struct config *config, const char *name)
{
    return value_of(config, name, 1u << CONFIG_TEXT | 1u << CONFIG_CHOICE)->raw;
}

int64_t config_int(const struct config *config, const char *name)
{
    return value_of(config, name, 1u << CONFIG_INT)->number;
}

bool config_bool(const struct config *config, const char *name)
{
    return value_of(config, name, 1u << CONFIG_BOOL)->number != 0;
}

int64_t config_ms(const struct config *config, const char *name)
{
    return value_of(config, name, 1u << CONFIG_DURATION)->number;
}

size_t config_bytes(const struct config *config, const char *name)
{
    return (size_t)value_of(config, name, 1u << CONFIG_SIZE)->number;
}

size_t config_list(const struct config *config, const char *name, const struct text **out)
{
    const struct config_value *value = value_of(config, name, 1u << CONFIG_LIST);
    *out = value->list;
    return value->list_count;
}

bool config_is_set(const struct config *config, const char *name)
{
    return value_of(config, name, ~0u)->source.len > 0;
}

struct text config_data_folder(const struct config *config)
{
    return config_text(config, "data");
}

size_t config_sections(const struct config *config, enum config_section_kind kind,
                       const struct config_section **out)
{
    WEIR_ASSERT((unsigned)kind < CONFIG_SECTION_KIND_COUNT);
    *out = config->sections[kind];
    return config->sections_count[kind];
}

struct text config_section_text(const struct config_section *section, const char *name)
{
    return field_of(section, name, 1u << CONFIG_TEXT | 1u << CONFIG_CHOICE)->raw;
}

size_t config_section_list(const struct config_section *section, const char *name,
                           const struct text **out)
{
    const struct config_value *value = field_of(section, name, 1u << CONFIG_LIST);
    *out = value->list;
    return value->list_count;
}

int64_t config_section_int(const struct config_section *section, const char *name)
{
    return field_of(section, name, 1u << CONFIG_INT)->number;
}

bool config_section_bool(const struct config_section *section, const char *name)
{
    return field_of(section, name, 1u << CONFIG_BOOL)->number != 0;
}

int64_t config_section_ms(const struct config_section *section, const char *name)
{
    return field_of(section, name, 1u << CONFIG_DURATION)->number;
}

static struct config *config_defaults(struct arena *arena)
{
    struct config *config = ARENA_NEW(arena, struct config);
    size_t place = 0;
    for (const struct config_group *group = config_groups; group->title != NULL; group++) {
        for (const struct config_setting *row = group->settings; row->name != NULL; row++) {
            struct status st;
            WEIR_ASSERT(place < CONFIG_SETTINGS_MAX);
            bool good = config_value_set(row, text_of(row->fallback), TEXT_NONE, arena,
                                         &config->values[place++], &st);
            WEIR_ASSERT(good);
        }
    }
    return config;
}

static bool read_environment(struct config *config, const struct config_input *input,
                             bool start_only, struct arena *arena, struct status *st)
{
    for (size_t i = 0; input->environment != NULL && input->environment[i] != NULL; i++) {
        struct text raw = text_of(input->environment[i]);
        struct text variable = text_take(raw, text_find_byte(raw, '='));
        if (!text_starts(variable, TEXT("WEIR_")) || is_other_variable(variable))
            continue;
        raw = text_skip(raw, variable.len + 1);
        char *name = arena_cstr(arena, text_skip(variable, 5));
        for (char *c = name; *c != '\0'; c++)
            *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + ('a' - 'A') : *c);
        if (!set(config, text_of(name), raw, variable, start_only, arena, st))
            return status_wrap(st, "%.*s", TEXT_ARG(text_take(variable, 80)));
    }
    return true;
}

static bool read_flags(struct config *config, const struct config_input *input, bool start_only,
                       struct arena *arena, struct status *st)
{
    for (size_t i = 0; i < input->flags_count; i++) {
        struct text flag = text_of(input->flags[i]);
        struct text name = text_take(flag, text_find_byte(flag, '='));
        struct text raw = text_skip(flag, name.len + 1);
        if (!text_starts(name, TEXT("--")))
            return status_fail(st, STATUS_INVALID, "%.*s: expected --name=value",
                               TEXT_ARG(text_take(flag, 80)));
        struct text plain = underscored(text_skip(name, 2), arena);
        const struct config_setting *setting = config_setting_find(plain);
        if (name.len == flag.len && setting != NULL) {
            if (setting->type != CONFIG_BOOL)
                return status_fail(st, STATUS_INVALID, "%.*s: needs a value, as in %.*s=…",
                                   TEXT_ARG(name), TEXT_ARG(name));
            raw = TEXT("on");
        }
        if (!set(config, plain, raw, name, start_only, arena, st))
            return status_wrap(st, "%.*s", TEXT_ARG(text_take(name, 80)));
    }
    return true;
}

/* The one that was named must be there; the one in the data folder may be. */
static bool read_file(struct config *config, struct arena *arena, struct status *st)
{
    bool named = config_is_set(config, "config");
    struct text path = config_text(config, "config"), text;
    if (named && path.len == 0)
        return true; /* WEIR_CONFIG= : without any file */
    if (!named)
        path = arena_format(arena, "%.*s/weir.ini", TEXT_ARG(config_data_folder(config)));
    FILE *file = named ? NULL : fopen(arena_cstr(arena, path), "re");
    if (!named && file == NULL && (errno == ENOENT || errno == ENOTDIR))
        return true;
    if (file != NULL)
        fclose(file);
    if (!config_read_file(path, CONFIG_FILE_BYTES_MAX, arena, &text, st))
        return status_wrap(st, "the configuration file");
    return config_file_read(config, text, path, arena, st);
}

static bool find_data_folder(struct config *config, const struct config_input *input,
                             struct arena *arena, struct status *st)
{
    size_t place;
    const struct config_setting *row = config_row(TEXT("data"), &place);
    struct config_value *value = &config->values[place];
    struct text shared = environment(input, "XDG_DATA_HOME"), home = environment(input, "HOME");
    if (value->raw.len > 0) {
        while (value->raw.len > 1 && value->raw.at[value->raw.len - 1] == '/')
            value->raw.len--;
        return true;
    }
    struct text path;
    if (shared.len > 0 && shared.at[0] == '/') /* others are to be ignored, the XDG rules say */
        path = arena_format(arena, "%.*s/weir", TEXT_ARG(shared));
    else if (home.len > 0)
        path = arena_format(arena, "%.*s/.local/share/weir", TEXT_ARG(home));
    else
        return status_fail(st, STATUS_INVALID,
                           "there is no data folder: set WEIR_DATA, because HOME is not set");
    return config_value_set(row, path, TEXT_NONE, arena, value, st);
}

/* `start_only`: the others are left for later, errors among them too. */
static bool set(struct config *config, struct text name, struct text raw, struct text source,
                bool start_only, struct arena *arena, struct status *st)
{
    bool by_file;
    size_t place;
    const struct config_setting *setting = config_match(NULL, name, &by_file);
    if (start_only && (setting == NULL || (setting->flags & CONFIG_START) == 0))
        return true;
    if (setting == NULL)
        return config_fail_unknown(st, name, NULL);
    (void)config_row(text_of(setting->name), &place);
    if (!start_only && (setting->flags & CONFIG_START) != 0)
        return true; /* is set, and the folder's default filled in */
    if (by_file) {
        if (!config_read_file(raw, CONFIG_SECRET_BYTES_MAX, arena, &raw, st))
            return false;
        raw = text_trim(raw);
    }
    return config_value_set(setting, raw, arena_text(arena, source), arena, &config->values[place],
                            st);
}

static struct text environment(const struct config_input *input, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; input->environment != NULL && input->environment[i] != NULL; i++) {
        const char *entry = input->environment[i];
        if (strncmp(entry, name, len) == 0 && entry[len] == '=')
            return text_of(entry + len + 1);
    }
    return TEXT_NONE;
}

static bool is_other_variable(struct text name)
{
    for (size_t i = 0; i < ARRAY_LEN(other_variables); i++) {
        if (text_equal(name, text_of(other_variables[i])))
            return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(other_prefixes); i++) {
        if (text_starts(name, text_of(other_prefixes[i])))
            return true;
    }
    return false;
}

static struct text underscored(struct text name, struct arena *arena)
{
    char *copy = arena_cstr(arena, name);
    for (char *c = copy; *c != '\0'; c++)
        *c = (char)(*c == '-' ? '_' : *c);
    return text_of(copy);
}

/* How many characters must be put in, left out or changed (Levenshtein). Both are short. */
static size_t distance(struct text a, struct text b)
{
    size_t row[65];
    WEIR_ASSERT(b.len < ARRAY_LEN(row));
    for (size_t k = 0; k <= b.len; k++)
        row[k] = k;
    for (size_t i = 1; i <= a.len; i++) {
        size_t before = row[0];
        row[0] = i;
        for (size_t k = 1; k <= b.len; k++) {
            size_t change = before + (a.at[i - 1] == b.at[k - 1] ? 0 : 1);
            before = row[k];
            size_t one = (row[k] < row[k - 1] ? row[k] : row[k - 1]) + 1;
            row[k] = one < change ? one : change;
        }
    }
    return row[b.len];
}

static const struct config_value *value_of(const struct config *config, const char *name,
                                           unsigned types)
{
    size_t place;
    const struct config_setting *row = config_row(text_of(name), &place);
    WEIR_ASSERT(row != NULL && (types & 1u << row->type) != 0);
    return &config->values[place];
}

static const struct config_value *field_of(const struct config_section *section, const char *name,
                                           unsigned types)
{
    const struct config_setting *fields = config_section_fields[section->kind];
    size_t i = 0;
    while (fields[i].name != NULL && strcmp(fields[i].name, name) != 0)
        i++;
    WEIR_ASSERT(fields[i].name != NULL && (types & 1u << fields[i].type) != 0);
    return &section->values[i];
}
