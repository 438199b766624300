#include "engine_radix.h"
#include "check.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BLOCK = ENGINE_RADIX_BLOCK, TOKENS_MAX = 6 * BLOCK };

static const struct engine_radix_scope anna = {.tenant = {"anna", 4}},
                                       bert = {.tenant = {"bert", 4}}, nobody = {.tenant = {"", 0}},
                                       all = {.is_public = true};

/* 0, 1, 2, … and from `turn` on other numbers. */
static const int32_t *tokens_of(uint32_t turn)
{
    static int32_t tokens[8][TOKENS_MAX];
    static int next;
    int32_t *out = tokens[next++ % 8];
    for (uint32_t i = 0; i < TOKENS_MAX; i++)
        out[i] = (int32_t)(i < turn ? i : 100000 + turn * 1000 + i);
    return out;
}

static struct engine_radix_entry *put(struct engine_radix *p,
                                      const struct engine_radix_scope *scope, const int32_t *tokens,
                                      uint32_t count, size_t bytes)
{
    struct engine_radix_entry *entry = engine_radix_put(p, scope, tokens, count, bytes);
    size_t got;
    if (entry != NULL) {
        memset(engine_radix_blob(entry, &got), 1, bytes);
        assert_int_equal(got, bytes);
        assert_int_equal(engine_radix_tokens(entry), count);
    }
    return entry;
}

static uint32_t found(struct engine_radix *p, const struct engine_radix_scope *scope,
                      const int32_t *tokens, uint32_t count, struct engine_radix_entry **entry)
{
    struct engine_radix_found out;
    engine_radix_find(p, scope, tokens, count, &out);
    assert_true((out.entry != NULL) == (out.tokens > 0));
    if (entry != NULL)
        *entry = out.entry;
    return out.tokens;
}

static void what_is_shared_is_found_to_the_token(void **state)
{
    (void)state;
    struct engine_radix *p = engine_radix_new(&(struct engine_radix_options){.bytes_max = MIB});
    struct engine_radix_entry *entry;
    assert_int_equal(found(p, &anna, tokens_of(0), TOKENS_MAX, NULL), 0);
    struct engine_radix_entry *first = put(p, &anna, tokens_of(TOKENS_MAX), 200, 200);
    assert_non_null(first);
    static const uint32_t turns[] = {1, 63, 64, 65, 127, 128, 129, 191, 192, 193, 199, 200, 250};
    for (size_t i = 0; i < ARRAY_LEN(turns); i++) {
        uint32_t want = turns[i] < 200 ? turns[i] : 200;
        assert_int_equal(found(p, &anna, tokens_of(turns[i]), TOKENS_MAX, &entry), want);
        assert_ptr_equal(entry, first);
        assert_int_equal(found(p, &anna, tokens_of(turns[i]), 100, NULL), want < 100 ? want : 100);
    }
    assert_int_equal(found(p, &anna, tokens_of(0), TOKENS_MAX, NULL), 0);
    assert_int_equal(found(p, &anna, tokens_of(9), 0, NULL), 0);
    /* A second one, which parts from it inside a block. */
    struct engine_radix_entry *second = put(p, &anna, tokens_of(100), 150, 150);
    assert_int_equal(found(p, &anna, tokens_of(100), 140, &entry), 140);
    assert_ptr_equal(entry, second);
    assert_int_equal(found(p, &anna, tokens_of(90), 140, &entry), 90);
    assert_ptr_equal(entry, second); /* the smaller of two that do */
    assert_int_equal(engine_radix_stats(p).entries, 2);
    engine_radix_free(p);
    engine_radix_free(NULL);
}

