/* weir-infer: one model behind HTTP. Prints "ready ADDRESS" on stdout when it can answer; GET
 * /readyz tells how far it is until then. SIGTERM lets running answers finish and ends with 0. It
 * ends with 3 when trying again cannot help (no such model, a broken file), so that whoever
 * supervises it need not. */
#include "arena.h"
#include "clock.h"
#include "fiber.h"
#include "http_tls.h"
#include "engine_embed.h"
#include "engine.h"
#include "model_kind.h"
#include "model_llama.h"
#include "model_llama_embed.h"
#include "machine.h"
#include "model_onnx.h"
#include "model_onnx_files.h"
#include "infer_public.h"
#include "infer_sandbox.h"
#include "infer_server.h"
#include "log.h"
#include "loop.h"
#include "loop_files.h"
#include "net.h"
#include "signals.h"
#include "weir_infer_settings.h"
#include <assert.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { EXIT_BROKEN = 1, EXIT_USAGE = 2, EXIT_NEVER = 3 };
enum { FILES_WANTED = 16384 + 256 }; /* connections of its server, and what it has besides */

static int report_fd = -1; /* --report-fd */
static const char *model_path;
static atomic_bool is_ready;

struct program {
    struct weir_infer_settings settings;
    struct loop *loop;
    enum model_kind kind;
    struct engine *engine; /* one of the two */
    struct engine_embed *embed;
    struct infer_server *server;
    struct http_tls *tls;   /* NULL: plain */
    struct fiber *main;     /* waits for a signal; woken early when the engine has failed */
    struct fiber *preparer; /* computes, or has, the public prompt; NULL: there is none */
    int exit_code;
};

static int fail(int code, const struct status *st);
static void library_dies(const char *why);
static int run(struct program *p);
static void main_fiber(void *program);
static void serve(struct program *p);
static bool open_model(struct program *p, struct infer_server_options *server, struct status *st);
static void model_changed(void *program);
static bool close_files(const struct weir_infer_settings *s, enum model_kind kind,
                        struct status *st);
static bool close_calls(const struct weir_infer_settings *s, struct status *st);
static bool closed(bool good, struct status *st);
static const char *folder_of(const char *path, char *memory, size_t size);
static void prepare(void *program);
static void say_ready(struct program *p);
static void log_engine_ready(const struct program *p);

int main(int argc, char **argv)
{
    static struct program program;
    struct status st = {0};
    log_open(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    bool good = weir_infer_settings_read(argc, argv, &program.settings, &st);
    report_fd = program.settings.report_fd;
    if (!good)
        return fail(EXIT_USAGE, &st);
    /* A process that dies writes nothing to disk: its memory holds what people wrote. */
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)loop_files_raise(FILES_WANTED);
    model_path = program.settings.llama.path;
    model_llama_watch(library_dies);
    if (!model_kind_of(model_path, &program.kind, &st))
        return fail(EXIT_NEVER, &st);
    if (program.kind != MODEL_KIND_CHAT && program.settings.llama.adapters_count > 0) {
        status_fail(&st, STATUS_INVALID, "a model that makes vectors takes no --adapter");
        return fail(EXIT_USAGE, &st);
    }
    if (program.settings.tls.certificate_file != NULL &&
        !http_tls_server_open(&program.settings.tls, &program.tls, &st))
        return fail(EXIT_USAGE, &st);
    if (program.kind == MODEL_KIND_EMBED_ONNX && !model_onnx_open_library(&st))
        return fail(EXIT_NEVER, &st);
    if (program.settings.public_prompt.at != NULL && program.kind != MODEL_KIND_CHAT) {
        (void)status_fail(&st, STATUS_INVALID,
                          "--public-prompt is for models that chat; this one makes embeddings");
        return fail(EXIT_USAGE, &st);
    }
    if (!close_files(&program.settings, program.kind, &st))
        return fail(EXIT_BROKEN, &st);
    int code = run(&program);
    http_tls_close(program.tls);
    return code;
}

static int run(struct program *p)
{
    struct status st = {0};
    p->exit_code = EXIT_BROKEN;
    if (!loop_open(&(struct loop_options){.name = "weir-infer", .cpu = -1}, &p->loop, &st))
        return fail(EXIT_BROKEN, &st);
    if (!fiber_start(p->loop, "main", main_fiber, p, &st))
        return fail(EXIT_BROKEN, &st);
    loop_run(p->loop);
    loop_close(p->loop);
    return p->exit_code;
}

static void main_fiber(void *arg)
{
    struct program *p = arg;
    struct status st = {0};
    p->main = fiber_current();
    struct infer_server_options server = {
        .listen = p->settings.listen,
        .name = text_of(p->settings.name),
        .token = {p->settings.token, p->settings.token_len},
        .tls = p->tls,
        .adapters = p->settings.adapters,
        .adapters_count = p->settings.llama.adapters_count,
    };
    if (!open_model(p, &server, &st)) {
        p->exit_code = fail(EXIT_BROKEN, &st);
    } else {
        if (infer_server_open(p->loop, &server, &p->server, &st))
            serve(p);
        else
            p->exit_code = fail(EXIT_BROKEN, &st);
        infer_server_close(p->server);
        engine_close(p->engine);
        engine_embed_close(p->embed);
    }
    loop_stop(p->loop);
}

