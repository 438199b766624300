/* api_handlers: the handlers that the route table names, one file per resource. Each answers
 * through `reply`, or fails with what dispatch turns into the error body of the path's dialect.
 * Every one of them may wait. */
#pragma once
#include "http_reply.h"
#include "http_request.h"
#include "status.h"

typedef bool api_handler(struct http_request *req, struct http_reply *reply, struct status *st);

api_handler api_v1_chat_post, api_v1_completions_post, api_v1_embeddings_post, api_v1_rerank_post,
    api_v1_tokenize_post, api_v1_detokenize_post;
api_handler api_v1_models_list, api_v1_models_get;
api_handler api_models_list, api_models_create, api_models_update, api_models_delete;
api_handler api_upstreams_list, api_upstreams_create, api_upstreams_get, api_upstreams_update,
    api_upstreams_delete, api_upstreams_models;
api_handler api_threads_list, api_threads_create, api_threads_get, api_threads_update,
    api_threads_delete, api_runs_start;
api_handler api_runs_events, api_runs_stop;
/* For the operator's commands, over the control socket alone. */
api_handler api_control_setup, api_control_users_list, api_control_users_add,
    api_control_secrets_rotate, api_control_users_password, api_control_users_disable,
    api_control_users_enable, api_control_orgs_list, api_control_orgs_weight;
