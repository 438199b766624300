#include "chat_title.h"
#include <string.h>

static size_t character(struct text text, uint32_t *code);
static size_t put(uint32_t code, char *out);
static uint32_t small(uint32_t code);

struct text chat_title_of(struct text content)
{
    struct text line = TEXT("");
    while (line.len == 0 && text_split(&content, '\n', &line)) {
        line = text_trim(line);
        while (line.len > 0 && strchr("#>*-` \t", line.at[0]) != NULL)
            line = text_skip(line, 1);
        line = text_trim(line);
    }
    size_t at = 0, chars = 0, space = 0;
    while (at < line.len && chars < CHAT_TITLE_MADE_CHARS) {
        uint32_t code;
        if (line.at[at] == ' ')
            space = at;
        at += character(text_skip(line, at), &code);
        chars++;
    }
    if (at < line.len && space > at / 2)
        at = space;
    return text_trim(text_take(line, at));
}

struct text chat_title_fold(struct text text, struct arena *arena)
{
    /* No folded letter of these scripts takes more bytes than its capital. */
    char *out = arena_alloc(arena, text.len);
    size_t len = 0;
    while (text.len > 0) {
        uint32_t code;
        size_t size = character(text, &code);
        len += put(small(code), out + len);
        text = text_skip(text, size);
    }
    return (struct text){out, len};
}

/* The first character of valid UTF-8, and how many bytes it has. */
static size_t character(struct text text, uint32_t *code)
{
    const uint8_t *at = (const uint8_t *)text.at;
    if (at[0] < 0x80 || text.len < 2) {
        *code = at[0];
        return 1;
    }
    if (at[0] < 0xE0 || text.len < 3) {
        *code = (at[0] & 0x1FU) << 6 | (at[1] & 0x3FU);
        return 2;
    }
    if (at[0] < 0xF0 || text.len < 4) {
        *code = (at[0] & 0x0FU) << 12 | (at[1] & 0x3FU) << 6 | (at[2] & 0x3FU);
        return 3;
    }
    *code = (at[0] & 0x07U) << 18 | (at[1] & 0x3FU) << 12 | (at[2] & 0x3FU) << 6 | (at[3] & 0x3FU);
    return 4;
}

static size_t put(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

static uint32_t small(uint32_t code)
{
    if ((code >= 'A' && code <= 'Z') || (code >= 0xC0 && code <= 0xDE && code != 0xD7) ||
        (code >= 0x391 && code <= 0x3AB && code != 0x3A2) || (code >= 0x410 && code <= 0x42F))
        return code + 32;
    if (code >= 0x400 && code <= 0x40F)
        return code + 80;
    if (code >= 0x531 && code <= 0x556)
        return code + 48;
    bool even_is_capital = (code >= 0x100 && code <= 0x137 && code != 0x130) ||
                           (code >= 0x14A && code <= 0x177) || (code >= 0x460 && code <= 0x481) ||
                           (code >= 0x48A && code <= 0x4BF) || (code >= 0x1E00 && code <= 0x1E95) ||
                           (code >= 0x1EA0 && code <= 0x1EFF);
    if (even_is_capital)
        return code | 1;
    if ((code >= 0x139 && code <= 0x148) || (code >= 0x179 && code <= 0x17E))
        return code & 1 ? code + 1 : code;
    return code;
}
