/* Heads of requests and of responses: whatever the bytes, and wherever they are cut, the parser
 * gives the same result, and what it gives lies within its input. The first byte chooses the kind
 * and the size of the pieces. */
#include <stdlib.h>
#include <string.h>
#include "arena.h"
#include "http_message_internal.h"
#include "http_url.h"

static const struct http_message_limits limits = {4096, 512, 20};

struct result {
    enum http_message_result result;
    int bad_status;
    size_t used, fields;
    enum http_framing framing;
};

static void check_within(struct text text, const char *data, size_t size)
{
    WEIR_ASSERT(text.len == 0 || (text.at >= data && text.at + text.len <= data + size));
}

static struct result parse(enum http_message_kind kind, const char *data, size_t size, size_t step)
{
    struct arena *arena = arena_open(MIB);
    struct http_message msg;
    struct result out = {.result = HTTP_MESSAGE_MORE};
    char *copy = malloc(size > 0 ? size : 1);
    WEIR_ASSERT(copy != NULL);
    memcpy(copy, data, size);
    http_message_start(&msg, kind, &limits, arena);
    while (out.result == HTTP_MESSAGE_MORE && out.used < size) {
        size_t len = size - out.used < step ? size - out.used : step, used;
        out.result = http_message_head(&msg, copy + out.used, len, &used);
        WEIR_ASSERT(used <= len);
        out.used += used;
    }
    out.bad_status = msg.bad_status;
    if (out.result == HTTP_MESSAGE_DONE) {
        struct http_headers headers = http_message_headers(&msg);
        out.fields = headers.count;
        out.framing = msg.framing;
        WEIR_ASSERT(headers.count <= limits.headers_max && msg.head_bytes <= limits.head_bytes_max);
        for (size_t i = 0; i < headers.count; i++) {
            check_within(headers.at[i].name, copy, size);
            check_within(headers.at[i].value, copy, size);
            WEIR_ASSERT(http_header_is_token(headers.at[i].name));
        }
        if (kind == HTTP_MESSAGE_REQUEST) {
            struct http_target target;
            struct status st;
            check_within(msg.target, copy, size);
            (void)!http_target_parse(msg.target, arena, &target, &st);
        }
        http_message_keep_head(&msg, copy + out.used);
    }
    WEIR_ASSERT((out.result == HTTP_MESSAGE_BAD) == (out.bad_status != 0));
    free(copy);
    arena_close(arena);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    enum http_message_kind kind = (data[0] & 1) != 0 ? HTTP_MESSAGE_RESPONSE : HTTP_MESSAGE_REQUEST;
    const char *bytes = (const char *)data + 1;
    struct result whole = parse(kind, bytes, size - 1, SIZE_MAX);
    struct result pieces = parse(kind, bytes, size - 1, 1 + (data[0] >> 1) % 17);
    WEIR_ASSERT(whole.result == pieces.result || whole.result == HTTP_MESSAGE_BAD ||
                pieces.result == HTTP_MESSAGE_BAD);
    if (whole.result == HTTP_MESSAGE_DONE && pieces.result == HTTP_MESSAGE_DONE)
        WEIR_ASSERT(whole.used == pieces.used && whole.fields == pieces.fields &&
                    whole.framing == pieces.framing);
    WEIR_ASSERT(whole.result != HTTP_MESSAGE_BAD || pieces.result != HTTP_MESSAGE_DONE);
    WEIR_ASSERT(pieces.result != HTTP_MESSAGE_BAD || whole.result != HTTP_MESSAGE_DONE);
    return 0;
}
