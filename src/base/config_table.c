/* config_table: every setting, once. The parser, `weir config`, docs/configuration.md, the sample
 * file, the shell completion and the man page read these rows. */
#include "config.h"

#define SECONDS (INT64_C(1000))
#define MINUTES (60 * SECONDS)
#define HOURS (60 * MINUTES)
#define DAYS (24 * HOURS)

enum { CONTEXT_MAX = 10000000 };

static const struct config_setting listening[] = {
    {"listen", CONFIG_LIST, "127.0.0.1:8080", 0, 0, NULL,
     "addresses to serve at: host:port or unix:/path", 0},
    {"public_url", CONFIG_TEXT, "", 0, 0, NULL,
     "the address that people open, when it is not the first of `listen`", 0},
    {"hosts", CONFIG_LIST, "", 0, 0, NULL,
     "host names under which browsers may come, besides that of public_url", 0},
    {"metrics_listen", CONFIG_TEXT, "", 0, 0, NULL,
     "a second address, for /metrics only, with TLS as the others; without it there are none", 0},
    {"tls_certificate", CONFIG_TEXT, "", 0, 0, NULL,
     "PEM file with the certificate chain; turns TLS on (read again on SIGHUP)", 0},
    {"tls_key", CONFIG_TEXT, "", 0, 0, NULL, "PEM file with the key of tls_certificate", 0},
    {"tls_client_ca", CONFIG_TEXT, "", 0, 0, NULL,
     "PEM file: clients must show a certificate signed by one of these", 0},
    {"allow_plaintext", CONFIG_BOOL, "off", 0, 0, NULL,
     "allow listeners and upstreams without TLS beyond this machine", 0},
    {"behind_tls_proxy", CONFIG_BOOL, "off", 0, 0, NULL,
     "a proxy in front speaks TLS to browsers: cookies are marked Secure", 0},
    {"trusted_proxies", CONFIG_LIST, "", 0, 0, NULL,
     "addresses or networks (10.0.0.0/8, unix) of proxies in front: their word alone is taken for "
     "a client's address",
     0},
    {"proxy_header", CONFIG_CHOICE, "x-forwarded-for", 0, 0, "x-forwarded-for|forwarded",
     "the header by which trusted_proxies tell it; they must set or extend it themselves", 0},
    {"cors_origins_v1", CONFIG_LIST, "", 0, 0, NULL,
     "web origins whose pages may call /v1 with an API key; * for all", 0},
    {.name = NULL},
};

static const struct config_setting data[] = {
    {"config", CONFIG_TEXT, "", 0, 0, NULL,
     "the configuration file; by default weir.ini in the data folder, when there is one",
     CONFIG_START},
    {"data", CONFIG_TEXT, "", 0, 0, NULL,
     "the data folder; by default weir in $XDG_DATA_HOME or ~/.local/share", CONFIG_START},
    {"database", CONFIG_TEXT, "sqlite:", 0, 0, NULL,
     "where rows are kept: sqlite: (weir.db in the data folder) or sqlite:/path", CONFIG_PASSWORD},
    {"master_key_file", CONFIG_TEXT, "", 0, 0, NULL,
     "key ring that seals stored texts; by default in the data folder", 0},
    {"pepper_file", CONFIG_TEXT, "", 0, 0, NULL,
     "key ring for the digests of API keys; by default in the data folder", 0},
    {"token_key_file", CONFIG_TEXT, "", 0, 0, NULL,
     "key ring for tokens handed out; by default in the data folder", 0},
    {"database_readers", CONFIG_INT, "4", 1, 64, NULL, "connections for reading", 0},
    {"database_statement_max", CONFIG_DURATION, "10s", 100, 10 * MINUTES, NULL,
     "longest time of one statement, with its wait for a connection", 0},
    {"database_queue_max", CONFIG_INT, "10000", 16, 1000000, NULL,
     "transactions that may wait for a connection; more are refused", 0},
    {"database_size_max", CONFIG_SIZE, "0", 0, INT64_C(1024) * 1024 * 1024 * 1024 * 1024, NULL,
     "largest size of the file; 0 is what the disk has", 0},
    {.name = NULL},
};

