/* weir-infer: one model behind HTTP. Prints "ready ADDRESS" on stdout when it can answer; GET
 * /readyz tells how far it is until then. SIGTERM lets running answers finish and ends with 0. It
 * ends with 3 when trying again cannot help (no such model, a broken file), so that whoever
 * supervises it need not. */
#include "arena.h"
#include "clock.h"
#include "fiber.h"
#include "http_tls.h"
#include "infer_engine.h"
#include "infer_gguf.h"
#include "infer_llama.h"
#include "infer_machine.h"
#include "infer_sandbox.h"
#include "infer_server.h"
#include "log.h"
#include "loop.h"
#include "loop_files.h"
#include "net.h"
#include "signals.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { EXIT_BROKEN = 1, EXIT_USAGE = 2, EXIT_NEVER = 3 };
enum { TOKEN_BYTES_MAX = 512, DRAIN_MS_USUAL = 30000 };
enum { FILES_WANTED = 16384 + 256 }; /* connections of its server, and what it has besides */

static int report_fd = -1; /* --report-fd */

struct settings {
    struct infer_llama_options llama;
    struct infer_engine_options engine;
    struct net_address listen;
    const char *listen_text, *name, *token_file;
    struct http_tls_server_options tls;
    bool allow_plaintext, no_sandbox;
    char token[TOKEN_BYTES_MAX];
    size_t token_len;
    int64_t drain_ms;
};

struct program {
    struct settings settings;
    struct loop *loop;
    struct infer_engine *engine;
    struct infer_server *server;
    struct http_tls *tls; /* NULL: plain */
    struct fiber *main;   /* waits for a signal; woken early when the engine has failed */
    int exit_code;
};

