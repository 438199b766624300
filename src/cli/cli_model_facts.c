/* The only place that knows the arguments of weir-infer and the engine's estimate. */
#include "cli_model_facts.h"
#include <string.h>
#include <sys/stat.h>
#include "model_need.h"
#include "relay_endpoint.h"
#include "text.h"

static uint64_t adapter_bytes(const char *id_and_path);
static uint32_t number_of(const char *const *argv, const char *flag);

struct relay_local_facts cli_model_facts(const char *path, const char *const *argv)
{
    struct model_need need;
    struct model_need_options options = {
        .context = number_of(argv, "--context="),
        .parallel = number_of(argv, "--parallel="),
    };
    uint64_t adapters_bytes = 0;
    for (; *argv != NULL; argv++) {
        if (text_starts(text_of(*argv), TEXT("--cache-type=")))
            options.q8_0 = text_equal(text_of(*argv), TEXT("--cache-type=q8_0"));
        if (text_starts(text_of(*argv), TEXT("--adapter=")))
            adapters_bytes += adapter_bytes(*argv + strlen("--adapter="));
    }
    if (!model_need_of(path, &options, &need))
        return (struct relay_local_facts){0};
    return (struct relay_local_facts){
        .need_bytes = need.bytes + adapters_bytes,
        .tasks = need.kind == MODEL_KIND_CHAT ? 1U << RELAY_CHAT | 1U << RELAY_COMPLETIONS
                                              : 1U << RELAY_EMBEDDINGS | 1U << RELAY_RERANK,
    };
}

/* Of "ID=/path". */
static uint64_t adapter_bytes(const char *id_and_path)
{
    struct stat found;
    const char *path = strchr(id_and_path, '=');
    return path != NULL && stat(path + 1, &found) == 0 ? (uint64_t)found.st_size : 0;
}

/* The last one counts; 0: it is not there. */
static uint32_t number_of(const char *const *argv, const char *flag)
{
    int64_t number = 0;
    for (; *argv != NULL; argv++) {
        struct text arg = text_of(*argv);
        if (text_starts(arg, text_of(flag)) &&
            !text_to_i64(text_skip(arg, text_of(flag).len), &number))
            number = 0;
    }
    return number > 0 && number <= UINT32_MAX ? (uint32_t)number : 0;
}
