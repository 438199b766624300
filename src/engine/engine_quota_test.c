#include "engine_quota.h"
#include "check.h"
#include <pthread.h>

static const struct engine_quota_limits limits = {
    .requests_max = 10, .tokens_max = 1000, .tenant_requests_max = 6, .tenant_tokens_max = 500};

static void whose_limit(void **state)
{
    (void)state;
    struct engine_quota *quota = engine_quota_new(&limits);
    struct engine_quota_share *held[10];
    assert_int_equal(engine_quota_ask(quota, 1, 6, 100), ENGINE_QUOTA_OK);
    assert_int_equal(engine_quota_ask(quota, 1, 7, 100), ENGINE_QUOTA_TENANT_FULL);
    assert_int_equal(engine_quota_ask(quota, 1, 1, 900000), ENGINE_QUOTA_OK); /* alone, any size */
    for (int i = 0; i < 6; i++)
        held[i] = engine_quota_take(quota, 1, 10);
    assert_int_equal(engine_quota_ask(quota, 1, 1, 1), ENGINE_QUOTA_TENANT_FULL);
    assert_int_equal(engine_quota_ask(quota, 2, 4, 400), ENGINE_QUOTA_OK);
    assert_int_equal(engine_quota_ask(quota, 2, 5, 400), ENGINE_QUOTA_FULL);
    for (int i = 6; i < 10; i++)
        held[i] = engine_quota_take(quota, 2, 100);
    assert_int_equal(engine_quota_ask(quota, 3, 1, 1), ENGINE_QUOTA_FULL);
    assert_int_equal(engine_quota_requests(quota), 10);
    assert_int_equal(engine_quota_tokens(quota), 460);
    engine_quota_give(held[9], 100);
    assert_int_equal(engine_quota_ask(quota, 3, 1, 600), ENGINE_QUOTA_OK);
    assert_int_equal(engine_quota_ask(quota, 3, 1, 700), ENGINE_QUOTA_FULL); /* by tokens */
    assert_int_equal(engine_quota_ask(quota, 2, 1, 201), ENGINE_QUOTA_TENANT_FULL);
    for (int i = 0; i < 6; i++)
        engine_quota_give(held[i], 10);
    for (int i = 6; i < 9; i++)
        engine_quota_give(held[i], 100);
    assert_int_equal(engine_quota_requests(quota) + engine_quota_tokens(quota), 0);
    engine_quota_free(quota);
    engine_quota_free(NULL);
}

enum { MANY = 20000 };
static struct engine_quota_share *_Atomic handed[MANY];

static void *give_all(void *arg)
{
    (void)arg;
    for (int i = 0; i < MANY; i++) {
        struct engine_quota_share *share;
        while ((share = atomic_load(&handed[i])) == NULL) {
        }
        engine_quota_give(share, 3);
    }
    return NULL;
}

/* Twenty thousand tenants, given back by another thread: nothing is freed too early, or never. */
static void from_another_thread(void **state)
{
    (void)state;
    struct engine_quota *quota = engine_quota_new(&limits);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, give_all, NULL), 0);
    for (int i = 0; i < MANY; i++)
        atomic_store(&handed[i], engine_quota_take(quota, (uint64_t)i % 7000, 3));
    pthread_join(thread, NULL);
    assert_int_equal(engine_quota_requests(quota), 0);
    assert_int_equal(engine_quota_tokens(quota), 0);
    engine_quota_free(quota);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whose_limit),
        cmocka_unit_test(from_another_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
