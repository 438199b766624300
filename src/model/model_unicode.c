#include "model_unicode.h"
#include "model_unicode_internal.h"

enum {
    IDEOGRAPHS_FIRST = 0xf900,
    IDEOGRAPHS_MORE = 0x2f800,
    /* Hangul syllables are taken apart by arithmetic (Unicode, section 3.12). */
    HANGUL = 0xac00,
    HANGUL_COUNT = 11172,
    HANGUL_LEAD = 0x1100,
    HANGUL_VOWEL = 0x1161,
    HANGUL_TAIL = 0x11a7,
    HANGUL_VOWELS = 21,
    HANGUL_TAILS = 28,
};

static const struct unicode_row *find_row(const struct unicode_row *rows, size_t count,
                                          uint32_t code);
static uint32_t hangul_parts(uint32_t code, uint32_t out[MODEL_UNICODE_PARTS_MAX]);

enum model_unicode_kind model_unicode_kind(uint32_t code)
{
    const struct unicode_row *row = find_row(unicode_classes, ARRAY_LEN(unicode_classes), code);
    return row == NULL ? MODEL_UNICODE_OTHER : (enum model_unicode_kind)row->value;
}

/* The blocks that the first BERT named, with its gap before U+2B920. */
bool model_unicode_is_ideograph(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } blocks[] = {
        {0x4e00, 0x9fff},   {0x3400, 0x4dbf},   {0x20000, 0x2a6df}, {0x2a700, 0x2b73f},
        {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf}, {0xf900, 0xfaff},   {0x2f800, 0x2fa1f},
    };
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        if (code >= blocks[i].first && code <= blocks[i].last)
            return true;
    return false;
}

uint32_t model_unicode_plain(uint32_t code, uint32_t out[MODEL_UNICODE_PARTS_MAX])
{
    out[0] = code;
    if (code < 0x80)
        return 1;
    if (code >= HANGUL && code < HANGUL + HANGUL_COUNT)
        return hangul_parts(code - HANGUL, out);
    const struct unicode_row *row = find_row(unicode_plain, ARRAY_LEN(unicode_plain), code);
    if (row != NULL)
        out[0] = row->value;
    else if (code >= IDEOGRAPHS_FIRST &&
             code < IDEOGRAPHS_FIRST + ARRAY_LEN(unicode_ideographs_f900))
        out[0] = unicode_ideographs_f900[code - IDEOGRAPHS_FIRST];
    else if (code >= IDEOGRAPHS_MORE &&
             code < IDEOGRAPHS_MORE + ARRAY_LEN(unicode_ideographs_2f800))
        out[0] = unicode_ideographs_2f800[code - IDEOGRAPHS_MORE];
    if (out[0] == 0) /* a place in those tables that is no compatibility character */
        out[0] = code;
    if (out[0] != code)
        return 1;
    size_t low = 0, high = ARRAY_LEN(unicode_several);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (unicode_several[middle].code < code)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == ARRAY_LEN(unicode_several) || unicode_several[low].code != code)
        return model_unicode_kind(code) == MODEL_UNICODE_MARK ? 0 : 1;
    uint32_t count = 0;
    while (count < MODEL_UNICODE_PARTS_MAX && unicode_several[low].parts[count] != 0) {
        out[count] = unicode_several[low].parts[count];
        count++;
    }
    return count;
}

static uint32_t hangul_parts(uint32_t index, uint32_t out[MODEL_UNICODE_PARTS_MAX])
{
    uint32_t tail = index % HANGUL_TAILS;
    out[0] = HANGUL_LEAD + index / (HANGUL_VOWELS * HANGUL_TAILS);
    out[1] = HANGUL_VOWEL + index % (HANGUL_VOWELS * HANGUL_TAILS) / HANGUL_TAILS;
    out[2] = HANGUL_TAIL + tail;
    return tail == 0 ? 2 : 3;
}

uint32_t model_unicode_order(uint32_t code)
{
    const struct unicode_row *row = find_row(unicode_orders, ARRAY_LEN(unicode_orders), code);
    return row == NULL ? 0 : row->value;
}

uint32_t model_unicode_lower(uint32_t code, uint32_t out[MODEL_UNICODE_LOWER_MAX])
{
    out[0] = code;
    if (code == 0x130) { /* the only one that becomes two: i and a dot above */
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    size_t low = 0, high = ARRAY_LEN(unicode_lowers);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (unicode_lowers[middle].last < code)
            low = middle + 1;
        else
            high = middle;
    }
    const struct unicode_lower *row = &unicode_lowers[low];
    if (low < ARRAY_LEN(unicode_lowers) && code >= row->first &&
        (code - row->first) % row->step == 0)
        out[0] = (uint32_t)((int32_t)code + row->shift);
    return 1;
}

uint32_t model_unicode_take(const char **at, const char *end)
{
    const unsigned char *in = (const unsigned char *)*at;
    size_t length = in[0] < 0x80 ? 1 : in[0] < 0xe0 ? 2 : in[0] < 0xf0 ? 3 : 4;
    WEIR_ASSERT((size_t)(end - *at) >= length);
    *at += length;
    switch (length) {
    case 1:
        return in[0];
    case 2:
        return (in[0] & 0x1fU) << 6 | (in[1] & 0x3fU);
    case 3:
        return (in[0] & 0xfU) << 12 | (in[1] & 0x3fU) << 6 | (in[2] & 0x3fU);
    default:
        return (in[0] & 7U) << 18 | (in[1] & 0x3fU) << 12 | (in[2] & 0x3fU) << 6 | (in[3] & 0x3fU);
    }
}

size_t model_unicode_put(uint32_t code, char out[4])
{
    unsigned char bytes[4];
    size_t count = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char heads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = count; i > 1; i--) {
        bytes[i - 1] = (unsigned char)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    bytes[0] = (unsigned char)(heads[count] | code);
    for (size_t i = 0; i < count; i++)
        out[i] = (char)bytes[i];
    return count;
}

static const struct unicode_row *find_row(const struct unicode_row *rows, size_t count,
                                          uint32_t code)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (rows[middle].last < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && code >= rows[low].first ? &rows[low] : NULL;
}