static bool open_model(struct program *p, struct infer_server_options *server, struct status *st)
{
    const struct model_llama_options *llama = &p->settings.llama;
    if (p->kind == MODEL_KIND_CHAT) {
        p->settings.engine.changed = model_changed;
        p->settings.engine.changed_arg = p;
        struct engine_backend *backend = model_llama_new(llama);
        server->backend = backend;
        bool ok = engine_open(p->loop, backend, &p->settings.engine, &p->engine, st);
        server->engine = p->engine;
        return ok;
    }
    struct engine_embed_options batcher = {
        .queue_requests_max = p->settings.engine.queue_requests_max,
        .changed = model_changed,
        .changed_arg = p,
    };
    struct engine_embed_backend *backend =
        p->kind == MODEL_KIND_EMBED_ONNX
            ? model_onnx_new(&(struct model_onnx_options){
                  .path = llama->path,
                  .context = llama->context,
                  .batch_tokens = llama->batch,
                  .threads = llama->threads,
              })
            : model_llama_embed_new(&(struct model_llama_embed_options){
                  .path = llama->path,
                  .context = llama->context,
                  .batch_tokens = llama->batch,
                  .threads = llama->threads,
                  .poll = llama->poll,
                  .gpu_layers = llama->gpu_layers,
              });
    bool ok = engine_embed_open(p->loop, backend, &batcher, &p->embed, st);
    server->embed = p->embed;
    return ok;
}

/* Until SIGTERM or SIGINT, or until the engine has failed; SIGHUP reads the certificate again. */
static void serve(struct program *p)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    AUTO(signals) struct signals *signals = NULL;
    struct status st = {0};
    int number;
    if (!signals_open(p->loop, numbers, ARRAY_LEN(numbers), &signals, &st)) {
        p->exit_code = fail(EXIT_BROKEN, &st);
        return;
    }
    LOG_INFO("loading", LOG_CSTR("model", p->settings.llama.path));
    while (signals_wait(signals, CLOCK_NEVER, &number, &st)) {
        if (number != SIGHUP) {
            p->exit_code = EXIT_SUCCESS;
            break;
        }
        if (p->tls != NULL && !http_tls_reload(p->tls, &st))
            LOG_ERROR("could not read the certificate again", LOG_CSTR("why", st.text));
    }
    fiber_shield();
    if (p->preparer != NULL) { /* it may have a request of the engine */
        fiber_cancel(p->preparer);
        fiber_join(TAKE(p->preparer));
    }
    infer_server_drain(p->server, clock_deadline_ms(p->settings.drain_ms));
    fiber_unshield();
}

static void model_changed(void *arg)
{
    struct program *p = arg;
    struct status why = {0};
    enum engine_state state = p->embed != NULL ? engine_embed_state(p->embed, NULL, &why)
                                               : engine_state(p->engine, NULL, &why);
    switch (state) {
    case ENGINE_READY:
        if (!infer_server_model_ready(p->server, &why)) {
            p->exit_code = fail(EXIT_NEVER, &why);
            break;
        }
        if (!close_calls(&p->settings, &why)) {
            p->exit_code = fail(EXIT_BROKEN, &why);
            break;
        }
        if (p->settings.public_prompt.at == NULL) {
            say_ready(p);
            return;
        }
        infer_server_prepares(p->server, true);
        if (fiber_start_joinable(p->loop, "public prompt", prepare, p, &p->preparer, &why))
            return;
        p->exit_code = fail(EXIT_BROKEN, &why);
        break;
    case ENGINE_FAILED:
        p->exit_code = fail(
            why.code == STATUS_INVALID || why.code == STATUS_NOT_FOUND ? EXIT_NEVER : EXIT_BROKEN,
            &why);
        break;
    case ENGINE_LOADING:
    case ENGINE_STATE_COUNT:
        return;
    }
    fiber_cancel(p->main);
}

/* Before there are threads. What is read later: the model (where its name says that it is in
 * several files all of its folder, and of the folder that it is a link into), and on SIGHUP the
 * certificates, which are renewed by new files in their folders. */
