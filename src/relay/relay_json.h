/* relay_json: JSON read in place. A text is checked once, whole and strictly (json_scan.h); after
 * that its values are spans of the same bytes, so nothing is copied and a relayed body is rewritten
 * only where it must differ.
 * Any thread. Nothing here waits; only relay_json_string allocates. */
#pragma once
#include "arena.h"
#include "base.h"
#include "json_scan.h"
#include "status.h"
#include "text.h"

enum { RELAY_JSON_DEPTH_MAX = JSON_DEPTH_MAX, RELAY_JSON_NAME_BYTES_MAX = 64 };

enum relay_json_kind {
    RELAY_JSON_NULL,
    RELAY_JSON_BOOL,
    RELAY_JSON_NUMBER,
    RELAY_JSON_STRING,
    RELAY_JSON_ARRAY,
    RELAY_JSON_OBJECT,
    RELAY_JSON_KIND_COUNT
};

/* A value of a checked text: its bytes without the white space around, strings with quotes. */
struct relay_json_value {
    enum relay_json_kind kind;
    struct text raw;
};

/* Checks that `input` is one JSON value with nothing but white space around it.
 * Owns: `out` points into `input`.
 * Fails: STATUS_INVALID with line and column of the first fault. */
MUST_CHECK bool relay_json_check(struct text input, struct relay_json_value *out,
                                 struct status *st);

/* Walks the members of a checked object or the items of a checked array, in their order. */
struct relay_json_iter {
    const char *at, *end;
    bool is_object;
    char name_bytes[RELAY_JSON_NAME_BYTES_MAX]; /* a decoded name that was written with escapes */
};
struct relay_json_iter relay_json_iter_of(struct relay_json_value container);
/* False at the end. `name` is "" for an array's item; an escaped name comes decoded, unless it is
 * longer than RELAY_JSON_NAME_BYTES_MAX: then as it was written. It is valid until the next call.
 */
bool relay_json_next(struct relay_json_iter *iter, struct text *name,
                     struct relay_json_value *value);
/* The first member called `name`; false when there is none or `object` is no object. */
bool relay_json_member(struct relay_json_value object, struct text name,
                       struct relay_json_value *out);

/* A checked string without quotes and escapes. Points into the text when it has no escapes. */
struct text relay_json_string(struct arena *arena, struct relay_json_value value);
/* The same into memory of the caller's; false when it does not fit. */
MUST_CHECK bool relay_json_string_into(struct relay_json_value value, char *memory, size_t size,
                                       struct text *out);
/* A whole number, also one written 1e3 or 2.0. False when it is none or out of range. */
MUST_CHECK bool relay_json_i64(struct relay_json_value value, int64_t *out);
MUST_CHECK bool relay_json_double(struct relay_json_value value, double *out); /* finite only */
bool relay_json_is_true(struct relay_json_value value);
const char *relay_json_kind_name(enum relay_json_kind kind); /* "a string" */
