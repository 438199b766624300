/* States of a model with a sliding window, which is made here: a Gemma 3 of three small layers with
 * random weights, two of which see WINDOW tokens. */
#include "model_llama.h"
#include "check.h"
#include <ggml.h>
#include <gguf.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    WINDOW = 64,
    CONTEXT = 512,
    BATCH = 64,
    VOCAB = 300,
    WIDTH = 64,
    HEADS = 4,
    HEADS_KV = 2,
    HEAD = 16,
    INNER = 128,
    LAYERS = 3
};

/* Sums in another order differ in the third digit; what another past makes of a token, in the
 * first.
 */
static const double ALIKE = 0.02, APART = 0.2;

static struct engine_backend *backend;
static struct engine_facts facts;
static char path[] = "/tmp/weir-window-XXXXXX";

static void add_tensor(struct gguf_context *file, struct ggml_context *memory, const char *name,
                       int64_t width, int64_t height)
{
    struct ggml_tensor *tensor = height > 0
                                     ? ggml_new_tensor_2d(memory, GGML_TYPE_F32, width, height)
                                     : ggml_new_tensor_1d(memory, GGML_TYPE_F32, width);
    float *at = tensor->data;
    double size = height > 0 ? 1 / sqrt((double)width) : 0;
    for (int64_t i = 0; i < ggml_nelements(tensor); i++)
        at[i] = height > 0 ? (float)(size * ((double)rand() / RAND_MAX * 4 - 2)) : 1;
    ggml_set_name(tensor, name);
    gguf_add_tensor(file, tensor);
}

