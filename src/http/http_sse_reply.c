#include "http_sse.h"

#include <string.h>
#include <stdlib.h>

static bool add(char **at, const char *end, struct text text);
static bool has_line_break(struct text text);
static struct text take_line(struct text *rest, bool *more);

bool http_sse_start(struct http_reply *reply, struct status *st)
{
    http_reply_header(reply, TEXT("Content-Type"), TEXT("text/event-stream"));
    if (!http_reply_has_header(reply, TEXT("Cache-Control")))
        http_reply_header(reply, TEXT("Cache-Control"), TEXT("no-store"));
    http_reply_header(reply, TEXT("X-Accel-Buffering"), TEXT("no"));
    return http_reply_start(reply, 200, st);
}

bool http_sse_send(struct http_reply *reply, struct text event, struct text id, struct text data,
                   struct status *st)
{
    char small[1024], *memory = small;
    WEIR_ASSERT(!has_line_break(event) && !has_line_break(id));
    size_t lines = 1;
    for (size_t i = 0; i < data.len; i++)
        lines += data.at[i] == '\n' || data.at[i] == '\r';
    size_t size = event.len + id.len + data.len + lines * 7 + 32;
    if (size > sizeof(small))
        memory = base_alloc(size);
    char *at = memory;
    const char *end = memory + size;
    bool fits = true;
    if (event.len > 0)
        fits = add(&at, end, TEXT("event: ")) && add(&at, end, event) && add(&at, end, TEXT("\n"));
    if (id.len > 0)
        fits =
            fits && add(&at, end, TEXT("id: ")) && add(&at, end, id) && add(&at, end, TEXT("\n"));
    bool more = true;
    while (more) {
        struct text line = take_line(&data, &more);
        fits = fits && add(&at, end, TEXT("data: ")) && add(&at, end, line) &&
               add(&at, end, TEXT("\n"));
    }
    fits = fits && add(&at, end, TEXT("\n"));
    WEIR_ASSERT(fits);
    bool sent = http_reply_write(reply, (struct text){memory, (size_t)(at - memory)}, st);
    if (memory != small)
        free(memory);
    return sent;
}

bool http_sse_comment(struct http_reply *reply, struct text text, struct status *st)
{
    char line[256];
    WEIR_ASSERT(!has_line_break(text));
    struct text_out out = text_out_over(line, sizeof(line));
    text_out_addf(&out, ": %.*s\n\n", TEXT_ARG(text));
    WEIR_ASSERT(!out.cut);
    return http_reply_write(reply, text_out_text(&out), st);
}

static bool add(char **at, const char *end, struct text text)
{
    if ((size_t)(end - *at) < text.len)
        return false;
    if (text.len > 0)
        memcpy(*at, text.at, text.len);
    *at += text.len;
    return true;
}

static bool has_line_break(struct text text)
{
    return text_find_byte(text, '\n') != text.len || text_find_byte(text, '\r') != text.len;
}

/* The next line of `rest`; each of CR, LF and CRLF ends one. */
static struct text take_line(struct text *rest, bool *more)
{
    size_t lf = text_find_byte(*rest, '\n');
    size_t end = text_find_byte(text_take(*rest, lf), '\r');
    struct text line = text_take(*rest, end);
    *more = end < rest->len;
    bool both = end + 1 < rest->len && rest->at[end] == '\r' && rest->at[end + 1] == '\n';
    *rest = text_skip(*rest, end + (both ? 2 : 1));
    return line;
}
