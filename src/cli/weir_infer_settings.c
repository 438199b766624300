#include "weir_infer_settings.h"
#include "infer_public.h"
#include "log.h"
#include "text.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DRAIN_MS_USUAL = 30000 };

enum option_code {
    OPTION_MODEL = 1,
    OPTION_NAME,
    OPTION_ADAPTER,
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
    OPTION_FLASH,
    OPTION_POLL,
    OPTION_PREFIX_MIB,
    OPTION_PREFIX_TENANT_MIB,
    OPTION_PUBLIC_PROMPT,
    OPTION_SPECULATE,
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
    {"adapter", required_argument, NULL, OPTION_ADAPTER},
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
    {"flash-attention", required_argument, NULL, OPTION_FLASH},
    {"poll", required_argument, NULL, OPTION_POLL},
    {"prefix-mib", required_argument, NULL, OPTION_PREFIX_MIB},
    {"prefix-tenant-mib", required_argument, NULL, OPTION_PREFIX_TENANT_MIB},
    {"public-prompt", required_argument, NULL, OPTION_PUBLIC_PROMPT},
    {"speculate", required_argument, NULL, OPTION_SPECULATE},
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
    [OPTION_PREFIX_MIB] = {-1, 1 << 24}, [OPTION_PREFIX_TENANT_MIB] = {0, 1 << 24},
    [OPTION_DRAIN] = {0, 3600},          [OPTION_REPORT_FD] = {3, 1024},
};
static const char help[] =
    "weir-infer serves one model in OpenAI's dialect.\n"
    "\n"
    "  weir-infer --model=FILE.gguf [--listen=127.0.0.1:8081]\n"
    "\n"
    "  --model=FILE         the weights, a GGUF file; or a folder with a model.onnx, or an .onnx\n"
    "                       file, which makes embeddings, as some GGUF files do\n"
    "  --name=NAME          what clients call the model; by default the name of the file\n"
    "  --adapter=NAME=FILE  a LoRA adapter in GGUF that was made for the model: clients get it\n"
    "                       as the model NAME; up to 31\n"
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
    "                       usual gap between two tokens; 100\n"
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
    "  --flash-attention=auto|on|off\n"
    "                       the faster way to attend; auto is on where the device can; q8_0 needs\n"
    "                       it; auto\n"
    "  --poll=N             0 to 100: how long idle compute threads spin; 50\n"
    "  --prefix-mib=N       memory in MiB for prompts that were computed before, so that one with\n"
    "                       the same beginning need not be; -1: none; 512, or an eighth of what "
    "is\n"
    "                       free\n"
    "  --prefix-tenant-mib=N one tenant's share of it, beyond which it gives way first; a quarter\n"
    "  --public-prompt=FILE a system message that is no secret: what a prompt begins with by it "
    "is\n"
    "                       computed at the start, and known to every tenant's requests\n"
    "  --speculate=auto|on|off\n"
    "                       compute several tokens at once of an answer that repeats its prompt "
    "or\n"
    "                       itself; auto does where that was measured to be quicker; auto\n"
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

static bool set(struct weir_infer_settings *s, enum option_code code, const char *value,
                struct status *st);
static bool number(enum option_code code, const char *value, int64_t *out, struct status *st);
static bool set_log(const char *value, struct status *st);
static bool add_adapter(struct weir_infer_settings *s, const char *value, struct status *st);
static bool set_flash(struct weir_infer_settings *s, const char *value, struct status *st);
static bool set_speculation(struct weir_infer_settings *s, const char *value, struct status *st);
static bool check_adapters(const struct weir_infer_settings *s, struct status *st);
static bool check_openness(const struct weir_infer_settings *s, struct status *st);
static bool read_token(struct weir_infer_settings *s, struct status *st);
static bool read_public_prompt(struct weir_infer_settings *s, struct status *st);
static const char *file_name(const char *path);

bool weir_infer_settings_read(int argc, char **argv, struct weir_infer_settings *s,
                              struct status *st)
{
    s->listen_text = "127.0.0.1:8081";
    s->llama.poll = 50;
    s->drain_ms = DRAIN_MS_USUAL;
    s->report_fd = -1;
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
    return net_address_parse(text_of(s->listen_text), &s->listen, st) && check_adapters(s, st) &&
           read_token(s, st) && read_public_prompt(s, st) && check_openness(s, st);
}

/* What others can reach is encrypted and asks who they are, unless somebody has said that it need
 * not be encrypted. */
static bool check_openness(const struct weir_infer_settings *s, struct status *st)
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