static void scopes_are_apart(void **state)
{
    (void)state;
    struct engine_radix *p = engine_radix_new(&(struct engine_radix_options){.bytes_max = MIB});
    struct engine_radix_scope adapted = {.tenant = TEXT("anna"), .adapters = 1},
                              ann = {.tenant = TEXT("ann")};
    assert_non_null(put(p, &anna, tokens_of(100), 100, 10));
    assert_int_equal(found(p, &anna, tokens_of(100), 100, NULL), 100);
    assert_int_equal(found(p, &bert, tokens_of(100), 100, NULL), 0);
    assert_int_equal(found(p, &nobody, tokens_of(100), 100, NULL), 0);
    assert_int_equal(found(p, &adapted, tokens_of(100), 100, NULL), 0);
    assert_int_equal(found(p, &ann, tokens_of(100), 100, NULL), 0);
    assert_int_equal(found(p, &all, tokens_of(100), 100, NULL), 0);
    assert_non_null(put(p, &bert, tokens_of(100), 100, 10));
    assert_int_equal(engine_radix_stats(p).scopes, 2);
    /* What is public all see; who may put what they see already need not. */
    assert_non_null(put(p, &all, tokens_of(90), 90, 10));
    assert_int_equal(found(p, &nobody, tokens_of(100), 100, NULL), 90);
    assert_null(put(p, &nobody, tokens_of(90), 80, 10));
    struct engine_radix_scope all_adapted = {.adapters = 1, .is_public = true};
    assert_int_equal(found(p, &all_adapted, tokens_of(90), 90, NULL), 0);
    engine_radix_free(p);
}

static void longer_ones_replace_shorter_ones(void **state)
{
    (void)state;
    struct engine_radix *p = engine_radix_new(&(struct engine_radix_options){.bytes_max = MIB});
    const int32_t *line = tokens_of(TOKENS_MAX);
    assert_non_null(put(p, &anna, line, 100, 100));
    assert_null(put(p, &anna, line, 100, 100));
    assert_null(put(p, &anna, line, 60, 60));
    assert_non_null(put(p, &anna, line, 150, 150));
    assert_int_equal(engine_radix_stats(p).entries, 1);
    assert_int_equal(engine_radix_stats(p).bytes, 150);
    assert_non_null(put(p, &anna, line, 302, 302)); /* more than twice as long */
    assert_int_equal(engine_radix_stats(p).entries, 2);
    assert_non_null(put(p, &anna, tokens_of(160), 240, 240)); /* parts behind 150 */
    assert_int_equal(engine_radix_stats(p).entries, 3);
    assert_null(put(p, &anna, tokens_of(TOKENS_MAX), 299, 299));
    struct engine_radix_entry *entry;
    assert_int_equal(found(p, &anna, tokens_of(150), TOKENS_MAX, &entry), 150);
    assert_int_equal(engine_radix_tokens(entry), 150);
    engine_radix_free(p);
}

static void a_window_wants_whole_states(void **state)
{
    (void)state;
    struct engine_radix *p =
        engine_radix_new(&(struct engine_radix_options){.bytes_max = MIB, .window = 100});
    const int32_t *line = tokens_of(TOKENS_MAX);
    struct engine_radix_found out;
    assert_non_null(put(p, &anna, line, 150, 150));
    engine_radix_find(p, &anna, tokens_of(149), TOKENS_MAX, &out);
    assert_null(out.entry);
    assert_int_equal(out.common, 149);
    assert_int_equal(found(p, &anna, tokens_of(150), TOKENS_MAX, NULL), 150);
    assert_int_equal(found(p, &anna, tokens_of(150), 149, NULL), 0);
    assert_non_null(put(p, &anna, line, 149, 149)); /* the longer one cannot do it */
    assert_non_null(put(p, &anna, line, 100, 100)); /* can be cut */
    assert_int_equal(engine_radix_stats(p).entries, 3);
    assert_int_equal(found(p, &anna, tokens_of(50), TOKENS_MAX, NULL), 50);
    assert_int_equal(found(p, &anna, tokens_of(120), TOKENS_MAX, NULL), 100);
    assert_int_equal(engine_radix_usable(100, 100, 7), 7);
    assert_int_equal(engine_radix_usable(100, 101, 100), 0);
    assert_int_equal(engine_radix_usable(100, 101, 101), 101);
    assert_int_equal(engine_radix_usable(0, 101, 100), 100);
    engine_radix_free(p);
}