static const struct config_setting models[] = {
    {"model", CONFIG_TEXT, "", 0, 0, NULL,
     "a GGUF file, or a folder with a model.onnx, to serve under its own name; more by sections "
     "[model NAME]",
     0},
    {"model_wait_max", CONFIG_DURATION, "1min", 1, HOURS, NULL,
     "how long a request waits for a local model that is asleep, loading or coming back", 0},
    {"model_memory_max", CONFIG_SIZE, "0", 0, INT64_C(1) << 50, NULL,
     "memory of all local models together; the one not called for longest is unloaded to make "
     "room; "
     "0 is what the machine has free",
     0},
    {"model_unload_after", CONFIG_DURATION, "0", 0, 365 * DAYS, NULL,
     "a local model that nobody calls for so long is unloaded, unless it is pinned; 0 keeps it "
     "until "
     "its memory is needed for another one",
     0},
    {"model_first_byte_timeout", CONFIG_DURATION, "10min", SECONDS, 24 * HOURS, NULL,
     "from a request to a local model to the head of its answer", 0},
    {"model_idle_timeout", CONFIG_DURATION, "2min", SECONDS, 24 * HOURS, NULL,
     "longest silence of a local model within an answer", 0},
    {.name = NULL},
};

/* 0 leaves it to weir-infer, whose --help tells what it does then. */
static const struct config_setting engine[] = {
    {"infer_program", CONFIG_TEXT, "", 0, 0, NULL,
     "the program that runs a model; by default weir-infer beside weir", 0},
    {"infer_context", CONFIG_INT, "0", 0, CONTEXT_MAX, NULL,
     "tokens of one request, prompt and answer; 0 is what the model was trained for, at most 4096",
     0},
    {"infer_parallel", CONFIG_INT, "0", 0, 256, NULL,
     "requests that are computed at once; 0 is 8, or what fits in memory", 0},
    {"infer_queue", CONFIG_INT, "0", 0, 100000, NULL,
     "requests that may wait; more get a 503; 0 is 256", 0},
    {"infer_queue_tokens", CONFIG_INT, "0", 0, INT64_C(1) << 40, NULL,
     "prompt tokens of the requests that may wait; 0 is 64 times the context", 0},
    {"infer_tenant_queue", CONFIG_INT, "0", 0, 100000, NULL,
     "requests of one organisation that may wait; more get a 429; 0 is three quarters of "
     "infer_queue",
     0},
    {"infer_tenant_queue_tokens", CONFIG_INT, "0", 0, INT64_C(1) << 40, NULL,
     "prompt tokens of one organisation that may wait; 0 is three quarters of infer_queue_tokens",
     0},
    {"infer_threads", CONFIG_INT, "0", 0, 512, NULL,
     "threads that compute; 0 is one for each physical core", 0},
    {"infer_batch", CONFIG_INT, "0", 0, 16384, NULL, "tokens of one step at most; 0 is 512", 0},
    {"infer_step_target", CONFIG_INT, "0", 0, 60000, NULL,
     "milliseconds that a step may take while somebody's answer is being written, so the longest "
     "usual gap between two tokens; 0 is 100",
     0},
    {"infer_prompt_budget", CONFIG_INT, "0", 0, 16384, NULL,
     "prompt tokens of such a step; 0 is what infer_step_target leaves room for", 0},
    {"infer_lag", CONFIG_INT, "0", 0, 1 << 24, NULL,
     "tokens that an organisation may be behind another one before that one's newest request gives "
     "way; 0 is 1024",
     0},
    {"infer_preempt_memory", CONFIG_INT, "0", 0, 1 << 24, NULL,
     "MiB of memory for requests that had to give way, which are else computed again; 0 is 256", 0},
    {"infer_gpu_layers", CONFIG_INT, "0", -1, 10000, NULL,
     "layers on the graphics card, -1 for all", 0},
    {"infer_cache_type", CONFIG_CHOICE, "f16", 0, 0, "f16|q8_0",
     "what the cache of a conversation is kept in: q8_0 takes half the memory", 0},
    {"infer_flash_attention", CONFIG_CHOICE, "auto", 0, 0, "auto|on|off",
     "the faster way to attend; auto is on where the device can; infer_cache_type q8_0 needs it",
     0},
    {"infer_poll", CONFIG_INT, "50", 0, 100, NULL,
     "how long idle compute threads spin before they sleep, 0 to 100", 0},
    {"infer_prefix_mib", CONFIG_INT, "0", -1, 1 << 24, NULL,
     "memory for prompts that were computed before, so that one with the same beginning need not "
     "be; 0 is 512, or an eighth of what is free; -1 keeps none",
     0},
    {"infer_prefix_tenant_mib", CONFIG_INT, "0", 0, 1 << 24, NULL,
     "one tenant's share of infer_prefix_mib, beyond which it gives way first; 0 is a quarter", 0},
    {"infer_speculate", CONFIG_CHOICE, "auto", 0, 0, "auto|on|off",
     "compute several tokens at once of an answer that repeats its prompt or itself; auto does "
     "where "
     "that was measured to be quicker",
     0},
    {"infer_lock_memory", CONFIG_BOOL, "off", 0, 0, NULL, "keep the weights from being swapped out",
     0},
    {.name = NULL},
};

