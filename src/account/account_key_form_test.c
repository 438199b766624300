/* The form of a key: whatever is not exactly one as we make it is refused before any look-up. */
#include "account_internal.h"
#include "check.h"
#include "rand.h"

#include <string.h>
#include <zlib.h>

static void as_described(void **state)
{
    (void)state;
    static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    bool seen[62] = {false};
    for (int i = 0; i < 500; i++) {
        char key[ACCOUNT_KEY_BYTES + 1];
        key_make(key);
        assert_int_equal(strlen(key), 44);
        assert_memory_equal(key, "weir_sk_", 8);
        assert_int_equal(strspn(key + 8, alphabet), 36);
        /* the last six, read back, are zlib's CRC-32 of the rest */
        uint64_t crc = 0;
        for (int j = 38; j < 44; j++)
            crc = crc * 62 + (uint64_t)(strchr(alphabet, key[j]) - alphabet);
        assert_true(crc == crc32(0, (const unsigned char *)key, 38));
        assert_true(account_key_formed(text_of(key)));
        for (int j = 8; j < 38; j++)
            seen[strchr(alphabet, key[j]) - alphabet] = true;
    }
    for (size_t i = 0; i < ARRAY_LEN(seen); i++)
        assert_true(seen[i]);
}

/* Any one byte changed to any other, any length cut, any byte put in. */
static void changed(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        char key[ACCOUNT_KEY_BYTES + 2];
        key_make(key);
        for (size_t i = 0; i < ACCOUNT_KEY_BYTES; i++) {
            char was = key[i];
            for (int byte = 0; byte < 256; byte++) {
                key[i] = (char)byte;
                assert_int_equal(account_key_formed((struct text){key, ACCOUNT_KEY_BYTES}),
                                 key[i] == was);
            }
            key[i] = was;
        }
        for (size_t len = 0; len < ACCOUNT_KEY_BYTES; len++) {
            assert_false(account_key_formed((struct text){key, len}));
            assert_false(account_key_formed((struct text){key + ACCOUNT_KEY_BYTES - len, len}));
        }
        key[ACCOUNT_KEY_BYTES] = '0';
        assert_false(account_key_formed((struct text){key, ACCOUNT_KEY_BYTES + 1}));
        for (size_t i = 8; i + 1 < ACCOUNT_KEY_BYTES; i++) { /* two neighbours swapped */
            char a = key[i], b = key[i + 1];
            key[i] = b, key[i + 1] = a;
            assert_int_equal(account_key_formed((struct text){key, ACCOUNT_KEY_BYTES}), a == b);
            key[i] = a, key[i + 1] = b;
        }
    }
}

/* Random ends pass one time in four thousand million. */
static void guessed(void **state)
{
    (void)state;
    static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    char key[ACCOUNT_KEY_BYTES + 1];
    uint8_t random[36];
    for (int i = 0; i < 100000; i++) {
        memcpy(key, "weir_sk_", 8);
        rand_bytes(random, sizeof(random));
        for (size_t j = 0; j < 36; j++)
            key[8 + j] = alphabet[random[j] % 62];
        assert_false(account_key_formed((struct text){key, ACCOUNT_KEY_BYTES}));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_described),
        cmocka_unit_test(changed),
        cmocka_unit_test(guessed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
