/* The engine with kept prompts, against a backend of our own whose next token follows from all that
 * its sequence was given: an answer is right only if what was restored is what was computed. */
#include "check.h"
#include "clock.h"
#include "fiber.h"
#include "engine_backend.h"
#include "engine.h"
#include "loop.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { VOCAB = 1000, SEQUENCES = 4, CONTEXT = 512, BATCH = 64 };

struct sequence {
    uint32_t count, first; /* tokens; from `first` on they are still there */
    uint32_t adapter;      /* with which they were computed */
    int32_t tokens[CONTEXT];
};
struct fake {
    struct engine_backend base;
    struct sequence sequences[SEQUENCES];
    float row[BATCH][VOCAB];
    int32_t next[BATCH];
    uint32_t window;
    bool recurrent;
    _Atomic bool hold, fail_load, fail_save;
    _Atomic uint64_t saves, loads;
};
static struct fake *fake;

static bool fake_load(struct engine_backend *b, void (*progress)(void *, int), void *arg,
                      struct engine_facts *facts, struct status *st)
{
    (void)st;
    progress(arg, 50);
    *facts = (struct engine_facts){.context = CONTEXT,
                                   .parallel = SEQUENCES,
                                   .batch = BATCH,
                                   .vocab = VOCAB,
                                   .window = ((struct fake *)(void *)b)->window,
                                   .recurrent = ((struct fake *)(void *)b)->recurrent,
                                   .adapters = 2,
                                   .outputs = BATCH};
    return true;
}

/* A model that says again what it said `period` tokens before; every `slip`th time it does not. */
static uint32_t period, slip;

static int32_t next_of(const int32_t *tokens, uint32_t count)
{
    if (period > 0 && count >= period)
        return (tokens[count - period] + (slip > 0 && count % slip == 0)) % VOCAB;
    uint32_t hash = 2166136261U;
    for (uint32_t i = 0; i < count; i++)
        hash = (hash ^ (uint32_t)tokens[i]) * 16777619U;
    return (int32_t)((hash >> 8) % VOCAB);
}

/* Token `count` sees all, or with a window the last `window` tokens. */
static void expect_seen(const struct fake *f, const struct sequence *s)
{
    uint32_t needs = f->window > 0 && s->count > f->window ? s->count - f->window : 0;
    WEIR_ASSERT(s->first <= needs);
}

static enum engine_decode fake_decode(struct engine_backend *b, const struct engine_batch *batch)
{
    struct fake *f = (void *)b;
    while (f->hold && !f->base.abort)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    for (uint32_t i = 0; i < batch->rows; i++) {
        struct sequence *s = &f->sequences[batch->sequence[i]];
        WEIR_ASSERT((uint32_t)batch->position[i] == s->count && s->count < CONTEXT);
        expect_seen(f, s);
        WEIR_ASSERT(s->count == 0 || s->adapter == batch->adapter);
        s->adapter = batch->adapter;
        s->tokens[s->count++] = batch->token[i];
        f->next[i] = next_of(s->tokens, s->count);
    }
    nanosleep(&(struct timespec){.tv_nsec = 200000 + batch->rows * 20000}, NULL);
    return ENGINE_DECODE_OK;
}

static float *fake_logits(struct engine_backend *b, uint32_t row)
{
    struct fake *f = (void *)b;
    memset(f->row[row], 0, sizeof f->row[row]);
    f->row[row][f->next[row]] = 10;
    return f->row[row];
}

static void fake_clear(struct engine_backend *b, int32_t sequence)
{
    struct fake *f = (void *)b;
    memset(&f->sequences[sequence], 0, sizeof f->sequences[sequence]);
}

static bool fake_move(struct engine_backend *b, int32_t from, int32_t to)
{
    struct fake *f = (void *)b;
    WEIR_ASSERT(f->sequences[to].count == 0);
    f->sequences[to] = f->sequences[from];
    fake_clear(b, from);
    return true;
}

