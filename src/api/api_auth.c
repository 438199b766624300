/* Who calls, and from where. Names of other machines in Host are refused on loopback, so that a
 * page of the open web whose name was bound anew to 127.0.0.1 reaches nothing; requests that change
 * something must come from our own pages. */
#include <string.h>
#include "account_key.h"
#include "account_session.h"
#include "api_internal.h"
#include "arena.h"
#include "http_cookie.h"
#include "http_url.h"

static struct text name_of_host(struct text host);
static bool is_address(struct text name);
static bool key_of(const struct http_request *req, struct text *out);
static void set_caller(struct api_request *request, enum api_caller_kind kind);
static bool session_of(struct http_request *req, struct status *st);

bool api_auth_host(const struct api_listener *listener, const struct http_request *req,
                   struct status *st)
{
    const struct api_options *options = &listener->worker->api->options;
    struct text name = name_of_host(req->host);
    struct http_url url;
    if (listener->control || (!listener->loopback && options->hosts_count == 0))
        return true;
    if (req->host.len == 0 || is_address(name) || text_equal_nocase(name, TEXT("localhost")) ||
        (name.len > 10 && text_equal_nocase(text_skip(name, name.len - 10), TEXT(".localhost"))))
        return true;
    if (options->public_url.len > 0 && http_url_parse(options->public_url, &url, st) &&
        text_equal_nocase(name, url.host))
        return true;
    for (size_t i = 0; i < options->hosts_count; i++)
        if (text_equal_nocase(name, options->hosts[i]))
            return true;
    return status_fail(st, STATUS_FORBIDDEN,
                       "this server does not answer to the name %.*s; the setting hosts can "
                       "allow it",
                       TEXT_ARG(text_take(name, 100)));
}

bool api_auth_same_origin(struct http_request *req, struct status *st)
{
    struct text site = http_request_header(req, TEXT("sec-fetch-site"));
    struct text origin = http_request_header(req, TEXT("origin"));
    if (site.at != NULL) {
        if (text_equal(site, TEXT("same-origin")))
            return true;
    } else if (origin.at != NULL) {
        size_t scheme = text_find(origin, TEXT("://"));
        if (scheme < origin.len && req->host.len > 0 &&
            text_equal_nocase(text_skip(origin, scheme + 3), req->host))
            return true;
    }
    return api_fail(req, st, API_PROBLEM_CROSS_SITE, NULL,
                    "a request that changes something must come from a page of this server");
}

bool api_auth_caller(struct http_request *req, enum api_auth auth, struct status *st)
{
    struct api_request *request = api_request_of(req);
    struct account *account = request->api->account;
    struct api_caller *caller = &request->caller;
    struct text secret;
    if (auth == API_AUTH_KEY) {
        if (!key_of(req, &secret))
            return status_fail(st, STATUS_UNAUTHENTICATED,
                               "an API key is missing: send it as Authorization: Bearer weir_sk_…");
        if (!account_key_check(account, secret, api_peer_address(req), &caller->who, st))
            return false;
        set_caller(request, API_CALLER_KEY);
        return true;
    }
    if (request->control) {
        if (auth != API_AUTH_SESSION && auth != API_AUTH_OWNER)
            return true; /* before the first owner there is nobody to act as */
        if (!account_first_owner(account, &caller->who, st)) {
            if (st->code == STATUS_NOT_FOUND)
                return status_fail(st, STATUS_UNAUTHENTICATED, "nobody was set up yet");
            return false;
        }
        set_caller(request, API_CALLER_CONTROL);
        return true;
    }
    if (auth == API_AUTH_CONTROL)
        return status_fail(st, STATUS_NOT_FOUND, "there is nothing at this address");
    if (!session_of(req, st))
        return auth == API_AUTH_NONE && st->code == STATUS_UNAUTHENTICATED;
    set_caller(request, API_CALLER_SESSION);
    if (auth == API_AUTH_OWNER && !caller->owner)
        return status_fail(st, STATUS_FORBIDDEN, "only an owner may do this");
    return true;
}

struct text api_auth_cookie_name(const struct http_request *req)
{
    return api_is_secure(req) ? TEXT("__Host-weir_session") : TEXT("weir_session");
}

