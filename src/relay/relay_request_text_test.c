#include "relay_request.h"
#include "check.h"

/* Wrong input, the field that is named, and words of the text. */
static const struct {
    enum relay_endpoint endpoint;
    const char *more, *field, *text;
} bad[] = {
    {RELAY_COMPLETIONS, "", "prompt", "missing"},
    {RELAY_COMPLETIONS, ",\"prompt\":null", "prompt", "not null"},
    {RELAY_COMPLETIONS, ",\"prompt\":{}", "prompt", "a string, or an array"},
    {RELAY_COMPLETIONS, ",\"prompt\":[]", "prompt", "empty"},
    {RELAY_COMPLETIONS, ",\"prompt\":[null]", "prompt[0]", "a string, not null"},
    {RELAY_COMPLETIONS, ",\"prompt\":[\"a\",[1]]", "prompt[1]", "a string, not an array"},
    {RELAY_COMPLETIONS, ",\"prompt\":[1,\"a\"]", "prompt[1]", "a number"},
    {RELAY_COMPLETIONS, ",\"prompt\":[[1],[1.5]]", "prompt[1][0]", "a token number"},
    {RELAY_COMPLETIONS, ",\"prompt\":[[1],[-1]]", "prompt[1][0]", "a token number"},
    {RELAY_COMPLETIONS, ",\"prompt\":[2147483648]", "prompt[0]", "a token number"},
    {RELAY_COMPLETIONS, ",\"prompt\":\"\",\"logprobs\":true", "logprobs", "a number"},
    {RELAY_COMPLETIONS, ",\"prompt\":\"\",\"logprobs\":6", "logprobs", "between 0 and 5"},
    {RELAY_COMPLETIONS, ",\"prompt\":\"\",\"best_of\":0", "best_of", "between 1 and 20"},
    {RELAY_COMPLETIONS, ",\"prompt\":\"\",\"max_tokens\":-1", "max_tokens", "between 0"},
    {RELAY_COMPLETIONS, ",\"prompt\":\"\",\"echo\":\"x\"", "echo", "true or false"},
    {RELAY_COMPLETIONS, ",\"prompt\":\"\",\"suffix\":1", "suffix", "a string"},
    {RELAY_COMPLETIONS, ",\"prompt\":\"\",\"stream_options\":{}", "stream_options", "stream"},
    {RELAY_COMPLETIONS, ",\"prompt\":\"\",\"prompt\":\"\"", "prompt", "twice"},
    {RELAY_EMBEDDINGS, "", "input", "missing"},
    {RELAY_EMBEDDINGS, ",\"input\":\"\"", "input", "empty"},
    {RELAY_EMBEDDINGS, ",\"input\":[]", "input", "empty"},
    {RELAY_EMBEDDINGS, ",\"input\":[\"a\",\"\"]", "input[1]", "empty"},
    {RELAY_EMBEDDINGS, ",\"input\":[[1],[]]", "input[1]", "empty"},
    {RELAY_EMBEDDINGS, ",\"input\":[{}]", "input[0]", "a string, not an object"},
    {RELAY_EMBEDDINGS, ",\"input\":\"a\",\"encoding_format\":\"hex\"", "encoding_format", "base64"},
    {RELAY_EMBEDDINGS, ",\"input\":\"a\",\"encoding_format\":1", "encoding_format", "a string"},
    {RELAY_EMBEDDINGS, ",\"input\":\"a\",\"dimensions\":0", "dimensions", "between 1"},
    {RELAY_EMBEDDINGS, ",\"input\":\"a\",\"dimensions\":1.5", "dimensions", "a whole number"},
    {RELAY_EMBEDDINGS, ",\"input\":\"a\",\"user\":1", "user", "a string"},
    {RELAY_RERANK, ",\"documents\":[\"a\"]", "query", "missing"},
    {RELAY_RERANK, ",\"documents\":[\"a\"],\"query\":\"\"", "query", "empty"},
    {RELAY_RERANK, ",\"query\":\"q\"", "documents", "missing"},
    {RELAY_RERANK, ",\"query\":\"q\",\"documents\":\"a\"", "documents", "an array"},
    {RELAY_RERANK, ",\"query\":\"q\",\"documents\":[]", "documents", "1 to 2048"},
    {RELAY_RERANK, ",\"query\":\"q\",\"documents\":[\"a\",1]", "documents[1]", "with a text"},
    {RELAY_RERANK, ",\"query\":\"q\",\"documents\":[{}]", "documents[0].text", "missing"},
    {RELAY_RERANK, ",\"query\":\"q\",\"documents\":[{\"text\":1}]", "documents[0].text",
     "a string"},
    {RELAY_RERANK, ",\"query\":\"q\",\"documents\":[\"a\"],\"top_n\":0", "top_n", "between 1"},
    {RELAY_RERANK, ",\"query\":\"q\",\"documents\":[\"a\"],\"return_documents\":1",
     "return_documents", "true or false"},
    {RELAY_TOKENIZE, "", "prompt", "missing"},
    {RELAY_TOKENIZE, ",\"prompt\":[\"a\"]", "prompt", "a string"},
    {RELAY_TOKENIZE, ",\"prompt\":\"a\",\"parse_special\":1", "parse_special", "true or false"},
    {RELAY_DETOKENIZE, "", "tokens", "missing"},
    {RELAY_DETOKENIZE, ",\"tokens\":\"a\"", "tokens", "an array"},
    {RELAY_DETOKENIZE, ",\"tokens\":[1,\"a\"]", "tokens[1]", "a number"},
};

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO(arena) struct arena *arena = arena_open(MIB);
        struct relay_request request;
        struct status st = {0};
        struct text body = arena_format(arena, "{\"model\":\"m\"%s}", bad[i].more);
        check_case(body.at);
        assert_false(relay_request_read(bad[i].endpoint, body, arena, &request, &st));
        assert_int_equal(st.code, STATUS_INVALID);
        assert_string_equal(st.field, bad[i].field);
        if (strstr(st.text, bad[i].text) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", st.text, bad[i].text);
    }
}