static size_t fake_state_size(struct engine_backend *b, int32_t sequence)
{
    struct fake *f = (void *)b;
    return offsetof(struct sequence, tokens) + f->sequences[sequence].count * sizeof(int32_t);
}

static size_t fake_state_save(struct engine_backend *b, int32_t sequence, void *out, size_t size)
{
    struct fake *f = (void *)b;
    struct sequence s = f->sequences[sequence];
    f->saves++;
    if (f->fail_save || size < fake_state_size(b, sequence))
        return 0;
    if (f->window > 0 && s.count > f->window && s.first < s.count - f->window)
        s.first = s.count - f->window;
    memcpy(out, &s, fake_state_size(b, sequence));
    return fake_state_size(b, sequence);
}

static bool fake_state_load(struct engine_backend *b, int32_t sequence, const void *blob,
                            size_t size)
{
    struct fake *f = (void *)b;
    WEIR_ASSERT(f->sequences[sequence].count == 0);
    f->loads++;
    if (f->fail_load)
        return false;
    memcpy(&f->sequences[sequence], blob, size);
    WEIR_ASSERT(size == fake_state_size(b, sequence));
    return true;
}

static bool fake_trim(struct engine_backend *b, int32_t sequence, uint32_t tokens)
{
    struct fake *f = (void *)b;
    struct sequence *s = &f->sequences[sequence];
    uint32_t needs = f->window > 0 && tokens > f->window ? tokens - f->window : 0;
    if (tokens >= s->count)
        return true;
    if (f->recurrent || s->first > needs)
        return false;
    s->count = tokens;
    return true;
}

static void fake_free(struct engine_backend *b)
{
    free(b);
}

static const struct engine_backend_ops fake_ops = {
    .load = fake_load,
    .decode = fake_decode,
    .logits = fake_logits,
    .clear = fake_clear,
    .move = fake_move,
    .state_size = fake_state_size,
    .state_save = fake_state_save,
    .state_load = fake_state_load,
    .trim = fake_trim,
    .free = fake_free,
};

/* Runs `body` in a fiber of a fresh loop, with an engine that is ready. */
static struct loop *loop;
static struct engine *engine;
static struct engine_options options;
static struct fake kind; /* window and recurrent of the next fake */
static void (*body)(void);

static void run_body(void *arg)
{
    (void)arg;
    struct status st = {0};
    fake = calloc(1, sizeof *fake);
    assert_non_null(fake);
    fake->base.ops = &fake_ops;
    fake->window = kind.window;
    fake->recurrent = kind.recurrent;
    assert_true(engine_open(loop, &fake->base, &options, &engine, &st));
    while (engine_state(engine, NULL, NULL) == ENGINE_LOADING)
        assert_true(loop_sleep(clock_deadline_ms(1), &st));
    body();
    engine_close(engine);
    loop_stop(loop);
}

static void with_engine(void (*run)(void), uint32_t window, struct engine_options with)
{
    struct status st = {0};
    options = with;
    kind.window = window;
    body = run;
    assert_true(loop_open(&(struct loop_options){.name = "test", .cpu = -1}, &loop, &st));
    assert_true(fiber_start(loop, "test", run_body, NULL, &st));
    loop_run(loop);
    loop_close(loop);
}

/* A conversation: what was said so far, the answers included. */
struct talk {
    const char *tenant;
    uint32_t adapter;
    int32_t tokens[CONTEXT];
    uint32_t count, outputs;
    struct engine_request *request;
};

static void say(struct talk *talk, int32_t from, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        talk->tokens[talk->count++] = (from + (int32_t)i * 7) % VOCAB;
}

static void ask(struct talk *talk, uint32_t outputs)
{
    struct status st = {0};
    struct engine_job job = {.prompt = talk->tokens,
                             .prompt_count = talk->count,
                             .output_max = outputs,
                             .tenant = text_of(talk->tenant),
                             .adapter = talk->adapter,
                             .sampling = engine_sampling_default()};
    job.sampling.temperature = 0;
    talk->outputs = outputs;
    if (!engine_submit(engine, &job, &talk->request, &st))
        fail_msg("%s", st.text);
}

