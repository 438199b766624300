/* What an answer that says no means: how much of it is the caller's to know. */
#include <stdio.h>
#include "http_client.h"
#include "relay_call_internal.h"

enum {
    RETRY_AFTER_MS_MAX = 2000, /* a longer Retry-After is the client's to wait for */
    ERROR_BODY_BYTES_MAX = 64 * 1024,
};

static int64_t retry_after_ms(const struct http_response *response);
static void set_code(const struct relay_call_options *options, struct text code);

bool relay_call_refused(struct relay_call *call, const struct relay_call_options *options,
                        bool *again, int64_t *after_ms, struct status *st)
{
    int http_status = call->response->http_status;
    struct text body = TEXT(""), message = TEXT(""), param = TEXT(""), code = TEXT("");
    struct relay_json_value root, error;
    struct status ignored = {0};
    *after_ms = retry_after_ms(call->response);
    if (!http_response_body(call->response, ERROR_BODY_BYTES_MAX, call->arena, &body, &ignored) &&
        (ignored.code == STATUS_CANCELLED || ignored.code == STATUS_LIMIT)) {
        *st = ignored;
        return false;
    }
    if (relay_json_check(body, &root, &ignored) && relay_json_member(root, TEXT("error"), &error))
        relay_chunk_error(error, call->arena, &message, &param, &code);
    message = text_utf8_take(message, STATUS_TEXT_BYTES_MAX - 1);
    switch (http_status) {
    case 400:
    case 409:
    case 422:
    case 413:
        set_code(options, code);
        if (message.len == 0)
            message = TEXT("the upstream refused the request");
        if (http_status == 413)
            return status_fail(st, STATUS_TOO_LARGE, "%.*s", TEXT_ARG(message));
        if (param.len == 0)
            return status_fail(st, STATUS_INVALID, "%.*s", TEXT_ARG(message));
        char field[STATUS_FIELD_BYTES_MAX];
        (void)snprintf(field, sizeof(field), "%.*s",
                       TEXT_ARG(text_utf8_take(param, sizeof(field) - 1)));
        return status_fail_field(st, STATUS_INVALID, field, "%.*s", TEXT_ARG(message));
    case 429:
        *again = !call->model->local && *after_ms <= RETRY_AFTER_MS_MAX;
        (void)status_fail(st, STATUS_RATE_LIMITED, "the model '%.*s' is busy: %.*s",
                          TEXT_ARG(call->model->id),
                          TEXT_ARG(message.len > 0 ? message : TEXT("come back later")));
        st->retry_after_ms = *after_ms > 0 ? *after_ms : 1000;
        return false;
    case 502:
        *again = true;
        return status_fail(st, STATUS_UPSTREAM, "the upstream answered with 502");
    case 503:
    case 529:
        *again = !call->model->local && *after_ms <= RETRY_AFTER_MS_MAX;
        (void)status_fail(st, STATUS_UNAVAILABLE, "the model '%.*s' is not available now (%d)",
                          TEXT_ARG(call->model->id), http_status);
        st->retry_after_ms = *after_ms > 0 ? *after_ms : 2000;
        return false;
    case 404:
    case 405:
    case 501:
        if (text_equal(code, TEXT("model_not_found"))) /* of the name that we gave it */
            return status_fail(st, STATUS_UPSTREAM, "the upstream does not know its model (%d)",
                               http_status);
        return relay_call_unsupported(call->model, options, st);
    case 401:
    case 403: /* its words may quote the key: they stay here */
        return status_fail(st, STATUS_UPSTREAM,
                           "the upstream refused the key that Weir has for it (%d)", http_status);
    default:
        return status_fail(st, STATUS_UPSTREAM, "the upstream answered with %d", http_status);
    }
}

bool relay_call_unsupported(const struct relay_model *model,
                            const struct relay_call_options *options, struct status *st)
{
    set_code(options, TEXT("unsupported_endpoint"));
    return status_fail_field(st, STATUS_NOT_FOUND, "model", "the model '%.*s' does not do %s",
                             TEXT_ARG(model->id),
                             relay_endpoint_facts(options->request->endpoint)->does);
}

static int64_t retry_after_ms(const struct http_response *response)
{
    int64_t seconds;
    if (!text_to_i64(http_header_get(response->headers, TEXT("retry-after")), &seconds) ||
        seconds < 0 || seconds > 86400)
        return 0;
    return seconds * 1000;
}

static void set_code(const struct relay_call_options *options, struct text code)
{
    if (options->error_code != NULL)
        (void)snprintf(options->error_code, RELAY_CODE_BYTES, "%.*s",
                       TEXT_ARG(text_utf8_take(code, RELAY_CODE_BYTES - 1)));
}
