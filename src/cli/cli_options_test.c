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
    assert_int_equal(options.relay.stream_max_ms, 900000);
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
              "[model small]\npath = /abs/x.gguf\nname = Small one\n"
              "adapters = red=/abs/red=1.gguf, blue = blue.gguf\n",
              &options, &st))
        fail_msg("%s", st.text);
    assert_int_equal(options.listen_count, 2);
    assert_int_equal(options.upstreams_count, 1);
    check_text(options.upstreams[0].api_key, "k");
    assert_int_equal(options.models_count, 5);
    check_text(options.models[3].id, "red");
    check_text(options.models[3].base, "small");
    check_text(options.models[3].path, "/abs/red=1.gguf");
    check_text(options.models[4].id, "blue");
    check_text(options.models[4].path, arena_format(arena, "%s/blue.gguf", cwd).at);
    check_text(options.models[0].id, "Smol-LM.Q4");
    check_text(options.models[0].path, arena_format(arena, "%s/models/Smol LM.Q4.gguf", cwd).at);
    check_text(options.models[1].upstream_model, "gpt");
    assert_int_equal(options.models[1].context_tokens, 100);
    check_text(options.models[2].path, "/abs/x.gguf");
    check_text(options.models[2].name, "Small one");
}

/* Every limit comes through, each with a value of its own, so that none stands for another. */
static void limits(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(4 * MIB);
    struct api_options options;
    struct status st = {0};
    static const char file[] =
        "connections_max=101\nhead_max=10002\ntarget_max=10003\nheaders_max=104\n"
        "request_memory_max=100000005\nhead_timeout=1006ms\nidle_timeout=1007ms\n"
        "body_grace=1008ms\nbody_rate_min=1009\nwrite_timeout=1010ms\n"
        "request_timeout=1011ms\nbody_max=10012\nstream_max=1013ms\ndrain_max=1014ms\n"
        "upstream_connect_timeout=1015ms\nupstream_first_byte_timeout=1016ms\n"
        "upstream_answer_timeout=1017ms\nupstream_idle_timeout=1018ms\n"
        "upstream_keepalive=1019ms\nupstream_connections_max=1020\n"
        "upstream_connections_idle=1021\nmodel_wait_max=1022ms\n"
        "model_first_byte_timeout=1023ms\nmodel_idle_timeout=1024ms\n"
        "trusted_proxies=10.0.0.0/8,unix\nproxy_header=forwarded\n";
    if (!make(arena, file, &options, &st))
        fail_msg("%s", st.text);
    assert_int_equal(options.http.connections_max, 101);
    assert_int_equal(options.http.head_bytes_max, 10002);
    assert_int_equal(options.http.target_bytes_max, 10003);
    assert_int_equal(options.http.headers_max, 104);
    assert_int_equal(options.http.arena_bytes_max, 100000005);
    assert_int_equal(options.http.head_ms, 1006);
    assert_int_equal(options.http.idle_ms, 1007);
    assert_int_equal(options.http.body_grace_ms, 1008);
    assert_int_equal(options.http.body_bytes_per_second, 1009);
    assert_int_equal(options.http.write_ms, 1010);
    assert_int_equal(options.request_max_ms, 1011);
    assert_int_equal(options.body_bytes_max, 10012);
    assert_int_equal(options.relay.stream_max_ms, 1013);
    assert_int_equal(options.drain_max_ms, 1014);
    assert_int_equal(options.relay.connect_ms, 1015);
    assert_int_equal(options.relay.first_byte_ms, 1016);
    assert_int_equal(options.relay.answer_ms, 1017);
    assert_int_equal(options.relay.idle_ms, 1018);
    assert_int_equal(options.relay.keepalive_ms, 1019);
    assert_int_equal(options.relay.connections_max, 1020);
    assert_int_equal(options.relay.connections_idle, 1021);
    assert_int_equal(options.relay.local_wait_ms, 1022);
    assert_int_equal(options.relay.local_first_byte_ms, 1023);
    assert_int_equal(options.relay.local_idle_ms, 1024);
    assert_int_equal(options.proxies_count, 2);
    check_text(options.proxies[1], "unix");
    assert_int_equal(options.proxy_header, HTTP_FORWARDED_RFC7239);
}

/* What weir-infer is started with: for every model, and for one. */
static struct text joined(struct arena *arena, const struct relay_local_args *args)
{
    struct text_buf buf = text_buf_in(arena, 64 * KIB);
    for (size_t i = 0; i < args->count; i++)
        text_buf_addf(&buf, "%s%.*s", i == 0 ? "" : " ", TEXT_ARG(args->args[i]));
    return text_buf_text(&buf);
}

