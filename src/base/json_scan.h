/* json_scan: the one strict look at a text that says it is JSON (RFC 8259): grammar, UTF-8,
 * escapes, depth; one flat pass that builds nothing. What it has passed json.h makes values of, and
 * the relay walks over in place. Stricter than the standard in two points: no "\u0000" and no lone
 * surrogate, which no store and no engine behind us takes. Any thread. Nothing here waits or
 * allocates. */
#pragma once
#include "base.h"
#include "status.h"
#include "text.h"

enum { JSON_DEPTH_MAX = 64 };

/* What is asked for besides; zeros ask for nothing. */
struct json_scan_rules {
    size_t members_max; /* of one object or array */
    size_t values_max;  /* of the whole text */
    bool numbers_fit;   /* whole ones int64_t, others a finite double */
};

/* That `input` is one JSON value with nothing but white space around it. `rules` may be NULL.
 * `*value`: the value without that white space; points into `input`. May be NULL.
 * Fails: STATUS_INVALID with line and column (both from 1, columns in characters) of the first
 * fault; STATUS_TOO_LARGE over a limit. */
MUST_CHECK bool json_scan(struct text input, const struct json_scan_rules *rules,
                          struct text *value, struct status *st);
