/* LoRA adapters: looked at before the library reads them, which stops the process for what it does
 * not expect, then loaded beside the model. One at most is applied in a step. */
#include "model_gguf.h"
#include "model_llama_internal.h"
#include <gguf.h>
#include <math.h>
#include <string.h>

enum { ARCHITECTURE_BYTES = 128 };

static bool load_one(struct model_llama *l, const char *path, struct llama_adapter_lora **out,
                     struct status *st);
static bool check(const struct model_llama *l, const struct gguf_context *file, struct status *st);
static const char *text_at(const struct gguf_context *file, const char *key);
static bool check_tensors(const struct gguf_context *file, struct status *st);

bool model_llama_adapters_load(struct model_llama *l, struct status *st)
{
    for (uint32_t i = 0; i < l->options.adapters_count; i++)
        if (!load_one(l, l->options.adapters[i], &l->adapters[i], st))
            return status_wrap(st, "could not load the adapter %s", l->options.adapters[i]);
    l->facts.adapters = l->options.adapters_count;
    return true;
}

void model_llama_adapter_use(struct model_llama *l, uint32_t adapter)
{
    float whole = 1;
    WEIR_ASSERT(adapter <= l->facts.adapters);
    if (adapter == l->adapter)
        return;
    if (adapter == 0)
        (void)llama_set_adapters_lora(l->context, NULL, 0, NULL);
    else
        (void)llama_set_adapters_lora(l->context, &l->adapters[adapter - 1], 1, &whole);
    l->adapter = adapter;
}

static bool load_one(struct model_llama *l, const char *path, struct llama_adapter_lora **out,
                     struct status *st)
{
    if (!model_gguf_check(path, st))
        return false;
    struct gguf_context *file = gguf_init_from_file(path, (struct gguf_init_params){true, NULL});
    if (file == NULL)
        return status_fail(st, STATUS_INVALID, "its header is broken");
    bool good = check(l, file, st);
    gguf_free(file);
    if (!good)
        return false;
    model_llama_complaint_clear();
    *out = llama_adapter_lora_init(l->model, path); /* freed with the model */
    return *out != NULL ||
           status_fail(st, STATUS_INVALID, "%s", model_llama_complaint("the library refused it"));
}

static bool check(const struct model_llama *l, const struct gguf_context *file, struct status *st)
{
    char architecture[ARCHITECTURE_BYTES] = "";
    (void)llama_model_meta_val_str(l->model, "general.architecture", architecture,
                                   sizeof architecture);
    if (strcmp(text_at(file, "general.type"), "adapter") != 0 ||
        strcmp(text_at(file, "adapter.type"), "lora") != 0)
        return status_fail(st, STATUS_INVALID,
                           "it is no LoRA adapter (general.type, adapter.type)");
    if (strcmp(text_at(file, "general.architecture"), architecture) != 0)
        return status_fail(st, STATUS_INVALID,
                           "it was made for the architecture \"%.60s\", and "
                           "the model is \"%.60s\"",
                           text_at(file, "general.architecture"), architecture);
    if (gguf_find_key(file, "adapter.alora.invocation_tokens") >= 0)
        return status_fail(st, STATUS_INVALID, "adapters that a text turns on are not supported");
    int64_t alpha = gguf_find_key(file, "adapter.lora.alpha");
    if (alpha >= 0 && (gguf_get_kv_type(file, alpha) != GGUF_TYPE_FLOAT32 ||
                       !isfinite(gguf_get_val_f32(file, alpha))))
        return status_fail(st, STATUS_INVALID, "its adapter.lora.alpha is no number");
    return check_tensors(file, st);
}

/* "" where there is none, or none of its kind. */
static const char *text_at(const struct gguf_context *file, const char *key)
{
    int64_t at = gguf_find_key(file, key);
    return at < 0 || gguf_get_kv_type(file, at) != GGUF_TYPE_STRING ? ""
                                                                    : gguf_get_val_str(file, at);
}

/* What the library multiplies without a look: more than a matrix only where there are experts. */
static bool check_tensors(const struct gguf_context *file, struct status *st)
{
    for (int64_t i = 0; i < gguf_get_n_tensors(file); i++) {
        const char *name = gguf_get_tensor_name(file, i);
        enum ggml_type type = gguf_get_tensor_type(file, i);
        const int64_t *size = gguf_get_tensor_ne(file, i);
        if (type != GGML_TYPE_F32 && type != GGML_TYPE_F16 && type != GGML_TYPE_BF16 &&
            type != GGML_TYPE_Q8_0)
            return status_fail(st, STATUS_INVALID,
                               "its tensor %.80s is neither f32, f16, bf16 nor q8_0", name);
        if (size[3] != 1 || (size[2] != 1 && strstr(name, "_exps.") == NULL))
            return status_fail(st, STATUS_INVALID, "its tensor %.80s is no matrix", name);
    }
    return true;
}
