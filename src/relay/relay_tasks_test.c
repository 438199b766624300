#include "relay_tasks.h"
#include "check.h"
#include "relay_endpoint.h"

enum {
    CHAT = 1U << RELAY_CHAT | 1U << RELAY_COMPLETIONS,
    VECTORS = 1U << RELAY_EMBEDDINGS,
    ORDER = 1U << RELAY_RERANK
};

static void guessed_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned want;
    } cases[] = {
        {"gpt-5", CHAT},
        {"vendor/big-model", CHAT},
        {"", CHAT},
        {"text-embedding-3-small", VECTORS},
        {"nomic-embed-text:latest", VECTORS},
        {"Qwen/Qwen3-Embedding-0.6B", VECTORS},
        {"BAAI/bge-m3", VECTORS},
        {"intfloat/multilingual-e5-large", VECTORS},
        {"thenlper/gte-base", VECTORS},
        {"all-MiniLM-L6-v2", VECTORS},
        {"gte", VECTORS},
        {"BAAI/bge-reranker-v2-m3", ORDER},
        {"rerank-v3.5", ORDER},
        {"phone50", CHAT}, /* "e5", but within a word */
        {"bgez-e51-chat", CHAT},
        {"cage5-agte", CHAT},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check_case(cases[i].name);
        assert_int_equal(relay_tasks_guess(text_of(cases[i].name)), cases[i].want);
    }
    char longer[1000];
    memset(longer, 'x', sizeof(longer));
    assert_int_equal(relay_tasks_guess((struct text){longer, sizeof(longer)}), CHAT);
}

static void read_and_written(void **state)
{
    (void)state;
    struct status st = {0};
    unsigned tasks = 77;
    AUTO(arena) struct arena *arena = arena_open(4 * KIB);
    static const struct {
        const char *list, *back;
    } cases[] = {
        {"chat", "chat"},
        {" embeddings ,chat", "chat,embeddings"},
        {"rerank,rerank", "rerank"},
        {"", ""},
        {"  ", ""},
        {"chat,completions,embeddings,rerank", "chat,completions,embeddings,rerank"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check_case(cases[i].list);
        assert_true(relay_tasks_read(text_of(cases[i].list), &tasks, &st));
        check_text(relay_tasks_text(tasks, arena), cases[i].back);
    }
    static const char *const bad[] = {"chat,", ",", "Chat", "tokens", "chat embeddings"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        check_case(bad[i]);
        assert_false(relay_tasks_read(text_of(bad[i]), &tasks, &st));
        assert_int_equal(st.code, STATUS_INVALID);
        assert_string_equal(st.field, "tasks");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guessed_by_name),
        cmocka_unit_test(read_and_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
