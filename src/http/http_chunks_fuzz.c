/* Chunked bodies, of requests and of responses: the same bytes come out wherever the input is cut,
 * never more than went in, and nothing beyond what was said to be used. */
#include <stdlib.h>
#include <string.h>
#include "arena.h"
#include "http_message_internal.h"

static const struct http_message_limits limits = {4096, 512, 20};

struct result {
    enum http_message_result result;
    size_t used, len;
    char *body;
};

static struct result decode(bool response, const char *data, size_t size, size_t step)
{
    static const char request[] =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    static const char answer[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    struct arena *arena = arena_open(MIB);
    struct http_message msg;
    size_t used, head_len = response ? sizeof(answer) - 1 : sizeof(request) - 1;
    http_message_start(&msg, response ? HTTP_MESSAGE_RESPONSE : HTTP_MESSAGE_REQUEST, &limits,
                       arena);
    enum http_message_result head =
        http_message_head(&msg, response ? answer : request, head_len, &used);
    WEIR_ASSERT(head == HTTP_MESSAGE_DONE && used == head_len);
    struct result out = {.result = HTTP_MESSAGE_MORE, .body = malloc(size + 1)};
    WEIR_ASSERT(out.body != NULL);
    while (out.result == HTTP_MESSAGE_MORE && out.used < size) {
        size_t len = size - out.used < step ? size - out.used : step;
        char *copy = malloc(len);
        struct text piece;
        WEIR_ASSERT(copy != NULL);
        memcpy(copy, data + out.used, len);
        out.result = http_message_body(&msg, copy, len, &used, &piece);
        if (out.result != HTTP_MESSAGE_BAD) {
            WEIR_ASSERT(used <= len && piece.len <= used && out.len + piece.len <= size);
            if (piece.len > 0)
                memcpy(out.body + out.len, piece.at, piece.len);
            out.len += piece.len;
            out.used += used;
        }
        free(copy);
    }
    arena_close(arena);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    bool response = (data[0] & 1) != 0;
    struct result whole = decode(response, (const char *)data + 1, size - 1, SIZE_MAX);
    struct result pieces =
        decode(response, (const char *)data + 1, size - 1, 1 + (data[0] >> 1) % 13);
    WEIR_ASSERT(whole.result == pieces.result);
    if (whole.result == HTTP_MESSAGE_DONE)
        WEIR_ASSERT(whole.used == pieces.used && whole.len == pieces.len &&
                    memcmp(whole.body, pieces.body, whole.len) == 0);
    free(whole.body);
    free(pieces.body);
    return 0;
}
