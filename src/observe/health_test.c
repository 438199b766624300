#include "health.h"
#include "arena.h"
#include "check.h"

static void checks(void **state)
{
    (void)state;
    AUTO(health) struct health *health = health_new();
    AUTO(arena) struct arena *arena = arena_open(MIB);
    assert_true(health_live(health));
    assert_true(health_ready(health, NULL)); /* nothing to wait for */
    struct health_check *db = health_check_new(health, TEXT("database"), true);
    struct health_check *model = health_check_new(health, TEXT("model \"x\""), false);
    assert_false(health_ready(health, NULL));
    struct text_buf buf = text_buf_in(arena, KIB);
    assert_false(health_ready(health, &buf));
    check_text(text_buf_text(&buf),
               "{\"status\":\"not ready\",\"checks\":[{\"name\":\"database\",\"ok\":false,\"why\":"
               "\"starting\"},{\"name\":\"model \\\"x\\\"\",\"ok\":false,\"why\":\"starting\"}]}");
    health_check_set(db, true, TEXT_NONE);
    health_check_set(model, false, TEXT("could not be loaded"));
    buf = text_buf_in(arena, KIB);
    assert_true(health_ready(health, &buf)); /* the model is only shown */
    check_text(text_buf_text(&buf),
               "{\"status\":\"ready\",\"checks\":[{\"name\":\"database\",\"ok\":true},{\"name\":"
               "\"model \\\"x\\\"\",\"ok\":false,\"why\":\"could not be loaded\"}]}");
    health_check_set(db, false, TEXT("is away"));
    assert_false(health_ready(health, NULL));
    health_check_free(db);
    assert_true(health_ready(health, NULL));
    health_drain(health);
    buf = text_buf_in(arena, KIB);
    assert_false(health_ready(health, &buf));
    assert_true(text_starts(text_buf_text(&buf), TEXT("{\"status\":\"draining\"")));
    assert_true(health_live(health));
}

static void ending(void **state)
{
    (void)state;
    AUTO(health) struct health *health = health_new();
    struct health_check *made[3];
    for (size_t i = 0; i < 3; i++)
        made[i] = health_check_new(health, TEXT("x"), true);
    health_check_free(made[2]); /* the last, then one is added behind */
    made[2] = health_check_new(health, TEXT("y"), true);
    health_check_free(made[0]);
    health_check_free(made[1]);
    health_check_set(made[2], true, TEXT("fine"));
    assert_true(health_ready(health, NULL));
    health_check_free(NULL);
    health_free(NULL);
}

static void odd_texts(void **state)
{
    (void)state;
    AUTO(health) struct health *health = health_new();
    AUTO(arena) struct arena *arena = arena_open(MIB);
    char large[3 * HEALTH_TEXT_BYTES_MAX];
    for (size_t i = 0; i < HEALTH_TEXT_BYTES_MAX; i++)
        memcpy(large + 3 * i, "\xe2\x82\xac", 3);
    struct health_check *check =
        health_check_new(health, (struct text){large, sizeof(large)}, true);
    health_check_set(check, false, (struct text){large, sizeof(large)});
    struct text_buf buf = text_buf_in(arena, KIB);
    assert_false(health_ready(health, &buf));
    assert_true(text_utf8_valid(text_buf_text(&buf)) && !buf.cut);
    health_check_set(check, false, TEXT("\xff\n"));
    buf = text_buf_in(arena, KIB);
    assert_false(health_ready(health, &buf));
    assert_true(text_ends(text_buf_text(&buf), TEXT("\"why\":\"(not valid UTF-8)\"}]}")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks),
        cmocka_unit_test(ending),
        cmocka_unit_test(odd_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
