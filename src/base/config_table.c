/* config_table: every setting, once. The parser, `weir config`, docs/configuration.md, the sample
 * file, the shell completion and the man page read these rows. */
#include "config.h"

#define SECONDS (INT64_C(1000))
#define MINUTES (60 * SECONDS)
#define HOURS (60 * MINUTES)
#define DAYS (24 * HOURS)

static const struct config_setting listening[] = {
    {"listen", CONFIG_LIST, "127.0.0.1:8080", 0, 0, NULL,
     "addresses to serve at: host:port or unix:/path", 0},
    {"public_url", CONFIG_TEXT, "", 0, 0, NULL,
     "the address that people open, when it is not the first of `listen`", 0},
    {"hosts", CONFIG_LIST, "", 0, 0, NULL,
     "host names under which browsers may come, besides that of public_url", 0},
    {"metrics_listen", CONFIG_TEXT, "", 0, 0, NULL,
     "a second address, for /metrics only; without it there are none", 0},
    {"tls_certificate", CONFIG_TEXT, "", 0, 0, NULL,
     "PEM file with the certificate chain; turns TLS on (read again on SIGHUP)", 0},
    {"tls_key", CONFIG_TEXT, "", 0, 0, NULL, "PEM file with the key of tls_certificate", 0},
    {"tls_client_ca", CONFIG_TEXT, "", 0, 0, NULL,
     "PEM file: clients must show a certificate signed by one of these", 0},
    {"allow_plaintext", CONFIG_BOOL, "off", 0, 0, NULL,
     "allow listeners and upstreams without TLS beyond this machine", 0},
    {"behind_tls_proxy", CONFIG_BOOL, "off", 0, 0, NULL,
     "a proxy in front speaks TLS to browsers: cookies are marked Secure", 0},
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
    {.name = NULL},
};

static const struct config_setting models[] = {
    {"model", CONFIG_TEXT, "", 0, 0, NULL,
     "a GGUF file to serve under its own name; more by sections [model NAME]", 0},
    {"infer_program", CONFIG_TEXT, "", 0, 0, NULL,
     "the program that runs a model; by default weir-infer beside weir", 0},
    {"upstream_ca", CONFIG_TEXT, "", 0, 0, NULL,
     "PEM file with the authorities of https upstreams; by default the system's", 0},
    {.name = NULL},
};

static const struct config_setting limits[] = {
    {"workers", CONFIG_INT, "0", 0, 256, NULL, "threads that serve; 0 is one per core", 0},
    {"connections_max", CONFIG_INT, "16384", 16, 1000000, NULL,
     "open connections per worker; more are refused", 0},
    {"body_max", CONFIG_SIZE, "8MiB", 4 * 1024L, 256L * 1024 * 1024, NULL,
     "largest body of a request to /v1", 0},
    {"stream_max", CONFIG_DURATION, "15min", SECONDS, 24 * HOURS, NULL,
     "longest time that one answer may take", 0},
    {"drain_max", CONFIG_DURATION, "30s", 0, 24 * HOURS, NULL,
     "longest time that a shutdown waits for running answers", 0},
    {"threads_max", CONFIG_INT, "10000", 1, 10000000, NULL, "conversations of one person", 0},
    {"messages_max", CONFIG_INT, "2000", 2, 100000, NULL, "messages of one conversation", 0},
    {"runs_max", CONFIG_INT, "4", 1, 1000, NULL,
     "answers that one person may have in progress in the chat", 0},
    {"answer_max", CONFIG_SIZE, "1MiB", 1024, 64L * 1024 * 1024, NULL,
     "largest answer that the chat stores", 0},
    {.name = NULL},
};

static const struct config_setting logging[] = {
    {"log_level", CONFIG_CHOICE, "info", 0, 0, "debug|info|warn|error",
     "lines below this level are not written", 0},
    {"log_format", CONFIG_CHOICE, "text", 0, 0, "text|json", "for people, or for machines", 0},
    {.name = NULL},
};

const struct config_group config_groups[] = {
    {"Listening", listening}, {"Data", data},       {"Models", models},
    {"Limits", limits},       {"Logging", logging}, {NULL, NULL},
};

static const struct config_setting model_fields[] = {
    {"path", CONFIG_TEXT, "", 0, 0, NULL, "a GGUF file: weir runs it", 0},
    {"upstream", CONFIG_TEXT, "", 0, 0, NULL,
     "instead of path: the name of the section [upstream NAME] that serves it", 0},
    {"upstream_model", CONFIG_TEXT, "", 0, 0, NULL,
     "what the upstream calls it; by default the same", 0},
    {"name", CONFIG_TEXT, "", 0, 0, NULL, "what people see; by default NAME", 0},
    {"context", CONFIG_INT, "0", 0, 10000000, NULL,
     "context size in tokens; 0 is what the model was trained for", 0},
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
