#include "model_kind.h"
#include "check.h"
#include "model_onnx_files.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/weir-kind-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[8][512];
    static unsigned turn;
    char *to = path[turn++ % 8];
    (void)snprintf(to, 512, "%s/%s", folder, name);
    return to;
}

static void write_file(const char *name, const void *bytes, size_t size)
{
    FILE *file = fopen(in_folder(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

struct maker {
    char bytes[1024];
    size_t len;
};
static void put(struct maker *m, const void *from, size_t size)
{
    memcpy(m->bytes + m->len, from, size);
    m->len += size;
}
static void put_u32(struct maker *m, uint32_t value)
{
    put(m, &value, sizeof value);
}
static void put_u64(struct maker *m, uint64_t value)
{
    put(m, &value, sizeof value);
}
static void put_string(struct maker *m, const char *text)
{
    put_u64(m, strlen(text));
    put(m, text, strlen(text));
}

/* One weight, the architecture and, if given, how tokens become one vector. */
static void write_gguf(const char *architecture, int pooling)
{
    struct maker m = {.len = 0};
    char key[64];
    put(&m, "GGUF", 4);
    put_u32(&m, 3);
    put_u64(&m, 1);
    put_u64(&m, pooling >= 0 ? 2 : 1);
    put_string(&m, "general.architecture");
    put_u32(&m, 8);
    put_string(&m, architecture);
    if (pooling >= 0) {
        (void)snprintf(key, sizeof key, "%s.pooling_type", architecture);
        put_string(&m, key);
        put_u32(&m, 4);
        put_u32(&m, (uint32_t)pooling);
    }
    put_string(&m, "w");
    put_u32(&m, 1);
    put_u64(&m, 8);
    put_u32(&m, 0);
    put_u64(&m, 0);
    m.len = (m.len + 31) / 32 * 32 + 32;
    write_file("m.gguf", m.bytes, m.len);
}

static void gguf_files(void **state)
{
    (void)state;
    static const struct {
        const char *architecture;
        int pooling;
        enum model_kind kind;
    } files[] = {
        {"llama", -1, MODEL_KIND_CHAT},           {"llama", 0, MODEL_KIND_CHAT},
        {"bert", -1, MODEL_KIND_EMBED_LLAMA},     {"bert", 4, MODEL_KIND_EMBED_LLAMA},
        {"qwen3", 3, MODEL_KIND_EMBED_LLAMA},     {"nomic-bert", 1, MODEL_KIND_EMBED_LLAMA},
        {"t5encoder", 1, MODEL_KIND_EMBED_LLAMA}, {"gemma3", -1, MODEL_KIND_CHAT},
    };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct status st = {0};
        enum model_kind kind = MODEL_KIND_COUNT;
        check_case(files[i].architecture);
        write_gguf(files[i].architecture, files[i].pooling);
        if (!model_kind_of(in_folder("m.gguf"), &kind, &st))
            fail_msg("%s", st.text);
        assert_int_equal(kind, files[i].kind);
    }
    struct status st = {0};
    write_text("m.gguf", "not at all");
    assert_false(model_kind_check(in_folder("m.gguf"), &st));
    assert_false(model_kind_check(in_folder("absent.gguf"), &st));
    assert_int_equal(st.code, STATUS_NOT_FOUND);
}

static void check_onnx(const char *name, const char *says)
{
    struct status st = {0};
    enum model_kind kind = MODEL_KIND_COUNT;
    bool ok = model_kind_of(in_folder(name), &kind, &st);
    assert_true(ok == (says == NULL));
    if (ok)
        assert_int_equal(kind, MODEL_KIND_EMBED_ONNX);
    else if (strstr(st.text, says) == NULL)
        fail_msg("%s: %s", name, st.text);
}

static void onnx_folders(void **state)
{
    (void)state;
    assert_int_equal(mkdir(in_folder("mini"), 0700), 0);
    check_onnx("mini", "holds no model.onnx");
    check_onnx("mini/model.onnx", "there is no model file");
    write_text("mini/model.onnx", "");
    check_onnx("mini", "is empty");
    write_text("mini/model.onnx", "x");
    check_onnx("mini", "no tokenizer.json or vocab.txt");
    write_text("mini/vocab.txt", "[UNK]\n[CLS]\n[SEP]\na\n");
    check_onnx("mini", NULL);
    check_onnx("mini/", NULL);
    check_onnx("mini/model.onnx", NULL);
    assert_int_equal(rename(in_folder("mini/model.onnx"), in_folder("mini/m")), 0);
    assert_int_equal(mkdir(in_folder("mini/onnx"), 0700), 0);
    assert_int_equal(rename(in_folder("mini/m"), in_folder("mini/onnx/model.onnx")), 0);
    check_onnx("mini", NULL);
    check_onnx("mini/onnx/model.onnx", NULL); /* the rest is one higher */
}

static void what_lies_beside(void **state)
{
    (void)state;
    struct model_onnx_files files;
    struct model_onnx_setup setup;
    static const struct {
        const char *config, *pooling, *says; /* says NULL: good */
        enum model_pooling means;
    } cases[] = {
        {"{\"max_position_embeddings\":128}", "{\"pooling_mode_mean_tokens\":true}", NULL,
         MODEL_POOLING_MEAN},
        {"{\"max_position_embeddings\":128}",
         "{\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":false}", NULL,
         MODEL_POOLING_CLS},
        {"{\"max_position_embeddings\":128}", "{\"pooling_mode_lasttoken\":true}", NULL,
         MODEL_POOLING_LAST},
        {"{\"max_position_embeddings\":4}", "{}", "max_position_embeddings", MODEL_POOLING_COUNT},
        {"[", "{}", "config.json", MODEL_POOLING_COUNT},
        {"{}", "{}", "asks for 0 kinds", MODEL_POOLING_COUNT},
        {"{}", "{\"pooling_mode_mean_tokens\":true,\"pooling_mode_cls_token\":true}",
         "asks for 2 kinds", MODEL_POOLING_COUNT},
        {"{}", "{\"pooling_mode_max_tokens\":true}", "not known here", MODEL_POOLING_COUNT},
        {"{}", "{\"pooling_mode_mean_tokens\":1}", "1_Pooling/config.json", MODEL_POOLING_COUNT},
    };
    assert_int_equal(mkdir(in_folder("mini/1_Pooling"), 0700), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct status st = {0};
        check_case(cases[i].pooling);
        write_text("mini/config.json", cases[i].config);
        write_text("mini/1_Pooling/config.json", cases[i].pooling);
        assert_true(model_onnx_find(in_folder("mini"), &files, &st));
        bool ok = model_onnx_read(&files, &setup, &st);
        assert_true(ok == (cases[i].says == NULL));
        if (ok) {
            assert_int_equal(setup.pooling, cases[i].means);
            assert_int_equal(setup.context, 128);
            assert_int_equal(model_wordpiece_count(setup.wordpiece), 4);
            model_wordpiece_close(setup.wordpiece);
        } else if (strstr(st.text, cases[i].says) == NULL) {
            fail_msg("%s", st.text);
        }
    }
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gguf_files),
        cmocka_unit_test(onnx_folders),
        cmocka_unit_test(what_lies_beside),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