enum option_code {
    OPTION_MODEL = 1,
    OPTION_NAME,
    OPTION_LISTEN,
    OPTION_TOKEN_FILE,
    OPTION_TLS_CERTIFICATE,
    OPTION_TLS_KEY,
    OPTION_TLS_CLIENT_CA,
    OPTION_ALLOW_PLAINTEXT,
    OPTION_CONTEXT,
    OPTION_PARALLEL,
    OPTION_THREADS,
    OPTION_BATCH,
    OPTION_STEP_TARGET,
    OPTION_PROMPT_BUDGET,
    OPTION_LAG,
    OPTION_PREEMPT_MEMORY,
    OPTION_QUEUE,
    OPTION_QUEUE_TOKENS,
    OPTION_TENANT_QUEUE,
    OPTION_TENANT_QUEUE_TOKENS,
    OPTION_GPU_LAYERS,
    OPTION_CACHE_TYPE,
    OPTION_POLL,
    OPTION_PREFIX_MIB,
    OPTION_PREFIX_TENANT_MIB,
    OPTION_LOCK_MEMORY,
    OPTION_SANDBOX,
    OPTION_DRAIN,
    OPTION_LOG,
    OPTION_REPORT_FD,
    OPTION_HELP,
    OPTION_VERSION
};
static const struct option options[] = {
    {"model", required_argument, NULL, OPTION_MODEL},
    {"name", required_argument, NULL, OPTION_NAME},
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"token-file", required_argument, NULL, OPTION_TOKEN_FILE},
    {"tls-certificate", required_argument, NULL, OPTION_TLS_CERTIFICATE},
    {"tls-key", required_argument, NULL, OPTION_TLS_KEY},
    {"tls-client-ca", required_argument, NULL, OPTION_TLS_CLIENT_CA},
    {"allow-plaintext", no_argument, NULL, OPTION_ALLOW_PLAINTEXT},
    {"context", required_argument, NULL, OPTION_CONTEXT},
    {"parallel", required_argument, NULL, OPTION_PARALLEL},
    {"threads", required_argument, NULL, OPTION_THREADS},
    {"batch", required_argument, NULL, OPTION_BATCH},
    {"step-target", required_argument, NULL, OPTION_STEP_TARGET},
    {"prompt-budget", required_argument, NULL, OPTION_PROMPT_BUDGET},
    {"lag", required_argument, NULL, OPTION_LAG},
    {"preempt-memory", required_argument, NULL, OPTION_PREEMPT_MEMORY},
    {"queue", required_argument, NULL, OPTION_QUEUE},
    {"queue-tokens", required_argument, NULL, OPTION_QUEUE_TOKENS},
    {"tenant-queue", required_argument, NULL, OPTION_TENANT_QUEUE},
    {"tenant-queue-tokens", required_argument, NULL, OPTION_TENANT_QUEUE_TOKENS},
    {"gpu-layers", required_argument, NULL, OPTION_GPU_LAYERS},
    {"cache-type", required_argument, NULL, OPTION_CACHE_TYPE},
    {"poll", required_argument, NULL, OPTION_POLL},
    {"prefix-mib", required_argument, NULL, OPTION_PREFIX_MIB},
    {"prefix-tenant-mib", required_argument, NULL, OPTION_PREFIX_TENANT_MIB},
    {"lock-memory", no_argument, NULL, OPTION_LOCK_MEMORY},
    {"sandbox", required_argument, NULL, OPTION_SANDBOX},
    {"drain", required_argument, NULL, OPTION_DRAIN},
    {"log", required_argument, NULL, OPTION_LOG},
    {"report-fd", required_argument, NULL, OPTION_REPORT_FD},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {0},
};
/* Of those that are numbers. */
static const struct {
    int64_t min, max;
} ranges[] = {
    [OPTION_CONTEXT] = {16, 1 << 24},    [OPTION_PARALLEL] = {1, 256},
    [OPTION_THREADS] = {1, 512},         [OPTION_BATCH] = {32, 16384},
    [OPTION_STEP_TARGET] = {1, 60000},   [OPTION_PROMPT_BUDGET] = {1, 16384},
    [OPTION_LAG] = {1, 1 << 24},         [OPTION_PREEMPT_MEMORY] = {0, 1 << 24},
    [OPTION_QUEUE] = {1, 100000},        [OPTION_QUEUE_TOKENS] = {1, INT64_C(1) << 40},
    [OPTION_TENANT_QUEUE] = {1, 100000}, [OPTION_TENANT_QUEUE_TOKENS] = {1, INT64_C(1) << 40},
    [OPTION_GPU_LAYERS] = {-1, 10000},   [OPTION_POLL] = {0, 100},
    [OPTION_DRAIN] = {0, 3600},          [OPTION_REPORT_FD] = {3, 1024},
};
static const char help[] =
    "weir-infer serves one model in OpenAI's dialect.\n"
    "\n"
    "  weir-infer --model=FILE.gguf [--listen=127.0.0.1:8081]\n"
    "\n"
    "  --model=FILE         the weights, a GGUF file\n"
    "  --name=NAME          what clients call the model; by default the name of the file\n"
    "  --listen=ADDRESS     host:port or unix:/path; 127.0.0.1:8081\n"
    "  --token-file=FILE    clients must send what stands in it as bearer token\n"
    "                       (or WEIR_INFER_TOKEN in the environment); beyond this machine\n"
    "                       there must be one\n"
    "  --tls-certificate=FILE, --tls-key=FILE\n"
    "                       PEM files, the chain and its key: TLS (read again on SIGHUP)\n"
    "  --tls-client-ca=FILE clients must show a certificate signed by one of these\n"
    "  --allow-plaintext    listen without TLS beyond this machine\n"
    "  --context=N          tokens of one request, prompt and answer; by default what the model\n"
    "                       was trained for, at most 4096\n"
    "  --parallel=N         requests that are computed at once; 8, or what fits in memory\n"
    "  --threads=N          by default one for each physical core\n"
    "  --batch=N            tokens of one step at most; 512\n"
    "  --step-target=MS     how long a step may take while answers are being written: the longest\n"
    "                       usual gap between two tokens; 200\n"
    "  --prompt-budget=N    prompt tokens of such a step; by default what its target leaves room "
    "for\n"
    "  --lag=N              tokens that a tenant may be behind another before that one gives way;\n"
    "                       1024\n"
    "  --preempt-memory=MIB memory for requests that had to give way, which are else computed\n"
    "                       again; 256\n"
    "  --queue=N            requests that may wait; 256\n"
    "  --queue-tokens=N     prompt tokens of those; 64 times the context\n"
    "  --tenant-queue=N     requests of one tenant that may wait; three quarters of --queue\n"
    "  --tenant-queue-tokens=N\n"
    "                       prompt tokens of those; three quarters of --queue-tokens\n"
    "  --gpu-layers=N       layers on the graphics card, -1 for all\n"
    "  --cache-type=TYPE    f16 or q8_0\n"
    "  --poll=N             0 to 100: how long idle compute threads spin; 50\n"
    "  --prefix-mib=N       memory in MiB for prompts that were computed before, so that one with\n"
    "                       the same beginning need not be; -1: none; 512, or an eighth of what "
    "is\n"
    "                       free\n"
    "  --prefix-tenant-mib=N one tenant's share of it, beyond which it gives way first; a quarter\n"
    "  --lock-memory        keep the weights from being swapped out\n"
    "  --sandbox=on|off     give up files, connections and system calls that serving does not\n"
    "                       take, as far as the kernel can; on\n"
    "  --drain=SECONDS      how long running answers may take after SIGTERM; 30\n"
    "  --log=LEVEL[,json]   debug, info, warn or error\n"
    "  --report-fd=N        descriptor to write to, in one sentence, why it cannot go on\n"
    "\n"
    "It ends with 0 after SIGTERM, with 2 for wrong arguments, with 3 when another try cannot "
    "help\n"
    "(no such model, a broken file), and with 1 when one may.\n"
    "\n"
    "Examples:\n"
    "  weir-infer --model=/models/smol.gguf\n"
    "  weir-infer --model=/models/smol.gguf --listen=unix:/run/weir/smol.sock --context=8192\n"
    "  weir-infer --model=/models/big.gguf --listen=0.0.0.0:8443 --token-file=infer.token \\\n"
    "      --tls-certificate=infer.pem --tls-key=infer.key --tls-client-ca=ca.pem\n";

