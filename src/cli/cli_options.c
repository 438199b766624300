/* cli_options: from the settings to the options of the service. The only place that knows both. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "api.h"
#include "arena.h"
#include "cli_internal.h"
#include "cli_model_facts.h"
#include "model_kind.h"
#include "relay_tasks.h"

enum { FILES_BESIDES = 256 }; /* loops, the database, logs, children */

static struct http_limits http_limits(const struct config *config);
static struct relay_limits relay_limits(const struct config *config);
static bool add_infer_args(struct cli *cli, const struct config_section *section,
                           struct api_options *options, struct status *st);
static bool add_models(struct cli *cli, struct api_options *options, struct status *st);
static bool add_model_section(struct cli *cli, const struct config_section *section,
                              struct api_options *options, struct status *st);
static bool add_adapters(struct cli *cli, const struct config_section *section,
                         struct api_options *options, struct status *st);
static bool add_seed(const struct api_model_seed *seed, struct api_options *options,
                     struct status *st);
static bool add_upstreams(struct cli *cli, struct api_options *options, struct status *st);
static bool copy_list(struct cli *cli, const char *name, struct text *out, size_t out_max,
                      size_t *count, struct status *st);
static struct text absolute(struct text path, struct arena *arena);

bool cli_api_options(struct cli *cli, const struct cli_store *store, struct api_options *out,
                     struct status *st)
{
    const struct config *config = cli->config;
    struct api_options options = {
        .db = store->db,
        .vault = store->vault,
        .account = store->account,
        .observe = store->observe,
        .data_folder = absolute(config_data_folder(config), cli->arena),
        .version = TEXT(CLI_VERSION),
        .workers = (int)config_int(config, "workers"),
        .plain_anywhere = config_bool(config, "allow_plaintext"),
        .metrics_listen = config_text(config, "metrics_listen"),
        .control_path = absolute(cli_control_path(cli), cli->arena),
        .tls_certificate = config_text(config, "tls_certificate"),
        .tls_key = config_text(config, "tls_key"),
        .tls_client_ca = config_text(config, "tls_client_ca"),
        .public_url = config_text(config, "public_url"),
        .behind_tls_proxy = config_bool(config, "behind_tls_proxy"),
        .infer_path = cli_infer_program(cli),
        .model_check = model_kind_check,
        .model_facts = cli_model_facts,
        .model_memory_max = config_bytes(config, "model_memory_max"),
        .model_idle_ms = config_ms(config, "model_unload_after"),
        .upstream_ca = config_text(config, "upstream_ca"),
        .upstream_certificate = config_text(config, "upstream_certificate"),
        .upstream_key = config_text(config, "upstream_key"),
        .proxy_header = text_equal(config_text(config, "proxy_header"), TEXT("forwarded"))
                            ? HTTP_FORWARDED_RFC7239
                            : HTTP_FORWARDED_X_FORWARDED_FOR,
        .http = http_limits(config),
        .relay = relay_limits(config),
        .request_max_ms = config_ms(config, "request_timeout"),
        .drain_max_ms = config_ms(config, "drain_max"),
        .body_bytes_max = config_bytes(config, "body_max"),
        .threads_max = config_int(config, "threads_max"),
        .messages_max = config_int(config, "messages_max"),
        .runs_max = config_int(config, "runs_max"),
        .answer_bytes_max = config_bytes(config, "answer_max"),
    };
    if (options.drain_max_ms == 0)
        options.drain_max_ms = 1; /* 0 would mean the default to the api */
    if ((options.tls_certificate.len > 0) != (options.tls_key.len > 0))
        return status_fail(st, STATUS_INVALID, "tls_certificate and tls_key need each other");
    if ((options.upstream_certificate.len > 0) != (options.upstream_key.len > 0))
        return status_fail(st, STATUS_INVALID,
                           "upstream_certificate and upstream_key need each other");
    if (!copy_list(cli, "listen", options.listen, API_ADDRESSES_MAX, &options.listen_count, st) ||
        !copy_list(cli, "hosts", options.hosts, API_ORIGINS_MAX, &options.hosts_count, st) ||
        !copy_list(cli, "trusted_proxies", options.proxies, API_PROXIES_MAX, &options.proxies_count,
                   st) ||
        !copy_list(cli, "cors_origins_v1", options.cors_origins, API_ORIGINS_MAX,
                   &options.cors_origins_count, st) ||
        !add_upstreams(cli, &options, st) || !add_infer_args(cli, NULL, &options, st) ||
        !add_models(cli, &options, st))
        return false;
    *out = options;
    return true;
}

