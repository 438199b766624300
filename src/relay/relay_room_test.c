#include "relay_room.h"
#include <string.h>
#include "check.h"

static const int64_t second = 1000000;
/* By their letters: asleep, starting, ready, stopping, looked at, out. */
static struct relay_room_model model(char state, uint64_t need_bytes)
{
    static const char letters[] = "asrplo";
    return (struct relay_room_model){
        .state = (enum relay_room_state)(strchr(letters, state) - letters),
        .need_bytes = need_bytes,
    };
}

static struct relay_room_model ready(uint64_t need_bytes, int64_t used_us)
{
    struct relay_room_model made = model('r', need_bytes);
    made.used_us = used_us;
    return made;
}

static struct relay_room_model wanted(uint64_t need_bytes, int64_t since_us)
{
    struct relay_room_model made = model('a', need_bytes);
    made.waiting = 1;
    made.waited_us = since_us;
    return made;
}

static struct relay_room_model eager(uint64_t need_bytes)
{
    struct relay_room_model made = model('a', need_bytes);
    made.eager = true;
    return made;
}

static struct relay_room_model pinned(struct relay_room_model made)
{
    made.pinned = true;
    return made;
}

static struct relay_room_model busy(struct relay_room_model made, int64_t calls)
{
    made.calls = calls;
    return made;
}

static const struct relay_room hundred = {
    .limit_bytes = 100, .turn_us = 10 * 1000000, .now_us = 100 * 1000000};

/* The verdicts as letters: leave, start, idle, room. */
static void check_verdicts(const struct relay_room *room, struct relay_room_model *models,
                           size_t count, const char *want)
{
    static const char letters[] = "-sir";
    char got[16] = "";
    relay_room_decide(room, models, count);
    for (size_t i = 0; i < count; i++)
        got[i] = letters[models[i].verdict];
    assert_string_equal(got, want);
}
#define CHECK_VERDICTS(room, models, want)                                                         \
    check_verdicts((room), (models), ARRAY_LEN(models), (want))

static void starts_one_after_the_other(void **state)
{
    (void)state;
    struct relay_room_model all[] = {eager(30), eager(30), pinned(eager(30)), eager(30)};
    CHECK_VERDICTS(&hundred, all, "--s-");
    struct relay_room_model next[] = {eager(30), eager(30), ready(30, 1), eager(30)};
    CHECK_VERDICTS(&hundred, next, "s---");
    next[0] = model('s', 30);
    CHECK_VERDICTS(&hundred, next, "----");
    struct relay_room_model last[] = {ready(30, 1), ready(30, 1), ready(30, 1), eager(30)};
    CHECK_VERDICTS(&hundred, last, "----");
    assert_false(last[3].eager);
    assert_true(last[3].no_room);
    struct relay_room_model looked[] = {model('l', 0), eager(30)};
    CHECK_VERDICTS(&hundred, looked, "--");
    assert_true(looked[1].eager);
}

static void a_call_starts_it_at_once(void **state)
{
    (void)state;
    struct relay_room_model models[] = {model('s', 30), wanted(30, 1), model('a', 30)};
    CHECK_VERDICTS(&hundred, models, "-s-");
}

static void the_one_used_longest_ago_makes_room(void **state)
{
    (void)state;
    struct relay_room_model models[] = {ready(40, 2), ready(40, 1), wanted(40, 1)};
    CHECK_VERDICTS(&hundred, models, "-r-");
    assert_false(models[2].no_room); /* it comes */
    models[1] = model('p', 40);      /* on its way out: nothing more goes */
    CHECK_VERDICTS(&hundred, models, "---");
    models[1] = model('a', 40);
    CHECK_VERDICTS(&hundred, models, "--s");
}

static void no_more_goes_than_is_needed(void **state)
{
    (void)state;
    struct relay_room_model models[] = {ready(10, 1), ready(80, 2), ready(5, 3), wanted(70, 1)};
    CHECK_VERDICTS(&hundred, models, "-r--");
    struct relay_room_model none[] = {ready(10, 1), busy(ready(80, 2), 1), wanted(70, 1)};
    CHECK_VERDICTS(&hundred, none, "---");
}

