/* account_key_form: "weir_sk_", 30 random characters, 6 that are the CRC-32 of what stands before
 * them. Base 62, most significant character first. 62^30 is more than 2^178. */
#include <string.h>
#include "account_internal.h"
#include "rand.h"

static const char prefix[] = "weir_sk_";
static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
enum { PREFIX_BYTES = sizeof(prefix) - 1, RANDOM_BYTES = 30, CHECK_BYTES = 6 };

static uint32_t crc32_of(const char *bytes, size_t size);
static void check_of(const char *bytes, char out[CHECK_BYTES]);

bool account_key_formed(struct text text)
{
    char check[CHECK_BYTES];
    if (text.len != ACCOUNT_KEY_BYTES || memcmp(text.at, prefix, PREFIX_BYTES) != 0)
        return false;
    for (size_t i = PREFIX_BYTES; i < text.len; i++) {
        char c = text.at[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z'))
            return false;
    }
    check_of(text.at, check);
    return memcmp(check, text.at + PREFIX_BYTES + RANDOM_BYTES, CHECK_BYTES) == 0;
}

void key_make(char out[ACCOUNT_KEY_BYTES + 1])
{
    memcpy(out, prefix, PREFIX_BYTES);
    for (size_t i = 0; i < RANDOM_BYTES; i++)
        out[PREFIX_BYTES + i] = alphabet[rand_below(62)];
    check_of(out, out + PREFIX_BYTES + RANDOM_BYTES);
    out[ACCOUNT_KEY_BYTES] = '\0';
}

static void check_of(const char *bytes, char out[CHECK_BYTES])
{
    uint32_t crc = crc32_of(bytes, PREFIX_BYTES + RANDOM_BYTES);
    for (size_t i = CHECK_BYTES; i > 0; i--, crc /= 62)
        out[i - 1] = alphabet[crc % 62];
}

/* IEEE 802.3, four bits at a time: 16 words of table are enough for 38 bytes. */
static uint32_t crc32_of(const char *bytes, size_t size)
{
    static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
                                       0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                       0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        crc ^= (uint8_t)bytes[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}
