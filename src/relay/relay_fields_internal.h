/* relay_fields_internal: the members of a request's body, read by a table of them, and the checks
 * that the tables of several endpoints name. relay_request.h says what is made of them. */
#pragma once
#include "relay_request.h"

/* What becomes of a field when the model is a local one. Other upstreams get every field. */
enum relay_local { RELAY_LOCAL_PASS, RELAY_LOCAL_DROP, RELAY_LOCAL_REFUSE };

struct relay_reading {
    struct relay_request *out;
    struct arena *arena;
    struct status *st;
};
struct relay_field {
    const char *name;
    enum relay_local local;
    bool (*check)(struct relay_reading *in, const struct relay_field *field,
                  struct relay_json_value value);
    double min, max; /* numbers: the range; texts: bytes; arrays: items */
    bool needed;     /* its absence is a fault; null is not the same as absent */
};
struct relay_fields {
    const struct relay_field *at;
    size_t count; /* at most 64 */
};

/* The table of an endpoint: where the rest of its checks are. */
extern const struct relay_fields relay_fields_chat, relay_fields_completions,
    relay_fields_embeddings, relay_fields_rerank, relay_fields_tokenize, relay_fields_detokenize;

/* Every member of the object `root`. Fails: STATUS_INVALID with the field. */
MUST_CHECK bool relay_fields_read(const struct relay_fields *fields, struct relay_json_value root,
                                  struct relay_reading *in);

typedef bool relay_check(struct relay_reading *in, const struct relay_field *field,
                         struct relay_json_value value);
relay_check relay_check_any, relay_check_array, relay_check_bool, relay_check_integer,
    relay_check_number, relay_check_object, relay_check_text;
relay_check relay_check_logit_bias, relay_check_model, relay_check_n, relay_check_stop,
    relay_check_stream, relay_check_stream_options, relay_check_tokens_max;

/* Parts of checks. `path` is the field's, or one inside of it. */
MUST_CHECK bool relay_fields_kind(struct relay_reading *in, const char *path,
                                  struct relay_json_value value, enum relay_json_kind kind);
/* That the array has field->min to field->max items. */
MUST_CHECK bool relay_fields_count(struct relay_reading *in, const struct relay_field *field,
                                   struct relay_json_value array);
/* The member `type` of an object, which says what the object is. */
MUST_CHECK bool relay_fields_type(struct relay_reading *in, const char *path,
                                  struct relay_json_value object, char *memory, size_t size,
                                  struct text *out);
