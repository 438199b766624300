/* api: the service as a whole. The one place where the other folders meet: worker threads, each
 * with its own loop, listener and pool of upstream connections; and what they share (database,
 * vault, accounts, the registry of models, live chat runs, metrics), which whoever makes an api has
 * opened and closes afterwards.
 *
 *     main:  api_open → api_start → print "ready", wait for signals → api_stop → api_wait
 *
 * Threads: api_stop, api_reload and api_model_* may be called from any thread (not from a signal
 * handler); the rest belongs to the thread that opened it. */
#pragma once
#include "base.h"
#include "http_forwarded.h"
#include "http_server.h"
#include "relay_call.h"
#include "relay_local.h"
#include "status.h"
#include "text.h"

struct account;
struct api;
struct db;
struct observe;
struct vault;

enum { API_ADDRESSES_MAX = 8, API_SEEDS_MAX = 32, API_ORIGINS_MAX = 16, API_PROXIES_MAX = 32 };

/* A model that the configuration names: its row is made when it is absent, and marked managed. */
struct api_model_seed {
    struct text id;             /* the public name */
    struct text name;           /* for people; empty: the id */
    struct text path;           /* a local GGUF file, or empty */
    struct text upstream;       /* else the seed of an upstream, by its name */
    struct text upstream_model; /* empty: the id */
    struct text base;           /* the path is an adapter's, of this model; empty: a model's own */
    int64_t context_tokens;     /* 0: what the model says */
    unsigned tasks;             /* of one of an upstream (relay_tasks.h); 0: guessed by its name */
    bool pinned_said, pinned;   /* `pinned` counts where it is said; else what the row has */
};
struct api_upstream_seed {
    struct text name, base_url;
    struct text api_key; /* sealed before it is stored; empty: none */
};

/* Zero and empty mean the default, unless a comment says otherwise. The texts are copied. */
struct api_options {
    /* Opened by the caller, who closes them after api_close. */
    struct db *db;
    struct vault *vault;
    struct account *account;
    struct observe *observe;

    struct text data_folder; /* $WEIR_DATA: run/ and control.sock are made in it */
    struct text version;
    struct text replica_id; /* owner of chat runs; empty: a new one */
    int workers;            /* 0: one per core */

    /* Listeners. */
    struct text listen[API_ADDRESSES_MAX]; /* "127.0.0.1:8080" */
    size_t listen_count;
    bool plain_anywhere;        /* allow a plain listener or upstream off loopback */
    struct text metrics_listen; /* empty: none; TLS as the others */
    struct text control_path;   /* the control socket; empty: none */
    struct text tls_certificate, tls_key, tls_client_ca; /* files; empty: plain */
    struct text public_url; /* what people open; empty: from the first listener */
    bool behind_tls_proxy;  /* cookies are Secure although we listen in plain */
    struct text
        hosts[API_ORIGINS_MAX]; /* names that Host may have besides addresses and localhost */
    size_t hosts_count;
    struct text proxies[API_PROXIES_MAX]; /* trusted; see http_forwarded.h */
    size_t proxies_count;
    enum http_forwarded_header proxy_header;
    struct text
        cors_origins[API_ORIGINS_MAX]; /* may call /v1 from a page, with a key; "*" for all */
    size_t cors_origins_count;

    /* Models. */
    bool supervise;         /* `weir up`: run a weir-infer child for each local model */
    struct text infer_path; /* the program weir-infer */
    /* What is wrong with a model's file, looked at before it is run; NULL: nobody looks. */
    bool (*model_check)(const char *path, struct status *st);
    struct relay_local_facts (*model_facts)(const char *path, const char *const *argv);
    uint64_t model_memory_max; /* of local models together; 0: what the machine has free */
    int64_t model_idle_ms;     /* one that nobody calls for so long is unloaded; 0: none is */
    /* For weir-infer; at most one for every model, and one for each that the configuration names.
     */
    struct relay_local_args infer_args[API_SEEDS_MAX + 1];
    size_t infer_args_count;
    bool
        seed; /* a server: what the configuration names becomes rows. A command leaves them alone */
    struct api_model_seed models[API_SEEDS_MAX];
    size_t models_count;
    struct api_upstream_seed upstreams[API_SEEDS_MAX];
    size_t upstreams_count;
    struct text upstream_ca; /* PEM for https upstreams; empty: the system's */
    struct text upstream_certificate, upstream_key; /* shown to them; empty: none */

    /* Limits. */
    struct http_limits http;
    struct relay_limits relay; /* stream_max_ms is WEIR_STREAM_MAX */
    int64_t request_max_ms;    /* a request and its answer, but what a model writes: 5 min */
    int64_t drain_max_ms;      /* WEIR_DRAIN_MAX: 30 s */
    size_t body_bytes_max;     /* of /v1/chat/completions: 8 MiB */
    int64_t threads_max;       /* conversations of one person: 10,000 */
    int64_t messages_max;      /* of one conversation: 2,000 */
    int64_t runs_max;          /* of one person at a time: 4 */
    size_t answer_bytes_max;   /* of one run: 1 MiB */
};

/* Copies the options, seeds models and upstreams, prepares what workers share. Makes no thread.
 * Fails: STATUS_INVALID for an option, named in the field; what the database says. */
MUST_CHECK bool api_open(const struct api_options *options, struct api **out, struct status *st);
/* Starts the workers; true once every one of them accepts connections.
 * Fails: STATUS_CONFLICT port in use; STATUS_SYSTEM. All is stopped again then. */
MUST_CHECK bool api_start(struct api *api, struct status *st);
/* "http://127.0.0.1:8080": where people reach it, with the real port. Valid after api_start. */
struct text api_url(const struct api *api);
/* Blocks until no local model is loading any more, or the deadline has passed. True when every one
 * is ready or asleep; else `st` says of the first that is not why. */
MUST_CHECK bool api_models_wait(struct api *api, int64_t deadline_us, struct status *st);
/* SIGHUP: reads certificates and key rings again (failures are logged, the old ones stay), and
 * tries local models again that had failed for good. */
void api_reload(struct api *api);
/* Begins to drain: no new connections, streams may end within the limits. Twice: ends at once. */
void api_stop(struct api *api);
/* Blocks until the workers have ended; children too. */
void api_wait(struct api *api);
void api_close(struct api *api); /* after api_wait, or when it was never started; NULL is fine */
