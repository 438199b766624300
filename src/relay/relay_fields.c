#include "relay_fields_internal.h"
#include <stdio.h>

enum { FIELDS_MAX = 64 }; /* bits of one word */

static bool read_member(struct relay_reading *in, const struct relay_fields *fields,
                        struct text name, struct relay_json_value value, uint64_t *seen);
static const struct relay_field *field_find(const struct relay_fields *fields, struct text name);

bool relay_fields_read(const struct relay_fields *fields, struct relay_json_value root,
                       struct relay_reading *in)
{
    struct relay_json_iter iter = relay_json_iter_of(root);
    struct relay_json_value value;
    uint64_t seen = 0;
    WEIR_ASSERT(fields->count <= FIELDS_MAX);
    for (struct text name; relay_json_next(&iter, &name, &value);)
        if (!read_member(in, fields, name, value, &seen))
            return false;
    for (size_t i = 0; i < fields->count; i++)
        if (fields->at[i].needed && !(seen & UINT64_C(1) << i))
            return status_fail_field(in->st, STATUS_INVALID, fields->at[i].name, "%s is missing",
                                     fields->at[i].name);
    return true;
}

static bool read_member(struct relay_reading *in, const struct relay_fields *fields,
                        struct text name, struct relay_json_value value, uint64_t *seen)
{
    const struct relay_field *field = field_find(fields, name);
    if (field == NULL) {
        if (in->out->refused == NULL) {
            (void)snprintf(in->out->refused_name, sizeof(in->out->refused_name), "%.*s",
                           (int)text_utf8_whole(text_take(name, RELAY_JSON_NAME_BYTES_MAX - 1)),
                           name.at);
            in->out->refused = in->out->refused_name;
        }
        return true;
    }
    uint64_t bit = UINT64_C(1) << (field - fields->at);
    if (*seen & bit)
        return status_fail_field(in->st, STATUS_INVALID, field->name, "%s is given twice",
                                 field->name);
    *seen |= bit;
    if (field->check == relay_check_stream_options)
        in->out->stream_options = value; /* also null: it is written over, not beside it */
    if (value.kind == RELAY_JSON_NULL && !field->needed)
        return true; /* null is the same as absent, as in OpenAI's own clients */
    if (field->local == RELAY_LOCAL_DROP) {
        WEIR_ASSERT(in->out->drops_count < RELAY_REQUEST_DROPS_MAX);
        in->out->drops[in->out->drops_count++] = value.raw;
    }
    if (field->local == RELAY_LOCAL_REFUSE && in->out->refused == NULL)
        in->out->refused = field->name;
    return field->check(in, field, value);
}

static const struct relay_field *field_find(const struct relay_fields *fields, struct text name)
{
    for (size_t i = 0; i < fields->count; i++)
        if (fields->at[i].name[0] == (name.len > 0 ? name.at[0] : '\0') &&
            text_equal(name, text_of(fields->at[i].name)))
            return &fields->at[i];
    return NULL;
}

/* --- checks by kind --------------------------------------------------------------------------- */

bool relay_check_any(struct relay_reading *in, const struct relay_field *field,
                     struct relay_json_value value)
{
    (void)in;
    (void)field;
    (void)value;
    return true;
}

bool relay_check_bool(struct relay_reading *in, const struct relay_field *field,
                      struct relay_json_value value)
{
    return relay_fields_kind(in, field->name, value, RELAY_JSON_BOOL);
}

bool relay_check_object(struct relay_reading *in, const struct relay_field *field,
                        struct relay_json_value value)
{
    return relay_fields_kind(in, field->name, value, RELAY_JSON_OBJECT);
}

bool relay_check_number(struct relay_reading *in, const struct relay_field *field,
                        struct relay_json_value value)
{
    double number;
    if (!relay_fields_kind(in, field->name, value, RELAY_JSON_NUMBER))
        return false;
    if (!relay_json_double(value, &number) || number < field->min || number > field->max)
        return status_fail_field(in->st, STATUS_INVALID, field->name,
                                 "%s must be between %.15g and %.15g", field->name, field->min,
                                 field->max);
    return true;
}

static bool whole_number(struct relay_reading *in, const struct relay_field *field,
                         struct relay_json_value value, int64_t *out)
{
    if (!relay_fields_kind(in, field->name, value, RELAY_JSON_NUMBER))
        return false;
    if (!relay_json_i64(value, out) || (double)*out < field->min || (double)*out > field->max)
        return status_fail_field(in->st, STATUS_INVALID, field->name,
                                 "%s must be a whole number between %.16g and %.16g", field->name,
                                 field->min, field->max);
    return true;
}

bool relay_check_integer(struct relay_reading *in, const struct relay_field *field,
                         struct relay_json_value value)
{
    int64_t number;
    return whole_number(in, field, value, &number);
}

bool relay_check_n(struct relay_reading *in, const struct relay_field *field,
                   struct relay_json_value value)
{
    return whole_number(in, field, value, &in->out->n);
}

/* max_tokens is the old name of max_completion_tokens: the smaller one counts. */
bool relay_check_tokens_max(struct relay_reading *in, const struct relay_field *field,
                            struct relay_json_value value)
{
    int64_t number;
    if (!whole_number(in, field, value, &number))
        return false;
    if (in->out->tokens_max == 0 || number < in->out->tokens_max)
        in->out->tokens_max = number;
    return true;
}

