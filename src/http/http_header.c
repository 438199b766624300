#include "http_header.h"

/* RFC 9110, section 5.6.2. */
static bool is_token_byte(unsigned char c);

struct text http_header_get(struct http_headers headers, struct text name)
{
    size_t at = 0;
    struct text value;
    return http_header_next(headers, name, &at, &value) ? value : TEXT_NONE;
}

bool http_header_has(struct http_headers headers, struct text name)
{
    size_t at = 0;
    struct text value;
    return http_header_next(headers, name, &at, &value);
}

bool http_header_next(struct http_headers headers, struct text name, size_t *at, struct text *value)
{
    for (size_t i = *at; i < headers.count; i++) {
        if (headers.at[i].name.len != name.len || !text_equal_nocase(headers.at[i].name, name))
            continue;
        *value = headers.at[i].value;
        *at = i + 1;
        return true;
    }
    *at = headers.count;
    return false;
}

bool http_header_has_token(struct http_headers headers, struct text name, struct text token)
{
    size_t at = 0;
    struct text value, piece;
    while (http_header_next(headers, name, &at, &value)) {
        while (text_split(&value, ',', &piece)) {
            if (text_equal_nocase(text_trim(piece), token))
                return true;
        }
    }
    return false;
}

bool http_header_is_token(struct text text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_token_byte((unsigned char)text.at[i]))
            return false;
    }
    return text.len > 0;
}

static bool is_token_byte(unsigned char c)
{
    static const bool marks[128] = {['!'] = true, ['#'] = true,  ['$'] = true, ['%'] = true,
                                    ['&'] = true, ['\''] = true, ['*'] = true, ['+'] = true,
                                    ['-'] = true, ['.'] = true,  ['^'] = true, ['_'] = true,
                                    ['`'] = true, ['|'] = true,  ['~'] = true};
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c < 128 && marks[c]);
}