static void engine(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(4 * MIB);
    struct api_options options;
    struct status st = {0};
    assert_true(make(arena, "[model a]\npath=/a.gguf\n", &options, &st));
    assert_int_equal(options.infer_args_count, 1);
    check_text(options.infer_args[0].model, "");
    check_text(
        joined(arena, &options.infer_args[0]),
        "--cache-type=f16 --flash-attention=auto --poll=50 --speculate=auto --log=info,text");
    static const char file[] =
        "infer_context=1024\ninfer_parallel=3\ninfer_queue=5\ninfer_threads=2\ninfer_batch=64\n"
        "infer_queue_tokens=77\ninfer_tenant_queue=4\ninfer_tenant_queue_tokens=66\n"
        "infer_step_target=150\ninfer_lag=88\ninfer_preempt_memory=99\n"
        "infer_prompt_budget=32\ninfer_gpu_layers=-1\ninfer_prefix_mib=-1\n"
        "infer_prefix_tenant_mib=8\ninfer_cache_type=q8_0\ninfer_poll=0\n"
        "infer_flash_attention=on\ninfer_speculate=off\n"
        "infer_lock_memory=on\nlog_level=warn\nlog_format=json\n"
        "[upstream u]\nurl=https://h/v1\n[model far]\nupstream=u\n"
        "[model b]\npath=/b.gguf\ncontext=2048\nparallel=7\nqueue=9\nthreads=1\nbatch=128\n"
        "prompt_budget=16\ngpu_layers=4\nprefix_mib=64\ncache_type=f16\n"
        "flash_attention=off\n";
    if (!make(arena, file, &options, &st))
        fail_msg("%s", st.text);
    assert_int_equal(options.infer_args_count, 2);
    check_text(joined(arena, &options.infer_args[0]),
               "--context=1024 --parallel=3 --queue=5 --queue-tokens=77 --tenant-queue=4 "
               "--tenant-queue-tokens=66 --threads=2 --batch=64 --step-target=150 "
               "--prompt-budget=32 --lag=88 --preempt-memory=99 --gpu-layers=-1 --prefix-mib=-1 "
               "--prefix-tenant-mib=8 --cache-type=q8_0 --flash-attention=on --poll=0 "
               "--speculate=off --lock-memory "
               "--log=warn,json");
    check_text(options.infer_args[1].model, "b");
    check_text(joined(arena, &options.infer_args[1]),
               "--context=2048 --parallel=7 --queue=9 --threads=1 --batch=128 --prompt-budget=16 "
               "--gpu-layers=4 --prefix-mib=64 --cache-type=f16 --flash-attention=off");
    assert_int_equal(options.models[1].context_tokens, 2048);
}

static const struct {
    const char *file, *want;
} wrong[] = {
    {"[model a]\n", "w.ini:1: [model a]: needs either `path` or `upstream`"},
    {"[model a]\npath=x\nupstream=y", "w.ini:1: [model a]: needs either `path` or `upstream`"},
    {"[model a]\nupstream=y", "w.ini:1: [model a]: there is no section [upstream y]"},
    {"\n[upstream u]\n", "w.ini:2: [upstream u] needs `url`"},
    {"model=/a.gguf\n[model a]\npath=x", "w.ini:2: [model a]: another model is called a"},
    {"infer_batch=31", "infer_batch must be 0, or at least 32"},
    {"infer_context=15", "infer_context must be 0, or at least 16"},
    {"[model a]\npath=x\ncontext=15", "w.ini:1: [model a]: context must be 0, or at least 16"},
    {"[model a]\npath=x\nbatch=1", "w.ini:1: [model a]: batch must be 0, or at least 32"},
    {"[model a]\npath=x\nadapters=b=/y,c", "w.ini:1: [model a]: `adapters` has c, which is not "
                                           "NAME=FILE"},
    {"[model a]\npath=x\nadapters=a=/y", "w.ini:1: [model a]: another model is called a"},
    {"[upstream u]\nurl=https://h/v1\n[model a]\nupstream=u\nadapters=b=/y",
     "w.ini:3: [model a]: `adapters` needs `path`"},
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
    check_text(cli_model_name(TEXT("/m/mini.onnx"), arena), "mini");
    check_text(cli_model_name(TEXT("/m/all-MiniLM-L6-v2/"), arena), "all-MiniLM-L6-v2");
    check_text(cli_model_name(TEXT("a/\xc3\xa9 b"), arena), "m--b");
    check_text(cli_model_name(TEXT(".gguf"), arena), "mgguf");
    check_text(cli_model_name(TEXT("/m/"), arena), "m");
    check_text(cli_model_name(TEXT("/"), arena), "model");
    char large[300];
    memset(large, 'x', sizeof(large));
    assert_int_equal(cli_model_name((struct text){large, sizeof(large)}, arena).len, 100);
}

static void model_titles(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(MIB);
    check_text(cli_model_title(TEXT("/m/SmolLM2-135M-Instruct.Q4_1.gguf"), arena),
               "SmolLM2 135M Instruct");
    check_text(cli_model_title(TEXT("qwen3-8b-q4_k_m.gguf"), arena), "qwen3 8b");
    check_text(cli_model_title(TEXT("gemma-3-270m-f16.gguf"), arena), "gemma 3 270m");
    check_text(cli_model_title(TEXT("phi-3.5.gguf"), arena), "phi 3.5");
    check_text(cli_model_title(TEXT("x.gguf"), arena), "x");
    check_text(cli_model_title(TEXT(""), arena), "model");
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
        cmocka_unit_test(defaults),     cmocka_unit_test(sections),
        cmocka_unit_test(errors),       cmocka_unit_test(limits),
        cmocka_unit_test(engine),       cmocka_unit_test(model_names),
        cmocka_unit_test(model_titles), cmocka_unit_test(database_url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