int64_t cli_files_needed(const struct config *config, int64_t *least)
{
    int64_t workers = config_int(config, "workers");
    int64_t cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (workers == 0)
        workers = cores > 0 ? cores : 1;
    *least = workers * config_int(config, "connections_max") + FILES_BESIDES;
    return 2 * *least;
}

struct text cli_infer_program(struct cli *cli)
{
    struct text set = config_text(cli->config, "infer_program");
    if (set.len > 0)
        return absolute(set, cli->arena);
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self));
    struct text folder = {self, len > 0 ? (size_t)len : 0};
    while (folder.len > 0 && folder.at[folder.len - 1] != '/')
        folder.len--;
    return arena_format(cli->arena, "%.*sweir-infer", TEXT_ARG(folder));
}

/* The file's name without its ending, and "-" for what a model's id may not have. */
struct text cli_model_name(struct text path, struct arena *arena)
{
    struct text name = path;
    while (name.len > 1 && name.at[name.len - 1] == '/') /* a folder */
        name.len--;
    for (size_t slash; (slash = text_find_byte(name, '/')) < name.len;)
        name = text_skip(name, slash + 1);
    struct text ending = text_skip(name, name.len < 5 ? 0 : name.len - 5);
    if (name.len > 5 &&
        (text_equal_nocase(ending, TEXT(".gguf")) || text_equal_nocase(ending, TEXT(".onnx"))))
        name.len -= 5;
    char *copy = arena_cstr(arena, text_take(name, 100));
    for (char *c = copy; *c != '\0'; c++) {
        bool letter =
            (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');
        if (!letter && (c == copy || strchr("._:-", *c) == NULL))
            *c = c == copy ? 'm' : '-';
    }
    return copy[0] == '\0' ? TEXT("model") : text_of(copy);
}

/* "SmolLM2-135M-Instruct.Q4_1" is "SmolLM2 135M Instruct" to people: without how it was packed. */
struct text cli_model_title(struct text path, struct arena *arena)
{
    struct text name = cli_model_name(path, arena);
    size_t end = name.len;
    for (size_t i = 1; i + 1 < name.len; i++) {
        char kind = name.at[i + 1];
        bool packed = (kind == 'Q' || kind == 'q' || kind == 'F' || kind == 'f') &&
                      i + 2 < name.len && name.at[i + 2] >= '0' && name.at[i + 2] <= '9';
        if ((name.at[i] == '.' || name.at[i] == '-') && packed)
            end = i;
    }
    char *title = arena_cstr(arena, text_take(name, end));
    for (char *c = title; *c != '\0'; c++)
        if (*c == '-' || *c == '_')
            *c = ' ';
    return text_of(title);
}

static struct http_limits http_limits(const struct config *config)
{
    return (struct http_limits){
        .connections_max = (size_t)config_int(config, "connections_max"),
        .head_bytes_max = config_bytes(config, "head_max"),
        .target_bytes_max = config_bytes(config, "target_max"),
        .headers_max = (size_t)config_int(config, "headers_max"),
        .arena_bytes_max = config_bytes(config, "request_memory_max"),
        .head_ms = config_ms(config, "head_timeout"),
        .idle_ms = config_ms(config, "idle_timeout"),
        .body_grace_ms = config_ms(config, "body_grace"),
        .body_bytes_per_second = config_bytes(config, "body_rate_min"),
        .write_ms = config_ms(config, "write_timeout"),
    };
}

static struct relay_limits relay_limits(const struct config *config)
{
    return (struct relay_limits){
        .stream_max_ms = config_ms(config, "stream_max"),
        .connect_ms = config_ms(config, "upstream_connect_timeout"),
        .first_byte_ms = config_ms(config, "upstream_first_byte_timeout"),
        .answer_ms = config_ms(config, "upstream_answer_timeout"),
        .idle_ms = config_ms(config, "upstream_idle_timeout"),
        .keepalive_ms = config_ms(config, "upstream_keepalive"),
        .connections_max = (size_t)config_int(config, "upstream_connections_max"),
        .connections_idle = (size_t)config_int(config, "upstream_connections_idle"),
        .local_wait_ms = config_ms(config, "model_wait_max"),
        .local_first_byte_ms = config_ms(config, "model_first_byte_timeout"),
        .local_idle_ms = config_ms(config, "model_idle_timeout"),
    };
}

/* The settings of weir-infer, as its arguments: of all models (`section` is NULL), or of one. What
 * is 0 it decides by itself. */
static bool add_infer_args(struct cli *cli, const struct config_section *section,
                           struct api_options *options, struct status *st)
{
    static const struct {
        const char *setting, *field, *flag;
        int64_t min;
    } numbers[] = {
        {"infer_context", "context", "context", 16},
        {"infer_parallel", "parallel", "parallel", 1},
        {"infer_queue", "queue", "queue", 1},
        {"infer_queue_tokens", NULL, "queue-tokens", 1},
        {"infer_tenant_queue", NULL, "tenant-queue", 1},
        {"infer_tenant_queue_tokens", NULL, "tenant-queue-tokens", 1},
        {"infer_threads", "threads", "threads", 1},
        {"infer_batch", "batch", "batch", 32},
        {"infer_step_target", NULL, "step-target", 1},
        {"infer_prompt_budget", "prompt_budget", "prompt-budget", 1},
        {"infer_lag", NULL, "lag", 1},
        {"infer_preempt_memory", NULL, "preempt-memory", 1},
        {"infer_gpu_layers", "gpu_layers", "gpu-layers", -1},
        {"infer_prefix_mib", "prefix_mib", "prefix-mib", -1},
        {"infer_prefix_tenant_mib", "prefix_tenant_mib", "prefix-tenant-mib", 1},
    };
    const struct config *config = cli->config;
    struct text *args = ARENA_ARRAY(cli->arena, RELAY_LOCAL_ARGS_MAX / 2, struct text);
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        const char *name = section == NULL ? numbers[i].setting : numbers[i].field;
        if (name == NULL) /* for all models alike */
            continue;
        int64_t number =
            section == NULL ? config_int(config, name) : config_section_int(section, name);
        if (number != 0 && number < numbers[i].min)
            return status_fail(st, STATUS_INVALID, "%s must be 0, or at least %lld", name,
                               (long long)numbers[i].min);
        if (number != 0)
            args[count++] =
                arena_format(cli->arena, "--%s=%lld", numbers[i].flag, (long long)number);
    }
    struct text cache_type = section == NULL ? config_text(config, "infer_cache_type")
                                             : config_section_text(section, "cache_type");
    if (!text_equal(cache_type, TEXT("usual")))
        args[count++] = arena_format(cli->arena, "--cache-type=%.*s", TEXT_ARG(cache_type));
    struct text flash = section == NULL ? config_text(config, "infer_flash_attention")
                                        : config_section_text(section, "flash_attention");
    if (!text_equal(flash, TEXT("usual")))
        args[count++] = arena_format(cli->arena, "--flash-attention=%.*s", TEXT_ARG(flash));
    if (section != NULL) {
        struct text file = absolute(config_section_text(section, "public_prompt"), cli->arena);
        if (file.len > 0)
            args[count++] = arena_format(cli->arena, "--public-prompt=%.*s", TEXT_ARG(file));
    }
    if (section == NULL) {
        args[count++] =
            arena_format(cli->arena, "--poll=%lld", (long long)config_int(config, "infer_poll"));
        args[count++] = arena_format(cli->arena, "--speculate=%.*s",
                                     TEXT_ARG(config_text(config, "infer_speculate")));
        if (config_bool(config, "infer_lock_memory"))
            args[count++] = TEXT("--lock-memory");
        args[count++] =
            arena_format(cli->arena, "--log=%.*s,%.*s", TEXT_ARG(config_text(config, "log_level")),
                         TEXT_ARG(config_text(config, "log_format")));
    }
    if (count > 0)
        options->infer_args[options->infer_args_count++] = (struct relay_local_args){
            .model = section == NULL ? TEXT("") : section->name, .args = args, .count = count};
    return true;
}

