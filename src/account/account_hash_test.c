/* Passwords being hashed: a few at a time, some waiting, the others told to come later. */
#include "account_internal.h"
#include "account_test_world.h"
#include "check.h"
#include "clock.h"
#include "fiber.h"
#include "loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sodium.h>
#include <string.h>

static struct hash_gate gate;

static void gate_open(int max, int waiting, int memory_kib)
{
    memset(&gate, 0, sizeof(gate));
    hash_gate_open(&gate, &(struct account_options){.hashes_max = max,
                                                    .hashes_waiting_max = waiting,
                                                    .hash_passes = 1,
                                                    .hash_memory_kib = memory_kib});
}

static void right_and_wrong(void **state)
{
    (void)state;
    struct status st = {0};
    char one[HASH_BYTES_MAX], two[HASH_BYTES_MAX];
    bool right, weak;
    gate_open(1, 1, 64);
    assert_true(hash_make(&gate, TEXT("secret"), one, &st));
    assert_true(hash_make(&gate, TEXT("secret"), two, &st));
    assert_string_not_equal(one, two); /* salted */
    assert_int_equal(strncmp(one, "$argon2id$v=19$m=64,t=1,p=1$", 28), 0);
    assert_true(hash_check(&gate, TEXT("secret"), text_of(one), &right, &weak, &st));
    assert_true(right && !weak);
    static const char *const others[] = {"", "Secret", "secre", "secret "};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        assert_true(hash_check(&gate, text_of(others[i]), text_of(one), &right, &weak, &st));
        assert_false(right || weak);
    }
    assert_true(hash_check(&gate, TEXT("secret"), TEXT_NONE, &right, &weak, &st));
    assert_false(right);
    assert_true(hash_check(&gate, TEXT("secret"), TEXT("not a hash"), &right, &weak, &st));
    assert_false(right);
    hash_gate_close(&gate);
}

/* What we make unless told otherwise is what the standard asks for. */
static void strong(void **state)
{
    (void)state;
    struct status st = {0};
    char hash[HASH_BYTES_MAX];
    memset(&gate, 0, sizeof(gate));
    hash_gate_open(&gate, &(struct account_options){0});
    assert_true(hash_make(&gate, TEXT("secret"), hash, &st));
    assert_int_equal(strncmp(hash, "$argon2id$v=19$m=65536,t=3,p=1$", 31), 0);
    hash_gate_close(&gate);
}

static _Atomic int made, refused, cut;

static void one_hash(void *arg)
{
    struct status st = {0};
    char hash[HASH_BYTES_MAX];
    (void)arg;
    if (hash_make(&gate, TEXT("secret"), hash, &st)) {
        made++;
        return;
    }
    if (st.code == STATUS_RATE_LIMITED) {
        assert_true(st.retry_after_ms > 0);
        refused++;
    } else {
        assert_int_equal(st.code, STATUS_CANCELLED);
        cut++;
    }
}

static void crowd_main(void *arg)
{
    struct status st;
    struct fiber *fibers[20];
    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(fibers); i++)
        assert_true(fiber_start_joinable(loop_current(), "hash", one_hash, NULL, &fibers[i], &st));
    for (size_t i = 0; i < ARRAY_LEN(fibers); i++)
        fiber_join(fibers[i]);
}

static void a_crowd(void **state)
{
    (void)state;
    made = refused = cut = 0;
    gate_open(2, 5, 4096);
    world_on_loop(crowd_main, NULL);
    assert_int_equal(made, 7); /* two at work and five in the queue */
    assert_int_equal(refused, 13);
    hash_gate_close(&gate);
}

static void *loop_thread(void *arg)
{
    (void)arg;
    world_on_loop(crowd_main, NULL);
    return NULL;
}

static void from_several_loops(void **state)
{
    (void)state;
    pthread_t threads[3];
    made = refused = cut = 0;
    gate_open(2, 100, 1024);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, loop_thread, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(made, 60);
    hash_gate_close(&gate);
}

/* Some give up while they wait: their places go to the others. */
static void cancel_main(void *arg)
{
    struct status st;
    struct fiber *fibers[20];
    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(fibers); i++)
        assert_true(fiber_start_joinable(loop_current(), "hash", one_hash, NULL, &fibers[i], &st));
    for (size_t i = 0; i < ARRAY_LEN(fibers); i += 3) {
        assert_true(loop_sleep(clock_deadline_ms(2), &st));
        fiber_cancel(fibers[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(fibers); i++)
        fiber_join(fibers[i]);
}

static void some_give_up(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        made = refused = cut = 0;
        gate_open(1, 100, 512);
        world_on_loop(cancel_main, NULL);
        assert_int_equal(made + cut, 20);
        assert_true(made >= 13);
        assert_int_equal(gate.running, 0);
        hash_gate_close(&gate);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_and_wrong), cmocka_unit_test(strong),
        cmocka_unit_test(a_crowd),         cmocka_unit_test(from_several_loops),
        cmocka_unit_test(some_give_up),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