bool relay_check_text(struct relay_reading *in, const struct relay_field *field,
                      struct relay_json_value value)
{
    if (!relay_fields_kind(in, field->name, value, RELAY_JSON_STRING))
        return false;
    if ((double)(value.raw.len - 2) > field->max)
        return status_fail_field(in->st, STATUS_INVALID, field->name,
                                 "%s must have at most %.0f bytes", field->name, field->max);
    return true;
}

bool relay_fields_count(struct relay_reading *in, const struct relay_field *field,
                        struct relay_json_value array)
{
    struct relay_json_iter iter = relay_json_iter_of(array);
    struct relay_json_value value;
    double count = 0;
    for (struct text name; relay_json_next(&iter, &name, &value);)
        count++;
    if (count < field->min || count > field->max)
        return status_fail_field(in->st, STATUS_INVALID, field->name,
                                 "%s must have %.0f to %.0f items, not %.0f", field->name,
                                 field->min, field->max, count);
    return true;
}

bool relay_check_array(struct relay_reading *in, const struct relay_field *field,
                       struct relay_json_value value)
{
    return relay_fields_kind(in, field->name, value, RELAY_JSON_ARRAY) &&
           relay_fields_count(in, field, value);
}

/* --- checks of fields that several endpoints have ----------------------------------------------
 */

bool relay_check_model(struct relay_reading *in, const struct relay_field *field,
                       struct relay_json_value value)
{
    if (!relay_fields_kind(in, field->name, value, RELAY_JSON_STRING))
        return false;
    in->out->model_value = value;
    in->out->model = relay_json_string(in->arena, value);
    if (in->out->model.len == 0 || (double)in->out->model.len > field->max)
        return status_fail_field(in->st, STATUS_INVALID, field->name,
                                 "model must have 1 to %.0f bytes", field->max);
    return true;
}

bool relay_check_stream(struct relay_reading *in, const struct relay_field *field,
                        struct relay_json_value value)
{
    in->out->stream = relay_json_is_true(value);
    return relay_fields_kind(in, field->name, value, RELAY_JSON_BOOL);
}

bool relay_check_stream_options(struct relay_reading *in, const struct relay_field *field,
                                struct relay_json_value value)
{
    if (!relay_fields_kind(in, field->name, value, RELAY_JSON_OBJECT))
        return false;
    struct relay_json_iter iter = relay_json_iter_of(value);
    struct relay_json_value option;
    for (struct text name; relay_json_next(&iter, &name, &option);) {
        bool usage = text_equal(name, TEXT("include_usage"));
        if (!usage && !text_equal(name, TEXT("include_obfuscation")))
            continue; /* an upstream's own */
        const char *path =
            usage ? "stream_options.include_usage" : "stream_options.include_obfuscation";
        if (option.kind != RELAY_JSON_NULL && !relay_fields_kind(in, path, option, RELAY_JSON_BOOL))
            return false;
        if (usage)
            in->out->include_usage = relay_json_is_true(option);
    }
    return true;
}

bool relay_check_stop(struct relay_reading *in, const struct relay_field *field,
                      struct relay_json_value value)
{
    if (value.kind == RELAY_JSON_STRING)
        return true;
    if (value.kind != RELAY_JSON_ARRAY)
        return status_fail_field(in->st, STATUS_INVALID, field->name,
                                 "stop must be a string or an array of strings, not %s",
                                 relay_json_kind_name(value.kind));
    struct relay_json_iter iter = relay_json_iter_of(value);
    struct relay_json_value item;
    size_t index = 0;
    for (struct text name; relay_json_next(&iter, &name, &item); index++) {
        char path[32];
        (void)snprintf(path, sizeof(path), "stop[%zu]", index);
        if (!relay_fields_kind(in, path, item, RELAY_JSON_STRING))
            return false;
    }
    return relay_fields_count(in, field, value);
}

bool relay_check_logit_bias(struct relay_reading *in, const struct relay_field *field,
                            struct relay_json_value value)
{
    if (!relay_fields_kind(in, field->name, value, RELAY_JSON_OBJECT))
        return false;
    struct relay_json_iter iter = relay_json_iter_of(value);
    struct relay_json_value bias;
    for (struct text name; relay_json_next(&iter, &name, &bias);) {
        int64_t token;
        double number;
        if (!text_to_i64(name, &token) || token < 0)
            return status_fail_field(in->st, STATUS_INVALID, field->name,
                                     "logit_bias must have token numbers as its names");
        if (!relay_json_double(bias, &number) || number < field->min || number > field->max)
            return status_fail_field(in->st, STATUS_INVALID, field->name,
                                     "each value of logit_bias must be a number from -100 to 100");
    }
    return true;
}

bool relay_fields_kind(struct relay_reading *in, const char *path, struct relay_json_value value,
                       enum relay_json_kind kind)
{
    if (value.kind == kind)
        return true;
    return status_fail_field(in->st, STATUS_INVALID, path, "%s must be %s, not %s", path,
                             relay_json_kind_name(kind), relay_json_kind_name(value.kind));
}

/* The member `type` of an object, which says what the object is. */
bool relay_fields_type(struct relay_reading *in, const char *path, struct relay_json_value object,
                       char *memory, size_t size, struct text *out)
{
    struct relay_json_value type;
    if (!relay_json_member(object, TEXT("type"), &type))
        return status_fail_field(in->st, STATUS_INVALID, path, "%s is missing", path);
    if (!relay_fields_kind(in, path, type, RELAY_JSON_STRING))
        return false;
    if (!relay_json_string_into(type, memory, size, out))
        return status_fail_field(in->st, STATUS_INVALID, path, "%s is too long", path);
    return true;
}
