#include "ids.h"
#include "clock.h"
#include "rand.h"

#include <string.h>

enum { BYTES = 16, TIME_BYTES = 6, DIGITS = IDS_BYTES - IDS_PREFIX_BYTES };
static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

static void encode(const unsigned char number[BYTES], char out[DIGITS]);

struct id ids_new(const char *prefix)
{
    WEIR_ASSERT(strlen(prefix) == IDS_PREFIX_BYTES && prefix[IDS_PREFIX_BYTES - 1] == '_');
    unsigned char number[BYTES];
    uint64_t ms = (uint64_t)clock_wall_us() / 1000;
    for (int i = 0; i < TIME_BYTES; i++)
        number[i] = (unsigned char)(ms >> (8 * (TIME_BYTES - 1 - i)));
    rand_bytes(number + TIME_BYTES, BYTES - TIME_BYTES);
    struct id id;
    memcpy(id.bytes, prefix, IDS_PREFIX_BYTES);
    encode(number, id.bytes + IDS_PREFIX_BYTES);
    id.bytes[IDS_BYTES] = '\0';
    return id;
}

struct text ids_text(const struct id *id)
{
    return (struct text){id->bytes, strlen(id->bytes)};
}

bool ids_valid(struct text text, const char *prefix)
{
    if (text.len != IDS_BYTES || !text_starts(text, text_of(prefix)))
        return false;
    struct text rest = text_skip(text, IDS_PREFIX_BYTES);
    if (rest.at[0] > '7') /* 26 digits hold 130 bits: the first has three */
        return false;
    for (size_t i = 0; i < rest.len; i++) {
        if (rest.at[i] == '\0' || strchr(alphabet, rest.at[i]) == NULL)
            return false;
    }
    return true;
}

/* From the last digit to the first, five bits each. */
static void encode(const unsigned char number[BYTES], char out[DIGITS])
{
    unsigned bits = 0, held = 0;
    int byte = BYTES;
    for (int digit = DIGITS - 1; digit >= 0; digit--) {
        if (held < 5 && byte > 0) {
            bits |= (unsigned)number[--byte] << held;
            held += 8;
        }
        out[digit] = alphabet[bits & 31];
        bits >>= 5;
        held = held < 5 ? 0 : held - 5;
    }
}
