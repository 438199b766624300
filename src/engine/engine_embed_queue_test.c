#include "engine_embed_queue.h"
#include "check.h"
#include "engine_embed.h"
#include <stdlib.h>

enum { ITEMS_MAX = 4096 };
static const struct engine_embed_facts facts = {.context = 512,
                                                .dimensions = 4,
                                                .vocab = 100,
                                                .batch_tokens = 512,
                                                .batch_texts = 64,
                                                .pads = true};

static struct engine_embed_item items[ITEMS_MAX];
static size_t items_count;

static struct engine_embed_item *add(struct engine_embed_queue *queue, uint64_t tenant,
                                     uint32_t tokens, void *call)
{
    struct engine_embed_item *item = &items[items_count++ % ITEMS_MAX];
    *item = (struct engine_embed_item){.row = {.count = tokens}, .call = call, .tenant = tenant};
    engine_embed_queue_add(queue, item);
    return item;
}

static void lengths_have_buckets(void **state)
{
    (void)state;
    static const uint32_t want[][2] = {{1, 16},    {16, 16},   {17, 32},  {33, 64},
                                       {129, 256}, {257, 512}, {512, 512}};
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        assert_int_equal(engine_embed_bucket(want[i][0], 512), want[i][1]);
    assert_int_equal(engine_embed_bucket(300, 384), 384); /* never more than the model takes */
}

static void like_goes_with_like(void **state)
{
    (void)state;
    struct engine_embed_queue *queue = engine_embed_queue_new(&facts);
    struct engine_embed_item *out[64];
    uint32_t length;
    assert_int_equal(engine_embed_queue_take(queue, out, &length), 0);
    struct engine_embed_item *first = add(queue, 1, 60, NULL);
    add(queue, 1, 10, NULL);
    add(queue, 2, 40, NULL);
    add(queue, 2, 400, NULL);
    assert_int_equal(engine_embed_queue_tokens(queue), 64 + 16 + 64 + 512);
    assert_int_equal(engine_embed_queue_take(queue, out, &length), 2);
    assert_int_equal(length, 64);
    assert_ptr_equal(out[0], first);
    assert_int_equal(engine_embed_queue_count(queue), 2);
    for (int left = 2; left > 0; left--)
        assert_int_equal(engine_embed_queue_take(queue, out, &length), 1);
    assert_int_equal(engine_embed_queue_tokens(queue), 0);
    engine_embed_queue_free(queue);
}

static void a_batch_has_a_budget(void **state)
{
    (void)state;
    struct engine_embed_queue *queue = engine_embed_queue_new(&facts);
    struct engine_embed_item *out[64];
    uint32_t length;
    for (int i = 0; i < 70; i++)
        add(queue, 1, 60, NULL);
    assert_int_equal(engine_embed_queue_take(queue, out, &length), 8); /* 8 of 64 are 512 */
    for (int i = 0; i < 70; i++)
        add(queue, 1, 5, NULL);
    uint32_t most = 0, sum = 8;
    for (uint32_t count; (count = engine_embed_queue_take(queue, out, &length)) > 0; sum += count)
        if (length == 16 && count > most)
            most = count;
    assert_int_equal(most, 32);
    assert_int_equal(sum, 140);
    engine_embed_queue_free(queue);
    struct engine_embed_facts whole = facts;
    whole.pads = false; /* all lengths together, and none costs more than it has */
    queue = engine_embed_queue_new(&whole);
    add(queue, 1, 300, NULL);
    add(queue, 1, 5, NULL);
    add(queue, 2, 207, NULL);
    add(queue, 2, 1, NULL);
    assert_int_equal(engine_embed_queue_take(queue, out, &length), 3);
    assert_int_equal(length, 300);
    engine_embed_queue_free(queue);
}

/* One tenant floods; another sends a text now and then. It never waits for more than one batch. */
static void a_flood_does_not_starve(void **state)
{
    (void)state;
    struct engine_embed_queue *queue = engine_embed_queue_new(&facts);
    struct engine_embed_item *out[64];
    uint32_t length;
    for (int i = 0; i < 1000; i++)
        add(queue, 1, 500, NULL);
    for (int turn = 0; turn < 400; turn++) {
        struct engine_embed_item *light = add(queue, 2, 500, NULL);
        bool served = false;
        for (int batches = 0; batches < 2 && !served; batches++) {
            uint32_t count = engine_embed_queue_take(queue, out, &length);
            for (uint32_t i = 0; i < count; i++)
                served |= out[i] == light;
        }
        assert_true(served);
    }
    engine_embed_queue_free(queue);
}

