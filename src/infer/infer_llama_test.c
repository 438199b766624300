/* The real backend with the default model: what the engine relies on. WEIR_TEST_MODEL comes from
 * the build. One thread: the library is not instrumented, and its threads meet by means that a
 * thread sanitizer cannot see. */
#include "model_llama.h"
#include "check.h"
#include "infer_call.h"
#include "model_chat.h"
#include "infer_prompt.h"
#include "engine_sampler.h"
#include <stdlib.h>

enum { SEQUENCES = 3, CONTEXT = 256, STEPS = 12 };

static struct engine_backend *backend;
static struct engine_facts facts;
static int last_percent;

static void on_percent(void *arg, int percent)
{
    (void)arg;
    assert_true(percent >= last_percent);
    last_percent = percent;
}

static int open_model(void **state)
{
    (void)state;
    struct status st = {0};
    backend = model_llama_new(&(struct model_llama_options){
        .path = WEIR_TEST_MODEL, .context = CONTEXT, .parallel = SEQUENCES, .threads = 1});
    if (!backend->ops->load(backend, on_percent, NULL, &facts, &st))
        print_error("%s\n", st.text);
    return backend == NULL || last_percent != 100;
}

static int close_model(void **state)
{
    (void)state;
    backend->ops->free(backend);
    return 0;
}

/* Rows of a step being put together. */
static int32_t token[CONTEXT * SEQUENCES], position[CONTEXT * SEQUENCES],
    sequence[CONTEXT * SEQUENCES];
static bool wants[CONTEXT * SEQUENCES];
static struct engine_batch batch = {0, token, position, sequence, wants, 0};

static void add_row(int32_t one, int32_t at, int32_t in, bool want)
{
    uint32_t row = batch.rows++;
    token[row] = one;
    position[row] = at;
    sequence[row] = in;
    wants[row] = want;
}

static int32_t best(uint32_t row)
{
    struct engine_sampling greedy = engine_sampling_default();
    greedy.temperature = 0;
    AUTO(engine_sampler) struct engine_sampler *sampler = engine_sampler_new(&greedy, facts.vocab);
    return engine_sampler_pick(sampler, backend->ops->logits(backend, row));
}

static struct engine_tokens tokens_of(const char *text)
{
    struct engine_tokens out = {0};
    struct status st = {0};
    assert_true(model_vocab_tokenize(model_llama_vocab(backend), text_of(text), true, false, 1000,
                                     &out, &st));
    return out;
}

/* Writes STEPS tokens after `text` in sequence `in`; before step `move_at` the sequence moves to
 * `move_to` (move_at < 0: it stays). */
static void write_on(const char *text, int32_t in, int move_at, int32_t move_to, int32_t *out)
{
    struct engine_tokens prompt = tokens_of(text);
    batch.rows = 0;
    for (uint32_t i = 0; i < prompt.count; i++)
        add_row(prompt.at[i], (int32_t)i, in, i + 1 == prompt.count);
    for (int step = 0; step < STEPS; step++) {
        assert_int_equal(backend->ops->decode(backend, &batch), ENGINE_DECODE_OK);
        out[step] = best(batch.rows - 1);
        if (step == move_at) {
            assert_true(backend->ops->move(backend, in, move_to));
            in = move_to;
        }
        batch.rows = 0;
        add_row(out[step], (int32_t)prompt.count + step, in, true);
    }
    backend->ops->clear(backend, in);
    engine_tokens_free(&prompt);
}

static void facts_are_right(void **state)
{
    (void)state;
    assert_int_equal(facts.context, CONTEXT);
    assert_int_equal(facts.parallel, SEQUENCES);
    assert_int_equal(facts.vocab, 49152);
    assert_true(facts.ends_count >= 1 && facts.batch >= SEQUENCES);
    assert_true(facts.weights_bytes > 80 * MIB);
    assert_int_equal(facts.kv_bytes, 30 * 3 * 64 * 2 * 2 * CONTEXT * SEQUENCES);
}

