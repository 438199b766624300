#include "ids.h"
#include "check.h"
#include "clock.h"

#include <unistd.h>

static void making(void **state)
{
    (void)state;
    struct id a = ids_new("usr_");
    assert_int_equal(ids_text(&a).len, IDS_BYTES);
    assert_true(ids_valid(ids_text(&a), "usr_"));
    assert_false(ids_valid(ids_text(&a), "org_"));
    usleep(2000);
    struct id b = ids_new("usr_");
    assert_true(text_compare(ids_text(&a), ids_text(&b)) < 0); /* sorts by time */
}

/* The digits hold the time: read them back by a decoder of the test's own. */
static void time_in_front(void **state)
{
    (void)state;
    static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";
    int64_t before = clock_wall_us() / 1000;
    struct id id = ids_new("req_");
    int64_t after = clock_wall_us() / 1000;
    int64_t ms = 0; /* 48 bits in the first 10 digits, which hold 50 less the two that are zero */
    for (int i = 0; i < 10; i++)
        ms = ms * 32 + (strchr(alphabet, id.bytes[IDS_PREFIX_BYTES + i]) - alphabet);
    assert_true(ms >= before && ms <= after);
}

static void unique(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    static struct id ids[COUNT];
    char last = 0;
    for (size_t i = 0; i < COUNT; i++) {
        ids[i] = ids_new("key_");
        last |= (char)(ids[i].bytes[IDS_BYTES - 1] ^ ids[0].bytes[IDS_BYTES - 1]);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(ids[i].bytes, ids[k].bytes);
    }
    assert_int_not_equal(last, 0); /* the last digit varies */
}

static const struct {
    const char *name, *text;
    bool valid;
} shapes[] = {
    {"lowest", "usr_00000000000000000000000000", true},
    {"highest", "usr_7zzzzzzzzzzzzzzzzzzzzzzzzz", true},
    {"over 128 bits", "usr_80000000000000000000000000", false},
    {"too short", "usr_0000000000000000000000000", false},
    {"too long", "usr_000000000000000000000000000", false},
    {"capital", "usr_0000000000000000000000000A", false},
    {"a letter that is not in the alphabet", "usr_0000000000000000000000000l", false},
    {"another prefix", "org_00000000000000000000000000", false},
    {"SQL", "usr_0000000000000000000000000'", false},
    {"empty", "", false},
};
static void valid(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        check_case(shapes[i].name);
        assert_int_equal(ids_valid(text_of(shapes[i].text), "usr_"), shapes[i].valid);
    }
    assert_false(ids_valid((struct text){"usr_0000000000000000000000000\0", IDS_BYTES}, "usr_"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(making),
        cmocka_unit_test(time_in_front),
        cmocka_unit_test(unique),
        cmocka_unit_test(valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
