/* relay_call_internal: a worker's connections, for the other files of this folder. */
#pragma once
#include "relay_call.h"

struct http_client;
struct http_origin;

struct http_client *relay_call_client(struct relay_worker *worker);
/* The worker's connections to `target`; lives while a row names it. Fails: STATUS_INVALID. */
MUST_CHECK bool relay_call_origin(struct relay_worker *worker, struct relay_target *target,
                                  struct http_origin **out, struct status *st);
