/* A stream of events gives the same events wherever it is cut. */
#include <stdlib.h>
#include <string.h>
#include "http_sse.h"

/* FNV-1a over everything that the parser says. */
struct digest {
    uint64_t value, events;
    bool bad, idle;
};

static void digest_add(struct digest *digest, struct text text)
{
    for (size_t i = 0; i < text.len; i++)
        digest->value = (digest->value ^ (unsigned char)text.at[i]) * UINT64_C(0x100000001b3);
    digest->value = (digest->value ^ 0x100) * UINT64_C(0x100000001b3);
}

static struct digest parse(const char *data, size_t size, size_t step)
{
    struct digest out = {.value = UINT64_C(0xcbf29ce484222325)};
    struct http_sse_parser *parser = http_sse_parser_new();
    for (size_t at = 0; at < size && !out.bad; at += step) {
        size_t len = size - at < step ? size - at : step;
        char *copy = malloc(len);
        WEIR_ASSERT(copy != NULL);
        memcpy(copy, data + at, len);
        struct text input = {copy, len};
        struct http_sse_event event;
        enum http_sse_result result;
        while ((result = http_sse_feed(parser, &input, &event)) == HTTP_SSE_EVENT) {
            out.events++;
            digest_add(&out, event.event);
            digest_add(&out, event.data);
            digest_add(&out, event.id);
            out.value ^= (uint64_t)event.retry_ms;
        }
        out.bad = result == HTTP_SSE_BAD;
        free(copy); /* the parser keeps nothing of it */
        if (size - at <= step)
            break;
    }
    out.idle = http_sse_parser_idle(parser);
    http_sse_parser_free(parser);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *bytes = (const char *)data + 1;
    struct digest whole = parse(bytes, size - 1, SIZE_MAX);
    struct digest pieces = parse(bytes, size - 1, 1 + data[0] % 19);
    WEIR_ASSERT(whole.value == pieces.value && whole.events == pieces.events);
    WEIR_ASSERT(whole.bad == pieces.bad && whole.idle == pieces.idle);
    return 0;
}
