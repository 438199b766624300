/* The table of routes: method, path, who may, how long a body may be, and the handler. It and
 * api/openapi.yaml say the same of /api (a test compares them). */
#include "api_internal.h"
#include "api_handlers.h"
#include "api_session.h"

const struct api_route api_routes[] = {
    {"GET", "/healthz", API_AUTH_NONE, 0, api_healthz_get},
    {"GET", "/readyz", API_AUTH_NONE, 0, api_readyz_get},

    {"POST", "/v1/chat/completions", API_AUTH_KEY, 8 * MIB, api_v1_chat_post},
    {"POST", "/v1/completions", API_AUTH_KEY, 8 * MIB, api_v1_completions_post},
    {"POST", "/v1/embeddings", API_AUTH_KEY, 8 * MIB, api_v1_embeddings_post},
    {"POST", "/v1/rerank", API_AUTH_KEY, 8 * MIB, api_v1_rerank_post},
    {"POST", "/v1/tokenize", API_AUTH_KEY, 8 * MIB, api_v1_tokenize_post},
    {"POST", "/v1/detokenize", API_AUTH_KEY, 8 * MIB, api_v1_detokenize_post},
    {"GET", "/v1/models", API_AUTH_KEY, 0, api_v1_models_list},
    {"GET", "/v1/models/{*}", API_AUTH_KEY, 0, api_v1_models_get},

    {"GET", "/api/bootstrap", API_AUTH_NONE, 0, api_bootstrap_get},
    {"POST", "/api/setup", API_AUTH_NONE, 64 * KIB, api_setup_create},
    {"POST", "/api/session", API_AUTH_NONE, 64 * KIB, api_session_create},
    {"DELETE", "/api/session", API_AUTH_NONE, 0, api_session_delete},
    {"GET", "/api/sessions", API_AUTH_SESSION, 0, api_sessions_list},
    {"DELETE", "/api/sessions", API_AUTH_SESSION, 0, api_sessions_end_others},
    {"DELETE", "/api/sessions/{id}", API_AUTH_SESSION, 0, api_sessions_end},
    {"GET", "/api/me", API_AUTH_SESSION, 0, api_me_get},
    {"PATCH", "/api/me", API_AUTH_SESSION, 64 * KIB, api_me_update},
    {"POST", "/api/me/password", API_AUTH_SESSION, 64 * KIB, api_me_password},
    {"GET", "/api/keys", API_AUTH_SESSION, 0, api_keys_list},
    {"POST", "/api/keys", API_AUTH_SESSION, 64 * KIB, api_keys_create},
    {"PATCH", "/api/keys/{id}", API_AUTH_SESSION, 64 * KIB, api_keys_update},
    {"DELETE", "/api/keys/{id}", API_AUTH_SESSION, 0, api_keys_delete},

    {"GET", "/api/models", API_AUTH_SESSION, 0, api_models_list},
    {"POST", "/api/models", API_AUTH_OWNER, 64 * KIB, api_models_create},
    {"PATCH", "/api/models/{id}", API_AUTH_OWNER, 64 * KIB, api_models_update},
    {"DELETE", "/api/models/{id}", API_AUTH_OWNER, 0, api_models_delete},

    {"GET", "/api/upstreams", API_AUTH_OWNER, 0, api_upstreams_list},
    {"POST", "/api/upstreams", API_AUTH_OWNER, 64 * KIB, api_upstreams_create},
    {"GET", "/api/upstreams/{id}", API_AUTH_OWNER, 0, api_upstreams_get},
    {"PATCH", "/api/upstreams/{id}", API_AUTH_OWNER, 64 * KIB, api_upstreams_update},
    {"DELETE", "/api/upstreams/{id}", API_AUTH_OWNER, 0, api_upstreams_delete},
    {"GET", "/api/upstreams/{id}/models", API_AUTH_OWNER, 0, api_upstreams_models},

    {"GET", "/api/threads", API_AUTH_SESSION, 0, api_threads_list},
    {"POST", "/api/threads", API_AUTH_SESSION, 256 * KIB, api_threads_create},
    {"GET", "/api/threads/{id}", API_AUTH_SESSION, 0, api_threads_get},
    {"PATCH", "/api/threads/{id}", API_AUTH_SESSION, 256 * KIB, api_threads_update},
    {"DELETE", "/api/threads/{id}", API_AUTH_SESSION, 0, api_threads_delete},
    {"POST", "/api/threads/{id}/runs", API_AUTH_SESSION, 2 * MIB, api_runs_start},
    {"GET", "/api/runs/{id}/events", API_AUTH_SESSION, 0, api_runs_events},
    {"POST", "/api/runs/{id}/stop", API_AUTH_SESSION, 4 * KIB, api_runs_stop},

    {"POST", "/control/setup", API_AUTH_CONTROL, 64 * KIB, api_control_setup},
    {"POST", "/control/secrets/{ring}/rotate", API_AUTH_CONTROL, 4 * KIB,
     api_control_secrets_rotate},
    {"GET", "/control/users", API_AUTH_CONTROL, 0, api_control_users_list},
    {"POST", "/control/users", API_AUTH_CONTROL, 64 * KIB, api_control_users_add},
    {"POST", "/control/users/{email}/password", API_AUTH_CONTROL, 64 * KIB,
     api_control_users_password},
    {"POST", "/control/users/{email}/disable", API_AUTH_CONTROL, 4 * KIB,
     api_control_users_disable},
    {"GET", "/control/orgs", API_AUTH_CONTROL, 0, api_control_orgs_list},
    {"POST", "/control/orgs/{id}/weight", API_AUTH_CONTROL, 4 * KIB, api_control_orgs_weight},
    {"POST", "/control/users/{email}/enable", API_AUTH_CONTROL, 4 * KIB, api_control_users_enable},
};
const size_t api_routes_count = ARRAY_LEN(api_routes);