/* Reads the whole answer, which must be the right one. Returns how many tokens were known. */
static uint32_t heard(struct talk *talk)
{
    struct status st = {0};
    struct engine_event event;
    for (uint32_t i = 0;; i++) {
        if (!engine_request_next(talk->request, clock_deadline_ms(20000), &event, &st))
            fail_msg("%s", st.text);
        if (event.ending != ENGINE_ENDING_NONE) {
            assert_int_equal(event.ending, ENGINE_ENDING_LENGTH);
            assert_int_equal(i, talk->outputs);
            break;
        }
        assert_int_equal(event.token, next_of(talk->tokens, talk->count));
        talk->tokens[talk->count++] = event.token;
    }
    uint32_t cached = engine_request_cached(talk->request);
    engine_request_release(TAKE(talk->request));
    return cached;
}

static uint32_t turn(struct talk *talk, int32_t from, uint32_t count, uint32_t outputs)
{
    say(talk, from, count);
    ask(talk, outputs);
    return heard(talk);
}

static struct engine_stats stats(void)
{
    struct engine_stats out;
    engine_stats(engine, &out);
    return out;
}

static void a_second_turn(void)
{
    struct talk anna = {.tenant = "anna"}, bert = {.tenant = "bert"}, nobody = {.tenant = ""};
    assert_int_equal(turn(&anna, 5, 150, 20), 0);
    assert_int_equal(stats().prompt_tokens, 150);
    assert_int_equal(turn(&anna, 9, 30, 10), 150 + 20 - 1); /* its last token was never computed */
    assert_int_equal(stats().prompt_tokens, 150 + 31);
    assert_int_equal(stats().prefix_hits, 1);
    assert_int_equal(stats().prefix_tokens, 169);
    /* The same words are new to another. */
    assert_int_equal(turn(&bert, 5, 150, 20), 0);
    assert_int_equal(turn(&nobody, 5, 150, 20), 0);
    struct talk again = {.tenant = "anna"};
    assert_int_equal(turn(&again, 5, 150, 20), 149); /* all but the last, for its logits */
    struct talk parts = {.tenant = "anna"};
    say(&parts, 5, 100);
    assert_int_equal(turn(&parts, 700, 20, 5), 100);
    struct talk brief = {.tenant = "anna"};
    assert_int_equal(turn(&brief, 5, 1, 3), 0);
    assert_true(stats().prefix_bytes > 0 && stats().prefix_entries >= 3);
}

/* What one adapter made of a prompt is nothing to another: the backend here would see it. */
static void each_adapter_has_its_own(void)
{
    enum { MANY = 12, SHARED = 200 };
    struct talk talks[MANY];
    uint32_t known[3] = {0};
    atomic_store(&fake->hold, true);
    for (uint32_t i = 0; i < MANY; i++) {
        talks[i] = (struct talk){.tenant = "anna", .adapter = i % 3};
        say(&talks[i], 5, SHARED);
        ask(&talks[i], 20);
    }
    atomic_store(&fake->hold, false);
    for (uint32_t i = 0; i < MANY; i++)
        known[i % 3] += heard(&talks[i]);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(known[i], (MANY / 3 - 1) * (SHARED - 1));
    struct talk other = {.tenant = "anna", .adapter = 1};
    assert_int_equal(turn(&other, 5, SHARED, 5), SHARED - 1);
}