static bool read_settings(int argc, char **argv, struct settings *s, struct status *st);
static bool set(struct settings *s, enum option_code code, const char *value, struct status *st);
static bool number(enum option_code code, const char *value, int64_t *out, struct status *st);
static bool set_log(const char *value, struct status *st);
static bool check_openness(const struct settings *s, struct status *st);
static bool read_token(struct settings *s, struct status *st);
static const char *file_name(const char *path);
static int fail(int code, const struct status *st);
static int run(struct program *p);
static void main_fiber(void *program);
static void serve(struct program *p);
static void engine_changed(void *program);
static bool close_files(const struct settings *s, struct status *st);
static bool close_calls(const struct settings *s, struct status *st);
static bool closed(bool good, struct status *st);
static const char *folder_of(const char *path, char *memory, size_t size);
static void say_ready(struct program *p);

int main(int argc, char **argv)
{
    static struct program program;
    struct status st = {0};
    log_open(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    if (!read_settings(argc, argv, &program.settings, &st))
        return fail(EXIT_USAGE, &st);
    /* A process that dies writes nothing to disk: its memory holds what people wrote. */
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)loop_files_raise(FILES_WANTED);
    if (!infer_gguf_check(program.settings.llama.path, &st))
        return fail(EXIT_NEVER, &st);
    if (program.settings.tls.certificate_file != NULL &&
        !http_tls_server_open(&program.settings.tls, &program.tls, &st))
        return fail(EXIT_USAGE, &st);
    if (!close_files(&program.settings, &st))
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
    struct infer_backend *backend = infer_llama_new(&p->settings.llama);
    p->settings.engine.changed = engine_changed;
    p->settings.engine.changed_arg = p;
    struct infer_server_options server = {
        .listen = p->settings.listen,
        .name = text_of(p->settings.name),
        .token = {p->settings.token, p->settings.token_len},
        .backend = backend,
        .tls = p->tls,
    };
    if (!infer_engine_open(p->loop, backend, &p->settings.engine, &p->engine, &st)) {
        p->exit_code = fail(EXIT_BROKEN, &st);
    } else {
        server.engine = p->engine;
        if (infer_server_open(p->loop, &server, &p->server, &st))
            serve(p);
        else
            p->exit_code = fail(EXIT_BROKEN, &st);
        infer_server_close(p->server);
        infer_engine_close(p->engine);
    }
    loop_stop(p->loop);
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
    infer_server_drain(p->server, clock_deadline_ms(p->settings.drain_ms));
    fiber_unshield();
}

