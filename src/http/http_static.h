/* http_static: files embedded in the program, served with ETag, ranges and the encodings that were
 * made at build time. Read-only once made: any thread. http_static_serve waits as http_reply does.
 */
#pragma once
#include "base.h"
#include "http_reply.h"
#include "http_request.h"
#include "status.h"
#include "text.h"

struct http_static;

struct http_static_file {
    struct text path;         /* "/assets/app-3f2a9c.js" */
    struct text content_type; /* empty: from the path's ending */
    struct text etag;         /* without quotes; empty: computed from `raw` */
    struct text raw;
    struct text br, gz; /* precompressed forms; empty: none */
    bool immutable;     /* the name holds a hash of the content: cached for a year */
};
/* Copies the table with its names, not the bytes of the files. Asserts that no path comes twice. */
struct http_static *http_static_new(const struct http_static_file *files, size_t count);
void http_static_free(struct http_static *files);
AUTO_DEFINE(http_static, http_static_free)

const struct http_static_file *http_static_find(const struct http_static *files, struct text path);
/* Answers GET or HEAD for `file`: 200, 206, 304 or 416. Headers already added to the reply
 * (security policy) stay. Fails: as http_reply_send. */
MUST_CHECK bool http_static_serve(const struct http_static_file *file, struct http_request *req,
                                  struct http_reply *reply, struct status *st);
/* "text/javascript; charset=utf-8" for "x.js"; "application/octet-stream" when unknown. */
struct text http_static_type(struct text path);