static void neither_pinned_nor_busy_ones_go(void **state)
{
    (void)state;
    struct relay_room room = hundred;
    room.now_us = 5 * second;
    struct relay_room_model models[] = {pinned(ready(60, 1)), busy(ready(40, 1), 2), wanted(30, 1)};
    CHECK_VERDICTS(&room, models, "---");
    assert_true(models[2].no_room);
    assert_false(models[2].never); /* its calls will end */
    models[1].pinned = true;
    CHECK_VERDICTS(&room, models, "---");
    assert_true(models[2].never);
    models[1] = model('s', 40);
    CHECK_VERDICTS(&room, models, "---");
    assert_false(models[2].never); /* it may go when it is there */
    struct relay_room_model both[] = {wanted(60, 2), wanted(60, 1)};
    CHECK_VERDICTS(&room, both, "-s");
    assert_true(both[0].no_room);
    assert_false(both[0].never);
    struct relay_room_model large[] = {wanted(200, 1)};
    CHECK_VERDICTS(&room, large, "-");
    assert_true(large[0].never);
}

static void calls_that_wait_long_get_their_turn(void **state)
{
    (void)state;
    struct relay_room room = hundred;
    struct relay_room_model models[] = {busy(ready(60, 99 * second), 3), wanted(60, 95 * second)};
    CHECK_VERDICTS(&room, models, "--");
    assert_false(models[0].held);
    room.now_us = 106 * second;
    CHECK_VERDICTS(&room, models, "--");
    assert_true(models[0].held);
    models[0].calls = 0; /* what it had is done; others wait for it already */
    models[0].waiting = 4;
    CHECK_VERDICTS(&room, models, "r-");
    models[0] = busy(ready(60, 99 * second), 3);
    models[0].ready_us = 100 * second; /* it has just had its turn begun */
    CHECK_VERDICTS(&room, models, "--");
    assert_false(models[0].held);
    models[0].ready_us = 0;
    models[1].waiting = 0; /* nobody waits any more */
    CHECK_VERDICTS(&room, models, "--");
    assert_false(models[0].held);
}

static void idle_ones_are_unloaded_when_that_is_set(void **state)
{
    (void)state;
    struct relay_room room = hundred;
    struct relay_room_model models[] = {ready(10, 50 * second), pinned(ready(10, 1)),
                                        busy(ready(10, 1), 1), ready(10, 95 * second)};
    CHECK_VERDICTS(&room, models, "----");
    room.idle_us = 10 * second;
    CHECK_VERDICTS(&room, models, "i---");
}

static void what_is_free_counts_without_a_limit(void **state)
{
    (void)state;
    struct relay_room room = {.free_bytes = 50, .turn_us = second, .now_us = 1};
    struct relay_room_model alone[] = {wanted(80, 1)};
    CHECK_VERDICTS(&room, alone, "s"); /* nothing else is there: it is tried */
    struct relay_room_model second_one[] = {ready(40, 1), wanted(80, 1)};
    CHECK_VERDICTS(&room, second_one, "r-");
    struct relay_room_model two[] = {busy(ready(40, 1), 1), wanted(30, 1), wanted(30, 2)};
    CHECK_VERDICTS(&room, two, "-s-");
    room.free_bytes = UINT64_MAX;
    CHECK_VERDICTS(&room, two, "-ss");
}

static void pinned_ones_make_room_for_themselves(void **state)
{
    (void)state;
    struct relay_room_model models[] = {ready(60, 1), pinned(model('a', 60))};
    CHECK_VERDICTS(&hundred, models, "r-");
    models[0].calls = 1;
    CHECK_VERDICTS(&hundred, models, "--");
    assert_true(models[1].no_room);
    assert_false(models[0].held); /* nobody waits for it */
    struct relay_room_model both[] = {pinned(ready(60, 1)), pinned(eager(60))};
    CHECK_VERDICTS(&hundred, both, "--");
    assert_true(both[1].never);
    assert_false(both[1].eager); /* nothing to wait for at the start */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_one_after_the_other),
        cmocka_unit_test(a_call_starts_it_at_once),
        cmocka_unit_test(the_one_used_longest_ago_makes_room),
        cmocka_unit_test(no_more_goes_than_is_needed),
        cmocka_unit_test(neither_pinned_nor_busy_ones_go),
        cmocka_unit_test(calls_that_wait_long_get_their_turn),
        cmocka_unit_test(idle_ones_are_unloaded_when_that_is_set),
        cmocka_unit_test(what_is_free_counts_without_a_limit),
        cmocka_unit_test(pinned_ones_make_room_for_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
