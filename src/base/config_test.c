#include "config.h"
#include "arena.h"
#include "check.h"
#include "config_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/weir-config-test-XXXXXX";

static const char *write_file(const char *name, const char *content)
{
    static char path[200];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    fclose(file);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"weir.ini", "other.ini", "secret"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[200];
        (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    return rmdir(folder);
}

/* Flags and variables separated by spaces. */
static bool load(const char *flags, const char *variables, struct arena *arena,
                 struct config **config, struct status *st)
{
    const char *flag_list[16], *variable_list[16] = {NULL};
    size_t flags_count = 0, variables_count = 0;
    struct text rest = text_of(flags), piece;
    while (text_split(&rest, ' ', &piece))
        flag_list[flags_count++] = arena_cstr(arena, piece);
    rest = text_of(variables);
    while (text_split(&rest, ' ', &piece))
        variable_list[variables_count++] = arena_cstr(arena, piece);
    variable_list[variables_count] = NULL;
    const struct config_input input = {flag_list, flags_count, variable_list};
    return config_load(&input, arena, config, st);
}

static void table(void **state)
{
    (void)state;
    size_t count = 0, place;
    for (const struct config_group *group = config_groups; group->title != NULL; group++) {
        for (const struct config_setting *row = group->settings; row->name != NULL; row++) {
            check_case(row->name);
            assert_ptr_equal(config_row(text_of(row->name), &place), row); /* none comes twice */
            assert_int_equal(place, count++);
            assert_true(row->help[0] != '\0' && !text_ends(text_of(row->help), TEXT(".")));
            assert_true(strlen(row->name) < 64);
            assert_true((row->type == CONFIG_CHOICE) == (row->choices != NULL));
        }
    }
    assert_in_range(count, 1, CONFIG_SETTINGS_MAX);
    for (size_t kind = 0; kind < CONFIG_SECTION_KIND_COUNT; kind++) {
        size_t fields = 0;
        while (config_section_fields[kind][fields].name != NULL)
            fields++;
        assert_in_range(fields, 1, CONFIG_FIELDS_MAX);
    }
    assert_non_null(config_setting_find(TEXT("metrics-listen")));
    assert_null(config_setting_find(TEXT("metrics.listen")));
}

static void defaults(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(MIB);
    struct config *config;
    struct status st;
    const struct text *list;
    assert_true(load(NULL, "HOME=/nobody PATH=/bin", arena, &config, &st));
    assert_int_equal(config_list(config, "listen", &list), 1);
    check_text(list[0], "127.0.0.1:8080");
    assert_int_equal(config_list(config, "cors_origins_v1", &list), 0);
    check_text(config_data_folder(config), "/nobody/.local/share/weir");
    assert_int_equal(config_ms(config, "stream_max"), 900000);
    assert_int_equal(config_bytes(config, "body_max"), 8 * MIB);
    assert_false(config_bool(config, "allow_plaintext"));
    assert_false(config_is_set(config, "listen"));
    assert_true(load(NULL, "HOME=/nobody XDG_DATA_HOME=/shared", arena, &config, &st));
    check_text(config_data_folder(config), "/shared/weir");
    assert_true(load(NULL, "HOME=/nobody XDG_DATA_HOME=not/absolute", arena, &config, &st));
    check_text(config_data_folder(config), "/nobody/.local/share/weir");
    assert_true(load("--data=/d//", "HOME=/nobody WEIR_DATA=/e", arena, &config, &st));
    check_text(config_data_folder(config), "/d");
    assert_false(load(NULL, "PATH=/bin", arena, &config, &st));
    check_text(status_text(&st), "there is no data folder: set WEIR_DATA, because HOME is not set");
}

static void precedence(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(MIB);
    struct config *config;
    struct status st;
    (void)write_file("weir.ini", "workers = 1\nlog_level = warn\nruns_max = 7\n\n# end");
    const char *variables =
        arena_format(arena, "WEIR_DATA=%s WEIR_WORKERS=2 WEIR_LOG_LEVEL=error", folder).at;
    assert_true(load("--workers=3 --allow-plaintext", variables, arena, &config, &st));
    assert_int_equal(config_int(config, "workers"), 3);
    check_text(config_text(config, "log_level"), "error");
    assert_int_equal(config_int(config, "runs_max"), 7);
    assert_true(config_bool(config, "allow_plaintext"));
    struct text_buf buf = text_buf_in(arena, 64 * KIB);
    config_print(config, &buf);
    struct text page = text_buf_text(&buf);
    static const struct {
        const char *setting, *source;
    } lines[] = {
        {"workers                     = 3", "--workers"},
        {"log_level                   = error", "WEIR_LOG_LEVEL"},
        {"drain_max                   = 30s", "default"},
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct text line = arena_format(arena, "%-60s  # %s\n", lines[i].setting, lines[i].source);
        if (text_find(page, line) == page.len)
            fail_msg("no line %.*s", TEXT_ARG(line));
    }
    assert_true(text_find(page, TEXT("/weir.ini:3\n")) < page.len);
    /* Another file, and none at all. */
    const char *other = write_file("other.ini", "runs_max = 9\n");
    variables = arena_format(arena, "WEIR_DATA=%s WEIR_CONFIG=%s", folder, other).at;
    assert_true(load(NULL, variables, arena, &config, &st));
    assert_int_equal(config_int(config, "runs_max"), 9);
    assert_int_equal(config_int(config, "workers"), 0);
    assert_true(load("--config=", variables, arena, &config, &st));
    assert_int_equal(config_int(config, "runs_max"), 4);
    assert_false(load("--config=/none.ini", variables, arena, &config, &st));
    check_text(status_text(&st),
               "the configuration file: could not open /none.ini: no such file or "
               "directory");
}

static const struct {
    const char *flags, *variables, *want;
} wrong[] = {
    {"--lisen=x", "", "--lisen: unknown setting `lisen`, did you mean `listen`?"},
    {"", "WEIR_LOG_LEVLE=info",
     "WEIR_LOG_LEVLE: unknown setting `log_levle`, did you mean `log_level`?"},
    {"--something-else=1", "", "--something-else: unknown setting `something_else`"},
    {"", "WEIR_", "WEIR_: unknown setting ``"},
    {"--workers", "", "--workers: needs a value, as in --workers=…"},
    {"--workers=", "", "--workers: must be a whole number between 0 and 256"},
    {"--workers=257", "", "--workers: must be a whole number between 0 and 256"},
    {"", "WEIR_WORKERS=-1", "WEIR_WORKERS: must be a whole number between 0 and 256"},
    {"", "WEIR_WORKERS=99999999999999999999",
     "WEIR_WORKERS: must be a whole number between 0 and 256"},
    {"--log-format=xml", "", "--log-format: must be text or json, not `xml`"},
    {"--log-level=", "", "--log-level: must be debug, info, warn or error, not ``"},
    {"--allow-plaintext=maybe", "", "--allow-plaintext: must be on or off, not `maybe`"},
    {"--stream-max=15", "",
     "--stream-max: must be a duration such as 250ms, 5s, 15min, 12h or 30d, between 1s and 1d"},
    {"--stream-max=2d", "",
     "--stream-max: must be a duration such as 250ms, 5s, 15min, 12h or 30d, between 1s and 1d"},
    {"--stream-max=213503982335d", "",
     "--stream-max: must be a duration such as 250ms, 5s, 15min, 12h or 30d, between 1s and 1d"},
    {"--body-max=1KiB", "",
     "--body-max: must be a size such as 32KiB, 8MiB or 1GiB, between 4KiB and 256MiB"},
    {"--listen=a:1,,b:2", "", "--listen: must be a list with commas between its items"},
    {"--database-file=/none", "",
     "--database-file: could not open /none: no such file or directory"},
    {"--workers-file=/none", "", "--workers-file: unknown setting `workers_file`"},
    {"listen", "", "listen: expected --name=value"},
    {"--model=a\xff", "", "--model: must be UTF-8 without NUL"},
};
static void errors(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(4 * MIB);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct config *config = NULL;
        struct status st = {0};
        check_case(wrong[i].want);
        const char *variables = arena_format(arena, "HOME=/nobody %s", wrong[i].variables).at;
        assert_false(load(wrong[i].flags[0] == '\0' ? NULL : wrong[i].flags, variables, arena,
                          &config, &st));
        assert_null(config);
        assert_int_equal(st.code == STATUS_INVALID || st.code == STATUS_SYSTEM, 1);
        check_text(status_text(&st), wrong[i].want);
    }
}

