#include "model_llama_internal.h"
#include "log.h"
#include <llama.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { DEATH_BYTES = 400 };

static _Thread_local char complaint[200];
static void (*on_death)(const char *why);

static void set_up_library(void);
static void on_log(enum ggml_log_level level, const char *text, void *arg);
static void on_abort(const char *message);

void model_llama_watch(void (*dies)(const char *why))
{
    on_death = dies;
    llama_log_set(on_log, NULL);
    (void)ggml_set_abort_callback(on_abort);
}

/* "/where/it/was/built/file.c:12: text", of which the folders tell nobody anything. */
static void on_abort(const char *message)
{
    char why[DEATH_BYTES];
    struct text line = text_of(message);
    struct text place = text_take(line, text_find(line, TEXT(": ")));
    const char *slash = memrchr(place.at, '/', place.len);
    if (slash != NULL)
        line = text_skip(line, (size_t)(slash - line.at) + 1);
    line = text_trim(text_take(line, text_find_byte(line, '\n')));
    (void)snprintf(why, sizeof why, "the library gave up: %.*s", TEXT_ARG(line));
    on_death(why);
}

void model_llama_start_library(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_up_library);
}

static void set_up_library(void)
{
    llama_log_set(on_log, NULL);
    llama_backend_init();
}

static void on_log(enum ggml_log_level level, const char *text, void *arg)
{
    (void)arg;
    struct text line = text_trim(text_of(text));
    if (line.len == 0)
        return;
    if (level == GGML_LOG_LEVEL_ERROR && complaint[0] == 0)
        snprintf(complaint, sizeof complaint, "%.*s", TEXT_ARG(line));
    LOG_DEBUG("llama", LOG_TEXT("says", line));
}

const char *model_llama_complaint(const char *otherwise)
{
    return complaint[0] != 0 ? complaint : otherwise;
}

void model_llama_complaint_clear(void)
{
    complaint[0] = 0;
}

/* Its functions are asked for by name, since a build with loadable backends does not link them. */
struct model_llama_pool model_llama_pool_open(struct llama_context *context, int threads, int poll)
{
    struct model_llama_pool pool = {0};
    ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    ggml_backend_reg_t registry = cpu != NULL ? ggml_backend_dev_backend_reg(cpu) : NULL;
    if (registry == NULL)
        return pool;
    struct ggml_threadpool *(*pool_new)(struct ggml_threadpool_params *);
    void *found_new = ggml_backend_reg_get_proc_address(registry, "ggml_threadpool_new");
    void *found_free = ggml_backend_reg_get_proc_address(registry, "ggml_threadpool_free");
    if (found_new == NULL || found_free == NULL)
        return pool;
    memcpy(&pool_new, &found_new, sizeof pool_new); /* C has no cast from object to function */
    memcpy(&pool.free, &found_free, sizeof pool.free);
    struct ggml_threadpool_params params = ggml_threadpool_params_default(threads);
    params.poll = (uint32_t)poll;
    pool.at = pool_new(&params);
    if (pool.at != NULL)
        llama_attach_threadpool(context, pool.at, pool.at);
    return pool;
}

void model_llama_pool_close(struct model_llama_pool *pool)
{
    if (pool->at != NULL)
        pool->free(pool->at);
    *pool = (struct model_llama_pool){0};
}