static void together_they_compute_it_once(void)
{
    enum { MANY = 16, SHARED = 200, OWN = 10 };
    struct talk talks[MANY], other = {.tenant = "bert"};
    uint64_t before = stats().prompt_tokens;
    atomic_store(&fake->hold, true);
    for (int i = 0; i < MANY; i++) {
        talks[i] = (struct talk){.tenant = "anna"};
        say(&talks[i], 5, SHARED);
        say(&talks[i], 300 + i, OWN);
        ask(&talks[i], 12);
    }
    say(&other, 5, SHARED);
    ask(&other, 12);
    atomic_store(&fake->hold, false);
    uint32_t known = 0;
    for (int i = 0; i < MANY; i++) {
        uint32_t cached = heard(&talks[i]);
        assert_true(cached == 0 || cached == SHARED);
        known += cached;
    }
    assert_int_equal(heard(&other), 0);
    assert_int_equal(known, (MANY - 1) * SHARED);
    assert_int_equal(stats().prompt_tokens - before, 2 * SHARED + MANY * OWN);
}

static void the_same_prompt_many_times(void)
{
    enum { MANY = 8 };
    struct talk talks[MANY];
    for (int i = 0; i < MANY; i++) {
        talks[i] = (struct talk){.tenant = "anna"};
        say(&talks[i], 5, 180);
        ask(&talks[i], 9);
    }
    uint32_t known = 0;
    for (int i = 0; i < MANY; i++)
        known += heard(&talks[i]);
    assert_int_equal(known, (MANY - 1) * 179);
    assert_int_equal(stats().prompt_tokens, 180 + (MANY - 1));
}

/* A long answer is being written while another prompt comes that begins as its did. */
static void from_one_that_still_writes(void)
{
    struct talk first = {.tenant = "anna"}, second = {.tenant = "anna"};
    say(&first, 5, 150);
    ask(&first, 64);
    struct status st = {0};
    while (stats().decoding == 0 && stats().output_tokens < 64)
        assert_true(loop_sleep(clock_deadline_ms(1), &st));
    say(&second, 5, 150);
    assert_int_equal(turn(&second, 77, 10, 5), 150);
    assert_int_equal(heard(&first), 0);
}

static void whoever_leads_may_go(void)
{
    struct talk first = {.tenant = "anna"}, second = {.tenant = "anna"};
    atomic_store(&fake->hold, true);
    say(&first, 5, 300);
    ask(&first, 9);
    say(&second, 5, 300);
    ask(&second, 9);
    engine_request_release(TAKE(first.request));
    atomic_store(&fake->hold, false);
    (void)heard(&second);
    assert_true(stats().prompt_tokens <= 300 + BATCH);
}

/* Who began to wait for a leader waits for its turn when all sequences are taken, and its tenant is
 * as far behind as it is. */
static void behind_a_leader_the_turn_counts(void)
{
    struct talk first = {.tenant = "anna"}, second = {.tenant = "anna"}, others[3];
    atomic_store(&fake->hold, true);
    say(&first, 5, 100);
    ask(&first, 400);
    say(&second, 5, 101);
    ask(&second, 5);
    for (int i = 0; i < 3; i++) {
        others[i] = (struct talk){.tenant = "bert"};
        say(&others[i], 300 + i, 20);
        ask(&others[i], 400);
    }
    atomic_store(&fake->hold, false);
    (void)heard(&second);
    assert_true(stats().output_tokens < 1000); /* of 1,600: none of the others is done */
    (void)heard(&first);
    for (int i = 0; i < 3; i++)
        (void)heard(&others[i]);
}

/* It repeats its prompt: most of it comes several tokens in a step, and is what would have come. */
static void repeats(uint32_t slips)
{
    struct talk talk = {.tenant = "anna"}, again = {.tenant = "anna"};
    period = 60;
    slip = slips;
    uint64_t before = stats().steps;
    assert_int_equal(turn(&talk, 5, 120, 300), 0);
    assert_int_equal(stats().output_tokens, 300);
    assert_true(stats().drafted > 0 && stats().drafts_right > 0);
    assert_true(stats().drafts_right <= stats().drafted);
    assert_true(slips > 0 || stats().drafts_right == stats().drafted);
    assert_true(stats().steps - before < (slips > 0 ? 250 : 120));
    /* What was kept of it is what it said, and no more. */
    memcpy(again.tokens, talk.tokens, talk.count * sizeof *talk.tokens);
    again.count = talk.count;
    assert_int_equal(turn(&again, 9, 20, 10), talk.count - 1);
    period = slip = 0;
}