static void engine_changed(void *arg)
{
    struct program *p = arg;
    struct status why = {0};
    switch (infer_engine_state(p->engine, NULL, &why)) {
    case INFER_ENGINE_READY:
        if (!infer_server_model_ready(p->server, &why)) {
            p->exit_code = fail(EXIT_NEVER, &why);
            break;
        }
        if (!close_calls(&p->settings, &why)) {
            p->exit_code = fail(EXIT_BROKEN, &why);
            break;
        }
        say_ready(p);
        return;
    case INFER_ENGINE_FAILED:
        p->exit_code = fail(
            why.code == STATUS_INVALID || why.code == STATUS_NOT_FOUND ? EXIT_NEVER : EXIT_BROKEN,
            &why);
        break;
    case INFER_ENGINE_LOADING:
    case INFER_ENGINE_STATE_COUNT:
        return;
    }
    fiber_cancel(p->main);
}

/* Before there are threads. What is read later: the model (all of its folder where it is in several
 * files), and on SIGHUP the certificates, which are renewed by new files in their folders. */
static bool close_files(const struct settings *s, struct status *st)
{
    char model[PATH_MAX], certificate[PATH_MAX], key[PATH_MAX], ca[PATH_MAX], listen[PATH_MAX];
    bool split = strstr(s->llama.path, "-of-") != NULL;
    struct infer_sandbox_paths paths = {
        .read = {split ? folder_of(s->llama.path, model, sizeof model) : s->llama.path,
                 folder_of(s->tls.certificate_file, certificate, sizeof certificate),
                 folder_of(s->tls.key_file, key, sizeof key),
                 folder_of(s->tls.client_ca_file, ca, sizeof ca)},
        .socket_folder = s->listen.is_unix
                             ? folder_of(s->listen_text + strlen("unix:"), listen, sizeof listen)
                             : NULL,
        .devices = s->llama.gpu_layers != 0,
    };
    return s->no_sandbox || closed(infer_sandbox_files(&paths, st), st);
}

/* Not with a graphics card: its driver's calls are its own. */
static bool close_calls(const struct settings *s, struct status *st)
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

static void say_ready(struct program *p)
{
    const struct infer_model_facts *facts = infer_engine_facts(p->engine);
    LOG_INFO("ready", LOG_CSTR("name", p->settings.name), LOG_INT("context", facts->context),
             LOG_INT("parallel", facts->parallel),
             LOG_INT("cache_mib", (int64_t)(facts->kv_bytes / MIB)),
             LOG_INT("weights_mib", (int64_t)(facts->weights_bytes / MIB)));
    if (p->settings.listen.is_unix)
        printf("ready %s\n", p->settings.listen_text);
    else
        printf("ready %s://%.*s:%u\n", p->tls != NULL ? "https" : "http",
               TEXT_ARG(p->settings.listen.host), infer_server_port(p->server));
    (void)fflush(stdout);
}

