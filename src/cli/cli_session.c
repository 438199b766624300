/* cli_session: a command's way to the service: the control socket of the server that runs, or of
 * one that we start for the time of the command, without listeners and models. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "api.h"
#include "arena.h"
#include "cli_internal.h"
#include "fiber.h"
#include "http_client.h"
#include "json.h"
#include "loop.h"
#include "net.h"

enum { ANSWER_BYTES_MAX = 8 * 1024 * 1024, CALL_MS = 60 * 1000 };

struct cli_session {
    struct cli_store store; /* of our own server, if we had to start one */
    struct api *api;
    struct text url; /* "unix:/…/control.sock" */
};

/* One call, for the fiber that makes it. */
struct call {
    struct cli_session *session;
    struct cli *cli;
    struct loop *loop;
    struct text method, target, body;
    json_t *answer;
    struct status *st;
    bool good;
};

static bool start_own(struct cli *cli, struct cli_session *session, struct status *st);
static void call_run(void *call);
static bool call_make(struct call *call, struct http_client *client, struct status *st);
static bool problem_to_status(struct text body, int http_status, struct status *st);

bool cli_session_open(struct cli *cli, struct cli_session **out, struct status *st)
{
    struct text path = cli_control_path(cli);
    struct cli_session *session = base_alloc(sizeof(*session));
    session->url = arena_format(cli->arena, "unix:%.*s", TEXT_ARG(path));
    if (!net_unix_answers(path) && !start_own(cli, session, st)) {
        cli_session_close(session);
        return false;
    }
    *out = session;
    return true;
}

void cli_session_close(struct cli_session *session)
{
    if (session == NULL)
        return;
    if (session->api != NULL) {
        api_stop(session->api);
        api_wait(session->api);
        api_close(session->api);
    }
    cli_store_close(&session->store);
    free(session);
}

bool cli_call(struct cli_session *session, struct cli *cli, const char *method, struct text target,
              const json_t *body, json_t **answer, struct status *st)
{
    struct call call = {
        .session = session, .cli = cli, .method = text_of(method), .target = target, .st = st};
    if (body != NULL) {
        struct text_buf buf = text_buf_in(cli->arena, MIB);
        json_write(body, &buf);
        call.body = text_buf_text(&buf);
    }
    const struct loop_options options = {.name = "weir", .cpu = -1};
    if (!loop_open(&options, &call.loop, st))
        return false;
    if (fiber_start(call.loop, "call", call_run, &call, st))
        loop_run(call.loop);
    loop_close(call.loop);
    if (call.good)
        *answer = call.answer;
    return call.good;
}

bool cli_server_runs(struct cli *cli)
{
    return net_unix_answers(cli_control_path(cli));
}

struct text cli_member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_string(value)
               ? (struct text){json_string_value(value), json_string_length(value)}
               : TEXT_NONE;
}

static bool start_own(struct cli *cli, struct cli_session *session, struct status *st)
{
    struct api_options options;
    if (!cli_store_open(cli, &session->store, st)) {
        if (st->code == STATUS_CONFLICT)
            return status_wrap(st, "a server that is starting or ending has the data folder, try "
                                   "again");
        return false;
    }
    if (!cli_api_options(cli, &session->store, &options, st))
        return false;
    options.listen_count = 0;
    options.metrics_listen = TEXT_NONE;
    options.tls_certificate = options.tls_key = options.tls_client_ca = TEXT_NONE;
    options.workers = 1;
    if (!api_open(&options, &session->api, st))
        return false;
    if (api_start(session->api, st))
        return true;
    api_close(session->api);
    session->api = NULL;
    return false;
}

static void call_run(void *arg)
{
    struct call *call = arg;
    struct http_client *client = http_client_open(call->loop, &(struct http_client_options){0});
    call->good = call_make(call, client, call->st);
    http_client_close(client);
    loop_stop(call->loop);
}

static bool call_make(struct call *call, struct http_client *client, struct status *st)
{
    AUTO(http_origin) struct http_origin *origin = NULL;
    AUTO(http_response) struct http_response *response = NULL;
    const struct http_origin_options options = {.url = call->session->url};
    const struct http_header headers[] = {
        {TEXT("content-type"), TEXT("application/json")},
        {TEXT("accept"), TEXT("application/json")},
    };
    if (!http_origin_open(client, &options, &origin, st))
        return false;
    const struct http_call request = {
        .origin = origin,
        .method = call->method,
        .target = call->target,
        .headers = {headers, ARRAY_LEN(headers)},
        .body = call->body,
        .no_resend = true,
        .total_ms = CALL_MS,
    };
    struct text body;
    if (!http_client_call(client, &request, call->cli->arena, &response, st) ||
        !http_response_body(response, ANSWER_BYTES_MAX, call->cli->arena, &body, st))
        return status_wrap(st, "could not ask the server");
    if (response->http_status >= 300)
        return problem_to_status(body, response->http_status, st);
    if (body.len > 0 && !json_read_in(call->cli->arena, body, NULL, &call->answer, st))
        return status_wrap(st, "could not read the server's answer");
    return true;
}

/* RFC 9457: the sentence is in `detail`. */
static bool problem_to_status(struct text body, int http_status, struct status *st)
{
    AUTO(json_t) json_t *problem = NULL;
    struct status ignored;
    struct text detail = TEXT_NONE, field = TEXT_NONE;
    enum status_code code = STATUS_INTERNAL;
    if (http_status == 404)
        code = STATUS_NOT_FOUND;
    else if (http_status == 409)
        code = STATUS_CONFLICT;
    else if (http_status < 500)
        code = STATUS_INVALID;
    if (json_read(body, NULL, &problem, &ignored)) {
        struct json_at at = json_at_root(problem);
        if (!json_get_text(&at, "detail", JSON_OPTIONAL, 4096, &detail, &ignored) ||
            !json_get_text(&at, "field", JSON_OPTIONAL, 256, &field, &ignored))
            detail = TEXT_NONE;
    }
    if (detail.len == 0)
        return status_fail(st, code, "the server answered %d", http_status);
    char field_name[STATUS_FIELD_BYTES_MAX];
    struct text_out out = text_out_over(field_name, sizeof(field_name) - 1);
    text_out_add(&out, field);
    field_name[out.len] = '\0';
    return status_fail_field(st, code, field_name, "%.*s", TEXT_ARG(detail));
}