static bool close_files(const struct weir_infer_settings *s, enum model_kind kind,
                        struct status *st)
{
    char certificate[PATH_MAX], key[PATH_MAX], ca[PATH_MAX], listen[PATH_MAX];
    char parts[PATH_MAX], real[PATH_MAX], real_parts[PATH_MAX];
    static char onnx[MODEL_ONNX_PATHS][PATH_MAX];
    struct model_onnx_files files;
    const char *slash = strrchr(s->llama.path, '/');
    bool split = strstr(slash != NULL ? slash : s->llama.path, "-of-") != NULL;
    bool linked = split && realpath(s->llama.path, real) != NULL;
    struct infer_sandbox_paths paths = {
        .read = {s->llama.path, folder_of(split ? s->llama.path : NULL, parts, sizeof parts),
                 folder_of(linked ? real : NULL, real_parts, sizeof real_parts),
                 folder_of(s->tls.certificate_file, certificate, sizeof certificate),
                 folder_of(s->tls.key_file, key, sizeof key),
                 folder_of(s->tls.client_ca_file, ca, sizeof ca)},
        .socket_folder = s->listen.is_unix
                             ? folder_of(s->listen_text + strlen("unix:"), listen, sizeof listen)
                             : NULL,
        .devices = s->llama.gpu_layers != 0,
    };
    enum { GIVEN = 6 };
    static_assert(GIVEN + MODEL_ONNX_PATHS <= INFER_SANDBOX_PATHS_MAX &&
                      GIVEN + MODEL_ADAPTERS_MAX <= INFER_SANDBOX_PATHS_MAX,
                  "all have room");
    for (uint32_t i = 0; i < s->llama.adapters_count; i++)
        paths.read[GIVEN + i] = s->llama.adapters[i];
    if (kind == MODEL_KIND_EMBED_ONNX) {
        if (!model_onnx_find(s->llama.path, &files, st))
            return false;
        size_t count = model_onnx_paths(&files, onnx);
        for (size_t i = 0; i < count; i++)
            paths.read[GIVEN + i] = onnx[i];
    }
    return s->no_sandbox || closed(infer_sandbox_files(&paths, st), st);
}

/* Not with a graphics card: its driver's calls are its own. */
static bool close_calls(const struct weir_infer_settings *s, struct status *st)
{
    return s->no_sandbox || s->llama.gpu_layers != 0 || closed(infer_sandbox_calls(st), st);
}

/* What the kernel cannot do is said, and is no reason not to serve. */
static bool closed(bool good, struct status *st)
{
    if (!good && st->code == STATUS_UNAVAILABLE)
        LOG_WARN("this process is less confined than it could be", LOG_CSTR("why", st->text));
    return good || st->code == STATUS_UNAVAILABLE;
}

/* NULL gives NULL. */
static const char *folder_of(const char *path, char *memory, size_t size)
{
    if (path == NULL)
        return NULL;
    const char *slash = strrchr(path, '/');
    int len = slash == NULL ? 1 : slash == path ? 1 : (int)(slash - path);
    snprintf(memory, size, "%.*s", len, slash == NULL ? "." : path);
    return memory;
}

/* What goes wrong here makes prompts slower, and nothing else. */
static void prepare(void *arg)
{
    struct program *p = arg;
    struct status st = {0};
    uint32_t tokens = 0;
    if (infer_public_compute(p->server, p->settings.public_prompt, &tokens, &st)) /* waits */
        LOG_INFO("the public prompt is computed", LOG_INT("tokens", tokens));
    else if (!fiber_cancelled())
        LOG_WARN("the public prompt is of no use", LOG_CSTR("file", p->settings.public_prompt_file),
                 LOG_CSTR("why", st.text));
    infer_server_prepares(p->server, false);
    if (!fiber_cancelled())
        say_ready(p);
}

static void say_ready(struct program *p)
{
    if (p->embed != NULL) {
        const struct engine_embed_facts *embed = engine_embed_facts(p->embed);
        LOG_INFO("ready", LOG_CSTR("name", p->settings.name), LOG_INT("context", embed->context),
                 LOG_INT("dimensions", embed->dimensions),
                 LOG_INT("weights_mib", (int64_t)(embed->weights_bytes / MIB)));
    } else {
        log_engine_ready(p);
    }
    atomic_store(&is_ready, true);
    if (p->settings.listen.is_unix)
        printf("ready %s\n", p->settings.listen_text);
    else
        printf("ready %s://%.*s:%u\n", p->tls != NULL ? "https" : "http",
               TEXT_ARG(p->settings.listen.host), infer_server_port(p->server));
    (void)fflush(stdout);
}

static void log_engine_ready(const struct program *p)
{
    const struct engine_facts *facts = engine_facts(p->engine);
    LOG_INFO("ready", LOG_CSTR("name", p->settings.name), LOG_INT("context", facts->context),
             LOG_INT("parallel", facts->parallel),
             LOG_INT("cache_mib", (int64_t)(facts->kv_bytes / MIB)),
             LOG_INT("weights_mib", (int64_t)(facts->weights_bytes / MIB)));
}

static int fail(int code, const struct status *st)
{
    if (report_fd >= 0)
        (void)!write(report_fd, st->text, strlen(st->text));
    LOG_ERROR("weir-infer cannot go on", LOG_CSTR("why", st->text));
    return code;
}

/* A model that cannot be loaded never will be; one that served may serve again. */
static void library_dies(const char *why)
{
    struct status st = {0};
    bool served = atomic_load(&is_ready);
    (void)status_fail(&st, STATUS_INVALID, "cannot use the model file %s: %s", model_path, why);
    _exit(fail(served ? EXIT_BROKEN : EXIT_NEVER, &st));
}