static bool read_settings(int argc, char **argv, struct settings *s, struct status *st)
{
    s->listen_text = "127.0.0.1:8081";
    s->llama.poll = 50;
    s->drain_ms = DRAIN_MS_USUAL;
    int code;
    while ((code = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (code == OPTION_HELP || code == OPTION_VERSION) {
            (void)fputs(code == OPTION_HELP ? help : "weir-infer " CLI_VERSION "\n", stdout);
            exit(EXIT_SUCCESS);
        }
        if (code == '?')
            return status_fail(st, STATUS_INVALID, "see weir-infer --help");
        if (!set(s, (enum option_code)code, optarg, st))
            return false;
    }
    if (optind < argc)
        return status_fail(st, STATUS_INVALID, "what is %s?", argv[optind]);
    if (s->llama.path == NULL)
        return status_fail(st, STATUS_INVALID, "--model is missing; see weir-infer --help");
    if (s->name == NULL)
        s->name = file_name(s->llama.path);
    return net_address_parse(text_of(s->listen_text), &s->listen, st) && read_token(s, st) &&
           check_openness(s, st);
}

/* What others can reach is encrypted and asks who they are, unless somebody has said that it need
 * not be encrypted. */
static bool check_openness(const struct settings *s, struct status *st)
{
    bool tls = s->tls.certificate_file != NULL;
    if (tls != (s->tls.key_file != NULL))
        return status_fail(st, STATUS_INVALID, "--tls-certificate and --tls-key need each other");
    if (!tls && s->tls.client_ca_file != NULL)
        return status_fail(st, STATUS_INVALID, "--tls-client-ca needs --tls-certificate");
    if (net_address_is_loopback(&s->listen))
        return true;
    if (!tls && !s->allow_plaintext)
        return status_fail(st, STATUS_INVALID,
                           "%s can be reached from other machines without TLS: give "
                           "--tls-certificate and --tls-key, or allow it with --allow-plaintext",
                           s->listen_text);
    if (s->token_len == 0)
        return status_fail(st, STATUS_INVALID,
                           "%s can be reached from other machines: give a token by --token-file "
                           "or WEIR_INFER_TOKEN",
                           s->listen_text);
    if (!tls)
        LOG_WARN("listening without TLS for other machines", LOG_CSTR("on", s->listen_text));
    return true;
}

static bool set(struct settings *s, enum option_code code, const char *value, struct status *st)
{
    int64_t n = 0;
    if (code < ARRAY_LEN(ranges) && ranges[code].max > 0 && !number(code, value, &n, st))
        return false;
    switch (code) {
    case OPTION_MODEL:
        s->llama.path = value;
        return true;
    case OPTION_NAME:
        s->name = value;
        return value[0] != 0 && text_utf8_valid(text_of(value))
                   ? true
                   : status_fail(st, STATUS_INVALID, "--name must be a text");
    case OPTION_LISTEN:
        s->listen_text = value;
        return true;
    case OPTION_TOKEN_FILE:
        s->token_file = value;
        return true;
    case OPTION_TLS_CERTIFICATE:
        s->tls.certificate_file = value;
        return true;
    case OPTION_TLS_KEY:
        s->tls.key_file = value;
        return true;
    case OPTION_TLS_CLIENT_CA:
        s->tls.client_ca_file = value;
        return true;
    case OPTION_ALLOW_PLAINTEXT:
        s->allow_plaintext = true;
        return true;
    case OPTION_CONTEXT:
        s->llama.context = (uint32_t)n;
        return true;
    case OPTION_PARALLEL:
        s->llama.parallel = (uint32_t)n;
        return true;
    case OPTION_THREADS:
        s->llama.threads = (int)n;
        return true;
    case OPTION_BATCH:
        s->llama.batch = (uint32_t)n;
        return true;
    case OPTION_STEP_TARGET:
        s->engine.step_ms_target = n;
        return true;
    case OPTION_PROMPT_BUDGET:
        s->engine.prompt_budget = (uint32_t)n;
        return true;
    case OPTION_LAG:
        s->engine.lag_tokens = (uint32_t)n;
        return true;
    case OPTION_PREEMPT_MEMORY:
        s->engine.kept_bytes_max = n == 0 ? 1 : (size_t)n * MIB; /* 0 would be the usual */
        return true;
    case OPTION_QUEUE:
        s->engine.queue_requests_max = (size_t)n;
        return true;
    case OPTION_QUEUE_TOKENS:
        s->engine.queue_tokens_max = (size_t)n;
        return true;
    case OPTION_TENANT_QUEUE:
        s->engine.tenant_requests_max = (size_t)n;
        return true;
    case OPTION_TENANT_QUEUE_TOKENS:
        s->engine.tenant_tokens_max = (size_t)n;
        return true;
    case OPTION_GPU_LAYERS:
        s->llama.gpu_layers = (int)n;
        return true;
    case OPTION_CACHE_TYPE:
        s->llama.cache_type = strcmp(value, "q8_0") == 0 ? INFER_CACHE_Q8_0 : INFER_CACHE_F16;
        return s->llama.cache_type == INFER_CACHE_Q8_0 || strcmp(value, "f16") == 0
                   ? true
                   : status_fail(st, STATUS_INVALID, "--cache-type is f16 or q8_0");
    case OPTION_POLL:
        s->llama.poll = (int)n;
        return true;
    case OPTION_PREFIX_MIB:
        s->engine.prefix_off = n < 0;
        s->engine.prefix_bytes_max = n < 0 ? 0 : (uint64_t)n * MIB;
        return true;
    case OPTION_PREFIX_TENANT_MIB:
        s->engine.prefix_tenant_bytes_max = (uint64_t)n * MIB;
        return true;
    case OPTION_LOCK_MEMORY:
        s->llama.lock_memory = true;
        return true;
    case OPTION_SANDBOX:
        s->no_sandbox = strcmp(value, "off") == 0;
        return s->no_sandbox || strcmp(value, "on") == 0
                   ? true
                   : status_fail(st, STATUS_INVALID, "--sandbox is on or off");
    case OPTION_DRAIN:
        s->drain_ms = n * 1000;
        return true;
    case OPTION_LOG:
        return set_log(value, st);
    case OPTION_REPORT_FD:
        report_fd = (int)n;
        return true;
    case OPTION_HELP:
    case OPTION_VERSION:
        break;
    }
    return true;
}

static bool number(enum option_code code, const char *value, int64_t *out, struct status *st)
{
    int64_t min = ranges[code].min, max = ranges[code].max;
    if (text_to_i64(text_of(value), out) && *out >= min && *out <= max)
        return true;
    const struct option *option = options;
    while (option->val != (int)code)
        option++;
    return status_fail(st, STATUS_INVALID, "--%s must be a number from %lld to %lld, not %s",
                       option->name, (long long)min, (long long)max, value);
}

static bool set_log(const char *value, struct status *st)
{
    static const char *const levels[LOG_LEVEL_COUNT] = {"debug", "info", "warn", "error"};
    struct text rest = text_of(value), level, format = TEXT("text");
    (void)text_split(&rest, ',', &level);
    if (rest.len > 0)
        format = rest;
    bool json = text_equal(format, TEXT("json"));
    for (int i = 0; i < LOG_LEVEL_COUNT; i++)
        if (text_equal(level, text_of(levels[i])) && (json || text_equal(format, TEXT("text")))) {
            log_open((enum log_level)i, json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
            return true;
        }
    return status_fail(st, STATUS_INVALID, "--log is debug, info, warn or error, and text or json");
}

/* Never from the arguments: those are for all to see. */
static bool read_token(struct settings *s, struct status *st)
{
    const char *given = getenv("WEIR_INFER_TOKEN");
    if (s->token_file != NULL) {
        int fd = open(s->token_file, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return status_fail_errno(st, errno, "could not open %s", s->token_file);
        ssize_t got = read(fd, s->token, sizeof s->token);
        int error = errno;
        close(fd);
        if (got < 0)
            return status_fail_errno(st, error, "could not read %s", s->token_file);
        s->token_len = (size_t)got;
    } else if (given != NULL) {
        s->token_len = strnlen(given, sizeof s->token);
        memcpy(s->token, given, s->token_len);
        (void)unsetenv("WEIR_INFER_TOKEN");
    } else {
        return true;
    }
    struct text token = text_trim((struct text){s->token, s->token_len});
    if (token.len == 0 || s->token_len == sizeof s->token)
        return status_fail(st, STATUS_INVALID, "the token is empty, or longer than %d bytes",
                           TOKEN_BYTES_MAX - 1);
    memmove(s->token, token.at, token.len);
    s->token_len = token.len;
    return true;
}

/* "/x/SmolLM2.Q4_1.gguf" is called SmolLM2.Q4_1. */
static const char *file_name(const char *path)
{
    static char name[256];
    const char *slash = strrchr(path, '/');
    struct text base = text_of(slash != NULL ? slash + 1 : path);
    if (text_ends(base, TEXT(".gguf")))
        base.len -= strlen(".gguf");
    if (base.len == 0 || !text_utf8_valid(base))
        base = TEXT("model");
    snprintf(name, sizeof name, "%.*s", TEXT_ARG(base));
    return name;
}

static int fail(int code, const struct status *st)
{
    if (report_fd >= 0)
        (void)!write(report_fd, st->text, strlen(st->text));
    LOG_ERROR("weir-infer cannot go on", LOG_CSTR("why", st->text));
    return code;
}
