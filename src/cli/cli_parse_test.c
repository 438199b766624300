#include "arena.h"
#include "check.h"
#include "cli.h"

/* Arguments separated by "|", so that they may hold spaces. */
static bool parse(struct arena *arena, const char *line, struct cli *cli, struct status *st)
{
    char *argv[20] = {arena_cstr(arena, TEXT("weir"))};
    int argc = 1;
    struct text rest = text_of(line), arg;
    while (line[0] != '\0' && text_split(&rest, '|', &arg))
        argv[argc++] = arena_cstr(arena, arg);
    argv[argc] = NULL;
    return cli_parse(argc, argv, arena, cli, st);
}

static void commands(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(MIB);
    struct cli cli;
    struct status st;
    assert_true(parse(arena, "up", &cli, &st));
    assert_ptr_equal(cli.command->run, cli_up);
    assert_true(parse(arena, "key|create|--name|my laptop|--expires=30d", &cli, &st));
    assert_ptr_equal(cli.command->run, cli_key_create);
    check_text(cli_value(&cli, "name"), "my laptop");
    check_text(cli_value(&cli, "expires"), "30d");
    assert_true(parse(arena, "key|revoke|key_1", &cli, &st));
    assert_string_equal(cli.words[0], "key_1");
    assert_true(parse(arena, "user|add|--owner|--email=a@b|--name=", &cli, &st));
    assert_true(cli_given(&cli, "owner") && cli_given(&cli, "name"));
    check_text(cli_value(&cli, "name"), "");
    assert_false(cli_given(&cli, "password-file"));
    assert_true(parse(arena, "key|revoke|--|--odd", &cli, &st));
    assert_string_equal(cli.words[0], "--odd");
    assert_true(parse(arena, "setup|--email|a@b|--password-file|-", &cli, &st));
    check_text(cli_value(&cli, "password-file"), "-");
}

static void help(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(MIB);
    struct cli cli;
    struct status st;
    assert_true(parse(arena, "", &cli, &st));
    assert_true(cli.command == NULL && !cli.help);
    assert_true(parse(arena, "--help", &cli, &st));
    assert_true(cli.command == NULL && cli.help);
    assert_true(parse(arena, "key|create|-h", &cli, &st)); /* though --name is missing */
    assert_true(cli.command->run == cli_key_create && cli.help);
    assert_true(parse(arena, "help|user|add", &cli, &st));
    assert_true(cli.command->run == cli_user_add && cli.help);
    assert_true(parse(arena, "help", &cli, &st));
    assert_true(cli.command == NULL && cli.help);
    assert_true(parse(arena, "--version", &cli, &st));
    assert_true(cli.version);
    assert_true(parse(arena, "-V", &cli, &st));
    assert_true(cli.version);
}

/* Settings are handed on as --name=value. */
static void settings(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(MIB);
    struct cli cli;
    struct status st;
    assert_true(parse(arena, "up|--listen|1:2|--allow-plaintext|--log-level=warn|--database-file=x",
                      &cli, &st));
    assert_int_equal(cli.settings_count, 4);
    assert_string_equal(cli.settings[0], "--listen=1:2");
    assert_string_equal(cli.settings[1], "--allow-plaintext");
    assert_string_equal(cli.settings[2], "--log-level=warn");
    assert_string_equal(cli.settings[3], "--database-file=x");
}

static const struct {
    const char *line, *want;
} wrong[] = {
    {"upp", "there is no command `upp`: see weir --help"},
    {"key", "which `weir key`? There are: key create, key list, key revoke"},
    {"key|make", "which `weir key`? There are: key create, key list, key revoke"},
    {"up|now", "weir up: `now` is one argument too many"},
    {"key|revoke", "weir key revoke needs ID"},
    {"key|revoke|a|b", "weir key revoke: `b` is one argument too many"},
    {"key|create", "weir key create needs --name NAME"},
    {"key|create|--name", "--name needs a value"},
    {"user|add|--email=x|--owner=yes", "--owner takes no value"},
    {"up|--listen", "--listen needs a value"},
    {"up|--frob", "unknown flag `--frob`"},
    {"up|-x", "unknown flag `-x`"},
    {"up|1|2|3|4|5", "too many arguments: `5`"},
};
static void errors(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(MIB);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct cli cli;
        struct status st = {0};
        check_case(wrong[i].line);
        assert_false(parse(arena, wrong[i].line, &cli, &st));
        check_text(status_text(&st), wrong[i].want);
    }
}

/* What help, man page and completion take for granted of the table. */
static void table(void **state)
{
    (void)state;
    size_t count = 0;
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
        check_case(command->name);
        count++;
        assert_true(command->summary[0] >= 'a' && command->summary[0] <= 'z');
        assert_false(text_ends(text_of(command->summary), TEXT(".")));
        assert_null(strchr(command->summary, '\''));
        assert_non_null(command->run);
        size_t flags = 0;
        for (; command->flags[flags].name != NULL; flags++)
            assert_null(strchr(command->flags[flags].help, '\''));
        assert_true(flags < CLI_FLAGS_MAX);
        for (const struct cli_command *other = cli_commands; other < command; other++)
            assert_string_not_equal(other->name, command->name);
    }
    assert_true(count > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands), cmocka_unit_test(help),  cmocka_unit_test(settings),
        cmocka_unit_test(errors),   cmocka_unit_test(table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