static void limits(void **state)
{
    (void)state;
    struct engine_radix *p = engine_radix_new(&(struct engine_radix_options){.bytes_max = 0});
    assert_null(put(p, &anna, tokens_of(9), 100, 1));
    assert_int_equal(found(p, &anna, tokens_of(9), 100, NULL), 0);
    engine_radix_free(p);

    p = engine_radix_new(&(struct engine_radix_options){.bytes_max = 1000, .scope_bytes_max = 500});
    assert_null(put(p, &anna, tokens_of(9), 100, 1001));
    assert_null(put(p, &anna, tokens_of(9), 100, 0));
    assert_null(put(p, &anna, tokens_of(9), 0, 10));
    /* Room that nobody else wants is anybody's. */
    for (uint32_t i = 1; i <= 5; i++)
        assert_non_null(put(p, &anna, tokens_of(i), 100, 200));
    assert_int_equal(engine_radix_stats(p).bytes, 1000);
    /* Who is beyond their share pays for themselves, the longest unused first, and for others. */
    struct engine_radix_entry *one;
    assert_int_equal(found(p, &anna, tokens_of(1), 100, &one), 100);
    engine_radix_used(p, one);
    assert_non_null(put(p, &anna, tokens_of(6), 100, 100));
    assert_int_equal(found(p, &anna, tokens_of(1), 100, NULL), 100);
    assert_int_not_equal(found(p, &anna, tokens_of(2), 100, NULL), 100);
    assert_non_null(put(p, &bert, tokens_of(1), 100, 300));
    assert_int_equal(engine_radix_stats(p).bytes, 1000);
    assert_non_null(put(p, &bert, tokens_of(2), 100, 150));
    assert_int_equal(found(p, &bert, tokens_of(1), 100, NULL), 100);
    assert_int_equal(found(p, &anna, tokens_of(5), 100, NULL), 100);
    assert_int_not_equal(found(p, &anna, tokens_of(4), 100, NULL), 100);
    /* All within their shares: whoever was not used for longest. */
    assert_int_equal(found(p, &anna, tokens_of(1), 100, &one), 100);
    assert_non_null(put(p, &nobody, tokens_of(1), 100, 400));
    assert_true(engine_radix_stats(p).bytes <= 1000);
    assert_int_equal(engine_radix_stats(p).evicted, 5);
    engine_radix_free(p);
}

static void blobs_can_be_taken_back(void **state)
{
    (void)state;
    struct engine_radix *p = engine_radix_new(&(struct engine_radix_options){.bytes_max = MIB});
    struct engine_radix_entry *entry = put(p, &anna, tokens_of(9), 300, 5);
    engine_radix_remove(p, entry);
    assert_int_equal(found(p, &anna, tokens_of(9), 300, NULL), 0);
    assert_int_equal(engine_radix_stats(p).bytes + engine_radix_stats(p).entries +
                         engine_radix_stats(p).scopes,
                     0);
    for (uint32_t i = 0; i < ENGINE_RADIX_ENTRIES_MAX + 5; i++) {
        int32_t tokens[BLOCK] = {(int32_t)i};
        assert_non_null(put(p, i % 2 ? &anna : &bert, tokens, BLOCK, 1));
    }
    assert_int_equal(engine_radix_stats(p).entries, ENGINE_RADIX_ENTRIES_MAX);
    engine_radix_free(p);
}

/* The same by lists and loops: entries in order of use, the oldest first. */
enum { MODEL_MAX = 64, MODEL_BYTES = 3000, MODEL_SHARE = 1200 };
struct model_entry {
    int scope;
    uint32_t count;
    size_t bytes;
    int32_t tokens[TOKENS_MAX];
};
static struct {
    struct model_entry *at[MODEL_MAX];
    size_t count;
    uint32_t window;
} model;
static const struct engine_radix_scope *const scopes[] = {&anna, &bert, &nobody, &all};

