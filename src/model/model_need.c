#include "model_need.h"
#include "model_onnx_files.h"
#include "status.h"
#include "text.h"
#include <gguf.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { CONTEXT_USUAL = 4096, PARALLEL_USUAL = 8, COMPUTE_SHARE = 16 };
static const uint64_t compute_bytes = 48 * MIB;

static uint64_t file_bytes(const char *path);
static uint64_t weights_bytes(const char *path);
static uint64_t cache_bytes(const struct gguf_context *file,
                            const struct model_need_options *options);
static uint64_t number(const struct gguf_context *file, const char *name);
static uint64_t largest(const struct gguf_context *file, int64_t at);

bool model_need_of(const char *path, const struct model_need_options *options,
                   struct model_need *out)
{
    struct status st = {0};
    struct model_onnx_files files;
    *out = (struct model_need){0};
    if (!model_kind_of(path, &out->kind, &st))
        return false;
    if (out->kind == MODEL_KIND_EMBED_ONNX) {
        if (!model_onnx_find(path, &files, &st))
            return false;
        out->bytes = files.model_bytes;
    } else {
        out->bytes = weights_bytes(path);
    }
    out->bytes += out->bytes / COMPUTE_SHARE + compute_bytes;
    if (out->kind == MODEL_KIND_CHAT) {
        struct gguf_context *file =
            gguf_init_from_file(path, (struct gguf_init_params){true, NULL});
        if (file == NULL)
            return false;
        out->bytes += cache_bytes(file, options);
        gguf_free(file);
    }
    return true;
}

static uint64_t file_bytes(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 && found.st_size > 0 ? (uint64_t)found.st_size : 0;
}

/* "x-00001-of-00003.gguf" is the first of three. */
static uint64_t weights_bytes(const char *path)
{
    static const size_t tail = sizeof("-00001-of-00003.gguf") - 1;
    uint64_t bytes = file_bytes(path);
    size_t len = strlen(path);
    int64_t part, parts;
    if (len <= tail || path[len - tail] != '-' || strncmp(path + len - 14, "-of-", 4) != 0 ||
        !text_to_i64((struct text){path + len - tail + 1, 5}, &part) ||
        !text_to_i64((struct text){path + len - 10, 5}, &parts))
        return bytes;
    for (int64_t i = 1; i <= parts; i++) {
        char other[4096];
        int written = snprintf(other, sizeof other, "%.*s-%05lld-of-%05lld.gguf", (int)(len - tail),
                               path, (long long)i, (long long)parts);
        if (i != part && written > 0 && (size_t)written < sizeof other)
            bytes += file_bytes(other);
    }
    return bytes;
}

/* As model_llama counts it. */
static uint64_t cache_bytes(const struct gguf_context *file,
                            const struct model_need_options *options)
{
    uint64_t trained = number(file, "context_length"), context = options->context;
    uint64_t parallel = options->parallel > 0 ? options->parallel : PARALLEL_USUAL;
    uint64_t heads = number(file, "attention.head_count");
    uint64_t heads_kv = number(file, "attention.head_count_kv");
    uint64_t usual = heads > 0 ? number(file, "embedding_length") / heads : 0;
    uint64_t key = number(file, "attention.key_length");
    uint64_t value = number(file, "attention.value_length");
    uint64_t both = (key > 0 ? key : usual) + (value > 0 ? value : usual);
    if (context == 0)
        context = trained > 0 && trained < CONTEXT_USUAL ? trained : CONTEXT_USUAL;
    uint64_t token = number(file, "block_count") * (heads_kv > 0 ? heads_kv : heads) * both *
                     (options->q8_0 ? 34 : 64) / 32;
    return token * context * parallel;
}

/* Of "llama.context_length", bounded so that products of them fit; 0: it is not there. */
static uint64_t number(const struct gguf_context *file, const char *name)
{
    char key[200];
    int64_t at = gguf_find_key(file, "general.architecture");
    if (at < 0 || gguf_get_kv_type(file, at) != GGUF_TYPE_STRING)
        return 0;
    (void)snprintf(key, sizeof key, "%.100s.%s", gguf_get_val_str(file, at), name);
    at = gguf_find_key(file, key);
    if (at < 0)
        return 0;
    uint64_t value = gguf_get_kv_type(file, at) == GGUF_TYPE_ARRAY    ? largest(file, at)
                     : gguf_get_kv_type(file, at) == GGUF_TYPE_UINT32 ? gguf_get_val_u32(file, at)
                                                                      : 0;
    return value < (1 << 20) ? value : 1 << 20;
}

/* A number for each layer. */
static uint64_t largest(const struct gguf_context *file, int64_t at)
{
    uint64_t found = 0;
    enum gguf_type type = gguf_get_arr_type(file, at);
    if (type != GGUF_TYPE_INT32 && type != GGUF_TYPE_UINT32)
        return 0;
    const int32_t *values = gguf_get_arr_data(file, at);
    for (size_t i = 0; i < gguf_get_arr_n(file, at); i++)
        if (values[i] > 0 && (uint64_t)values[i] > found)
            found = (uint64_t)values[i];
    return found;
}