static void it_repeats(void)
{
    repeats(0);
}

static void it_repeats_and_slips(void)
{
    repeats(37);
}

static void nothing_is_repeated(void)
{
    struct talk talk = {.tenant = "anna"};
    assert_int_equal(turn(&talk, 5, 100, 300), 0);
    assert_int_equal(stats().drafted, 0);
}

/* Two who write, of whom each would repeat: beside one another none is tried. */
static void repeats_beside_another(void)
{
    struct talk one = {.tenant = "anna"}, two = {.tenant = "bert"};
    period = 60;
    atomic_store(&fake->hold, true);
    say(&one, 5, 120);
    ask(&one, 100);
    say(&two, 9, 120);
    ask(&two, 100);
    atomic_store(&fake->hold, false);
    (void)heard(&one);
    (void)heard(&two);
    assert_true(stats().drafted < 64); /* by the one that is done last, alone for a moment */
    period = 0;
}

static void off(void)
{
    struct talk anna = {.tenant = "anna"};
    assert_int_equal(turn(&anna, 5, 150, 20), 0);
    assert_int_equal(turn(&anna, 9, 30, 10), 0);
    assert_int_equal(atomic_load(&fake->saves) + atomic_load(&fake->loads), 0);
}

static void failures_only_cost_time(void)
{
    struct talk anna = {.tenant = "anna"};
    atomic_store(&fake->fail_save, true);
    assert_int_equal(turn(&anna, 5, 150, 20), 0);
    assert_int_equal(turn(&anna, 9, 30, 10), 0);
    assert_int_equal(stats().prefix_bytes, 0);
    atomic_store(&fake->fail_save, false);
    atomic_store(&fake->fail_load, true);
    assert_int_equal(turn(&anna, 9, 30, 10), 0);
    assert_int_equal(turn(&anna, 9, 30, 10), 0);
    assert_true(atomic_load(&fake->loads) >= 1);
    atomic_store(&fake->fail_load, false);
    assert_true(turn(&anna, 9, 30, 10) > 0);
}

/* With a window states cannot be cut: they are saved where they will be needed. */
static void with_a_window(void)
{
    struct talk anna = {.tenant = "anna"}, again = {.tenant = "anna"};
    assert_int_equal(turn(&anna, 600, 150, 64), 0);
    assert_int_equal(turn(&anna, 9, 30, 10), 150 + 64 - 1);
    assert_int_equal(turn(&again, 600, 150, 20), 149);
    /* The third of those that part sees the place. */
    static const uint32_t known[] = {0, 0, 200, 200};
    for (int i = 0; i < 4; i++) {
        struct talk talk = {.tenant = "bert"};
        say(&talk, 400, 200);
        assert_int_equal(turn(&talk, 10 + i, 20, 9), known[i]);
    }
    together_they_compute_it_once();
}