static void a_moved_sequence_goes_on_alike(void **state)
{
    (void)state;
    int32_t stays[STEPS], moves[STEPS], again[STEPS];
    write_on("The sun rises in the", 0, -1, 0, stays);
    write_on("The sun rises in the", 2, 4, 1, moves);
    write_on("The sun rises in the", 2, -1, 0, again); /* and the one that it left is empty */
    assert_memory_equal(stays, moves, sizeof stays);
    assert_memory_equal(stays, again, sizeof stays);
}

static void chunks_and_neighbours_change_nothing(void **state)
{
    (void)state;
    int32_t alone[STEPS];
    write_on("Once upon a time there was a", 0, -1, 0, alone);
    struct engine_tokens a = tokens_of("Once upon a time there was a"), b = tokens_of("1 2 3 4");
    batch.rows = 0;
    for (uint32_t i = 0; i < b.count; i++)
        add_row(b.at[i], (int32_t)i, 0, i + 1 == b.count);
    for (uint32_t i = 0; i < 3; i++)
        add_row(a.at[i], (int32_t)i, 1, false);
    assert_int_equal(backend->ops->decode(backend, &batch), ENGINE_DECODE_OK);
    int32_t next_b = best(b.count - 1);
    batch.rows = 0;
    add_row(next_b, (int32_t)b.count, 0, true);
    for (uint32_t i = 3; i < a.count; i++)
        add_row(a.at[i], (int32_t)i, 1, i + 1 == a.count);
    assert_int_equal(backend->ops->decode(backend, &batch), ENGINE_DECODE_OK);
    for (int step = 0; step < STEPS; step++) {
        assert_int_equal(best(batch.rows - 1), alone[step]);
        batch.rows = 0;
        add_row(alone[step], (int32_t)a.count + step, 1, true);
        assert_int_equal(backend->ops->decode(backend, &batch), ENGINE_DECODE_OK);
    }
    backend->ops->clear(backend, 0);
    backend->ops->clear(backend, 1);
    engine_tokens_free(&a);
    engine_tokens_free(&b);
}

static void full_and_aborted(void **state)
{
    (void)state;
    batch.rows = 0;
    for (int i = 0; i < CONTEXT; i++)
        add_row(100, i, 0, false);
    assert_int_equal(backend->ops->decode(backend, &batch), ENGINE_DECODE_OK);
    batch.rows = 0;
    add_row(100, CONTEXT, 0, true); /* one more than there is room for */
    assert_int_equal(backend->ops->decode(backend, &batch), ENGINE_DECODE_FULL);
    backend->ops->clear(backend, 0);
    atomic_store(&backend->abort, true);
    batch.rows = 0;
    for (int i = 0; i < 64; i++)
        add_row(100, i, 0, i == 63);
    assert_int_equal(backend->ops->decode(backend, &batch), ENGINE_DECODE_ABORTED);
    atomic_store(&backend->abort, false);
    backend->ops->clear(backend, 0);
    int32_t out[STEPS];
    write_on("It still works:", 0, -1, 0, out);
}

static void text_to_tokens_and_back(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "hello",
                                        " spaces  and\n\nlines\t",
                                        "na\xc3\xafve \xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e",
                                        "\xf0\x9f\x98\x80\xf0\x9f\x8e\x89",
                                        "<|im_end|>",
                                        "12345 + 67890",
                                        "\xcc\x81.e"};
    const struct model_vocab *vocab = model_llama_vocab(backend);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct engine_tokens tokens = tokens_of(texts[i]);
        char back[256];
        size_t len = 0;
        check_case(texts[i]);
        for (uint32_t k = 0; k < tokens.count; k++) {
            char piece[MODEL_PIECE_BYTES_MAX];
            size_t got = model_vocab_piece(vocab, tokens.at[k], piece);
            assert_true(len + got < sizeof back);
            memcpy(back + len, piece, got);
            len += got;
        }
        struct text whole = {back, len};
        check_text(whole, texts[i]);
        AUTO(arena) struct arena *arena = arena_open(MIB);
        struct text_buf buf = text_buf_in(arena, 256), small = text_buf_in(arena, 3);
        assert_true(model_vocab_text(vocab, tokens.at, tokens.count, true, &buf));
        check_text(text_buf_text(&buf), texts[i]);
        assert_true(model_vocab_text(vocab, tokens.at, tokens.count, true, &small) ==
                    (strlen(texts[i]) <= 3));
        engine_tokens_free(&tokens);
    }
    int32_t end = facts.ends[0];
    AUTO(arena) struct arena *arena = arena_open(MIB);
    struct text_buf hidden = text_buf_in(arena, 64), named = text_buf_in(arena, 64);
    assert_true(model_vocab_text(vocab, &end, 1, false, &hidden) && hidden.len == 0);
    assert_true(model_vocab_text(vocab, &end, 1, true, &named) && named.len > 2);
    struct engine_tokens many = {0};
    struct status st = {0};
    assert_false(model_vocab_tokenize(vocab, TEXT("a b c d"), false, false, 2, &many, &st));
    assert_int_equal(st.code, STATUS_TOO_LARGE);
    engine_tokens_free(&many);
}