static bool set(struct weir_infer_settings *s, enum option_code code, const char *value,
                struct status *st)
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
    case OPTION_ADAPTER:
        return add_adapter(s, value, st);
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
        s->llama.cache_type = strcmp(value, "q8_0") == 0 ? MODEL_CACHE_Q8_0 : MODEL_CACHE_F16;
        return s->llama.cache_type == MODEL_CACHE_Q8_0 || strcmp(value, "f16") == 0
                   ? true
                   : status_fail(st, STATUS_INVALID, "--cache-type is f16 or q8_0");
    case OPTION_FLASH:
        return set_flash(s, value, st);
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
    case OPTION_PUBLIC_PROMPT:
        s->public_prompt_file = value;
        return true;
    case OPTION_SPECULATE:
        return set_speculation(s, value, st);
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
        s->report_fd = (int)n;
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

/* NAME=FILE; a name has no "=". */
static bool add_adapter(struct weir_infer_settings *s, const char *value, struct status *st)
{
    const char *equals = strchr(value, '=');
    struct text name = {value, equals == NULL ? 0 : (size_t)(equals - value)};
    if (name.len == 0 || equals[1] == 0 || !text_utf8_valid(name))
        return status_fail(st, STATUS_INVALID, "--adapter must be NAME=FILE, not %s", value);
    if (s->llama.adapters_count == MODEL_ADAPTERS_MAX)
        return status_fail(st, STATUS_INVALID, "there are more than %d adapters",
                           MODEL_ADAPTERS_MAX);
    s->adapters[s->llama.adapters_count] = name;
    s->llama.adapters[s->llama.adapters_count++] = equals + 1;
    return true;
}

static bool check_adapters(const struct weir_infer_settings *s, struct status *st)
{
    for (uint32_t i = 0; i < s->llama.adapters_count; i++) {
        bool taken = text_equal(s->adapters[i], text_of(s->name));
        for (uint32_t k = 0; k < i; k++)
            taken = taken || text_equal(s->adapters[i], s->adapters[k]);
        if (taken)
            return status_fail(st, STATUS_INVALID, "two models are called %.*s",
                               TEXT_ARG(s->adapters[i]));
    }
    return true;
}

static bool set_flash(struct weir_infer_settings *s, const char *value, struct status *st)
{
    static const char *const names[MODEL_FLASH_COUNT] = {"auto", "on", "off"};
    for (int i = 0; i < MODEL_FLASH_COUNT; i++)
        if (strcmp(value, names[i]) == 0) {
            s->llama.flash = (enum model_flash)i;
            return true;
        }
    return status_fail(st, STATUS_INVALID, "--flash-attention is auto, on or off");
}

static bool set_speculation(struct weir_infer_settings *s, const char *value, struct status *st)
{
    static const char *const names[ENGINE_DRAFTING_COUNT] = {"auto", "on", "off"};
    for (int i = 0; i < ENGINE_DRAFTING_COUNT; i++)
        if (strcmp(value, names[i]) == 0) {
            s->engine.drafting = (enum engine_drafting)i;
            return true;
        }
    return status_fail(st, STATUS_INVALID, "--speculate is auto, on or off");
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
static bool read_token(struct weir_infer_settings *s, struct status *st)
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
                           WEIR_INFER_TOKEN_BYTES_MAX - 1);
    memmove(s->token, token.at, token.len);
    s->token_len = token.len;
    return true;
}

/* Kept for the life of the process: later the sandbox is closed. */
static bool read_public_prompt(struct weir_infer_settings *s, struct status *st)
{
    static char memory[INFER_PUBLIC_BYTES_MAX + 1];
    if (s->public_prompt_file == NULL)
        return true;
    FILE *file = fopen(s->public_prompt_file, "rbe");
    if (file == NULL)
        return status_fail(st, STATUS_SYSTEM, "could not open %s: %s", s->public_prompt_file,
                           strerror(errno));
    size_t len = fread(memory, 1, sizeof memory, file);
    bool broken = ferror(file) != 0;
    (void)fclose(file);
    struct text text = text_trim((struct text){memory, len});
    if (broken || text.len == 0 || len > INFER_PUBLIC_BYTES_MAX || !text_utf8_valid(text) ||
        memchr(text.at, 0, text.len) != NULL)
        return status_fail(st, STATUS_INVALID, "%s must have a text, in UTF-8, of at most %d KiB",
                           s->public_prompt_file, INFER_PUBLIC_BYTES_MAX / 1024);
    s->public_prompt = text;
    return true;
}

/* "/x/SmolLM2.Q4_1.gguf" is called SmolLM2.Q4_1. */
static const char *file_name(const char *path)
{
    static char name[256];
    struct text base = text_of(path);
    while (base.len > 1 && base.at[base.len - 1] == '/') /* a folder */
        base.len--;
    for (size_t slash; (slash = text_find_byte(base, '/')) < base.len;)
        base = text_skip(base, slash + 1);
    if (text_ends(base, TEXT(".gguf")) || text_ends(base, TEXT(".onnx")))
        base.len -= strlen(".gguf");
    if (base.len == 0 || !text_utf8_valid(base))
        base = TEXT("model");
    snprintf(name, sizeof name, "%.*s", TEXT_ARG(base));
    return name;
}
