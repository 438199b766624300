/* json: JSON text into jansson's values, strictly (RFC 8259), and typed access that names the field
 * at fault. Everything is checked before jansson sees the text (json_scan.h): grammar, UTF-8,
 * depth, how many members and values there are, numbers that fit; so hostile text costs one flat
 * pass. Any thread. Nothing here waits; a text over JSON_INLINE_BYTES takes long enough to be read
 * off the loop (offload): the caller sees to it.
 *
 *     AUTO(json_t) json_t *root = NULL;
 *     if (!json_read(body, NULL, &root, st))
 *         return false;
 *     struct json_at in = json_at_root(root);
 *     if (!json_get_text(&in, "model", JSON_REQUIRED, 256, &call->model, st) ||
 *         !json_get_number(&in, "temperature", JSON_OPTIONAL, 0, 2, &call->temperature, st))
 *         return false; // st->field is "temperature"; text: "temperature must be a number between
 * 0 and 2"
 */
#pragma once
#include <jansson.h>
#include "base.h"
#include "json_scan.h"
#include "status.h"
#include "text.h"

struct arena;
struct text_buf;

AUTO_DEFINE(json_t, json_decref)

enum { JSON_INLINE_BYTES = 32 * 1024 };

/* 0 means the default. */
struct json_limits {
    size_t members_max; /* of one object or array; 10,000 */
    size_t values_max;  /* of the whole text; 200,000, about 15 MB in memory */
};

/* One value with nothing but white space around it. `limits` may be NULL.
 * Owns: the caller, json_decref.
 * Fails: STATUS_INVALID with line and column (both from 1, columns in characters) of the first
 * fault, also for too deep a nesting; STATUS_TOO_LARGE over a limit. */
MUST_CHECK bool json_read(struct text text, const struct json_limits *limits, json_t **out,
                          struct status *st);
/* The same, and the value ends with the arena. */
MUST_CHECK bool json_read_in(struct arena *arena, struct text text,
                             const struct json_limits *limits, json_t **out, struct status *st);
/* The checks of json_read without making values. */
MUST_CHECK bool json_check(struct text text, const struct json_limits *limits, struct status *st);
/* Writes `value` without white space. Order of members as they were added. */
void json_write(const json_t *value, struct text_buf *buf);

/* A value and the way to it, kept on the stack: a parent must outlive what was got from it. */
struct json_at {
    json_t *value; /* borrowed from the root */
    const struct json_at *parent;
    const char *key; /* NULL for an array's item */
    size_t index;
};
struct json_at json_at_root(json_t *root);

/* An optional member that is absent or null leaves `*out` as it was and succeeds. */
enum json_need { JSON_OPTIONAL, JSON_REQUIRED };

/* Each gets the member `key` of the object `at`. Owns: the root.
 * Fails: STATUS_INVALID with the path of the field: missing, of another type, or out of range;
 * also when `at` is no object. */
MUST_CHECK bool json_get_text(const struct json_at *at, const char *key, enum json_need need,
                              size_t bytes_max, struct text *out, struct status *st);
/* A number with a fraction of zero (1.0, 1e3) is an integer too. */
MUST_CHECK bool json_get_int(const struct json_at *at, const char *key, enum json_need need,
                             int64_t min, int64_t max, int64_t *out, struct status *st);
MUST_CHECK bool json_get_number(const struct json_at *at, const char *key, enum json_need need,
                                double min, double max, double *out, struct status *st);
MUST_CHECK bool json_get_bool(const struct json_at *at, const char *key, enum json_need need,
                              bool *out, struct status *st);
/* `*out` becomes the place of `choices` (ended by NULL) that the text equals. */
MUST_CHECK bool json_get_choice(const struct json_at *at, const char *key, enum json_need need,
                                const char *const *choices, size_t *out, struct status *st);
/* `out->value` is NULL when an optional one is absent or null. */
MUST_CHECK bool json_get_object(const struct json_at *at, const char *key, enum json_need need,
                                struct json_at *out, struct status *st);
MUST_CHECK bool json_get_array(const struct json_at *at, const char *key, enum json_need need,
                               size_t items_max, struct json_at *out, struct status *st);
/* Any value that is there and not null. */
bool json_get_any(const struct json_at *at, const char *key, struct json_at *out);

size_t json_count(const struct json_at *array); /* 0 for no array */
/* Item `index` < json_count. */
struct json_at json_item(const struct json_at *array, size_t index);
MUST_CHECK bool json_item_object(const struct json_at *array, size_t index, struct json_at *out,
                                 struct status *st);
MUST_CHECK bool json_item_text(const struct json_at *array, size_t index, size_t bytes_max,
                               struct text *out, struct status *st);

/* That the object has no member but those of `keys` (ended by NULL). Fails: STATUS_INVALID naming
 * the first other one. */
MUST_CHECK bool json_only(const struct json_at *at, const char *const *keys, struct status *st);
/* For what only the caller can check: fails with the path of `key` ("" for `at` itself), and with
 * the path before the text: "messages[2].content must not be empty". Returns false. */
bool json_fail(const struct json_at *at, const char *key, struct status *st, const char *format,
               ...) PRINTF_LIKE(4, 5);
#define json_fail(...) status_false(json_fail(__VA_ARGS__)) /* see status.h */
/* Writes "messages[2].content"; "" for the root. */
void json_path(const struct json_at *at, const char *key, struct text_out *out);
