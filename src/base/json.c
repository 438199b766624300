#include "json.h"
#include "arena.h"
#include "json_internal.h"
#include "rand.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MEMBERS_MAX = 10 * 1000, VALUES_MAX = 200 * 1000 };
/* Integers that a double holds without a gap. */
static const double exact_max = 9007199254740992.0;

static void seed_hash(void);
static void end_value(void *value);
static int write_piece(const char *piece, size_t size, void *buf);
static bool get(const struct json_at *at, const char *key, enum json_need need, json_t **out,
                struct status *st);
static bool to_int(const json_t *value, int64_t *out);
static bool fail_choice(const struct json_at *at, const char *key, const char *const *choices,
                        struct status *st);

/* jansson would seed the hash of its objects from /dev/urandom, which a sandbox may not show. */
static void seed_hash(void)
{
    json_object_seed((size_t)(rand_u64() | 1));
}

bool json_read(struct text text, const struct json_limits *limits, json_t **out, struct status *st)
{
    static pthread_once_t seeded = PTHREAD_ONCE_INIT;
    (void)pthread_once(&seeded, seed_hash);
    if (!json_check(text, limits, st))
        return false;
    json_error_t error;
    json_t *value = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (value != NULL) {
        *out = value;
        return true;
    }
    size_t at = error.position > 0 ? (size_t)error.position - 1 : 0;
    enum json_error_code code = json_error_code(&error);
    if (code == json_error_out_of_memory)
        base_out_of_memory(text.len);
    if (code == json_error_duplicate_key)
        return json_fail_at(text, at, st, "an object has two members with the same name");
    return json_fail_at(text, at, st, "%s", error.text); /* the check leaves nothing else */
}

bool json_check(struct text text, const struct json_limits *limits, struct status *st)
{
    struct json_scan_rules rules = {
        .members_max = MEMBERS_MAX, .values_max = VALUES_MAX, .numbers_fit = true};
    if (limits != NULL && limits->members_max > 0)
        rules.members_max = limits->members_max;
    if (limits != NULL && limits->values_max > 0)
        rules.values_max = limits->values_max;
    return json_scan(text, &rules, NULL, st);
}

bool json_read_in(struct arena *arena, struct text text, const struct json_limits *limits,
                  json_t **out, struct status *st)
{
    if (!json_read(text, limits, out, st))
        return false;
    arena_at_end(arena, end_value, *out);
    return true;
}

void json_write(const json_t *value, struct text_buf *buf)
{
    int failed = json_dump_callback(value, write_piece, buf, JSON_COMPACT | JSON_ENCODE_ANY);
    WEIR_ASSERT(failed == 0);
}

struct json_at json_at_root(json_t *root)
{
    return (struct json_at){.value = root};
}

bool json_get_text(const struct json_at *at, const char *key, enum json_need need, size_t bytes_max,
                   struct text *out, struct status *st)
{
    json_t *value = NULL;
    if (!get(at, key, need, &value, st))
        return false;
    if (value == NULL)
        return true;
    if (!json_is_string(value))
        return json_fail(at, key, st, "must be a string");
    if (json_string_length(value) > bytes_max)
        return json_fail(at, key, st, "must have at most %zu bytes", bytes_max);
    *out = (struct text){json_string_value(value), json_string_length(value)};
    return true;
}

bool json_get_int(const struct json_at *at, const char *key, enum json_need need, int64_t min,
                  int64_t max, int64_t *out, struct status *st)
{
    json_t *value = NULL;
    int64_t integer;
    if (!get(at, key, need, &value, st))
        return false;
    if (value == NULL)
        return true;
    if (to_int(value, &integer) && integer >= min && integer <= max) {
        *out = integer;
        return true;
    }
    if (min == INT64_MIN && max == INT64_MAX)
        return json_fail(at, key, st, "must be an integer");
    if (max == INT64_MAX)
        return json_fail(at, key, st, "must be an integer of at least %" PRId64, min);
    return json_fail(at, key, st, "must be an integer between %" PRId64 " and %" PRId64, min, max);
}

bool json_get_number(const struct json_at *at, const char *key, enum json_need need, double min,
                     double max, double *out, struct status *st)
{
    json_t *value = NULL;
    if (!get(at, key, need, &value, st))
        return false;
    if (value == NULL)
        return true;
    double number = json_number_value(value);
    if (!json_is_number(value) || !(number >= min && number <= max))
        return json_fail(at, key, st, "must be a number between %g and %g", min, max);
    *out = number;
    return true;
}

bool json_get_bool(const struct json_at *at, const char *key, enum json_need need, bool *out,
                   struct status *st)
{
    json_t *value = NULL;
    if (!get(at, key, need, &value, st))
        return false;
    if (value == NULL)
        return true;
    if (!json_is_boolean(value))
        return json_fail(at, key, st, "must be true or false");
    *out = json_is_true(value);
    return true;
}

bool json_get_choice(const struct json_at *at, const char *key, enum json_need need,
                     const char *const *choices, size_t *out, struct status *st)
{
    json_t *value = NULL;
    if (!get(at, key, need, &value, st))
        return false;
    if (value == NULL)
        return true;
    struct text text = {json_string_value(value), json_string_length(value)};
    for (size_t i = 0; json_is_string(value) && choices[i] != NULL; i++) {
        if (text_equal(text, text_of(choices[i]))) {
            *out = i;
            return true;
        }
    }
    return fail_choice(at, key, choices, st);
}