static void right_values(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(MIB);
    struct config *config;
    struct status st;
    const struct text *list;
    assert_true(load("--listen=a:1,[::1]:2 --stream-max=1500ms --drain-max=0 --answer-max=2048 "
                     "--body_max=16mib --behind-tls-proxy=Yes --workers=1 --workers=2",
                     "HOME=/nobody WEIR_SERVICE_HOST=10.0.0.1 WEIR_PORT_8080_TCP=tcp://x "
                     "WEIR_DEPS_DIR=/x WEIR_TEST_LONG=1",
                     arena, &config, &st));
    assert_int_equal(config_list(config, "listen", &list), 2);
    check_text(list[1], "[::1]:2");
    assert_int_equal(config_ms(config, "stream_max"), 1500);
    assert_int_equal(config_ms(config, "drain_max"), 0);
    assert_int_equal(config_bytes(config, "answer_max"), 2048);
    assert_int_equal(config_bytes(config, "body_max"), 16 * MIB);
    assert_true(config_bool(config, "behind_tls_proxy"));
    assert_int_equal(config_int(config, "workers"), 2); /* the last one counts */
}

static void secrets(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(MIB);
    struct config *config;
    struct status st;
    const char *path = write_file("secret", "postgres://u:p@ss@h:1/db?password=x&sslmode=on\n");
    const char *variables = arena_format(arena, "HOME=/nobody WEIR_DATABASE_FILE=%s", path).at;
    assert_true(load(NULL, variables, arena, &config, &st));
    check_text(config_text(config, "database"), "postgres://u:p@ss@h:1/db?password=x&sslmode=on");
    struct text_buf buf = text_buf_in(arena, 64 * KIB);
    config_print(config, &buf);
    struct text page = text_buf_text(&buf);
    struct text hidden = TEXT("postgres://u:(hidden)@h:1/db?password=(hidden)&sslmode=on");
    assert_true(text_find(page, hidden) < page.len);
    assert_true(text_find(page, TEXT("p@ss")) == page.len);
}