void api_auth_cors(const struct http_request *req, struct http_reply *reply)
{
    const struct api_options *options = &api_request_of(req)->api->options;
    struct text origin = http_request_header(req, TEXT("origin"));
    if (options->cors_origins_count == 0)
        return;
    http_reply_header(reply, TEXT("Vary"), TEXT("Origin"));
    for (size_t i = 0; origin.at != NULL && i < options->cors_origins_count; i++) {
        bool all = text_equal(options->cors_origins[i], TEXT("*"));
        if (!all && !text_equal(options->cors_origins[i], origin))
            continue;
        /* Never with credentials: a key in a header is what lets a page in. */
        http_reply_header(reply, TEXT("Access-Control-Allow-Origin"), all ? TEXT("*") : origin);
        http_reply_header(reply, TEXT("Access-Control-Expose-Headers"),
                          TEXT("x-request-id, retry-after, server-timing"));
        return;
    }
}

void api_auth_preflight(struct http_reply *reply)
{
    struct status ignored = {0};
    http_reply_header(reply, TEXT("Access-Control-Allow-Methods"), TEXT("GET, POST"));
    http_reply_header(
        reply, TEXT("Access-Control-Allow-Headers"),
        TEXT("authorization, content-type, x-api-key, traceparent, idempotency-key, "
             "openai-organization, openai-project, openai-beta, x-stainless-lang, "
             "x-stainless-package-version, x-stainless-os, x-stainless-arch, x-stainless-runtime, "
             "x-stainless-runtime-version, x-stainless-retry-count, x-stainless-timeout, "
             "x-stainless-async, x-stainless-helper-method, x-stainless-read-timeout, user-agent"));
    http_reply_header(reply, TEXT("Access-Control-Max-Age"), TEXT("600"));
    if (!http_reply_send(reply, 204, TEXT(""), TEXT(""), &ignored))
        http_reply_close_after(reply);
}

bool api_is_secure(const struct http_request *req)
{
    return req->is_tls || api_request_of(req)->api->options.behind_tls_proxy;
}

struct text api_peer_address(const struct http_request *req)
{
    return http_forwarded_client(api_request_of(req)->api->forwarded, req->peer, req->headers,
                                 req->arena);
}

/* Host without its port and brackets. */
static struct text name_of_host(struct text host)
{
    if (host.len > 0 && host.at[0] == '[') {
        struct text inner = text_skip(host, 1);
        return text_take(inner, text_find_byte(inner, ']'));
    }
    return text_take(host, text_find_byte(host, ':'));
}

/* Whether it can only be an address: no name that a stranger could have registered looks so. */
static bool is_address(struct text name)
{
    bool digits_only = name.len > 0;
    for (size_t i = 0; i < name.len; i++) {
        if (name.at[i] == ':')
            return true; /* IPv6; a name has no colon */
        digits_only &= (name.at[i] >= '0' && name.at[i] <= '9') || name.at[i] == '.';
    }
    return digits_only;
}

static bool key_of(const struct http_request *req, struct text *out)
{
    struct text value = http_request_header(req, TEXT("authorization"));
    if (value.at != NULL && text_equal_nocase(text_take(value, 7), TEXT("bearer "))) {
        *out = text_trim(text_skip(value, 7));
        return out->len > 0;
    }
    value = http_request_header(req, TEXT("x-api-key"));
    *out = value;
    return value.len > 0;
}

static void set_caller(struct api_request *request, enum api_caller_kind kind)
{
    struct api_caller *caller = &request->caller;
    caller->kind = kind;
    caller->org_id = ids_text(&caller->who.org);
    caller->project_id = ids_text(&caller->who.project);
    caller->user_id = ids_text(&caller->who.user);
    caller->session_id = kind == API_CALLER_SESSION ? ids_text(&caller->who.session) : TEXT("");
    caller->key_id = kind == API_CALLER_KEY ? ids_text(&caller->who.key) : TEXT("");
    caller->owner = kind != API_CALLER_KEY && caller->who.role == ACCOUNT_ROLE_OWNER;
}

static bool session_of(struct http_request *req, struct status *st)
{
    struct api_request *request = api_request_of(req);
    struct text token;
    if (!http_cookie_get(req->headers, api_auth_cookie_name(req), &token))
        return status_fail(st, STATUS_UNAUTHENTICATED, "nobody is signed in");
    return account_session_check(request->api->account, token, api_peer_address(req),
                                 &request->caller.who, st);
}