static const struct config_setting upstreams[] = {
    {"upstream_ca", CONFIG_TEXT, "", 0, 0, NULL,
     "PEM file with the authorities of https upstreams; by default the system's", 0},
    {"upstream_certificate", CONFIG_TEXT, "", 0, 0, NULL,
     "PEM file with the certificate chain to show to https upstreams (read again on SIGHUP)", 0},
    {"upstream_key", CONFIG_TEXT, "", 0, 0, NULL, "PEM file with the key of upstream_certificate",
     0},
    {"upstream_connect_timeout", CONFIG_DURATION, "5s", 100, 10 * MINUTES, NULL,
     "for the name, TCP and TLS", 0},
    {"upstream_first_byte_timeout", CONFIG_DURATION, "1min", 100, 24 * HOURS, NULL,
     "from a request to the head of an answer that is streamed", 0},
    {"upstream_answer_timeout", CONFIG_DURATION, "10min", 100, 24 * HOURS, NULL,
     "from a request to the head of an answer that comes as a whole, after all its work", 0},
    {"upstream_idle_timeout", CONFIG_DURATION, "30s", 100, 24 * HOURS, NULL,
     "longest silence within an answer", 0},
    {"upstream_keepalive", CONFIG_DURATION, "30s", 100, 24 * HOURS, NULL,
     "how long a connection that nobody uses is kept", 0},
    {"upstream_connections_max", CONFIG_INT, "4096", 1, 65536, NULL,
     "connections of one worker to one upstream; a call beyond gets a 503", 0},
    {"upstream_connections_idle", CONFIG_INT, "64", 1, 65536, NULL,
     "of them, how many are kept for the next call", 0},
    {.name = NULL},
};

static const struct config_setting limits[] = {
    {"workers", CONFIG_INT, "0", 0, 256, NULL, "threads that serve; 0 is one per core", 0},
    {"connections_max", CONFIG_INT, "16384", 16, 1000000, NULL,
     "open connections per worker; more are refused", 0},
    {"head_max", CONFIG_SIZE, "32KiB", 4 * 1024L, 1024L * 1024, NULL,
     "largest head of a request: 431", 0},
    {"headers_max", CONFIG_INT, "100", 16, 1000, NULL, "most header fields of a request: 431", 0},
    {"target_max", CONFIG_SIZE, "8KiB", 1024, 1024L * 1024, NULL,
     "longest path and query of a request: 414", 0},
    {"body_max", CONFIG_SIZE, "8MiB", 4 * 1024L, 256L * 1024 * 1024, NULL,
     "largest body of a request to /v1", 0},
    {"request_memory_max", CONFIG_SIZE, "64MiB", 4 * 1024L * 1024, 4096L * 1024 * 1024, NULL,
     "memory that one request may take, besides its body", 0},
    {"threads_max", CONFIG_INT, "10000", 1, 10000000, NULL, "conversations of one person", 0},
    {"messages_max", CONFIG_INT, "2000", 2, 100000, NULL, "messages of one conversation", 0},
    {"runs_max", CONFIG_INT, "4", 1, 1000, NULL,
     "answers that one person may have in progress in the chat", 0},
    {"answer_max", CONFIG_SIZE, "1MiB", 1024, 4L * 1024 * 1024, NULL,
     "largest answer that the chat stores", 0},
    {.name = NULL},
};

