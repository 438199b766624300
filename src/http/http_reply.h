/* http_reply: the answer to a request. Either whole
 *     http_reply_header(reply, TEXT("cache-control"), TEXT("no-store"));
 *     http_reply_send(reply, 200, TEXT("application/json"), body, st)
 * or as it comes
 *     http_reply_start(reply, 200, st), http_reply_write(reply, piece, st).., http_reply_end(reply,
 * st) Each of send, start and write is one writev. Writing waits while the client is slow, and
 * fails when it is gone, or when it took nothing for the server's write timeout. Left to http:
 * Date, Content-Length, Transfer-Encoding, Connection, and leaving the body out for HEAD, 204 and
 * 304. Belongs to the connection's fiber. */
#pragma once
#include "base.h"
#include "status.h"
#include "text.h"

struct http_reply;

/* Adds a header field; allowed until send or start. The name must be a token; control bytes in the
 * value become spaces, so that nothing passed on can forge a field. Copies both. */
void http_reply_header(struct http_reply *reply, struct text name, struct text value);
void http_reply_headerf(struct http_reply *reply, struct text name, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Whether a field of that name was added. */
bool http_reply_has_header(const struct http_reply *reply, struct text name);
/* Takes back all fields added: for an error that replaces a half-made answer. Not after start. */
void http_reply_reset(struct http_reply *reply);
/* The connection is closed behind this reply. */
void http_reply_close_after(struct http_reply *reply);

/* `content_type` may be empty when there is no body. Waits.
 * Fails: STATUS_CLOSED, STATUS_TIMEOUT, fiber.h; there is nothing left to say to the client. */
MUST_CHECK bool http_reply_send(struct http_reply *reply, int http_status, struct text content_type,
                                struct text body, struct status *st);

/* Sends the head; the body follows in chunks (HTTP/1.0: until the connection closes). Waits. */
MUST_CHECK bool http_reply_start(struct http_reply *reply, int http_status, struct status *st);
/* The same for a body of known length: exactly so many bytes are to be written. */
MUST_CHECK bool http_reply_start_sized(struct http_reply *reply, int http_status,
                                       uint64_t body_bytes, struct status *st);
/* An empty piece writes nothing. Waits. */
MUST_CHECK bool http_reply_write(struct http_reply *reply, struct text piece, struct status *st);
/* Ends the body. A reply that was started and not ended when the handler returns is cut: the client
 * sees a broken body, never a short one that looks whole. Waits. */
MUST_CHECK bool http_reply_end(struct http_reply *reply, struct status *st);
/* Ends the body with a last piece, in one write. Waits. Like http_reply_send it still speaks for a
 * request that a drain has cancelled, or whose arena is over its limit: for a second at most, and
 * the connection is closed behind it. */
MUST_CHECK bool http_reply_end_with(struct http_reply *reply, struct text piece, struct status *st);

bool http_reply_started(const struct http_reply *reply);   /* send or start was called */
bool http_reply_ended(const struct http_reply *reply);     /* all of it was handed to the kernel */
int http_reply_status(const struct http_reply *reply);     /* 0 before it was started */
uint64_t http_reply_bytes(const struct http_reply *reply); /* bytes of body written so far */
/* When the head was handed to the kernel, monotonic; 0 before. */
int64_t http_reply_started_us(const struct http_reply *reply);

/* The status line's words: "Not Found". */
const char *http_reply_reason(int http_status);
/* The HTTP status that a status code usually means: STATUS_NOT_FOUND is 404. */
int http_reply_status_for(enum status_code code);
