#include "infer_text_call.h"
#include "check.h"

enum { VOCAB = 100 };

static bool read_completion(struct arena *arena, const char *more,
                            struct infer_text_completion *out, struct status *st)
{
    struct text body = arena_format(arena, "{\"model\":\"m\"%s}", more);
    return infer_text_read_completion(body, VOCAB, arena, out, st);
}

static void everything(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(16 * MIB);
    struct infer_text_completion read;
    struct status st = {0};
    if (!read_completion(
            arena,
            ",\"prompt\":\"once\",\"best_of\":2,\"echo\":true,\"frequency_penalty\":1,"
            "\"logit_bias\":{\"7\":-100},\"logprobs\":null,\"max_tokens\":9,\"n\":2,"
            "\"presence_penalty\":-1,\"seed\":3,\"stop\":[\"a\",\"b\"],\"stream\":true,"
            "\"stream_options\":{\"include_usage\":true},\"suffix\":\"\","
            "\"temperature\":0.5,\"top_p\":0.9,\"user\":\"u\",\"top_k\":4,"
            "\"min_p\":0.1,\"repeat_penalty\":1.1,\"repeat_last_n\":32,"
            "\"ignore_eos\":true,\"parse_special\":true,\"unknown\":null",
            &read, &st))
        fail_msg("%s", st.text);
    check_text(read.call.model, "m");
    assert_true(read.call.stream && read.call.include_usage && read.call.ignore_end);
    assert_true(read.echo && read.parse_special && !read.listed && !read.call.nothing);
    assert_int_equal(read.call.n, 2);
    assert_int_equal(read.call.output_max, 9);
    assert_int_equal(read.call.stops_count, 2);
    assert_int_equal(read.call.sampling.seed, 3);
    assert_int_equal(read.prompts_count, 1);
    check_text(read.prompts[0].text, "once");
    assert_null(read.prompts[0].tokens);
}

static void prompts(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(16 * MIB);
    struct infer_text_completion read;
    struct status st = {0};
    assert_true(read_completion(arena, ",\"prompt\":[3,0,99]", &read, &st));
    assert_true(read.prompts_count == 1 && !read.listed && read.prompts[0].tokens_count == 3);
    assert_int_equal(read.prompts[0].tokens[2], 99);
    assert_int_equal(read.call.output_max, 16); /* the dialect's default */
    assert_true(read_completion(arena, ",\"prompt\":[\"a\",\"\"]", &read, &st));
    assert_true(read.prompts_count == 2 && read.listed);
    check_text(read.prompts[0].text, "a");
    check_text(read.prompts[1].text, "");
    assert_true(read_completion(arena, ",\"prompt\":[[1,2],[]]", &read, &st));
    assert_true(read.prompts_count == 2 && read.listed);
    assert_int_equal(read.prompts[0].tokens[1], 2);
    assert_true(read.prompts[1].tokens != NULL && read.prompts[1].tokens_count == 0);
    assert_true(
        read_completion(arena, ",\"prompt\":\"\",\"echo\":true,\"max_tokens\":0", &read, &st));
    assert_true(read.call.nothing && read.call.output_max == 0);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *more, *field;
    } cases[] = {
        {"", "prompt"},
        {",\"prompt\":null", "prompt"},
        {",\"prompt\":5", "prompt"},
        {",\"prompt\":{}", "prompt"},
        {",\"prompt\":[]", "prompt"},
        {",\"prompt\":[null]", "prompt[0]"},
        {",\"prompt\":[\"a\",1]", "prompt[1]"},
        {",\"prompt\":[\"a\",[1]]", "prompt[1]"},
        {",\"prompt\":[[1],\"a\"]", "prompt[1]"},
        {",\"prompt\":[1,\"a\"]", "prompt[1]"},
        {",\"prompt\":[1,-1]", "prompt[1]"},
        {",\"prompt\":[100]", "prompt[0]"},
        {",\"prompt\":[1.5]", "prompt[0]"},
        {",\"prompt\":[[1],[true]]", "prompt[1][0]"},
        {",\"prompt\":[[[1]]]", "prompt[0][0]"},
        {",\"prompt\":[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"],\"n\":8", "prompt"},
        {",\"prompt\":\"x\",\"max_tokens\":0", "max_tokens"},
        {",\"prompt\":\"x\",\"max_tokens\":-1", "max_tokens"},
        {",\"prompt\":\"x\",\"max_completion_tokens\":5", "max_completion_tokens"},
        {",\"prompt\":\"x\",\"echo\":1", "echo"},
        {",\"prompt\":\"x\",\"suffix\":\"y\"", "suffix"},
        {",\"prompt\":\"x\",\"suffix\":1", "suffix"},
        {",\"prompt\":\"x\",\"best_of\":2,\"stream\":true", "best_of"},
        {",\"prompt\":\"x\",\"best_of\":1,\"n\":2", "best_of"},
        {",\"prompt\":\"x\",\"best_of\":9", "best_of"},
        {",\"prompt\":\"x\",\"logprobs\":0,\"echo\":true", "logprobs"},
        {",\"prompt\":\"x\",\"logprobs\":6", "logprobs"},
        {",\"prompt\":\"x\",\"logprobs\":true", "logprobs"},
        {",\"prompt\":\"x\",\"user\":1", "user"},
        {",\"prompt\":\"x\",\"messages\":[]", "messages"},
        {",\"prompt\":\"x\",\"stream_options\":{}", "stream_options"},
        {",\"prompt\":\"x\",\"temperature\":3", "temperature"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) struct arena *arena = arena_open(16 * MIB);
        struct infer_text_completion read;
        struct status st = {0};
        check_case(cases[i].more);
        assert_false(read_completion(arena, cases[i].more, &read, &st));
        assert_int_equal(st.code, STATUS_INVALID);
        assert_string_equal(st.field, cases[i].field);
    }
}