/* Many conversations, in few bytes, some of which end before they should. */
static void all_kinds(void)
{
    enum { TALKS = 24, ROUNDS = 400 };
    static const char *const tenants[] = {"anna", "bert", ""};
    static struct talk talks[TALKS];
    unsigned seed = (unsigned)time(NULL);
    if (getenv("WEIR_TEST_SEED") != NULL)
        seed = (unsigned)strtoul(getenv("WEIR_TEST_SEED"), NULL, 10);
    print_message("seed %u\n", seed);
    srand(seed);
    memset(talks, 0, sizeof talks);
    for (int round = 0; round < ROUNDS; round++) {
        struct talk *talk = &talks[rand() % TALKS];
        if (talk->request != NULL && rand() % 8 == 0) {
            engine_request_release(TAKE(talk->request));
            memset(talk, 0, sizeof *talk);
        } else if (talk->request != NULL) {
            (void)heard(talk);
        }
        if (talk->count > CONTEXT - 200)
            memset(talk, 0, sizeof *talk);
        if (talk->count == 0) {
            talk->tenant = tenants[rand() % 3];
            say(talk, rand() % 2, (uint32_t)rand() % 250);
        }
        say(talk, rand() % 3, 1 + (uint32_t)rand() % 60);
        ask(talk, 1 + (uint32_t)rand() % 40);
        assert_true(stats().prefix_bytes <= 6000);
    }
    for (int i = 0; i < TALKS; i++)
        if (talks[i].request != NULL)
            (void)heard(&talks[i]);
    assert_true(stats().prefix_hits > 10);
}

#define ENGINE_TEST(name, run, window, ...)                                                        \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        kind.recurrent = false;                                                                    \
        with_engine(run, window, (struct engine_options){.prompt_budget = 16, ##__VA_ARGS__});     \
    }
ENGINE_TEST(a_second_turn, a_second_turn, 0)
ENGINE_TEST(together, together_they_compute_it_once, 0)
ENGINE_TEST(together_in_a_big_window, together_they_compute_it_once, 400)
ENGINE_TEST(adapters, each_adapter_has_its_own, 0)
ENGINE_TEST(adapters_in_a_window, each_adapter_has_its_own, 64)
ENGINE_TEST(the_same_prompt, the_same_prompt_many_times, 0)
ENGINE_TEST(the_same_prompt_in_a_window, the_same_prompt_many_times, 64)
ENGINE_TEST(from_a_writer, from_one_that_still_writes, 0)
ENGINE_TEST(leader_gone, whoever_leads_may_go, 0)
ENGINE_TEST(turn_counts, behind_a_leader_the_turn_counts, 0, .lag_tokens = 64, .ring_tokens = 1024)
ENGINE_TEST(it_repeats, it_repeats, 0)
ENGINE_TEST(it_slips, it_repeats_and_slips, 0)
ENGINE_TEST(no_repeats, nothing_is_repeated, 0)
ENGINE_TEST(beside_another, repeats_beside_another, 0)
ENGINE_TEST(off, off, 0, .prefix_off = true)
ENGINE_TEST(failures, failures_only_cost_time, 0)
ENGINE_TEST(a_window, with_a_window, 64)
ENGINE_TEST(all_kinds, all_kinds, 0, .prefix_bytes_max = 6000, .prefix_tenant_bytes_max = 2500)
ENGINE_TEST(all_kinds_in_a_window, all_kinds, 100, .prefix_bytes_max = 6000)

static void test_recurrent(void **state)
{
    (void)state;
    kind.recurrent = true;
    with_engine(off, 0, (struct engine_options){.prompt_budget = 16});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_second_turn),
        cmocka_unit_test(test_together),
        cmocka_unit_test(test_together_in_a_big_window),
        cmocka_unit_test(test_adapters),
        cmocka_unit_test(test_adapters_in_a_window),
        cmocka_unit_test(test_the_same_prompt),
        cmocka_unit_test(test_the_same_prompt_in_a_window),
        cmocka_unit_test(test_from_a_writer),
        cmocka_unit_test(test_leader_gone),
        cmocka_unit_test(test_turn_counts),
        cmocka_unit_test(test_it_repeats),
        cmocka_unit_test(test_it_slips),
        cmocka_unit_test(test_no_repeats),
        cmocka_unit_test(test_beside_another),
        cmocka_unit_test(test_off),
        cmocka_unit_test(test_recurrent),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_a_window),
        cmocka_unit_test(test_all_kinds),
        cmocka_unit_test(test_all_kinds_in_a_window),
    };
    setenv("CMOCKA_TEST_ABORT", "1", 1); /* a failed check cannot jump out of a fiber */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