static void add_layer(struct gguf_context *file, struct ggml_context *memory, int layer)
{
    static const struct {
        const char *name;
        int64_t width, height;
    } parts[] = {
        {"attn_norm", WIDTH, 0},
        {"attn_q", WIDTH, HEADS * HEAD},
        {"attn_k", WIDTH, HEADS_KV * HEAD},
        {"attn_v", WIDTH, HEADS_KV * HEAD},
        {"attn_output", HEADS * HEAD, WIDTH},
        {"post_attention_norm", WIDTH, 0},
        {"attn_k_norm", HEAD, 0},
        {"attn_q_norm", HEAD, 0},
        {"ffn_norm", WIDTH, 0},
        {"ffn_gate", WIDTH, INNER},
        {"ffn_up", WIDTH, INNER},
        {"ffn_down", INNER, WIDTH},
        {"post_ffw_norm", WIDTH, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%d.%s.weight", layer, parts[i].name);
        add_tensor(file, memory, name, parts[i].width, parts[i].height);
    }
}

static void add_vocabulary(struct gguf_context *file)
{
    static char texts[VOCAB][16];
    static const char *tokens[VOCAB];
    static float scores[VOCAB];
    static int32_t types[VOCAB];
    for (int i = 0; i < VOCAB; i++) {
        tokens[i] = texts[i];
        if (i < 3)
            snprintf(texts[i], sizeof texts[i], "<s%d>", i);
        else if (i < 3 + 256)
            snprintf(texts[i], sizeof texts[i], "<0x%02X>", (unsigned)(i - 3));
        else
            snprintf(texts[i], sizeof texts[i], "w%d", i);
        types[i] = i == 0 ? 2 : i < 3 ? 3 : i < 3 + 256 ? 6 : 1; /* unknown, control, byte, usual */
    }
    gguf_set_val_str(file, "tokenizer.ggml.model", "llama");
    gguf_set_arr_str(file, "tokenizer.ggml.tokens", tokens, VOCAB);
    gguf_set_arr_data(file, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, scores, VOCAB);
    gguf_set_arr_data(file, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types, VOCAB);
    gguf_set_val_u32(file, "tokenizer.ggml.unknown_token_id", 0);
    gguf_set_val_u32(file, "tokenizer.ggml.bos_token_id", 1);
    gguf_set_val_u32(file, "tokenizer.ggml.eos_token_id", 2);
}

static void make_model(void)
{
    struct gguf_context *file = gguf_init_empty();
    struct ggml_context *memory = ggml_init((struct ggml_init_params){.mem_size = 8 * MIB});
    static const struct {
        const char *key;
        uint32_t value;
    } numbers[] = {
        {"gemma3.context_length", CONTEXT},
        {"gemma3.embedding_length", WIDTH},
        {"gemma3.block_count", LAYERS},
        {"gemma3.feed_forward_length", INNER},
        {"gemma3.attention.head_count", HEADS},
        {"gemma3.attention.head_count_kv", HEADS_KV},
        {"gemma3.attention.key_length", HEAD},
        {"gemma3.attention.value_length", HEAD},
        {"gemma3.attention.sliding_window", WINDOW},
        {"gemma3.attention.sliding_window_pattern", LAYERS},
    };
    assert_true(file != NULL && memory != NULL);
    srand(7);
    gguf_set_val_str(file, "general.architecture", "gemma3");
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        gguf_set_val_u32(file, numbers[i].key, numbers[i].value);
    gguf_set_val_f32(file, "gemma3.attention.layer_norm_rms_epsilon", 1e-6F);
    add_vocabulary(file);
    add_tensor(file, memory, "token_embd.weight", WIDTH, VOCAB);
    add_tensor(file, memory, "output_norm.weight", WIDTH, 0);
    for (int i = 0; i < LAYERS; i++)
        add_layer(file, memory, i);
    assert_true(gguf_write_to_file(file, path, false));
    ggml_free(memory);
    gguf_free(file);
}

static void on_percent(void *arg, int percent)
{
    (void)arg;
    (void)percent;
}

static int open_model(void **state)
{
    (void)state;
    struct status st = {0};
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    make_model();
    backend = model_llama_new(&(struct model_llama_options){
        .path = path, .context = CONTEXT, .parallel = 3, .batch = BATCH, .threads = 1});
    bool ok = backend->ops->load(backend, on_percent, NULL, &facts, &st);
    unlink(path);
    if (!ok)
        print_error("%s\n", st.text);
    return ok ? 0 : 1;
}

static int close_model(void **state)
{
    (void)state;
    backend->ops->free(backend);
    return 0;
}

/* Computes the tokens from `from` to `to` of a text, which is another one from `other` on; returns
 * a copy of the last one's logits. */
static float *compute(int32_t in, uint32_t from, uint32_t to, uint32_t other)
{
    int32_t token[BATCH], position[BATCH], sequence[BATCH];
    bool wants[BATCH];
    struct engine_batch batch = {0, token, position, sequence, wants, 0};
    float *copy = malloc(facts.vocab * sizeof *copy);
    assert_non_null(copy);
    for (uint32_t i = from; i < to; i++) {
        uint32_t row = batch.rows++;
        token[row] = (int32_t)(3 + (i * 37 + (i >= other ? 5 : 0)) % (VOCAB - 3));
        position[row] = (int32_t)i;
        sequence[row] = in;
        wants[row] = i + 1 == to;
        if (batch.rows < BATCH && i + 1 < to)
            continue;
        assert_int_equal(backend->ops->decode(backend, &batch), ENGINE_DECODE_OK);
        if (i + 1 == to)
            memcpy(copy, backend->ops->logits(backend, row), facts.vocab * sizeof *copy);
        batch.rows = 0;
    }
    return copy;
}

static double apart(float *a, float *b)
{
    double most = 0;
    for (uint32_t i = 0; i < facts.vocab; i++)
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
    free(a);
    free(b);
    return most;
}

static void copy_state(int32_t from, int32_t to)
{
    size_t size = backend->ops->state_size(backend, from);
    void *blob = malloc(size);
    assert_non_null(blob);
    assert_int_equal(backend->ops->state_save(backend, from, blob, size), size);
    backend->ops->clear(backend, to);
    assert_true(backend->ops->state_load(backend, to, blob, size));
    free(blob);
}

static void clear_all(void)
{
    for (int32_t i = 0; i < 3; i++)
        backend->ops->clear(backend, i);
}

static void long_ones_go_on_from_their_end(void **state)
{
    (void)state;
    assert_int_equal(facts.window, WINDOW);
    assert_false(facts.recurrent);
    free(compute(0, 0, 300, CONTEXT));
    copy_state(0, 1);
    assert_false(backend->ops->trim(backend, 1, 299)); /* one token behind the window is missing */
    assert_false(backend->ops->trim(backend, 1, 10));
    assert_true(backend->ops->trim(backend, 1, 300));
    for (uint32_t i = 300; i < 310; i++) {
        float *stays = compute(0, i, i + 1, CONTEXT);
        assert_true(apart(stays, compute(1, i, i + 1, CONTEXT)) < ALIKE);
    }
    /* The numbers do tell one past from another, within the window and far behind it. */
    clear_all();
    float *one = compute(0, 0, 300, CONTEXT);
    assert_true(apart(one, compute(1, 0, 300, 290)) > APART);
    clear_all();
    one = compute(0, 0, 300, CONTEXT);
    free(compute(1, 0, 100, 0));
    assert_true(apart(one, compute(1, 100, 300, CONTEXT)) > APART);
    assert_true(backend->ops->trim(backend, 0, 0));
    float *again = compute(0, 0, 20, CONTEXT);
    backend->ops->clear(backend, 1);
    assert_true(apart(again, compute(1, 0, 20, CONTEXT)) < ALIKE);
    clear_all();
}

static void short_ones_are_cut_anywhere(void **state)
{
    (void)state;
    static const uint32_t cuts[] = {1, 20, WINDOW - 1};
    free(compute(0, 0, WINDOW, CONTEXT));
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        copy_state(0, 1);
        assert_true(backend->ops->trim(backend, 1, cuts[i]));
        float *cut = compute(1, cuts[i], 90, cuts[i]);
        backend->ops->clear(backend, 2);
        assert_true(apart(cut, compute(2, 0, 90, cuts[i])) < ALIKE);
    }
    clear_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_ones_go_on_from_their_end),
        cmocka_unit_test(short_ones_are_cut_anywhere),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