static const char sections[] = "workers = 2\r\n"
                               "\n"
                               "[upstream big]\n"
                               "url = https://host/v1\n"
                               "key = \" very secret \"\n"
                               "[ model big one ]\n"
                               "  upstream=big\n"
                               "; also a comment\n"
                               "context = 4096\n"
                               "[model small]\n"
                               "path = /x = y.gguf";
static void file_sections(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(MIB);
    struct config *config;
    struct status st = {0};
    const struct config_section *found;
    if (!config_load_text(text_of(sections), TEXT("w.ini"), arena, &config, &st))
        fail_msg("%s", st.text);
    assert_int_equal(config_int(config, "workers"), 2);
    assert_int_equal(config_sections(config, CONFIG_SECTION_UPSTREAM, &found), 1);
    check_text(found[0].name, "big");
    check_text(config_section_text(&found[0], "url"), "https://host/v1");
    check_text(config_section_text(&found[0], "key"), " very secret ");
    assert_int_equal(config_sections(config, CONFIG_SECTION_MODEL, &found), 2);
    check_text(found[0].name, "big one");
    check_text(found[0].source, "w.ini:6");
    assert_int_equal(config_section_int(&found[0], "context"), 4096);
    check_text(config_section_text(&found[0], "path"), "");
    check_text(config_section_text(&found[1], "path"), "/x = y.gguf");
    assert_int_equal(config_section_int(&found[1], "context"), 0);
    struct text_buf buf = text_buf_in(arena, 64 * KIB);
    config_print(config, &buf);
    struct text page = text_buf_text(&buf);
    assert_true(
        text_find(page, TEXT("\n[upstream big]  # w.ini:3\nurl                = https://host/v1\n"
                             "key                = (hidden)\n")) < page.len);
    assert_true(text_find(page, TEXT("very secret")) == page.len);
}

