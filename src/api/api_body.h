/* api_body: JSON bodies of /api, read by a table of their members. What the table does not name is
 * refused, and each failure names its field.
 *
 *     static const struct api_field fields[] = {
 *         {"email", API_FIELD_TEXT, API_FIELD_REQUIRED, 3, 254},
 *         {"password", API_FIELD_TEXT, API_FIELD_REQUIRED, 1, 1024},
 *     };
 *     struct api_value values[ARRAY_LEN(fields)];
 *     if (!api_body_read(req, fields, ARRAY_LEN(fields), values, st))
 *         return false;
 *
 * Waits: for the body. Everything read lives in the request's arena. */
#pragma once
#include "base.h"
#include "relay_json.h"
#include "status.h"
#include "text.h"

struct http_request;

enum api_field_kind {
    API_FIELD_TEXT, /* min and max in characters */
    API_FIELD_NAME, /* the same, without the white space at both ends, and no control characters */
    API_FIELD_INT,  /* min and max of the number */
    API_FIELD_NUMBER, /* the same */
    API_FIELD_BOOL,
    API_FIELD_OBJECT, /* `raw` only */
    API_FIELD_LIST,   /* `raw` only; min and max in items */
};
enum { API_FIELD_OPTIONAL = 0, API_FIELD_REQUIRED = 1, API_FIELD_NULLABLE = 2 };

struct api_field {
    const char *name;
    enum api_field_kind kind;
    unsigned flags;
    double min, max;
};

/* One member as it was read. */
struct api_value {
    bool present; /* was in the body, be it null */
    bool is_null;
    struct text text;
    int64_t integer;
    double number;
    bool yes;
    struct relay_json_value raw;
};

enum { API_FIELDS_MAX = 16 };

/* Reads the whole body of a request that says that it is JSON, or does not say what it is, as many
 * clients of /v1 do (`absent_fits`: not so for a page of the web, whose form could then be sent to
 * us by another site).
 * Fails: 415 another content type; 408 too slow; as http_request_body. */
MUST_CHECK bool api_body_json(struct http_request *req, bool absent_fits, size_t bytes_max,
                              struct text *body, struct status *st);

/* Reads the body, up to the route's limit, into values[0] to values[count - 1].
 * Fails: 415 another content type; STATUS_INVALID (invalid-json, or with the field at fault);
 * STATUS_TOO_LARGE; as http_request_body. */
MUST_CHECK bool api_body_read(struct http_request *req, const struct api_field *fields,
                              size_t count, struct api_value *values, struct status *st);
/* The same for an object inside of one; `prefix` stands before the names in errors. */
MUST_CHECK bool api_body_object(struct http_request *req, struct relay_json_value object,
                                const char *prefix, const struct api_field *fields, size_t count,
                                struct api_value *values, struct status *st);

/* How a list is asked for: ?limit= and ?cursor=. A cursor is "<sort key>.<id>", opaque outside. */
struct api_page {
    int64_t limit;     /* 1 to 100 */
    int64_t after_key; /* the sort key (a time in us) of the last row seen, when after_id is set */
    struct text after_id; /* "" for the first page */
};
/* Fails: STATUS_INVALID with the field. */
MUST_CHECK bool api_page_read(struct http_request *req, struct api_page *out, struct status *st);
