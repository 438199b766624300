/* api_internal: what the files of this folder share: the service and its workers. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include "account.h"
#include "api.h"
#include "api_request.h"
#include "http_request.h"
#include "http_router.h"
#include "http_server.h"
#include "observe.h"
#include "relay_call.h"
#include "relay_local.h"
#include "relay_registry.h"

struct api_web;
struct chat;
struct http_tls;
struct notify;

enum { API_WORKERS_MAX = 256 };

/* Of routes: whose durations belong together. */
enum api_class {
    API_CLASS_V1,      /* OpenAI's dialect: mostly what models take */
    API_CLASS_API,     /* /api, but for the events of a run */
    API_CLASS_EVENTS,  /* streams of chat runs */
    API_CLASS_WEB,     /* files of the app, and what is no route */
    API_CLASS_CONTROL, /* over the control socket */
    API_CLASS_PROBE,   /* health and metrics */
    API_CLASS_COUNT
};

/* What a server's handler gets: on whose behalf, and by which door. */
struct api_listener {
    struct api_worker *worker;
    bool control;
    bool metrics;
    bool loopback; /* Host must be a name of this machine */
    struct http_server *server;
};

/* One thread. Its loop, servers and connections are its own. */
struct api_worker {
    struct api *api;
    int index;
    pthread_t thread;
    bool running; /* the thread was made */
    struct loop *loop;
    struct relay_worker *relay;
    struct notify *stop;
    struct api_listener listeners[API_ADDRESSES_MAX + 2];
    size_t listeners_count;
    _Atomic int live_runs; /* chat runs of this worker */
};

enum api_state { API_STATE_NEW, API_STATE_RUNNING, API_STATE_STOPPING, API_STATE_CUT };

struct api {
    struct arena *arena; /* the options' texts, and what lives as long as the service */
    struct api_options options;
    struct account *account;
    struct relay_registry *registry;
    struct relay_metrics *relay_metrics;
    struct chat *chat;
    struct api_web *web;
    struct http_router *router;
    struct http_forwarded *forwarded;
    struct http_tls *server_tls, *client_tls;
    struct http_counters counters;
    struct metric_family *requests, *durations;
    struct metric *duration_metrics[API_CLASS_COUNT];
    /* By row of the route table and class of the answer; the row after the last is for no route. */
    struct metric *(*route_metrics)[6];

    struct api_worker *workers;
    int workers_count;
    _Atomic int state;                 /* enum api_state */
    _Atomic int workers_alive;         /* the first one sees the others off */
    uint16_t ports[API_ADDRESSES_MAX]; /* as bound, by the first worker */
    char url[256];
    struct health_check *database_health, *models_health;

    /* How a worker's start went, from its thread to api_start. */
    pthread_mutex_t lock;
    pthread_cond_t started;
    int started_count;
    bool start_failed;
    struct status start_status;
};

/* api_worker.c: the thread, from listen to drained. */
void *api_worker_main(void *worker);

/* api_request.c: the handler of every server. */
void api_handle(void *listener, struct http_request *req, struct http_reply *reply);
void api_handle_error(void *listener, struct http_request *req, struct http_reply *reply,
                      int http_status, struct text text);

/* api_auth.c. Each fails with what is to be answered. They may wait. */
MUST_CHECK bool api_auth_host(const struct api_listener *listener, const struct http_request *req,
                              struct status *st);
MUST_CHECK bool api_auth_same_origin(struct http_request *req, struct status *st);
MUST_CHECK bool api_auth_caller(struct http_request *req, enum api_auth auth, struct status *st);
struct text api_auth_cookie_name(const struct http_request *req);
/* CORS of /v1: adds the headers when the page's origin is one of the setting's. */
void api_auth_cors(const struct http_request *req, struct http_reply *reply);
void api_auth_preflight(struct http_reply *reply);

/* api_routes.c: the table. */
extern const struct api_route api_routes[];
extern const size_t api_routes_count;

/* api_web.c: the app's files. */
struct api_web *api_web_new(void);
void api_web_free(struct api_web *web);
/* GET and HEAD of what is no route: an asset, or the app for any other path. Waits. */
MUST_CHECK bool api_web_serve(struct api_web *web, struct http_request *req,
                              struct http_reply *reply, struct status *st);

/* api_health.c: /healthz and /readyz; and the one page of the metrics listener. */
bool api_healthz_get(struct http_request *req, struct http_reply *reply, struct status *st);
bool api_readyz_get(struct http_request *req, struct http_reply *reply, struct status *st);
bool api_metrics_get(struct http_request *req, struct http_reply *reply, struct status *st);
void api_health_watch(void *api); /* the body of a fiber: asks the database now and then */