static const struct {
    const char *text, *want;
} files[] = {
    {"workers 2", "f:1: expected `name = value`, `[section]` or `# comment`"},
    {"\n\nlisten=x\nlisten=y", "f:4: `listen` was set already at f:3"},
    {"worker=2", "f:1: unknown setting `worker`, did you mean `workers`?"},
    {"workers=x", "f:1: `workers`: must be a whole number between 0 and 256"},
    {"data=/x", "f:1: `data` can not stand in the file that it helps to find"},
    {"=2", "f:1: unknown setting ``"},
    {"[model]", "f:1: a section needs a name, as in [model NAME]"},
    {"[model x", "f:1: expected `]` at the end of a section's head"},
    {"[", "f:1: expected `]` at the end of a section's head"},
    {"[models x]", "f:1: unknown section `models x`: there are [model NAME] and [upstream NAME]"},
    {"[model x]\n[model y]\n[model x]", "f:3: [model x] stands already at f:1"},
    {"[model x]\nworkers=2", "f:2: unknown setting `workers`"},
    {"[model x]\npaht=2", "f:2: unknown setting `paht`, did you mean `path`?"},
    {"[model x]\ncontext=-1", "f:2: `context`: must be a whole number between 0 and 10000000"},
    {"[model x]\npath=a\npath=b", "f:3: `path` was set already at f:2"},
    {"[upstream x]\nkey_file=/none",
     "f:2: `key_file`: could not open /none: no such file or directory"},
    {"[upstream x]\nurl_file=/none", "f:2: unknown setting `url_file`"},
};
static void file_errors(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(4 * MIB);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct config *config = NULL;
        struct status st = {0};
        check_case(files[i].want);
        assert_false(config_load_text(text_of(files[i].text), TEXT("f"), arena, &config, &st));
        check_text(status_text(&st), files[i].want);
    }
    struct config *config = NULL;
    struct status st = {0};
    assert_false(config_load_text((struct text){"model=\0", 7}, TEXT("f"), arena, &config, &st));
    assert_true(config_load_text(TEXT("\xef\xbb\xbfworkers=1"), TEXT("f"), arena, &config, &st));
    struct text_buf many = text_buf_in(arena, MIB);
    for (int i = 0; i <= CONFIG_SECTIONS_MAX; i++)
        text_buf_addf(&many, "[model m%d]\n", i);
    assert_false(config_load_text(text_buf_text(&many), TEXT("f"), arena, &config, &st));
    check_text(status_text(&st), "f:65: more than 64 sections [model …]");
}

/* The sample, with every line in force, is a file that is taken and changes nothing. */
static void sample(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(4 * MIB);
    struct text_buf buf = text_buf_in(arena, 256 * KIB), bare = text_buf_in(arena, 256 * KIB);
    struct config *config;
    struct status st = {0};
    const struct text *list;
    config_print_sample(&buf);
    struct text rest = text_buf_text(&buf), line;
    while (text_split(&rest, '\n', &line)) {
        bool setting = text_starts(line, TEXT("#")) && !text_starts(line, TEXT("# "));
        text_buf_add(&bare, setting ? text_skip(line, 1) : line);
        text_buf_add(&bare, TEXT("\n"));
    }
    if (!config_load_text(text_buf_text(&bare), TEXT("sample"), arena, &config, &st))
        fail_msg("%s", st.text);
    assert_true(config_is_set(config, "listen"));
    assert_int_equal(config_list(config, "listen", &list), 1);
    assert_int_equal(config_ms(config, "stream_max"), 900000);
    buf = text_buf_in(arena, 256 * KIB);
    config_print_markdown(&buf);
    struct text page = text_buf_text(&buf);
    assert_true(text_find(page, TEXT("| `log_level` | `WEIR_LOG_LEVEL` | `debug`, `info`, `warn`, "
                                     "`error` | `info` | ")) < page.len);
    assert_false(buf.cut);
}

/* docs/configuration.md is what the tables say. */
static void documentation(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(4 * MIB);
    struct text_buf buf = text_buf_in(arena, 256 * KIB);
    struct text page;
    struct status st;
    config_print_markdown(&buf);
    if (!config_read_file(TEXT("docs/configuration.md"), MIB, arena, &page, &st))
        fail_msg("%s", st.text);
    if (!text_equal(page, text_buf_text(&buf)))
        fail_msg("run: build/release/bin/weir config --markdown >docs/configuration.md");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),         cmocka_unit_test(defaults),
        cmocka_unit_test(precedence),    cmocka_unit_test(errors),
        cmocka_unit_test(right_values),  cmocka_unit_test(secrets),
        cmocka_unit_test(file_sections), cmocka_unit_test(file_errors),
        cmocka_unit_test(sample),        cmocka_unit_test(documentation),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
