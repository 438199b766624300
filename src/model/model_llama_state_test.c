/* The state of a sequence, saved, loaded and cut, with the default model: what goes on from it is
 * what would have come without. One thread, as in model_llama_test.c. */
#include "model_llama.h"
#include "check.h"
#include <math.h>
#include <stdlib.h>

enum { SEQUENCES = 3, CONTEXT = 256, PROMPT = 150 };

static struct engine_backend *backend;
static struct engine_facts facts;
static int32_t token[CONTEXT], position[CONTEXT], sequence[CONTEXT];
static bool wants[CONTEXT];
static struct engine_batch batch = {0, token, position, sequence, wants, 0};

static void on_percent(void *arg, int percent)
{
    (void)arg;
    (void)percent;
}

static int open_with(enum model_cache_type type)
{
    struct status st = {0};
    backend = model_llama_new(&(struct model_llama_options){.path = WEIR_TEST_MODEL,
                                                            .context = CONTEXT,
                                                            .parallel = SEQUENCES,
                                                            .threads = 1,
                                                            .cache_type = type});
    if (backend->ops->load(backend, on_percent, NULL, &facts, &st))
        return 0;
    print_error("%s\n", st.text);
    return 1;
}

static int open_usual(void **state)
{
    (void)state;
    return open_with(MODEL_CACHE_F16);
}

static int open_quantised(void **state)
{
    (void)state;
    return open_with(MODEL_CACHE_Q8_0);
}

static int close_model(void **state)
{
    (void)state;
    backend->ops->free(backend);
    return 0;
}

/* Some text or other; `other` makes it differ from there on. */
static int32_t token_at(uint32_t at, uint32_t other)
{
    return (int32_t)(100 + (at * 7919 + (at >= other ? 13 : 0)) % 20000);
}

/* Computes the tokens from `from` to `to` of a text; returns a copy of the last one's logits. */
static float *compute(int32_t in, uint32_t from, uint32_t to, uint32_t other)
{
    batch.rows = to - from;
    for (uint32_t i = 0; i < batch.rows; i++) {
        token[i] = token_at(from + i, other);
        position[i] = (int32_t)(from + i);
        sequence[i] = in;
        wants[i] = i + 1 == batch.rows;
    }
    assert_int_equal(backend->ops->decode(backend, &batch), ENGINE_DECODE_OK);
    float *copy = malloc(facts.vocab * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, backend->ops->logits(backend, batch.rows - 1), facts.vocab * sizeof *copy);
    return copy;
}

/* The largest difference; logits are some tens at most. Frees both. */
static double apart(float *a, float *b)
{
    double most = 0;
    for (uint32_t i = 0; i < facts.vocab; i++)
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
    free(a);
    free(b);
    return most;
}

static void *saved(int32_t in, size_t *size)
{
    *size = backend->ops->state_size(backend, in);
    assert_true(*size > 0);
    void *blob = malloc(*size);
    assert_non_null(blob);
    assert_int_equal(backend->ops->state_save(backend, in, blob, *size), *size);
    return blob;
}

static void clear_all(void)
{
    for (int32_t i = 0; i < SEQUENCES; i++)
        backend->ops->clear(backend, i);
}

static void goes_on_alike(void **state)
{
    (void)state;
    size_t size;
    free(compute(0, 0, PROMPT, CONTEXT));
    void *blob = saved(0, &size);
    /* As much as its tokens need, and not the whole of the sequence's room. */
    assert_true(size < facts.kv_bytes / SEQUENCES);
    assert_true(backend->ops->state_load(backend, 2, blob, size));
    for (uint32_t i = PROMPT; i < PROMPT + 5; i++) {
        float *stays = compute(0, i, i + 1, CONTEXT);
        assert_true(apart(stays, compute(2, i, i + 1, CONTEXT)) < 1e-6);
    }
    /* And again from the same bytes, into the place that it came from. */
    clear_all();
    assert_true(backend->ops->state_load(backend, 0, blob, size));
    assert_true(backend->ops->state_load(backend, 1, blob, size));
    float *one = compute(0, PROMPT, PROMPT + 1, CONTEXT);
    assert_true(apart(one, compute(1, PROMPT, PROMPT + 1, CONTEXT)) < 1e-6);
    free(blob);
    clear_all();
}

static void is_cut_anywhere(void **state)
{
    (void)state;
    assert_int_equal(facts.window, 0);
    assert_false(facts.recurrent);
    static const uint32_t cuts[] = {1, 100, PROMPT - 1};
    size_t size;
    free(compute(0, 0, PROMPT, CONTEXT));
    void *blob = saved(0, &size);
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        assert_true(backend->ops->state_load(backend, 1, blob, size));
        assert_true(backend->ops->trim(backend, 1, cuts[i]));
        float *cut = compute(1, cuts[i], PROMPT + 80, cuts[i]); /* another text from there */
        assert_true(apart(cut, compute(2, 0, PROMPT + 80, cuts[i])) < 1e-6);
        backend->ops->clear(backend, 1);
        backend->ops->clear(backend, 2);
    }
    assert_true(backend->ops->trim(backend, 0, PROMPT)); /* nothing to forget */
    assert_true(backend->ops->trim(backend, 0, 0));
    float *again = compute(0, 0, 10, CONTEXT);
    assert_true(apart(again, compute(1, 0, 10, CONTEXT)) < 1e-6);
    assert_true(backend->ops->trim(backend, 2, 5)); /* empty */
    free(blob);
    clear_all();
}

static void bad_bytes(void **state)
{
    (void)state;
    size_t size;
    free(compute(0, 0, PROMPT, CONTEXT));
    unsigned char *blob = saved(0, &size);
    assert_int_equal(backend->ops->state_save(backend, 0, blob, size - 1), 0);
    assert_int_equal(backend->ops->state_save(backend, 0, blob, size), size);
    assert_false(backend->ops->state_load(backend, 1, blob, size - 1));
    assert_false(backend->ops->state_load(backend, 1, blob, size / 2));
    assert_false(backend->ops->state_load(backend, 1, blob, 3));
    blob[0] ^= 1;
    assert_false(backend->ops->state_load(backend, 1, blob, size));
    blob[0] ^= 1;
    assert_true(backend->ops->state_load(backend, 1, blob, size)); /* nothing was left behind */
    float *one = compute(1, PROMPT, PROMPT + 1, CONTEXT);
    assert_true(apart(one, compute(0, PROMPT, PROMPT + 1, CONTEXT)) < 1e-6);
    free(blob);
    clear_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_on_alike),
        cmocka_unit_test(is_cut_anywhere),
        cmocka_unit_test(bad_bytes),
    };
    return cmocka_run_group_tests_name("f16", tests, open_usual, close_model) +
           cmocka_run_group_tests_name("q8_0", tests, open_quantised, close_model);
}
