#include "log.h"
#include "check.h"
#include "json.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static int saved_stderr, reader;
static char buffer[8192]; /* the line that was read last, whole */

static int capture_start(void **state)
{
    (void)state;
    int ends[2];
    if (pipe(ends) != 0)
        return -1;
    saved_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    reader = ends[0];
    return fcntl(reader, F_SETFL, O_NONBLOCK);
}

static int capture_end(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    return close(reader);
}

/* What was logged since the last call, less the time in front. */
static const char *logged(void)
{
    ssize_t got = read(reader, buffer, sizeof(buffer) - 1);
    buffer[got < 0 ? 0 : got] = '\0';
    char *time = strstr(buffer, "20");
    return time == NULL ? buffer : time + 24;
}

static void text_lines(void **state)
{
    (void)state;
    log_open(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    LOG_INFO("ready");
    assert_string_equal(logged(), " info  ready\n");
    LOG_WARN("upstream is not answering", LOG_CSTR("upstream", "a b"), LOG_INT("tries", -3),
             LOG_BOOL("open", true), LOG_TEXT("none", TEXT_NONE));
    assert_string_equal(
        logged(),
        " warn  upstream is not answering upstream=\"a b\" tries=-3 open=true none=\"\"\n");
    LOG_DEBUG("not wanted");
    assert_string_equal(logged(), "");
    assert_false(log_wants(LOG_LEVEL_DEBUG));
    assert_true(log_wants(LOG_LEVEL_ERROR));
}

static void json_lines(void **state)
{
    (void)state;
    log_open(LOG_LEVEL_DEBUG, LOG_FORMAT_JSON);
    LOG_DEBUG("one", LOG_CSTR("key", "va\"l"), LOG_INT("n", INT64_MIN));
    assert_string_equal(logged(), "\",\"level\":\"debug\",\"message\":\"one\",\"key\":\"va\\\"l\","
                                  "\"n\":-9223372036854775808}\n");
    struct log_scope scope = {TEXT("req_1")};
    assert_null(log_scope_set(&scope));
    LOG_ERROR("two");
    assert_string_equal(logged(),
                        "\",\"level\":\"error\",\"message\":\"two\",\"request_id\":\"req_1\"}\n");
    assert_ptr_equal(log_scope_get(), &scope);
    assert_ptr_equal(log_scope_set(NULL), &scope);
}

static const struct {
    const char *name, *value, *want;
} forged[] = {
    {"new line", "a\nb", "\"a\\u000ab\""},
    {"escape sequence", "\x1b[2J", "\"\\u001b[2J\""},
    {"C1 control", "\xc2\x9b[2J", "\"\\u009b[2J\""},
    {"delete", "\x7f", "\"\\u007f\""},
    {"invalid UTF-8", "a\xff\xc3z", "\"a\\ufffd\\ufffdz\""},
    {"cut UTF-8", "\xe2\x82", "\"\\ufffd\\ufffd\""},
    {"a second pair", "x level=error", "\"x level=error\""},
    {"UTF-8", "\xc3\xa9\xe2\x82\xac", "\"\xc3\xa9\xe2\x82\xac\""},
};
static void forgery(void **state)
{
    (void)state;
    log_open(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    for (size_t i = 0; i < ARRAY_LEN(forged); i++) {
        char want[100];
        check_case(forged[i].name);
        LOG_INFO("m", LOG_CSTR("k", forged[i].value));
        (void)snprintf(want, sizeof(want), " info  m k=%s\n", forged[i].want);
        assert_string_equal(logged(), want);
    }
}

/* A line is bounded, ends in a new line, and is JSON still. */
static void long_lines(void **state)
{
    (void)state;
    static char large[10000];
    memset(large, '\x01', sizeof(large) - 1);
    for (int format = LOG_FORMAT_TEXT; format <= LOG_FORMAT_JSON; format++) {
        log_open(LOG_LEVEL_INFO, (enum log_format)format);
        LOG_INFO("m", LOG_CSTR("a", large), LOG_CSTR("b", large), LOG_INT("c", 1));
        const char *line = logged();
        assert_true(strlen(line) < 4096);
        assert_non_null(strstr(line, "a"));
        assert_null(strstr(line, "\"c\":"));
        struct status st;
        assert_int_equal(json_check(text_of(buffer), NULL, &st), format == LOG_FORMAT_JSON);
        assert_non_null(
            strstr(line, format == LOG_FORMAT_JSON ? ",\"cut\":true}\n" : " cut=true\n"));
    }
}

static void *scope_of_another_thread(void *arg)
{
    (void)arg;
    return (void *)(uintptr_t)(log_scope_get() == NULL);
}
static void scope_per_thread(void **state)
{
    (void)state;
    struct log_scope scope = {TEXT("req_1")};
    (void)log_scope_set(&scope);
    pthread_t thread;
    void *none = NULL;
    assert_int_equal(pthread_create(&thread, NULL, scope_of_another_thread, NULL), 0);
    assert_int_equal(pthread_join(thread, &none), 0);
    assert_non_null(none);
    (void)log_scope_set(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text_lines, capture_start, capture_end),
        cmocka_unit_test_setup_teardown(json_lines, capture_start, capture_end),
        cmocka_unit_test_setup_teardown(forgery, capture_start, capture_end),
        cmocka_unit_test_setup_teardown(long_lines, capture_start, capture_end),
        cmocka_unit_test(scope_per_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
