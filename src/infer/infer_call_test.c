#include "infer_call.h"
#include "check.h"

#define HEAD "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static bool read_call(struct arena *arena, const char *body, struct infer_call *call,
                      struct status *st)
{
    struct infer_call_model model = {.vocab = NULL};
    return infer_call_read(text_of(body), &model, arena, call, st);
}

static void everything(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(16 * MIB);
    struct infer_call call;
    struct status st = {0};
    if (!read_call(arena,
                   HEAD
                   ",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"n\":2,"
                   "\"max_completion_tokens\":77,\"temperature\":0.5,\"top_p\":0.9,\"top_k\":40,"
                   "\"min_p\":0.05,\"presence_penalty\":1,\"frequency_penalty\":-1,"
                   "\"repeat_penalty\":1.1,\"repeat_last_n\":32,\"seed\":-1,\"stop\":[\"a\",\"b\"],"
                   "\"logit_bias\":{\"7\":-100,\"9\":2.5},\"ignore_eos\":true}",
                   &call, &st))
        fail_msg("%s", st.text);
    check_text(call.model, "m");
    assert_true(call.stream && call.include_usage && call.ignore_end);
    assert_int_equal(call.n, 2);
    assert_int_equal(call.output_max, 77);
    const struct engine_sampling *s = &call.sampling;
    assert_true(s->temperature == 0.5F && s->top_p == 0.9F && s->top_k == 40 && s->min_p == 0.05F);
    assert_true(s->presence_penalty == 1 && s->frequency_penalty == -1);
    assert_true(s->repeat_penalty == 1.1F && s->repeat_last == 32 && s->seed == UINT64_MAX);
    assert_int_equal(call.stops_count, 2);
    check_text(call.stops[1], "b");
    assert_int_equal(s->bias_count, 2);
    assert_true(s->bias[0].token + s->bias[1].token == 16);
    assert_string_equal(call.messages, "[{\"role\":\"user\",\"content\":\"hi\"}]");
}

static void defaults(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(16 * MIB);
    struct infer_call one, two;
    struct status st = {0};
    assert_true(read_call(arena, HEAD ",\"stop\":\"x\",\"max_tokens\":null}", &one, &st));
    assert_true(read_call(arena, HEAD "}", &two, &st));
    assert_false(one.stream || one.include_usage || one.ignore_end);
    assert_int_equal(one.n, 1);
    assert_int_equal(one.output_max, 0);
    assert_int_equal(one.stops_count, 1);
    assert_true(one.sampling.temperature == 0.8F && one.sampling.top_p == 0.95F);
    assert_true(one.sampling.top_k == 40 && one.sampling.min_p == 0.05F);
    assert_true(one.sampling.seed != two.sampling.seed); /* drawn */
}

static void messages(void **state)
{
    (void)state;
    static const struct {
        const char *name, *list, *want;
    } cases[] = {
        {"parts",
         "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
         "{\"type\":\"text\",\"text\":\"b\"}]}]",
         "[{\"role\":\"user\",\"content\":\"ab\"}]"},
        {"an assistant may be silent",
         "[{\"role\":\"assistant\",\"content\":null,\"refusal\":null}]",
         "[{\"role\":\"assistant\",\"content\":\"\"}]"},
        {"escapes", "[{\"role\":\"system\",\"content\":\"\\\"\\u00e9\\n\",\"name\":\"n\"}]",
         "[{\"role\":\"system\",\"content\":\"\\\"\xc3\xa9\\n\"}]"},
        {"two", "[{\"role\":\"developer\",\"content\":\"x\"},{\"role\":\"user\",\"content\":\"\"}]",
         "[{\"role\":\"developer\",\"content\":\"x\"},{\"role\":\"user\",\"content\":\"\"}]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) struct arena *arena = arena_open(16 * MIB);
        struct infer_call call;
        struct status st = {0};
        check_case(cases[i].name);
        const char *body = arena_cstr(
            arena, arena_format(arena, "{\"model\":\"m\",\"messages\":%s}", cases[i].list));
        if (!read_call(arena, body, &call, &st))
            fail_msg("%s", st.text);
        assert_string_equal(call.messages, cases[i].want);
    }
}

static void limits_of_two_names(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(64 * MIB);
    struct infer_call call;
    struct status st = {0};
    assert_true(
        read_call(arena, HEAD ",\"max_tokens\":7,\"max_completion_tokens\":2}", &call, &st));
    assert_int_equal(call.output_max, 2);
    assert_true(
        read_call(arena, HEAD ",\"max_tokens\":2,\"max_completion_tokens\":7}", &call, &st));
    assert_int_equal(call.output_max, 2);
    assert_true(read_call(arena, HEAD ",\"top_k\":-1,\"repeat_last_n\":-1}", &call, &st));
    assert_int_equal(call.sampling.top_k, 0);
    assert_int_equal(call.sampling.repeat_last, 2048);
    assert_int_equal(call.output_max, 0);
}

/* The many refusals by field stand in tests/infer; here those that are decided between fields. */
static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *more, *field;
    } cases[] = {
        {",\"stream_options\":{}}", "stream_options"},
        {",\"stream\":true,\"stream_options\":{\"x\":1}}", "stream_options.x"},
        {",\"logit_bias\":{\"9999999999\":1}}", "logit_bias"},
        {",\"tools\":[1]}", "tools[0]"},
        {",\"top_logprobs\":2}", "top_logprobs"},
        {",\"tool_choice\":\"required\"}", "tool_choice"},
        {",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}}",
         "tool_choice.function.name"},
        {",\"grammar\":\"root ::= 1\",\"response_format\":{\"type\":\"json_object\"}}", "grammar"},
        {",\"grammar\":\"\"}", "grammar"},
        {",\"response_format\":{\"type\":\"json_schema\"}}", "response_format.json_schema"},
        {",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
         "\"strict\":true,\"schema\":{\"properties\":{\"a\":{\"not\":{}}}}}}}",
         "response_format.json_schema.schema.properties.a.not"},
        {",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a b\"}}]}",
         "tools[0].function.name"},
        {",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}},"
         "{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}",
         "tools[1].function.name"},
        {",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":"
         "{\"type\":\"string\"}}}]}",
         "tools[0].function.parameters.type"},
        {",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":"
         "{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"thing\"}}}}}]}",
         "tools[0].function.parameters.properties.x.type"},
        {",\"unknown\":0}", "unknown"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) struct arena *arena = arena_open(16 * MIB);
        struct infer_call call;
        struct status st = {0};
        check_case(cases[i].more);
        assert_false(read_call(
            arena, arena_cstr(arena, arena_format(arena, HEAD "%s", cases[i].more)), &call, &st));
        assert_int_equal(st.code, STATUS_INVALID);
        assert_string_equal(st.field, cases[i].field);
    }
}

static void the_guard(void **state)
{
    (void)state;
    struct text guard = infer_call_guard();
    assert_int_equal(guard.len, 12);
    assert_true(text_utf8_valid(guard));
    assert_true(text_equal(guard, infer_call_guard()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything), cmocka_unit_test(defaults),
        cmocka_unit_test(messages),   cmocka_unit_test(limits_of_two_names),
        cmocka_unit_test(refused),    cmocka_unit_test(the_guard)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
