/* What http_stream needs of http_tls. */
#pragma once
#include "http_tls.h"

struct ssl_st;

/* Has what open put off done, before a session is asked for. Waits (offload). Fails: as open. */
MUST_CHECK bool http_tls_ready(struct http_tls *tls, struct status *st);
/* A session of the context that is current now. Any thread. Fails: STATUS_INTERNAL. */
MUST_CHECK bool http_tls_session(struct http_tls *tls, struct ssl_st **out, struct status *st);
/* Puts the newest error of OpenSSL's queue behind `what`, and empties the queue. */
MUST_CHECK bool http_tls_fail(struct status *st, enum status_code code, const char *what);
