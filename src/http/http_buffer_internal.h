/* http_buffer: read buffers, pooled per server and per client. A connection holds one only while
 * bytes of it are waiting to be taken. On the loop's thread; nothing waits. */
#pragma once
#include "base.h"

enum { HTTP_BUFFER_BYTES = 4096 };

struct http_buffers { /* zeroed is empty */
    struct http_buffer_free *free;
    size_t count;
};

char *http_buffer_take(struct http_buffers *buffers); /* HTTP_BUFFER_BYTES, not zeroed */
void http_buffer_release(struct http_buffers *buffers, char *buffer); /* NULL is fine */
void http_buffers_end(struct http_buffers *buffers);
