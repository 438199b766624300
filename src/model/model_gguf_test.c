#include "model_gguf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct maker {
    char bytes[4096];
    size_t len;
};

static void put(struct maker *m, const void *from, size_t size)
{
    assert_true(m->len + size <= sizeof m->bytes);
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

/* What a test changes in an otherwise good file. */
struct oddity {
    const char *name, *says; /* says NULL: good */
    uint32_t version, tensor_type, dimensions, pair_type, list_type, alignment;
    uint64_t tensors, list_count, width, height, offset, string_len;
    size_t cut;
};
static const struct oddity plain = {.name = "plain",
                                    .version = 3,
                                    .tensor_type = 2,
                                    .dimensions = 2,
                                    .pair_type = 4,
                                    .list_type = 8,
                                    .alignment = 32,
                                    .tensors = 1,
                                    .list_count = 2,
                                    .width = 64,
                                    .height = 2};

static void make(struct maker *m, const struct oddity *o)
{
    m->len = 0;
    put(m, "GGUF", 4);
    put_u32(m, o->version);
    put_u64(m, o->tensors);
    put_u64(m, 3);
    put_string(m, "general.alignment");
    put_u32(m, 4);
    put_u32(m, o->alignment);
    put_string(m, "a.number");
    put_u32(m, o->pair_type);
    put_u32(m, 7);
    put_string(m, "a.list");
    put_u32(m, 9);
    put_u32(m, o->list_type);
    put_u64(m, o->list_count);
    put_string(m, "one");
    put_u64(m, o->string_len != 0 ? o->string_len : 3);
    put(m, "two", 3);
    put_string(m, "blk.0.weight");
    put_u32(m, o->dimensions);
    put_u64(m, o->width);
    put_u64(m, o->height);
    put_u32(m, o->tensor_type);
    put_u64(m, o->offset);
    while (m->len % 32 != 0)
        put(m, "", 1);
    static const char weights[72]; /* two rows of two blocks of 18 bytes */
    put(m, weights, sizeof weights);
    m->len -= o->cut;
}

static void good_and_broken(void **state)
{
    (void)state;
    struct oddity cases[32];
    size_t count = 0;
#define CASE(name_, says_, ...)                                                                    \
    do {                                                                                           \
        struct oddity *o = &cases[count++];                                                        \
        *o = plain;                                                                                \
        o->name = (name_);                                                                         \
        o->says = (says_);                                                                         \
        __VA_ARGS__;                                                                               \
    } while (0)
    CASE("good", NULL, (void)0);
    CASE("version 1", "version is 1", o->version = 1);
    CASE("byte order", "version is 50331648", o->version = 0x03000000);
    CASE("no tensors", "no weights", o->tensors = 0);
    CASE("2^60 tensors", "broken", o->tensors = 1ULL << 60);
    CASE("one tensor too many", "cut short", o->tensors = 2);
    CASE("unknown value type", "type 13", o->pair_type = 13);
    CASE("list in a list", "list of type 9", o->list_type = 9);
    CASE("2^61 strings", "cut short", o->list_count = 1ULL << 61);
    CASE("2^63 numbers", "cut short", o->list_type = 10; o->list_count = 1ULL << 63);
    CASE("string past the end", "cut short", o->string_len = 1 << 20);
    CASE("string of 2^64-1", "cut short", o->string_len = UINT64_MAX);
    CASE("5 dimensions", "dimensions", o->dimensions = 5);
    CASE("dimension 0", "dimension", o->height = 0);
    CASE("dimensions overflow", "dimension", o->width = 1ULL << 40; o->height = 1ULL << 40);
    CASE("bytes overflow", "cut short", o->width = 1ULL << 62; o->height = 1; o->tensor_type = 27);
    CASE("half a block", "row of 48", o->width = 48);
    CASE("withdrawn type", "unknown type 4", o->tensor_type = 4);
    CASE("type 1000", "unknown type 1000", o->tensor_type = 1000);
    CASE("offset not aligned", "offset", o->offset = 8);
    CASE("offset past the end", "cut short", o->offset = 1ULL << 50);
    CASE("offset overflows", "cut short", o->offset = UINT64_MAX - 31);
    CASE("alignment 0", "alignment", o->alignment = 0);
    CASE("alignment 24", "alignment", o->alignment = 24);
    CASE("last byte missing", "cut short", o->cut = 1);
#undef CASE
    for (size_t i = 0; i < count; i++) {
        struct maker m;
        struct status st = {0};
        make(&m, &cases[i]);
        bool ok = model_gguf_check_bytes((struct text){m.bytes, m.len}, m.len, &st);
        if (ok != (cases[i].says == NULL) || (!ok && strstr(st.text, cases[i].says) == NULL))
            fail_msg("%s: %s", cases[i].name, ok ? "accepted" : st.text);
    }
}

static void cut_anywhere(void **state)
{
    (void)state;
    struct maker m;
    make(&m, &plain);
    for (size_t len = 0; len < m.len; len++) {
        struct status st = {0};
        assert_false(model_gguf_check_bytes((struct text){m.bytes, len}, len, &st));
        assert_int_equal(st.code, STATUS_INVALID);
    }
}

static void files(void **state)
{
    (void)state;
    struct status st = {0};
    char path[] = "/tmp/weir_gguf_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_false(model_gguf_check(path, &st));
    assert_non_null(strstr(st.text, "not a GGUF file"));
    assert_non_null(strstr(st.text, path));
    struct maker m;
    make(&m, &plain);
    assert_int_equal(write(fd, m.bytes, m.len), m.len);
    assert_true(model_gguf_check(path, &st));
    assert_int_equal(ftruncate(fd, (off_t)m.len - 1), 0);
    assert_false(model_gguf_check(path, &st));
    close(fd);
    unlink(path);
    assert_false(model_gguf_check(path, &st));
    assert_int_equal(st.code, STATUS_NOT_FOUND);
    assert_false(model_gguf_check("/tmp", &st));
    assert_int_equal(st.code, STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_and_broken),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