static const struct {
    enum relay_endpoint endpoint;
    const char *more;
} good[] = {
    {RELAY_COMPLETIONS, ",\"prompt\":\"\""},
    {RELAY_COMPLETIONS, ",\"prompt\":[\"a\",\"\"]"},
    {RELAY_COMPLETIONS, ",\"prompt\":[1,2,3]"},
    {RELAY_COMPLETIONS,
     ",\"prompt\":[[1],[]],\"best_of\":2,\"echo\":true,\"frequency_penalty\":1,\"logit_bias\":{},"
     "\"logprobs\":0,\"max_tokens\":0,\"n\":2,\"presence_penalty\":1,\"seed\":1,\"stop\":\"x\","
     "\"stream\":true,\"stream_options\":{},\"suffix\":\"s\",\"temperature\":1,\"top_p\":1,"
     "\"user\":\"u\",\"top_k\":1,\"min_p\":0,\"repeat_penalty\":1,\"repeat_last_n\":1,"
     "\"ignore_eos\":true,\"parse_special\":true"},
    {RELAY_EMBEDDINGS, ",\"input\":\"a\""},
    {RELAY_EMBEDDINGS, ",\"input\":[\"a\",\"b\"],\"encoding_format\":\"base64\",\"user\":\"u\""},
    {RELAY_EMBEDDINGS, ",\"input\":[1],\"encoding_format\":\"float\",\"dimensions\":64"},
    {RELAY_EMBEDDINGS, ",\"input\":[[1],[2,3]],\"dimensions\":null"},
    {RELAY_RERANK, ",\"query\":\"q\",\"documents\":[\"a\",{\"text\":\"b\",\"id\":1}],\"top_n\":1,"
                   "\"return_documents\":true"},
    {RELAY_TOKENIZE, ",\"prompt\":\"a\",\"add_special_tokens\":false,\"return_token_strs\":true,"
                     "\"parse_special\":true"},
    {RELAY_DETOKENIZE, ",\"tokens\":[]"},
    {RELAY_DETOKENIZE, ",\"tokens\":[0,49151]"},
};

static void takes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        AUTO(arena) struct arena *arena = arena_open(MIB);
        struct relay_request request;
        struct status st = {0};
        struct text body = arena_format(arena, "{\"model\":\"m\"%s}", good[i].more);
        check_case(body.at);
        if (!relay_request_read(good[i].endpoint, body, arena, &request, &st))
            fail_msg("%s", st.text);
        assert_int_equal(request.endpoint, good[i].endpoint);
        assert_true(relay_request_for_local(&request, &st));
        struct text sent = relay_request_body(&request, TEXT("x"), true, arena);
        assert_true(text_find(sent, TEXT("\"model\":\"x\"")) < sent.len);
        assert_true(text_find(sent, TEXT("\"user\":\"u\"")) == sent.len);
    }
}

static struct text list_of(struct arena *arena, const char *head, const char *item, int count)
{
    struct text_buf buf = text_buf_in(arena, 16 * MIB);
    text_buf_add(&buf, text_of(head));
    for (int i = 0; i < count; i++)
        text_buf_addf(&buf, i > 0 ? ",%s" : "%s", item);
    text_buf_add(&buf, TEXT("]}"));
    return text_buf_text(&buf);
}

static void longest_lists(void **state)
{
    (void)state;
    static const struct {
        enum relay_endpoint endpoint;
        const char *head, *item, *field;
        int most;
    } lists[] = {
        {RELAY_EMBEDDINGS, "{\"model\":\"m\",\"input\":[", "\"a\"", "input", 2048},
        {RELAY_COMPLETIONS, "{\"model\":\"m\",\"prompt\":[", "\"a\"", "prompt", 2048},
        {RELAY_COMPLETIONS, "{\"model\":\"m\",\"prompt\":[", "7", "prompt", 200000},
        {RELAY_RERANK, "{\"model\":\"m\",\"query\":\"q\",\"documents\":[", "\"a\"", "documents",
         2048},
        {RELAY_DETOKENIZE, "{\"model\":\"m\",\"tokens\":[", "7", "tokens", 200000},
    };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        AUTO(arena) struct arena *arena = arena_open(64 * MIB);
        struct relay_request request;
        struct status st = {0};
        check_case(lists[i].head);
        struct text most = list_of(arena, lists[i].head, lists[i].item, lists[i].most);
        struct text more = list_of(arena, lists[i].head, lists[i].item, lists[i].most + 1);
        assert_true(relay_request_read(lists[i].endpoint, most, arena, &request, &st));
        assert_false(relay_request_read(lists[i].endpoint, more, arena, &request, &st));
        assert_int_equal(st.code, STATUS_INVALID);
        assert_string_equal(st.field, lists[i].field);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(refuses), cmocka_unit_test(takes),
                                       cmocka_unit_test(longest_lists)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