static bool add_models(struct cli *cli, struct api_options *options, struct status *st)
{
    struct text model = config_text(cli->config, "model");
    const struct config_section *sections;
    size_t count = config_sections(cli->config, CONFIG_SECTION_MODEL, &sections);
    if (model.len > 0)
        options->models[options->models_count++] =
            (struct api_model_seed){.id = cli_model_name(model, cli->arena),
                                    .name = cli_model_title(model, cli->arena),
                                    .path = absolute(model, cli->arena)};
    for (size_t i = 0; i < count; i++) {
        if (!add_model_section(cli, &sections[i], options, st))
            return status_wrap(st, "%.*s: [model %.*s]", TEXT_ARG(sections[i].source),
                               TEXT_ARG(sections[i].name));
    }
    return true;
}

static bool add_model_section(struct cli *cli, const struct config_section *section,
                              struct api_options *options, struct status *st)
{
    struct api_model_seed seed = {
        .id = section->name,
        .name = config_section_text(section, "name"),
        .path = config_section_text(section, "path"),
        .upstream = config_section_text(section, "upstream"),
        .upstream_model = config_section_text(section, "upstream_model"),
        .context_tokens = config_section_int(section, "context"),
        .pinned_said = !text_equal(config_section_text(section, "pinned"), TEXT("as-is")),
        .pinned = text_equal(config_section_text(section, "pinned"), TEXT("on")),
    };
    if ((seed.path.len > 0) == (seed.upstream.len > 0))
        return status_fail(st, STATUS_INVALID, "needs either `path` or `upstream`");
    if (seed.path.len > 0)
        seed.path = absolute(seed.path, cli->arena);
    if (!relay_tasks_read(config_section_text(section, "tasks"), &seed.tasks, st))
        return false;
    if (seed.path.len > 0 && seed.tasks != 0)
        return status_fail(st, STATUS_INVALID,
                           "a local model says itself what it is for: `tasks` "
                           "goes with `upstream`");
    bool known = seed.upstream.len == 0;
    for (size_t i = 0; i < options->upstreams_count; i++)
        known = known || text_equal(options->upstreams[i].name, seed.upstream);
    if (!known)
        return status_fail(st, STATUS_INVALID, "there is no section [upstream %.*s]",
                           TEXT_ARG(seed.upstream));
    return add_seed(&seed, options, st) && add_adapters(cli, section, options, st) &&
           (seed.path.len == 0 || add_infer_args(cli, section, options, st));
}

