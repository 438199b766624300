/* The default model, cut off and damaged, as weir sees it: each file is good or one clear sentence.
 * What the model's library makes of those that still look good is tests/test_damaged_models.py's.
 * WEIR_TEST_SEED sets where the damage is; it is printed. */
#include "check.h"
#include "model_gguf.h"
#include "model_kind.h"
#include <gguf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/stat.h>

enum { CUTS = 4096, FLIPS = 1000, TENSOR_BYTES = 16 * 1024, BITS_MAX = 8 };

static struct {
    char path[32];
    int fd;
    char *header; /* the real one, without the weights */
    size_t header_len;
    uint64_t file_bytes;
    uint64_t random;
} damaged;

static uint64_t draw(uint64_t below)
{
    damaged.random ^= damaged.random << 13;
    damaged.random ^= damaged.random >> 7;
    damaged.random ^= damaged.random << 17;
    return damaged.random % below;
}

static void write_at(const void *from, size_t size, size_t at)
{
    assert_int_equal(pwrite(damaged.fd, from, size, (off_t)at), size);
}

/* The header and, of the weights, only the room. */
static int set_up(void **state)
{
    (void)state;
    const char *seed = getenv("WEIR_TEST_SEED");
    damaged.random = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    print_message("WEIR_TEST_SEED=%llu\n", (unsigned long long)damaged.random);
    damaged.random = damaged.random * 2 + 1; /* never 0 */
    struct gguf_context *whole =
        gguf_init_from_file(WEIR_TEST_MODEL, (struct gguf_init_params){true, NULL});
    struct stat facts;
    int model = open(WEIR_TEST_MODEL, O_RDONLY | O_CLOEXEC);
    if (whole == NULL || model < 0 || fstat(model, &facts) != 0)
        return -1;
    damaged.header_len = gguf_get_data_offset(whole);
    damaged.file_bytes = (uint64_t)facts.st_size;
    gguf_free(whole);
    damaged.header = malloc(damaged.header_len);
    bool read = damaged.header != NULL &&
                pread(model, damaged.header, damaged.header_len, 0) == (ssize_t)damaged.header_len;
    close(model);
    strcpy(damaged.path, "/tmp/weir_damaged_XXXXXX");
    damaged.fd = mkstemp(damaged.path);
    return read && damaged.fd >= 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    close(damaged.fd);
    unlink(damaged.path);
    free(damaged.header);
    return 0;
}

static void clear_sentence(const struct status *st, const char *path)
{
    assert_int_equal(st->code, STATUS_INVALID);
    assert_true(strlen(st->text) > 10 && strchr(st->text, '\n') == NULL);
    if (path != NULL)
        assert_non_null(strstr(st->text, path));
}

/* As bytes of exactly that length, so that reading one too many is seen, and as a file. */
static void every_cut_of_4_kib(void **state)
{
    (void)state;
    assert_true(damaged.header_len > CUTS);
    assert_int_equal(ftruncate(damaged.fd, 0), 0);
    write_at(damaged.header, CUTS, 0);
    for (size_t len = CUTS + 1; len-- > 0;) {
        struct status st = {0};
        char *bytes = malloc(len > 0 ? len : 1);
        assert_non_null(bytes);
        memcpy(bytes, damaged.header, len);
        bool good = model_gguf_check_bytes((struct text){bytes, len}, len, &st);
        free(bytes);
        assert_false(good);
        clear_sentence(&st, NULL);
        assert_int_equal(ftruncate(damaged.fd, (off_t)len), 0);
        assert_false(model_kind_check(damaged.path, &st));
        clear_sentence(&st, damaged.path);
    }
}

/* Most where the counts and sizes are: the first keys, and the list of tensors. */
static size_t draw_place(void)
{
    switch (draw(10)) {
    case 0:
    case 1:
    case 2:
    case 3:
        return draw(CUTS);
    case 4:
        return draw(24);
    case 5:
    case 6:
    case 7:
        return damaged.header_len - TENSOR_BYTES + draw(TENSOR_BYTES);
    default:
        return draw(damaged.header_len);
    }
}

static void random_flips(void **state)
{
    (void)state;
    size_t good = 0;
    assert_int_equal(ftruncate(damaged.fd, (off_t)damaged.file_bytes), 0);
    write_at(damaged.header, damaged.header_len, 0);
    char *bytes = malloc(damaged.header_len);
    assert_non_null(bytes);
    memcpy(bytes, damaged.header, damaged.header_len);
    for (size_t i = 0; i < FLIPS; i++) {
        size_t places[BITS_MAX], count = 1 + draw(draw(2) == 0 ? 1 : BITS_MAX);
        for (size_t k = 0; k < count; k++) {
            places[k] = draw_place();
            bytes[places[k]] = (char)(bytes[places[k]] ^ 1 << draw(8));
            write_at(&bytes[places[k]], 1, places[k]);
        }
        struct status st = {0}, of_file = {0};
        struct text start = {bytes, damaged.header_len};
        bool is_good = model_gguf_check_bytes(start, damaged.file_bytes, &st);
        bool is_good_file = model_kind_check(damaged.path, &of_file);
        if (!is_good)
            clear_sentence(&st, NULL);
        if (!is_good_file)
            clear_sentence(&of_file, damaged.path);
        assert_true(is_good_file ||
                    !is_good); /* what is wanted of the weights is cut for one alone */
        good += is_good_file;
        for (size_t k = 0; k < count; k++) {
            bytes[places[k]] = damaged.header[places[k]];
            write_at(&bytes[places[k]], 1, places[k]);
        }
    }
    free(bytes);
    print_message("%zu of %d still look like a model\n", good, FLIPS);
    assert_in_range(good, FLIPS / 20, FLIPS - FLIPS / 20); /* else it is not damage that is tried */
    assert_true(model_kind_check(damaged.path, &(struct status){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_of_4_kib),
        cmocka_unit_test(random_flips),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