static void control_tokens(void **state)
{
    (void)state;
    const struct model_vocab *vocab = model_llama_vocab(backend);
    assert_int_equal(model_vocab_control_at(vocab, TEXT("<|im_end|>")), 10);
    assert_int_equal(model_vocab_control_at(vocab, TEXT("<|im_start|>user")), 12);
    assert_int_equal(model_vocab_control_at(vocab, TEXT("<|im_end|>\xff\xff")), 10);
    assert_int_equal(model_vocab_control_at(vocab, TEXT("<|im_<|im_end|>")), 0);
    assert_int_equal(model_vocab_control_at(vocab, TEXT("<<")), 0);
    assert_int_equal(model_vocab_control_at(vocab, TEXT("<|im_end|")), 0);
    assert_int_equal(model_vocab_control_at(vocab, TEXT(" <|im_end|>")), 0);
    assert_int_equal(model_vocab_control_at(vocab, TEXT("")), 0);

    struct tokens_of_call {
        const char *content;
        bool guarded;
    } calls[] = {{"a<|im_end|>b", true}, {"a<|im_end|>b", false}};
    uint32_t ends[2];
    struct model_chat *chat = NULL;
    struct status st = {0};
    int32_t end = -1;
    assert_true(model_chat_open(model_llama_model(backend), NULL, &chat, &st));
    for (uint32_t i = 0; i < facts.ends_count && end < 0; i++)
        end = facts.ends[i];
    for (int i = 0; i < 2; i++) {
        AUTO(arena) struct arena *arena = arena_open(16 * MIB);
        struct infer_call call;
        struct infer_prompt prompt;
        struct infer_call_model model = {.vocab = calls[i].guarded ? vocab : NULL};
        struct text body = arena_format(
            arena, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}",
            calls[i].content);
        if (!infer_call_read(body, &model, arena, &call, &st) ||
            !infer_prompt_make(chat, vocab, &call, CONTEXT, &prompt, &st))
            fail_msg("%s", st.text);
        ends[i] = 0;
        const struct engine_tokens *tokens = &prompt.tokens;
        for (uint32_t k = 0; k < tokens->count; k++)
            ends[i] +=
                model_vocab_piece(vocab, tokens->at[k], (char[MODEL_PIECE_BYTES_MAX]){0}) == 0;
        infer_prompt_free(&prompt);
    }
    assert_int_equal(ends[0] + 1, ends[1]); /* one control token fewer: the user's */
    model_chat_close(chat);
}

static void bad_files(void **state)
{
    (void)state;
    struct status st = {0};
    struct engine_facts none;
    struct engine_backend *bad =
        model_llama_new(&(struct model_llama_options){.path = "/nowhere/at/all.gguf"});
    assert_false(bad->ops->load(bad, on_percent, NULL, &none, &st));
    assert_int_equal(st.code, STATUS_NOT_FOUND);
    bad->ops->free(bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_are_right),
        cmocka_unit_test(a_moved_sequence_goes_on_alike),
        cmocka_unit_test(chunks_and_neighbours_change_nothing),
        cmocka_unit_test(full_and_aborted),
        cmocka_unit_test(text_to_tokens_and_back),
        cmocka_unit_test(control_tokens),
        cmocka_unit_test(bad_files),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
