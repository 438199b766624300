/* http_tls: TLS contexts (OpenSSL 3, TLS 1.2 and later, ALPN http/1.1) for servers and clients.
 * A context may be used by any thread, and reloaded by any: connections made before keep what they
 * began with. */
#pragma once
#include "base.h"
#include "status.h"
#include "text.h"

struct http_tls;

struct http_tls_server_options {
    const char *certificate_file; /* PEM, the whole chain */
    const char *key_file;         /* PEM */
    const char *client_ca_file;   /* PEM; not NULL: clients must show a certificate of these */
};
/* Reads the files (blocks for a moment: at start, or in an offload).
 * Fails: STATUS_INVALID naming the file: not readable as PEM, key does not fit, no such file. */
MUST_CHECK bool http_tls_server_open(const struct http_tls_server_options *options,
                                     struct http_tls **out, struct status *st);

struct http_tls_client_options {
    const char *ca_file;          /* PEM; NULL: the system's */
    const char *certificate_file; /* to show to the server; NULL: none */
    const char *key_file;
};
/* A client always verifies the server's chain and name. The system's authorities (tens of
 * milliseconds, and a few megabytes) are read when the first connection needs them, off the loop;
 * files that are named are read here. Fails: as above. */
MUST_CHECK bool http_tls_client_open(const struct http_tls_client_options *options,
                                     struct http_tls **out, struct status *st);
/* Reads the files again (SIGHUP). On failure the old context stays in use. Blocks like open. */
MUST_CHECK bool http_tls_reload(struct http_tls *tls, struct status *st);
/* When the certificate ends, Unix seconds; 0 when there is none. */
int64_t http_tls_expires_s(struct http_tls *tls);
void http_tls_close(struct http_tls *tls);
AUTO_DEFINE(http_tls, http_tls_close)
