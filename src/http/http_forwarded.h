/* http_forwarded: who the client is when proxies stand in front. What X-Forwarded-For or Forwarded
 * (RFC 7239) says is taken from trusted proxies alone, and read from its end, hop by hop: the first
 * address that is no trusted proxy is the client's. What stands before it, the client may have
 * written itself.
 * Read-only once it is made: any thread. Nothing here waits. */
#pragma once
#include "base.h"
#include "http_header.h"
#include "status.h"
#include "text.h"

struct arena;
struct http_forwarded;

/* One header, not both: a proxy that writes one passes the other on as the client sent it. */
enum http_forwarded_header { HTTP_FORWARDED_X_FORWARDED_FOR, HTTP_FORWARDED_RFC7239 };

/* `proxies`: addresses ("10.0.0.1", "fd00::1"), networks ("10.0.0.0/8") and "unix", which is
 * whoever comes by a unix socket. None: nobody is trusted.
 * Owns: http_forwarded_free. Fails: STATUS_INVALID with the item. */
MUST_CHECK bool http_forwarded_new(const struct text *proxies, size_t count,
                                   enum http_forwarded_header header, struct http_forwarded **out,
                                   struct status *st);
void http_forwarded_free(struct http_forwarded *forwarded); /* NULL is fine */
AUTO_DEFINE(http_forwarded, http_forwarded_free)

/* The client's address, without a port, "" when unknown. `peer`: "127.0.0.1:50000", "[::1]:1" or
 * "unix", as http_request says. A hop that tells nothing that can be understood ends the walk: then
 * it is the last proxy whose address is known. Owns: `arena`, or points into `peer`. */
struct text http_forwarded_client(const struct http_forwarded *forwarded, struct text peer,
                                  struct http_headers headers, struct arena *arena);
