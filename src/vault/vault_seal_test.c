/* One sealed blob: only whole, only with its key, only in its place. */
#include "vault_internal.h"
#include "check.h"
#include "rand.h"

#include <string.h>

static const struct vault_place place = {{"message", 7}, {"body", 4}, {"org_1", 5}, {"msg_1", 5}};
static uint8_t key[VAULT_KEY_BYTES];

static void there_and_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 31, 4096, 200000};
    static uint8_t plain[200000], blob[200000 + VAULT_SEAL_BYTES], back[200000];
    rand_bytes(key, sizeof(key));
    rand_bytes(plain, sizeof(plain));
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct text text = {(const char *)plain, sizes[i]};
        struct text sealed = {(const char *)blob, sizes[i] + VAULT_SEAL_BYTES};
        uint32_t id = 0;
        seal_with(key, 0xdeadbeef, place, text, blob);
        assert_true(seal_key_id(sealed, &id));
        assert_int_equal(id, 0xdeadbeef);
        memset(back, 0, sizeof(back));
        assert_true(open_with(key, place, sealed, back));
        assert_memory_equal(back, plain, sizes[i]);
        if (sizes[i] > 16)
            assert_int_equal(text_find(sealed, text_take(text, 16)), sealed.len);
    }
}

static void twice_is_not_the_same(void **state)
{
    (void)state;
    uint8_t one[VAULT_SEAL_BYTES + 5], two[VAULT_SEAL_BYTES + 5];
    seal_with(key, 1, place, TEXT("hello"), one);
    seal_with(key, 1, place, TEXT("hello"), two);
    assert_memory_not_equal(one + 5, two + 5, 24);
    assert_memory_not_equal(one + 29, two + 29, sizeof(one) - 29);
}

/* Each bit of each byte changed, and each length cut. */
static void tampered(void **state)
{
    (void)state;
    uint8_t blob[VAULT_SEAL_BYTES + 20], back[64];
    struct text sealed = {(const char *)blob, sizeof(blob)};
    seal_with(key, 7, place, TEXT("twenty bytes of text"), blob);
    for (size_t i = 0; i < sizeof(blob); i++)
        for (int bit = 0; bit < 8; bit++) {
            uint32_t id = 0;
            blob[i] ^= (uint8_t)(1 << bit);
            bool opened = seal_key_id(sealed, &id) && open_with(key, place, sealed, back);
            assert_false(opened); /* the id is authenticated too, not only compared */
            blob[i] ^= (uint8_t)(1 << bit);
        }
    for (size_t len = 0; len < sizeof(blob); len++) {
        uint32_t id;
        struct text cut = text_take(sealed, len);
        assert_false(seal_key_id(cut, &id) && open_with(key, place, cut, back));
    }
    assert_true(open_with(key, place, sealed, back));
}

static void moved(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct vault_place place;
    } others[] = {
        {"another table", {{"thread", 6}, {"body", 4}, {"org_1", 5}, {"msg_1", 5}}},
        {"another column", {{"message", 7}, {"title", 5}, {"org_1", 5}, {"msg_1", 5}}},
        {"another organisation", {{"message", 7}, {"body", 4}, {"org_2", 5}, {"msg_1", 5}}},
        {"another row", {{"message", 7}, {"body", 4}, {"org_1", 5}, {"msg_2", 5}}},
        {"no row", {{"message", 7}, {"body", 4}, {"org_1", 5}, {NULL, 0}}},
        {"a byte from one to the next", {{"message", 7}, {"body", 4}, {"org_1m", 6}, {"sg_1", 4}}},
    };
    uint8_t blob[VAULT_SEAL_BYTES + 4], back[8];
    struct text sealed = {(const char *)blob, sizeof(blob)};
    seal_with(key, 7, place, TEXT("text"), blob);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        check_case(others[i].name);
        assert_false(open_with(key, others[i].place, sealed, back));
    }
    key[0] ^= 1;
    assert_false(open_with(key, place, sealed, back));
    key[0] ^= 1;
    assert_true(open_with(key, place, sealed, back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(twice_is_not_the_same),
        cmocka_unit_test(tampered),
        cmocka_unit_test(moved),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