static uint32_t alike(const int32_t *a, const int32_t *b, uint32_t count)
{
    uint32_t i = 0;
    while (i < count && a[i] == b[i])
        i++;
    return i;
}

static uint32_t model_usable(const struct model_entry *e, int scope, const int32_t *tokens,
                             uint32_t count)
{
    if (e->scope != scope && e->scope != 3)
        return 0;
    uint32_t common = alike(e->tokens, tokens, e->count < count ? e->count : count);
    if (model.window > 0 && e->count > model.window && common < e->count)
        return 0;
    return common;
}

static size_t model_find(int scope, const int32_t *tokens, uint32_t count, uint32_t *usable)
{
    size_t best = MODEL_MAX;
    *usable = 0;
    for (size_t i = 0; i < model.count; i++) {
        uint32_t now = model_usable(model.at[i], scope, tokens, count);
        if (now > *usable || (now > 0 && now == *usable && best < MODEL_MAX &&
                              model.at[i]->bytes < model.at[best]->bytes)) {
            *usable = now;
            best = i;
        }
    }
    return best;
}

static struct model_entry *model_take_out(size_t at)
{
    struct model_entry *entry = model.at[at];
    memmove(&model.at[at], &model.at[at + 1], (model.count - at - 1) * sizeof *model.at);
    model.count--;
    return entry;
}

static size_t model_bytes(int scope)
{
    size_t bytes = 0;
    for (size_t i = 0; i < model.count; i++)
        bytes += scope < 0 || model.at[i]->scope == scope ? model.at[i]->bytes : 0;
    return bytes;
}

/* Whether other entries than those of the line to `tokens` go on from e's last whole block. */
static bool model_parts(const struct model_entry *e, const int32_t *tokens, uint32_t count)
{
    uint32_t depth = e->count / BLOCK * BLOCK;
    for (size_t i = 0; i < model.count; i++) {
        const struct model_entry *x = model.at[i];
        if (x->scope != e->scope || x->count < depth + BLOCK ||
            alike(x->tokens, e->tokens, depth) < depth)
            continue;
        if (count < depth + BLOCK || alike(x->tokens, tokens, depth + BLOCK) < depth + BLOCK)
            return true;
    }
    return false;
}

static void model_put(int scope, const int32_t *tokens, uint32_t count, size_t bytes)
{
    uint32_t usable;
    size_t at = model_find(scope, tokens, count, &usable);
    if (bytes > MODEL_BYTES)
        return;
    if (usable == count) {
        struct model_entry *used = model_take_out(at);
        model.at[model.count++] = used;
        return;
    }
    bool gone[MODEL_MAX] = {false};
    if (model.window == 0 || count <= model.window)
        for (size_t i = 0; i < model.count; i++) {
            const struct model_entry *e = model.at[i];
            gone[i] = e->scope == scope && e->count < count && e->count >= count / 2 &&
                      alike(e->tokens, tokens, e->count) == e->count &&
                      !model_parts(e, tokens, count);
        }
    for (size_t i = model.count; i-- > 0;)
        if (gone[i])
            free(model_take_out(i));
    while (model_bytes(-1) + bytes > MODEL_BYTES) {
        bool own = scope != 3 && model_bytes(scope) > 0 && model_bytes(scope) + bytes > MODEL_SHARE;
        size_t goes = model.count;
        for (size_t i = 0; i < model.count; i++) {
            if (model.at[i]->scope == 3)
                continue;
            if (own ? model.at[i]->scope == scope : model_bytes(model.at[i]->scope) > MODEL_SHARE) {
                goes = i;
                break;
            }
            goes = goes == model.count ? i : goes;
        }
        if (goes == model.count) /* all that is left is public */
            return;
        free(model_take_out(goes));
    }
    struct model_entry *entry = malloc(sizeof *entry);
    assert_non_null(entry);
    *entry = (struct model_entry){.scope = scope, .count = count, .bytes = bytes};
    memcpy(entry->tokens, tokens, count * sizeof *tokens);
    model.at[model.count++] = entry;
}

