#include "api.h"
#include "arena.h"
#include "check.h"
#include "cli_internal.h"

#include <stdio.h>
#include <unistd.h>

static bool make(struct arena *arena, const char *file, struct api_options *options,
                 struct status *st)
{
    struct cli cli = {.arena = arena};
    const struct cli_store store = {.lock = NULL};
    if (!config_load_text(text_of(file), TEXT("w.ini"), arena, &cli.config, st))
        fail_msg("%s", st->text);
    return cli_api_options(&cli, &store, options, st);
}

static void defaults(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(4 * MIB);
    struct api_options options;
    struct status st;
    assert_true(make(arena, "", &options, &st));
    assert_int_equal(options.listen_count, 1);
    check_text(options.listen[0], "127.0.0.1:8080");
    assert_int_equal(options.stream_max_ms, 900000);
    assert_int_equal(options.models_count, 0);
    assert_false(options.plain_anywhere);
    assert_true(text_ends(options.infer_path, TEXT("/weir-infer")) &&
                options.infer_path.at[0] == '/');
    assert_true(make(arena, "drain_max = 0", &options, &st));
    assert_int_equal(options.drain_max_ms, 1); /* 0 would be taken for the default */
}

static void sections(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(4 * MIB);
    struct api_options options;
    struct status st = {0};
    char cwd[500];
    assert_non_null(getcwd(cwd, sizeof(cwd)));
    if (!make(arena,
              "model = models/Smol LM.Q4.gguf\n"
              "listen = unix:/x, 127.0.0.1:1\n"
              "[upstream big]\nurl = https://h/v1\nkey = k\n"
              "[model large]\nupstream = big\nupstream_model = gpt\ncontext = 100\n"
              "[model small]\npath = /abs/x.gguf\nname = Small one\n",
              &options, &st))
        fail_msg("%s", st.text);
    assert_int_equal(options.listen_count, 2);
    assert_int_equal(options.upstreams_count, 1);
    check_text(options.upstreams[0].api_key, "k");
    assert_int_equal(options.models_count, 3);
    check_text(options.models[0].id, "Smol-LM.Q4");
    check_text(options.models[0].path, arena_format(arena, "%s/models/Smol LM.Q4.gguf", cwd).at);
    check_text(options.models[1].upstream_model, "gpt");
    assert_int_equal(options.models[1].context_tokens, 100);
    check_text(options.models[2].path, "/abs/x.gguf");
    check_text(options.models[2].name, "Small one");
}

static const struct {
    const char *file, *want;
} wrong[] = {
    {"[model a]\n", "w.ini:1: [model a]: needs either `path` or `upstream`"},
    {"[model a]\npath=x\nupstream=y", "w.ini:1: [model a]: needs either `path` or `upstream`"},
    {"[model a]\nupstream=y", "w.ini:1: [model a]: there is no section [upstream y]"},
    {"\n[upstream u]\n", "w.ini:2: [upstream u] needs `url`"},
    {"model=/a.gguf\n[model a]\npath=x",
     "w.ini:2: [model a]: the setting `model` has the same name"},
    {"tls_key=x", "tls_certificate and tls_key need each other"},
    {"listen=1,2,3,4,5,6,7,8,9", "listen has more than 8 items"},
};
static void errors(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(4 * MIB);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct api_options options;
        struct status st = {0};
        check_case(wrong[i].want);
        assert_false(make(arena, wrong[i].file, &options, &st));
        check_text(status_text(&st), wrong[i].want);
    }
}

static void model_names(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(MIB);
    check_text(cli_model_name(TEXT("/m/SmolLM2-135M.Q4_1.gguf"), arena), "SmolLM2-135M.Q4_1");
    check_text(cli_model_name(TEXT("x.GGUF"), arena), "x");
    check_text(cli_model_name(TEXT("a/\xc3\xa9 b"), arena), "m--b");
    check_text(cli_model_name(TEXT(".gguf"), arena), "mgguf");
    check_text(cli_model_name(TEXT("/m/"), arena), "model");
    char large[300];
    memset(large, 'x', sizeof(large));
    assert_int_equal(cli_model_name((struct text){large, sizeof(large)}, arena).len, 100);
}

static void database_url(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(MIB);
    struct cli cli = {.arena = arena};
    struct status st;
    struct text path;
    assert_true(
        config_load_text(TEXT("database = sqlite:/x/y.db"), TEXT("f"), arena, &cli.config, &st));
    check_text(cli_database_url(&cli, &path), "sqlite:/x/y.db");
    check_text(path, "/x/y.db");
    assert_true(config_load_text(TEXT("database = /x/y.db"), TEXT("f"), arena, &cli.config, &st));
    check_text(cli_database_url(&cli, &path), "sqlite:/x/y.db");
    assert_true(
        config_load_text(TEXT("database = postgres://h/d"), TEXT("f"), arena, &cli.config, &st));
    check_text(cli_database_url(&cli, &path), "postgres://h/d");
    check_text(path, "");
    assert_true(config_load_text(TEXT(""), TEXT("f"), arena, &cli.config, &st));
    check_text(cli_database_url(&cli, &path), "sqlite:/weir.db"); /* no data folder here */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),    cmocka_unit_test(sections),     cmocka_unit_test(errors),
        cmocka_unit_test(model_names), cmocka_unit_test(database_url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
