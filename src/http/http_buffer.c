#include "http_buffer_internal.h"

#include <stdlib.h>

/* What is kept for the next connection; more is given back. Under the address sanitizer nothing is
 * kept, so that a use after the release shows. */
#if defined(__SANITIZE_ADDRESS__)
enum { BUFFERS_KEPT = 0 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { BUFFERS_KEPT = 0 };
#else
enum { BUFFERS_KEPT = 128 };
#endif
#else
enum { BUFFERS_KEPT = 128 };
#endif

struct http_buffer_free {
    struct http_buffer_free *next;
};

char *http_buffer_take(struct http_buffers *buffers)
{
    struct http_buffer_free *first = buffers->free;
    if (first == NULL) {
        char *fresh = malloc(HTTP_BUFFER_BYTES);
        if (fresh == NULL)
            base_out_of_memory(HTTP_BUFFER_BYTES);
        return fresh;
    }
    buffers->free = first->next;
    buffers->count--;
    return (char *)first;
}

void http_buffer_release(struct http_buffers *buffers, char *buffer)
{
    if (buffer == NULL)
        return;
    if (buffers->count + 1 > BUFFERS_KEPT) {
        free(buffer);
        return;
    }
    struct http_buffer_free *first = (struct http_buffer_free *)(void *)buffer;
    first->next = buffers->free;
    buffers->free = first;
    buffers->count++;
}

void http_buffers_end(struct http_buffers *buffers)
{
    while (buffers->free != NULL) {
        struct http_buffer_free *next = buffers->free->next;
        free(buffers->free);
        buffers->free = next;
    }
    buffers->count = 0;
}
