/* cli_serve: `weir up` and `weir serve`. The main thread waits for the service to end; a second one
 * waits for signals, which every other thread has blocked. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>
#include "account_setup.h"
#include "api.h"
#include "arena.h"
#include "cli_internal.h"
#include "clock.h"
#include "log.h"
#include "loop.h"
#include "loop_files.h"

enum { MODELS_WAIT_MS = 15 * 60 * 1000, POOL_MIN = 4 };

/* Between the main thread and the one that waits for signals. */
struct signals {
    struct api *api;
    _Atomic bool ending; /* somebody has asked for the end */
    _Atomic bool over;   /* all is over: the thread ends, too */
};

static int run(struct cli *cli, bool supervise);
static void raise_files(struct cli *cli);
static void set_pool(const struct cli *cli);
static bool serve(struct cli *cli, struct api *api, struct cli_store *store, bool supervise,
                  struct status *st);
static bool print_setup_link(struct cli *cli, struct api *api, struct cli_store *store,
                             struct status *st);
static void *signals_main(void *arg);
static sigset_t signals_of_ours(void);

int cli_up(struct cli *cli)
{
    return run(cli, true);
}

int cli_serve(struct cli *cli)
{
    return run(cli, false);
}

static int run(struct cli *cli, bool supervise)
{
    struct status st;
    struct cli_store store;
    struct api_options options;
    struct api *api = NULL;
    sigset_t signals = signals_of_ours();
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL); /* threads made from now on have it so */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a file over a limit is an error like a full disk */
    raise_files(cli);
    set_pool(cli);
    if (!cli_store_open(cli, &store, &st))
        return cli_fail(&st);
    bool good = cli_api_options(cli, &store, &options, &st);
    options.supervise = supervise;
    options.seed = true;
    good = good && api_open(&options, &api, &st) && serve(cli, api, &store, supervise, &st);
    api_close(api);
    cli_store_close(&store);
    return good ? CLI_OK : cli_fail(&st);
}

static bool serve(struct cli *cli, struct api *api, struct cli_store *store, bool supervise,
                  struct status *st)
{
    pthread_t thread;
    struct signals signals = {.api = api};
    if (!api_start(api, st))
        return false;
    if (pthread_create(&thread, NULL, signals_main, &signals) != 0) {
        api_stop(api);
        api_wait(api);
        return status_fail(st, STATUS_SYSTEM, "could not start a thread");
    }
    struct status why;
    bool good = print_setup_link(cli, api, store, st);
    bool models =
        !good || !supervise || api_models_wait(api, clock_deadline_ms(MODELS_WAIT_MS), &why);
    if (!good) {
        api_stop(api);
    } else if (!atomic_load(&signals.ending)) {
        if (!models) /* is shown where models are; others may work */
            LOG_WARN("not every model is ready", LOG_TEXT("why", status_text(&why)));
        printf("ready %.*s\n", TEXT_ARG(api_url(api)));
        (void)fflush(stdout);
    }
    api_wait(api);
    atomic_store(&signals.over, true);
    (void)pthread_kill(thread, SIGUSR1);
    (void)pthread_join(thread, NULL);
    return good;
}

static void raise_files(struct cli *cli)
{
    int64_t least, wanted = cli_files_needed(cli->config, &least);
    uint64_t got = loop_files_raise((uint64_t)wanted);
    if (got < (uint64_t)least)
        LOG_WARN("the limit of open files is below what connections_max allows: connections beyond "
                 "it are turned away; raise it (ulimit -Hn, LimitNOFILE=) or set connections_max",
                 LOG_INT("limit", (int64_t)got), LOG_INT("needed", least));
}

/* Anybody may try to sign in, and each try is a long job for a thread of the pool: those threads
 * come on top of what JSON, titles and names of upstreams need. */
static void set_pool(const struct cli *cli)
{
    int64_t hashes = config_int(cli->config, "password_checks_max");
    int64_t cores = sysconf(_SC_NPROCESSORS_ONLN);
    cores = cores > 0 ? cores : 1;
    loop_pool_set((int)((hashes > 0 ? hashes : cores) + (cores > POOL_MIN ? cores : POOL_MIN)));
}

static bool print_setup_link(struct cli *cli, struct api *api, struct cli_store *store,
                             struct status *st)
{
    bool needed;
    struct text token;
    if (!account_setup_needed(store->account, &needed, st))
        return false;
    if (!needed)
        return true;
    if (!account_setup_token(store->account, cli->arena, &token, st))
        return st->code == STATUS_CONFLICT; /* somebody has just done it */
    printf("set up %.*s/setup#token=%.*s\n", TEXT_ARG(api_url(api)), TEXT_ARG(token));
    (void)fflush(stdout);
    return true;
}

/* SIGTERM and SIGINT drain, and cut short what still runs when they come again. SIGUSR1 is how the
 * main thread wakes this one; from anybody else it means nothing. */
static void *signals_main(void *arg)
{
    struct signals *self = arg;
    sigset_t set = signals_of_ours();
    while (!atomic_load(&self->over)) {
        int signal = 0;
        if (sigwait(&set, &signal) != 0 || signal == SIGUSR1)
            continue;
        if (signal == SIGHUP) {
            LOG_INFO("reading certificates and key rings again; failed models are tried again");
            api_reload(self->api);
        } else {
            atomic_store(&self->ending, true);
            LOG_INFO("ending", LOG_INT("signal", signal));
            api_stop(self->api);
        }
    }
    return NULL;
}

static sigset_t signals_of_ours(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGUSR1);
    return set;
}