/* `adapters = NAME=FILE, …`: each a model of its own. */
static bool add_adapters(struct cli *cli, const struct config_section *section,
                         struct api_options *options, struct status *st)
{
    const struct text *adapters;
    size_t count = config_section_list(section, "adapters", &adapters);
    if (count > 0 && config_section_text(section, "path").len == 0)
        return status_fail(st, STATUS_INVALID, "`adapters` needs `path`");
    for (size_t i = 0; i < count; i++) {
        struct text path = adapters[i], name;
        bool both = text_split(&path, '=', &name);
        struct api_model_seed seed = {.id = text_trim(name), .base = section->name};
        path = text_trim(path);
        if (!both || seed.id.len == 0 || path.len == 0)
            return status_fail(st, STATUS_INVALID, "`adapters` has %.*s, which is not NAME=FILE",
                               TEXT_ARG(text_take(adapters[i], 100)));
        seed.path = absolute(path, cli->arena);
        if (!add_seed(&seed, options, st))
            return false;
    }
    return true;
}

static bool add_seed(const struct api_model_seed *seed, struct api_options *options,
                     struct status *st)
{
    for (size_t i = 0; i < options->models_count; i++)
        if (text_equal(options->models[i].id, seed->id))
            return status_fail(st, STATUS_INVALID, "another model is called %.*s",
                               TEXT_ARG(seed->id));
    if (options->models_count == API_SEEDS_MAX)
        return status_fail(st, STATUS_INVALID, "there are more than %d models", API_SEEDS_MAX);
    options->models[options->models_count++] = *seed;
    return true;
}

static bool add_upstreams(struct cli *cli, struct api_options *options, struct status *st)
{
    const struct config_section *sections;
    size_t count = config_sections(cli->config, CONFIG_SECTION_UPSTREAM, &sections);
    if (count > API_SEEDS_MAX)
        return status_fail(st, STATUS_INVALID, "there are more than %d sections [upstream …]",
                           API_SEEDS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct api_upstream_seed seed = {
            .name = sections[i].name,
            .base_url = config_section_text(&sections[i], "url"),
            .api_key = config_section_text(&sections[i], "key"),
        };
        if (seed.base_url.len == 0)
            return status_fail(st, STATUS_INVALID, "%.*s: [upstream %.*s] needs `url`",
                               TEXT_ARG(sections[i].source), TEXT_ARG(seed.name));
        options->upstreams[options->upstreams_count++] = seed;
    }
    return true;
}

static bool copy_list(struct cli *cli, const char *name, struct text *out, size_t out_max,
                      size_t *count, struct status *st)
{
    const struct text *list;
    *count = config_list(cli->config, name, &list);
    if (*count > out_max)
        return status_fail(st, STATUS_INVALID, "%s has more than %zu items", name, out_max);
    for (size_t i = 0; i < *count; i++)
        out[i] = list[i];
    return true;
}

/* Children run elsewhere, and rows outlive this process: both need the whole path. */
static struct text absolute(struct text path, struct arena *arena)
{
    char cwd[PATH_MAX];
    if (path.len == 0 || path.at[0] == '/' || getcwd(cwd, sizeof(cwd)) == NULL)
        return path;
    return arena_format(arena, "%s/%.*s", cwd, TEXT_ARG(path));
}