static const struct config_setting deadlines[] = {
    {"head_timeout", CONFIG_DURATION, "10s", 100, 10 * MINUTES, NULL,
     "for a TLS handshake, and for the head of a request: 408", 0},
    {"body_grace", CONFIG_DURATION, "10s", 100, 10 * MINUTES, NULL,
     "so long a body may be slow; from then on it must come at body_rate_min: 408", 0},
    {"body_rate_min", CONFIG_SIZE, "1KiB", 1, 1024L * 1024 * 1024, NULL,
     "bytes per second of a body, on average", 0},
    {"request_timeout", CONFIG_DURATION, "5min", SECONDS, 24 * HOURS, NULL,
     "longest time for a request and its answer, but for what a model writes", 0},
    {"write_timeout", CONFIG_DURATION, "30s", 100, 24 * HOURS, NULL,
     "a client that takes not one byte for so long is gone", 0},
    {"idle_timeout", CONFIG_DURATION, "75s", 100, 24 * HOURS, NULL,
     "how long a connection may wait for its next request", 0},
    {"stream_max", CONFIG_DURATION, "15min", SECONDS, 24 * HOURS, NULL,
     "longest time that one answer may take", 0},
    {"drain_max", CONFIG_DURATION, "30s", 0, 24 * HOURS, NULL,
     "longest time that a shutdown waits for running answers", 0},
    {.name = NULL},
};

static const struct config_setting accounts[] = {
    {"session_idle", CONFIG_DURATION, "12h", MINUTES, 365 * DAYS, NULL,
     "a session that nobody uses for so long has ended", 0},
    {"session_max", CONFIG_DURATION, "7d", MINUTES, 365 * DAYS, NULL,
     "longest life of a session, used or not", 0},
    {"sessions_max", CONFIG_INT, "50", 1, 10000, NULL,
     "sessions of one person; the one used longest ago makes room", 0},
    {"keys_max", CONFIG_INT, "1000", 1, 1000000, NULL, "API keys of one project", 0},
    {"key_memory", CONFIG_DURATION, "4s", 100, 4 * SECONDS, NULL,
     "how long a verdict on an API key holds without a look at the database: so long can a key "
     "live that another process has revoked",
     0},
    {"keys_cached_max", CONFIG_INT, "20000", 128, 10000000, NULL,
     "API keys whose verdict is kept in memory", 0},
    {"password_checks_max", CONFIG_INT, "0", 0, 256, NULL,
     "passwords that are hashed at once, 64 MiB each; 0 is one per core", 0},
    {"password_checks_waiting_max", CONFIG_INT, "64", 1, 10000, NULL,
     "sign-ins that may wait for that; more get a 429", 0},
    {.name = NULL},
};

static const struct config_setting logging[] = {
    {"log_level", CONFIG_CHOICE, "info", 0, 0, "debug|info|warn|error",
     "lines below this level are not written", 0},
    {"log_format", CONFIG_CHOICE, "text", 0, 0, "text|json", "for people, or for machines", 0},
    {.name = NULL},
};

const struct config_group config_groups[] = {
    {"Listening", listening}, {"Data", data},     {"Models", models},       {"Engine", engine},
    {"Upstreams", upstreams}, {"Limits", limits}, {"Deadlines", deadlines}, {"Accounts", accounts},
    {"Logging", logging},     {NULL, NULL},
};

