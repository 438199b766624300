/* relay_local: the processes of local models. One supervisor per server, on one loop, runs a
 * weir-infer child for each enabled local model that is loaded. Which are loaded relay_room says,
 * by the memory that they need and by who calls them: at the start those that fit, pinned ones
 * first; then those that are called. A child that ends by itself is started again (at once the
 * first time, then after a pause that doubles up to half a minute); when its model is disabled or
 * removed it is stopped. When trying again cannot help, because the file is not there, is broken,
 * or weir-infer has ended with RELAY_LOCAL_EXIT_NEVER or _USAGE, it waits until the file changes or
 * relay_registry_retry is called.
 *
 * A child is called so:
 *     weir-infer --report-fd=3 --model=/x/y.gguf --name=ID --listen=unix:/…/run/m-….sock
 *                --token-file=/…/run/m-….token [more of the options' args] [--context=N]
 * and with --adapter=ID=/x/z.gguf for each adapter of the model.
 * Its token is in that file (0600), never in its arguments. GET /readyz on its socket answers 200
 * once the model is loaded, before that 503 with {"progress":0.4} where it is known; when ready
 * {"context_tokens":N}. Before it ends with a failure it writes to the descriptor, in one sentence,
 * why.
 * What it finds out is in the model's target (relay_target), for every worker to see. */
#pragma once
#include "base.h"
#include "relay_metrics.h"
#include "relay_registry.h"
#include "status.h"
#include "text.h"

struct loop;
struct relay_local;

/* Exit codes of weir-infer after which another try would end in the same way. */
enum { RELAY_LOCAL_EXIT_USAGE = 2, RELAY_LOCAL_EXIT_NEVER = 3 };

/* Arguments for weir-infer, "--parallel=4": of every model, or of one. */
struct relay_local_args {
    struct text model; /* its id; empty: every model */
    const struct text *args;
    size_t count;
};
enum { RELAY_LOCAL_ARGS_MAX = 64 }; /* of one model, with those of every model */

/* What is known of a model before it is loaded. */
struct relay_local_facts {
    uint64_t need_bytes; /* of memory, about; 0: not known */
    unsigned tasks; /* what it may do (relay_target_set_tasks) until it says so; 0: not known */
};

struct relay_local_options {
    struct relay_registry *registry;
    struct text infer_path; /* the program weir-infer */
    struct text run_folder; /* made with mode 0700; the same as the registry's */
    /* Says before a start what is wrong with the file of a model; NULL: nobody looks. Called on
     * a thread of the pool. */
    bool (*model_check)(const char *path, struct status *st);
    /* Of a file that is good, and the arguments that weir-infer would get, ended by NULL. NULL:
     * nothing is known. Likewise. */
    struct relay_local_facts (*model_facts)(const char *path, const char *const *argv);
    struct relay_metrics *metrics; /* NULL: none */
    uint64_t memory_max;           /* of all models together; 0: what the machine has free */
    int64_t idle_ms; /* a model that nobody calls for so long sleeps; 0: only for another */
    /* In this order: of two for the same thing the later one counts. Outlives the supervisor. */
    const struct relay_local_args *args;
    size_t args_count;
};
/* The texts are copied. Fails: STATUS_SYSTEM when the folder cannot be made. */
MUST_CHECK bool relay_local_open(struct loop *loop, const struct relay_local_options *options,
                                 struct relay_local **out, struct status *st);
/* The body of the supervisor's fiber: until it is cancelled; then ends every child and waits for
 * their end. */
void relay_local_run(void *local);
void relay_local_close(struct relay_local *local); /* after relay_local_run has returned */
AUTO_DEFINE(relay_local, relay_local_close)