/* A line that shares its beginning with one from before. */
static uint32_t random_line(int32_t lines[8][TOKENS_MAX], int32_t *out)
{
    uint32_t keep = (uint32_t)rand() % TOKENS_MAX, count = 1 + (uint32_t)rand() % TOKENS_MAX;
    int which = rand() % 8;
    if (rand() % 3 == 0)
        keep = keep / BLOCK * BLOCK;
    for (uint32_t i = 0; i < TOKENS_MAX; i++)
        out[i] = i < keep ? lines[which][i] : rand() % 3;
    if (rand() % 2 == 0)
        memcpy(lines[rand() % 8], out, TOKENS_MAX * sizeof *out);
    return count;
}

static void as_the_model_does(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    if (getenv("WEIR_TEST_SEED") != NULL)
        seed = (unsigned)strtoul(getenv("WEIR_TEST_SEED"), NULL, 10);
    print_message("seed %u\n", seed);
    srand(seed);
    for (int run = 0; run < 6; run++) {
        model.window = run % 3 == 0 ? 0 : run % 3 == 1 ? BLOCK : 2 * BLOCK + 7;
        struct engine_radix *p = engine_radix_new(&(struct engine_radix_options){
            .bytes_max = MODEL_BYTES, .scope_bytes_max = MODEL_SHARE, .window = model.window});
        static int32_t lines[8][TOKENS_MAX];
        int32_t line[TOKENS_MAX];
        for (int step = 0; step < 4000; step++) {
            uint32_t count = random_line(lines, line), want;
            int scope = rand() % 4;
            struct engine_radix_found out;
            engine_radix_find(p, scopes[scope], line, count, &out);
            size_t at = model_find(scope, line, count, &want);
            assert_int_equal(out.tokens, want);
            if (at < MODEL_MAX) {
                size_t bytes;
                engine_radix_blob(out.entry, &bytes);
                assert_int_equal(bytes, model.at[at]->bytes);
            }
            if (rand() % 2 == 0 && (scope != 3 || rand() % 64 == 0)) {
                size_t bytes = 50 + (size_t)step % 977; /* rarely twice the same */
                model_put(scope, line, count, bytes);
                put(p, scopes[scope], line, count, bytes);
            }
            struct engine_radix_stats stats = engine_radix_stats(p);
            assert_int_equal(stats.entries, model.count);
            assert_int_equal(stats.bytes, model_bytes(-1));
            assert_true(stats.bytes <= MODEL_BYTES);
        }
        while (model.count > 0)
            free(model_take_out(0));
        engine_radix_free(p);
    }
}

/* However much others keep, and were it older than all of it. */
static void what_is_public_stays(void **state)
{
    (void)state;
    struct engine_radix *p = engine_radix_new(
        &(struct engine_radix_options){.bytes_max = 1000, .scope_bytes_max = 1000});
    int32_t line[4 * BLOCK] = {0};
    struct engine_radix_found out;
    put(p, &all, line, 2 * BLOCK, 600);
    for (int32_t i = 1; i < 20; i++) {
        line[0] = i;
        put(p, i % 2 == 0 ? &anna : &bert, line, 2 * BLOCK, 300);
        assert_true(engine_radix_stats(p).bytes <= 1000);
    }
    line[0] = 0;
    engine_radix_find(p, &bert, line, 4 * BLOCK, &out);
    assert_int_equal(out.tokens, 2 * BLOCK);
    line[0] = 50;
    assert_null(engine_radix_put(p, &anna, line, 2 * BLOCK, 500)); /* nobody else can go for it */
    engine_radix_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_shared_is_found_to_the_token),
        cmocka_unit_test(scopes_are_apart),
        cmocka_unit_test(longer_ones_replace_shorter_ones),
        cmocka_unit_test(a_window_wants_whole_states),
        cmocka_unit_test(limits),
        cmocka_unit_test(what_is_public_stays),
        cmocka_unit_test(blobs_can_be_taken_back),
        cmocka_unit_test(as_the_model_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