/* Tenants who always have texts waiting get the same within one batch, whatever their lengths. */
static void shares_are_equal(void **state)
{
    (void)state;
    struct engine_embed_queue *queue = engine_embed_queue_new(&facts);
    struct engine_embed_item *out[64];
    static const uint32_t lengths[] = {10, 60, 200, 500};
    uint64_t got[4] = {0};
    unsigned seed = 4;
    int waiting[4] = {0};
    for (int turn = 0; turn < 3000; turn++) {
        uint32_t length;
        for (int t = 0; t < 4; t++)
            for (; waiting[t] < 40; waiting[t]++)
                add(queue, (uint64_t)t, lengths[(t + rand_r(&seed)) % 4], NULL);
        uint32_t count = engine_embed_queue_take(queue, out, &length);
        for (uint32_t i = 0; i < count; i++) {
            got[out[i]->tenant] += engine_embed_bucket(out[i]->row.count, 512);
            waiting[out[i]->tenant]--;
        }
        uint64_t least = got[0], most = got[0];
        for (int t = 1; t < 4; t++) {
            least = got[t] < least ? got[t] : least;
            most = got[t] > most ? got[t] : most;
        }
        assert_true(most - least <= 2 * 512);
    }
    engine_embed_queue_free(queue);
}

/* Who was away has no claim to what it did not use, nor does it pay for what it did long ago. */
static void coming_back_starts_level(void **state)
{
    (void)state;
    struct engine_embed_queue *queue = engine_embed_queue_new(&facts);
    struct engine_embed_item *out[64];
    uint32_t length;
    for (int i = 0; i < 50; i++) {
        add(queue, 1, 500, NULL);
        assert_int_equal(engine_embed_queue_take(queue, out, &length), 1);
    }
    for (int i = 0; i < 10; i++) {
        add(queue, 1, 500, NULL);
        add(queue, 2, 500, NULL);
    }
    int of_one = 0;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(engine_embed_queue_take(queue, out, &length), 1);
        of_one += out[0]->tenant == 1;
    }
    assert_in_range(of_one, 4, 6);
    engine_embed_queue_free(queue);
}

static void weights_are_shares(void **state)
{
    (void)state;
    struct engine_embed_queue *queue = engine_embed_queue_new(&facts);
    struct engine_embed_item *out[64];
    uint32_t length;
    int heavy = 0;
    for (int i = 0; i < 400; i++) {
        add(queue, 1, 500, NULL);
        add(queue, 2, 500, NULL)->weight = 300;
    }
    for (int i = 0; i < 400; i++) {
        assert_int_equal(engine_embed_queue_take(queue, out, &length), 1);
        heavy += out[0]->tenant == 2;
    }
    assert_in_range(heavy, 297, 303);
    engine_embed_queue_free(queue);
}

static void what_is_dropped_is_gone(void **state)
{
    (void)state;
    struct engine_embed_queue *queue = engine_embed_queue_new(&facts);
    struct engine_embed_item *out[64];
    int one, two;
    uint32_t length;
    for (int i = 0; i < 10; i++) {
        add(queue, 1, 10, &one);
        add(queue, 1, 10, &two);
        add(queue, 1, 300, &one);
    }
    assert_int_equal(engine_embed_queue_drop(queue, 1, &one), 20);
    assert_int_equal(engine_embed_queue_drop(queue, 1, &one), 0);
    assert_int_equal(engine_embed_queue_drop(queue, 7, &one), 0);
    assert_int_equal(engine_embed_queue_tokens(queue), 160);
    add(queue, 1, 10, &two);
    assert_int_equal(engine_embed_queue_take(queue, out, &length), 11);
    assert_int_equal(engine_embed_queue_count(queue), 0);
    engine_embed_queue_free(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_have_buckets),    cmocka_unit_test(like_goes_with_like),
        cmocka_unit_test(a_batch_has_a_budget),    cmocka_unit_test(a_flood_does_not_starve),
        cmocka_unit_test(shares_are_equal),        cmocka_unit_test(coming_back_starts_level),
        cmocka_unit_test(what_is_dropped_is_gone), cmocka_unit_test(weights_are_shares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
