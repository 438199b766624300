#include "status.h"
#include "check.h"

#include <errno.h>

static void failing(void **state)
{
    (void)state;
    struct status st = {.retry_after_ms = 5, .field = "old"};
    assert_false(status_fail(&st, STATUS_NOT_FOUND, "no thread %s", "thr_1"));
    assert_int_equal(st.code, STATUS_NOT_FOUND);
    check_text(status_text(&st), "no thread thr_1");
    assert_string_equal(st.field, "");
    assert_int_equal(st.retry_after_ms, 0);
    assert_false(status_fail_field(&st, STATUS_INVALID, "messages[2].role", "must be a text"));
    assert_string_equal(st.field, "messages[2].role");
    status_clear(&st);
    assert_int_equal(st.code, STATUS_OK);
    check_text(status_text(&st), "");
    assert_string_equal(st.field, "");
}

static void from_errno(void **state)
{
    (void)state;
    struct status st;
    assert_false(status_fail_errno(&st, EACCES, "could not open %s", "/x"));
    assert_int_equal(st.code, STATUS_SYSTEM);
    check_text(status_text(&st), "could not open /x: permission denied");
    (void)status_fail_errno(&st, 98765, "could not jump");
    check_text(status_text(&st), "could not jump: error 98765");
}

static void wrapping(void **state)
{
    (void)state;
    struct status st;
    (void)status_fail_field(&st, STATUS_INVALID, "name", "is empty");
    st.retry_after_ms = 9;
    assert_false(status_wrap(&st, "could not read %s", "thr_9"));
    check_text(status_text(&st), "could not read thr_9: is empty");
    assert_int_equal(st.code, STATUS_INVALID);
    assert_string_equal(st.field, "name");
    assert_int_equal(st.retry_after_ms, 9);
    (void)status_wrap(&st, "again (%s)", st.text); /* of itself */
    check_text(status_text(&st),
               "again (could not read thr_9: is empty): could not read thr_9: is empty");
    (void)status_fail_field(&st, STATUS_LIMIT, st.field, "%s", st.text);
    check_text(status_text(&st),
               "again (could not read thr_9: is empty): could not read thr_9: is empty");
    assert_string_equal(st.field, "name");
}

/* Whatever the offset, the cut falls between two characters. */
static void cutting(void **state)
{
    (void)state;
    char long_text[3 * STATUS_TEXT_BYTES_MAX + 1];
    for (size_t i = 0; i < STATUS_TEXT_BYTES_MAX; i++)
        memcpy(long_text + 3 * i, "\xe2\x82\xac", 3);
    long_text[sizeof(long_text) - 1] = '\0';
    for (int offset = 0; offset < 4; offset++) {
        struct status st;
        (void)status_fail_field(&st, STATUS_INVALID, long_text, "%.*s%s", offset, "abc", long_text);
        assert_true(text_utf8_valid(status_text(&st)));
        assert_true(status_text(&st).len >= STATUS_TEXT_BYTES_MAX - 4);
        assert_true(text_utf8_valid(text_of(st.field)));
        assert_true(strlen(st.field) >= STATUS_FIELD_BYTES_MAX - 4);
        (void)status_wrap(&st, "%.*s", offset, "abc");
        assert_true(text_utf8_valid(status_text(&st)));
        (void)status_wrap(&st, "%s", long_text);
        assert_true(text_utf8_valid(status_text(&st)));
    }
}

static void names(void **state)
{
    (void)state;
    for (int i = 0; i < STATUS_COUNT; i++)
        assert_true(strlen(status_code_name((enum status_code)i)) > 0);
    assert_string_equal(status_code_name(STATUS_NO_MONEY), "no_money");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing), cmocka_unit_test(from_errno), cmocka_unit_test(wrapping),
        cmocka_unit_test(cutting), cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