bool json_get_object(const struct json_at *at, const char *key, enum json_need need,
                     struct json_at *out, struct status *st)
{
    json_t *value = NULL;
    if (!get(at, key, need, &value, st))
        return false;
    if (value != NULL && !json_is_object(value))
        return json_fail(at, key, st, "must be an object");
    *out = (struct json_at){.value = value, .parent = at, .key = key};
    return true;
}

bool json_get_array(const struct json_at *at, const char *key, enum json_need need,
                    size_t items_max, struct json_at *out, struct status *st)
{
    json_t *value = NULL;
    if (!get(at, key, need, &value, st))
        return false;
    if (value != NULL && !json_is_array(value))
        return json_fail(at, key, st, "must be an array");
    if (value != NULL && json_array_size(value) > items_max)
        return json_fail(at, key, st, "must have at most %zu items", items_max);
    *out = (struct json_at){.value = value, .parent = at, .key = key};
    return true;
}

bool json_get_any(const struct json_at *at, const char *key, struct json_at *out)
{
    json_t *value = json_object_get(at->value, key);
    if (value == NULL || json_is_null(value))
        return false;
    *out = (struct json_at){.value = value, .parent = at, .key = key};
    return true;
}

size_t json_count(const struct json_at *array)
{
    return json_array_size(array->value);
}

struct json_at json_item(const struct json_at *array, size_t index)
{
    WEIR_ASSERT(index < json_count(array));
    return (struct json_at){
        .value = json_array_get(array->value, index), .parent = array, .index = index};
}

bool json_item_object(const struct json_at *array, size_t index, struct json_at *out,
                      struct status *st)
{
    struct json_at item = json_item(array, index);
    if (!json_is_object(item.value))
        return json_fail(&item, NULL, st, "must be an object");
    *out = item;
    return true;
}

bool json_item_text(const struct json_at *array, size_t index, size_t bytes_max, struct text *out,
                    struct status *st)
{
    struct json_at item = json_item(array, index);
    if (!json_is_string(item.value))
        return json_fail(&item, NULL, st, "must be a string");
    if (json_string_length(item.value) > bytes_max)
        return json_fail(&item, NULL, st, "must have at most %zu bytes", bytes_max);
    *out = (struct text){json_string_value(item.value), json_string_length(item.value)};
    return true;
}

bool json_only(const struct json_at *at, const char *const *keys, struct status *st)
{
    const char *key;
    json_t *value = NULL;
    json_object_foreach(at->value, key, value)
    {
        size_t i = 0;
        while (keys[i] != NULL && strcmp(keys[i], key) != 0)
            i++;
        if (keys[i] == NULL)
            return json_fail(at, key, st, "is not a known field");
    }
    return true;
}

bool(json_fail)(const struct json_at *at, const char *key, struct status *st, const char *format,
                ...)
{
    char path[STATUS_FIELD_BYTES_MAX], text[STATUS_TEXT_BYTES_MAX];
    struct text_out out = text_out_over(path, sizeof(path) - 1);
    json_path(at, key, &out);
    path[text_utf8_whole(text_out_text(&out))] = '\0';
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return status_fail_field(st, STATUS_INVALID, path, "%s %s",
                             path[0] == '\0' ? "the JSON value" : path, text);
}

void json_path(const struct json_at *at, const char *key, struct text_out *out)
{
    const struct json_at *way[JSON_DEPTH_MAX];
    size_t count = 0;
    for (; at != NULL && at->parent != NULL; at = at->parent) {
        WEIR_ASSERT(count < ARRAY_LEN(way));
        way[count++] = at;
    }
    while (count-- > 0) {
        if (way[count]->key == NULL)
            text_out_addf(out, "[%zu]", way[count]->index);
        else
            text_out_addf(out, "%s%s", out->len > 0 ? "." : "", way[count]->key);
    }
    if (key != NULL && key[0] != '\0')
        text_out_addf(out, "%s%s", out->len > 0 ? "." : "", key);
}

static void end_value(void *value)
{
    json_decref(value);
}

static int write_piece(const char *piece, size_t size, void *buf)
{
    text_buf_add(buf, (struct text){piece, size});
    return 0;
}

/* `*out` is NULL for an optional member that is not there. */
static bool get(const struct json_at *at, const char *key, enum json_need need, json_t **out,
                struct status *st)
{
    if (!json_is_object(at->value))
        return json_fail(at, NULL, st, "must be an object");
    *out = json_object_get(at->value, key);
    if (json_is_null(*out))
        *out = NULL;
    if (*out == NULL && need == JSON_REQUIRED)
        return json_fail(at, key, st, "is required");
    return true;
}

static bool to_int(const json_t *value, int64_t *out)
{
    if (json_is_integer(value)) {
        *out = json_integer_value(value);
        return true;
    }
    double real = json_real_value(value);
    if (!json_is_real(value) || fabs(real) > exact_max || real != trunc(real))
        return false;
    *out = (int64_t)real;
    return true;
}

static bool fail_choice(const struct json_at *at, const char *key, const char *const *choices,
                        struct status *st)
{
    char list[STATUS_TEXT_BYTES_MAX];
    struct text_out out = text_out_over(list, sizeof(list));
    for (size_t i = 0; choices[i] != NULL; i++)
        text_out_addf(&out, "%s'%s'",
                      i == 0                   ? ""
                      : choices[i + 1] == NULL ? " or "
                                               : ", ",
                      choices[i]);
    return json_fail(at, key, st, "must be %.*s", TEXT_ARG(text_out_text(&out)));
}
