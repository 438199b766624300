/* With the real model: 30 layers, 3 key and value heads of 64 numbers, trained for 8,192 tokens. */
#include "model_need.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check.h"

enum { TOKEN_BYTES = 30 * 3 * (64 + 64) * 2, COMPUTE_BYTES = 48 * 1024 * 1024 };

static uint64_t size_of(const char *path)
{
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    return (uint64_t)found.st_size;
}

static const struct {
    const char *name;
    struct model_need_options options;
    uint64_t cache;
} cases[] = {
    {"as told", {.context = 512, .parallel = 3}, (uint64_t)512 * 3 * TOKEN_BYTES},
    {"in half the memory",
     {.context = 512, .parallel = 1, .q8_0 = true},
     (uint64_t)512 * TOKEN_BYTES * 34 / 64},
    {"as usual", {0}, (uint64_t)4096 * 8 * TOKEN_BYTES},
};

static void a_model_that_writes(void **state)
{
    (void)state;
    uint64_t file = size_of(WEIR_TEST_MODEL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct model_need need;
        check_case(cases[i].name);
        assert_true(model_need_of(WEIR_TEST_MODEL, &cases[i].options, &need));
        assert_int_equal(need.kind, MODEL_KIND_CHAT);
        assert_int_equal(need.bytes, file + file / 16 + COMPUTE_BYTES + cases[i].cache);
    }
}

static void all_parts_count(void **state)
{
    (void)state;
    char folder[] = "/tmp/weir-need-XXXXXX", first[128], second[128];
    const struct model_need_options options = {.context = 1, .parallel = 1};
    struct model_need need;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(first, sizeof first, "%s/x-00001-of-00002.gguf", folder);
    (void)snprintf(second, sizeof second, "%s/x-00002-of-00002.gguf", folder);
    assert_int_equal(symlink(WEIR_TEST_MODEL, first), 0);
    assert_int_equal(symlink(WEIR_TEST_MODEL, second), 0);
    uint64_t both = 2 * size_of(WEIR_TEST_MODEL);
    assert_true(model_need_of(first, &options, &need));
    assert_int_equal(need.bytes, both + both / 16 + COMPUTE_BYTES + TOKEN_BYTES);
    assert_int_equal(unlink(first) + unlink(second) + rmdir(folder), 0);
}

static void what_is_no_model(void **state)
{
    (void)state;
    struct model_need need;
    assert_false(model_need_of("/nowhere.gguf", &(struct model_need_options){0}, &need));
    assert_int_equal(need.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_that_writes),
        cmocka_unit_test(all_parts_count),
        cmocka_unit_test(what_is_no_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