static void best_and_logprobs(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(16 * MIB);
    struct infer_text_completion read;
    struct status st = {0};
    assert_true(read_completion(arena, ",\"prompt\":\"x\",\"n\":2", &read, &st));
    assert_true(read.call.n == 2 && read.shown == 2 && !read.logprobs && !read.call.logprobs);
    assert_true(read_completion(arena, ",\"prompt\":\"x\",\"n\":2,\"best_of\":5", &read, &st));
    assert_true(read.call.n == 5 && read.shown == 2 && !read.logprobs && read.call.logprobs);
    assert_true(read_completion(arena, ",\"prompt\":\"x\",\"logprobs\":0", &read, &st));
    assert_true(read.logprobs && read.call.logprobs && read.call.tops == 0);
    assert_true(read_completion(arena, ",\"prompt\":\"x\",\"logprobs\":5", &read, &st));
    assert_true(read.logprobs && read.call.tops == 5 && read.shown == 1);
}

static void tokens(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(16 * MIB);
    struct infer_text_tokenize there;
    struct infer_text_detokenize back;
    struct status st = {0};
    assert_true(
        infer_text_read_tokenize(TEXT("{\"model\":\"m\",\"prompt\":\"a b\"}"), arena, &there, &st));
    check_text(there.prompt, "a b");
    assert_true(there.add_special_tokens && !there.parse_special && !there.return_token_strs);
    assert_true(infer_text_read_tokenize(TEXT("{\"model\":\"m\",\"prompt\":\"\",\"parse_special\":"
                                              "true,\"add_special_tokens\":false,"
                                              "\"return_token_strs\":true}"),
                                         arena, &there, &st));
    assert_true(!there.add_special_tokens && there.parse_special && there.return_token_strs);
    assert_true(infer_text_read_detokenize(TEXT("{\"model\":\"m\",\"tokens\":[1,99]}"), VOCAB,
                                           arena, &back, &st));
    assert_true(back.tokens_count == 2 && back.tokens[1] == 99);
    static const struct {
        const char *body, *field;
        bool back;
    } cases[] = {
        {"[]", "", false},
        {"{\"model\":\"m\"}", "prompt", false},
        {"{\"model\":\"m\",\"prompt\":[1]}", "prompt", false},
        {"{\"prompt\":\"x\"}", "model", false},
        {"{\"model\":\"m\",\"prompt\":\"x\",\"content\":\"x\"}", "content", false},
        {"{\"model\":\"m\",\"prompt\":\"x\",\"parse_special\":\"no\"}", "parse_special", false},
        {"{\"model\":\"m\"}", "tokens", true},
        {"{\"model\":\"m\",\"tokens\":\"x\"}", "tokens", true},
        {"{\"model\":\"m\",\"tokens\":[1,100]}", "tokens[1]", true},
        {"{\"model\":\"m\",\"tokens\":[\"a\"]}", "tokens[0]", true},
        {"{\"model\":\"m\",\"tokens\":[1],\"x\":1}", "x", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check_case(cases[i].body);
        struct text body = text_of(cases[i].body);
        assert_false(cases[i].back ? infer_text_read_detokenize(body, VOCAB, arena, &back, &st)
                                   : infer_text_read_tokenize(body, arena, &there, &st));
        assert_int_equal(st.code, STATUS_INVALID);
        assert_string_equal(st.field, cases[i].field);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything), cmocka_unit_test(prompts), cmocka_unit_test(refused),
        cmocka_unit_test(best_and_logprobs), cmocka_unit_test(tokens)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