static const struct config_setting model_fields[] = {
    {"path", CONFIG_TEXT, "", 0, 0, NULL,
     "a GGUF file, or a folder with a model.onnx: weir runs it", 0},
    {"upstream", CONFIG_TEXT, "", 0, 0, NULL,
     "instead of path: the name of the section [upstream NAME] that serves it", 0},
    {"upstream_model", CONFIG_TEXT, "", 0, 0, NULL,
     "what the upstream calls it; by default the same", 0},
    {"tasks", CONFIG_TEXT, "", 0, 0, NULL,
     "what a model of an upstream is for: of chat, completions, embeddings, rerank, with commas "
     "between; by default guessed by its name, as chat, completions unless that says otherwise",
     0},
    {"name", CONFIG_TEXT, "", 0, 0, NULL, "what people see; by default NAME", 0},
    {"pinned", CONFIG_CHOICE, "as-is", 0, 0, "as-is|on|off",
     "on: loaded at the start and never unloaded; as-is leaves it as people have set it", 0},
    {"context", CONFIG_INT, "0", 0, CONTEXT_MAX, NULL, "context size in tokens; 0 is infer_context",
     0},
    {"parallel", CONFIG_INT, "0", 0, 256, NULL,
     "requests that are computed at once; 0 is infer_parallel", 0},
    {"queue", CONFIG_INT, "0", 0, 100000, NULL, "requests that may wait; 0 is infer_queue", 0},
    {"threads", CONFIG_INT, "0", 0, 512, NULL, "threads that compute; 0 is infer_threads", 0},
    {"batch", CONFIG_INT, "0", 0, 16384, NULL, "tokens of one step at most; 0 is infer_batch", 0},
    {"prompt_budget", CONFIG_INT, "0", 0, 16384, NULL,
     "prompt tokens of a step while an answer is being written; 0 is infer_prompt_budget", 0},
    {"prefix_mib", CONFIG_INT, "0", -1, 1 << 24, NULL,
     "memory for prompts that were computed before; 0 is infer_prefix_mib", 0},
    {"prefix_tenant_mib", CONFIG_INT, "0", 0, 1 << 24, NULL,
     "one tenant's share of it; 0 is infer_prefix_tenant_mib", 0},
    {"public_prompt", CONFIG_TEXT, "", 0, 0, NULL,
     "a file with a system message that is no secret: it is computed when the model is loaded, for "
     "every organisation",
     0},
    {"gpu_layers", CONFIG_INT, "0", -1, 10000, NULL,
     "layers on the graphics card; 0 is infer_gpu_layers", 0},
    {"cache_type", CONFIG_CHOICE, "usual", 0, 0, "usual|f16|q8_0",
     "what the cache is kept in; usual is infer_cache_type", 0},
    {"flash_attention", CONFIG_CHOICE, "usual", 0, 0, "usual|auto|on|off",
     "the faster way to attend; usual is infer_flash_attention", 0},
    {"adapters", CONFIG_LIST, "", 0, 0, NULL,
     "LoRA adapters in GGUF that were made for the file, NAME=FILE each: they are offered as "
     "models "
     "under these names",
     0},
    {.name = NULL},
};
static const struct config_setting upstream_fields[] = {
    {"url", CONFIG_TEXT, "", 0, 0, NULL,
     "base URL of a server that speaks OpenAI's dialect, as in https://host/v1", 0},
    {"key", CONFIG_TEXT, "", 0, 0, NULL, "API key for it", CONFIG_SECRET},
    {.name = NULL},
};
const char *const config_section_names[] = {[CONFIG_SECTION_MODEL] = "model",
                                            [CONFIG_SECTION_UPSTREAM] = "upstream"};
const char *const config_section_helps[] = {
    [CONFIG_SECTION_MODEL] = "a model that is offered under NAME, from a file or from an upstream",
    [CONFIG_SECTION_UPSTREAM] = "a server that speaks OpenAI's dialect"};
const struct config_setting *const config_section_fields[] = {
    [CONFIG_SECTION_MODEL] = model_fields, [CONFIG_SECTION_UPSTREAM] = upstream_fields};
_Static_assert(ARRAY_LEN(config_section_names) == CONFIG_SECTION_KIND_COUNT, "each has a name");
_Static_assert(ARRAY_LEN(config_section_helps) == CONFIG_SECTION_KIND_COUNT, "each has help");
_Static_assert(ARRAY_LEN(config_section_fields) == CONFIG_SECTION_KIND_COUNT, "each has fields");
