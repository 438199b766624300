#include "model_kind.h"
#include "model_gguf.h"
#include "model_onnx_files.h"
#include "text.h"
#include <gguf.h>
#include <stdio.h>

static bool makes_vectors(const struct gguf_context *file);

bool model_kind_check(const char *path, struct status *st)
{
    struct model_onnx_files files;
    return model_onnx_is(path) ? model_onnx_find(path, &files, st) : model_gguf_check(path, st);
}

bool model_kind_of(const char *path, enum model_kind *out, struct status *st)
{
    if (!model_kind_check(path, st))
        return false;
    if (model_onnx_is(path)) {
        *out = MODEL_KIND_EMBED_ONNX;
        return true;
    }
    struct gguf_context *file = gguf_init_from_file(path, (struct gguf_init_params){true, NULL});
    if (file == NULL)
        return status_fail(st, STATUS_INVALID, "cannot use the model file %s: its header is broken",
                           path);
    *out = makes_vectors(file) ? MODEL_KIND_EMBED_LLAMA : MODEL_KIND_CHAT;
    gguf_free(file);
    return true;
}

static bool makes_vectors(const struct gguf_context *file)
{
    static const struct text encoders[] = {{"bert", 4}, {"t5encoder", 9}, {"gemma-embedding", 15}};
    char key[160];
    int64_t at = gguf_find_key(file, "general.architecture");
    if (at < 0 || gguf_get_kv_type(file, at) != GGUF_TYPE_STRING)
        return false;
    const char *architecture = gguf_get_val_str(file, at);
    for (size_t i = 0; i < ARRAY_LEN(encoders); i++)
        if (text_find(text_of(architecture), encoders[i]) < text_of(architecture).len)
            return true;
    (void)snprintf(key, sizeof key, "%.100s.pooling_type", architecture);
    at = gguf_find_key(file, key);
    return at >= 0 && gguf_get_kv_type(file, at) == GGUF_TYPE_UINT32 &&
           gguf_get_val_u32(file, at) != 0;
}
