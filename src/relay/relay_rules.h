/* relay_rules: what the names and addresses of models and upstreams may be. Any thread; nothing
 * waits. Each fails with STATUS_INVALID and the field. */
#pragma once
#include "relay_store.h"

/* 1 to 100 characters, no control characters, no space at the ends. */
MUST_CHECK bool relay_rules_name(struct text name, const char *field, struct status *st);
/* What callers of /v1 write: a letter or digit, then also . _ : / -, at most 100 bytes. */
MUST_CHECK bool relay_rules_model_id(struct text id, struct status *st);
/* http or https with the path before /chat/completions, or unix:/path. Plain http only to this
 * machine, unless `plain_anywhere`. */
MUST_CHECK bool relay_rules_base_url(struct text url, bool plain_anywhere, struct status *st);
/* Printable ASCII without spaces: it becomes a header field. */
MUST_CHECK bool relay_rules_api_key(struct text key, struct status *st);
MUST_CHECK bool relay_rules_model(const struct relay_model_row *row, struct status *st);
/* Only of a model of an upstream is it said what it is for: a local one knows it itself. */
MUST_CHECK bool relay_rules_tasks(const struct relay_model_row *row, struct status *st);
