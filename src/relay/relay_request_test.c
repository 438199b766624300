#include "relay_request.h"
#include "check.h"

#define MESSAGES "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

/* Wrong input, the field that is named, and words of the text. */
static const struct {
    const char *name, *body, *field, *text;
} bad[] = {
    {"no JSON", "{", "", "not valid JSON: line 1"},
    {"an array", "[]", "", "must be an object, not an array"},
    {"no model", "{" MESSAGES "}", "model", "missing"},
    {"a null model", "{\"model\":null," MESSAGES "}", "model", "must be a string"},
    {"an empty model", "{\"model\":\"\"," MESSAGES "}", "model", "1 to 256"},
    {"no messages", "{\"model\":\"m\"}", "messages", "missing"},
    {"empty messages", "{\"model\":\"m\",\"messages\":[]}", "messages", "1 to 4096"},
    {"messages of a wrong kind", "{\"model\":\"m\",\"messages\":\"x\"}", "messages", "an array"},
    {"a message that is text", "{\"model\":\"m\",\"messages\":[\"x\"]}", "messages[0]",
     "must be an object, not a string"},
    {"no role", "{\"model\":\"m\",\"messages\":[{\"content\":\"x\"}]}", "messages[0].role",
     "missing"},
    {"an unknown role",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"king\"}]}",
     "messages[1].role", "must be user"},
    {"a role twice",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"role\":\"system\",\"content\":\"x\"}]}",
     "messages[0]", "role twice"},
    {"no content", "{\"model\":\"m\",\"messages\":[{\"role\":\"user\"}]}", "messages[0].content",
     "missing"},
    {"content that is a number",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":1}]}", "messages[0].content",
     "a string or an array"},
    {"a part without a type",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{}]}]}",
     "messages[0].content[0].type", "missing"},
    {"a part without text",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]}",
     "messages[0].content[0].text", "missing"},
    {"the model twice", "{\"model\":\"m\"," MESSAGES ",\"model\":\"x\"}", "model", "twice"},
    {"the model twice, once in disguise", "{\"model\":\"m\"," MESSAGES ",\"m\\u006fdel\":\"x\"}",
     "model", "twice"},
    {"a hot temperature", "{\"model\":\"m\",\"temperature\":2.1," MESSAGES "}", "temperature",
     "between 0 and 2"},
    {"temperature as text", "{\"model\":\"m\",\"temperature\":\"1\"," MESSAGES "}", "temperature",
     "must be a number, not a string"},
    {"half an n", "{\"model\":\"m\",\"n\":1.5," MESSAGES "}", "n", "a whole number"},
    {"no tokens", "{\"model\":\"m\",\"max_tokens\":0," MESSAGES "}", "max_tokens", "between 1"},
    {"stream as text", "{\"model\":\"m\",\"stream\":\"yes\"," MESSAGES "}", "stream",
     "true or false"},
    {"options without a stream",
     "{\"model\":\"m\",\"stream_options\":{\"include_usage\":true}," MESSAGES "}", "stream_options",
     "needs stream"},
    {"an option of a wrong kind",
     "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":1}," MESSAGES "}",
     "stream_options.include_usage", "true or false"},
    {"a stop that is a number", "{\"model\":\"m\",\"stop\":[\"a\",1]," MESSAGES "}", "stop[1]",
     "a string"},
    {"a bias without a token", "{\"model\":\"m\",\"logit_bias\":{\"x\":1}," MESSAGES "}",
     "logit_bias", "token numbers"},
    {"a bias out of range", "{\"model\":\"m\",\"logit_bias\":{\"1\":101}," MESSAGES "}",
     "logit_bias", "-100 to 100"},
    {"an unknown format", "{\"model\":\"m\",\"response_format\":{\"type\":\"xml\"}," MESSAGES "}",
     "response_format.type", "json_schema"},
    {"a schema that is missing",
     "{\"model\":\"m\",\"response_format\":{\"type\":\"json_schema\"}," MESSAGES "}",
     "response_format.json_schema", "missing"},
    {"a tool without a type", "{\"model\":\"m\",\"tools\":[{}]," MESSAGES "}", "tools[0].type",
     "missing"},
};

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO(arena) struct arena *arena = arena_open(MIB);
        struct relay_request request;
        struct status st = {0};
        check_case(bad[i].name);
        assert_false(relay_request_read(RELAY_CHAT, text_of(bad[i].body), arena, &request, &st));
        assert_int_equal(st.code, STATUS_INVALID);
        assert_string_equal(st.field, bad[i].field);
        if (strstr(st.text, bad[i].text) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", st.text, bad[i].text);
    }
}

/* A body, what is sent to a local model, and what to another upstream. */
static const struct {
    const char *name, *body, *local, *other;
} rewritten[] = {
    {"only the model's name", " {\"model\":\"m\", " MESSAGES "} ",
     "{\"model\":\"big/\\\"x\", " MESSAGES "}", NULL},
    {"nulls are absent", "{\"temperature\":null,\"stop\":null,\"model\":\"m\"," MESSAGES "}",
     "{\"temperature\":null,\"stop\":null,\"model\":\"big/\\\"x\"," MESSAGES "}", NULL},
    {"usage is asked for", "{" MESSAGES ",\"stream\":true,\"model\":\"m\"}",
     "{" MESSAGES ",\"stream\":true,\"model\":\"big/\\\"x\""
     ",\"stream_options\":{\"include_usage\":true}}",
     NULL},
    {"in place of the options given",
     "{\"stream_options\":{\"include_usage\":false},\"stream\":true," MESSAGES ",\"model\":\"m\"}",
     "{\"stream_options\":{\"include_usage\":true},\"stream\":true," MESSAGES
     ",\"model\":\"big/\\\"x\"}",
     NULL},
    {"in place of options that are null",
     "{\"stream\":true,\"stream_options\":null," MESSAGES ",\"model\":\"m\"}",
     "{\"stream\":true,\"stream_options\":{\"include_usage\":true}," MESSAGES
     ",\"model\":\"big/\\\"x\"}",
     NULL},
    {"options that are null without a stream",
     "{\"stream_options\":null," MESSAGES ",\"model\":\"m\"}",
     "{\"stream_options\":null," MESSAGES ",\"model\":\"big/\\\"x\"}", NULL},
    {"options that ask for it stay",
     "{\"stream_options\":{\"include_usage\":true,\"x\":1},\"stream\":true," MESSAGES
     ",\"model\":\"m\"}",
     "{\"stream_options\":{\"include_usage\":true,\"x\":1},\"stream\":true," MESSAGES
     ",\"model\":\"big/\\\"x\"}",
     NULL},
    {"what only platforms know",
     "{\"user\":\"u\",\"model\":\"m\",\"store\":true,\"metadata\":{\"a\":\"b\"}," MESSAGES "}",
     "{\"user\":null,\"model\":\"big/\\\"x\",\"store\":null,\"metadata\":null," MESSAGES "}",
     "{\"user\":\"u\",\"model\":\"big/\\\"x\",\"store\":true,\"metadata\":{\"a\":\"b\"}," MESSAGES
     "}"},
};

static void rewrites(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rewritten); i++) {
        AUTO(arena) struct arena *arena = arena_open(MIB);
        struct relay_request request;
        struct status st = {0};
        check_case(rewritten[i].name);
        assert_true(
            relay_request_read(RELAY_CHAT, text_of(rewritten[i].body), arena, &request, &st));
        check_text(relay_request_body(&request, TEXT("big/\"x"), true, arena), rewritten[i].local);
        check_text(relay_request_body(&request, TEXT("big/\"x"), false, arena),
                   rewritten[i].other == NULL ? rewritten[i].local : rewritten[i].other);
    }
}

/* Each documented field with a good value. */
static void takes_every_field(void **state)
{
    (void)state;
    static const char body[] =
        "{\"model\":\"a\\u0062\",\"messages\":["
        "{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"developer\",\"content\":\"d\"},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"},"
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:\"}}],\"name\":\"n\"},"
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[]},"
        "{\"role\":\"tool\",\"content\":\"42\",\"tool_call_id\":\"c\"}],"
        "\"stream\":true,\"stream_options\":{\"include_usage\":true,\"include_obfuscation\":false},"
        "\"temperature\":2,\"top_p\":1,\"top_k\":40,\"min_p\":0.05,\"max_tokens\":10,"
        "\"max_completion_tokens\":7,\"n\":2,\"stop\":[\"a\",\"b\"],\"seed\":-1,"
        "\"frequency_penalty\":-2,\"presence_penalty\":2,\"logit_bias\":{\"50256\":-100},"
        "\"logprobs\":true,\"top_logprobs\":20,\"response_format\":{\"type\":\"json_schema\","
        "\"json_schema\":{}},\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],"
        "\"tool_choice\":\"auto\",\"parallel_tool_calls\":true,\"store\":false,\"metadata\":{},"
        "\"user\":\"u\",\"safety_identifier\":\"s\",\"prompt_cache_key\":\"k\","
        "\"prompt_cache_retention\":\"24h\",\"service_tier\":\"auto\",\"prediction\":{},"
        "\"reasoning_effort\":\"low\",\"verbosity\":\"low\"}";
    AUTO(arena) struct arena *arena = arena_open(MIB);
    struct relay_request request;
    struct status st = {0};
    if (!relay_request_read(RELAY_CHAT, text_of(body), arena, &request, &st))
        fail_msg("%s", st.text);
    check_text(request.model, "ab");
    assert_true(request.stream && request.include_usage);
    assert_int_equal(request.n, 2);
    assert_int_equal(request.tokens_max, 7);
    assert_true(relay_request_for_local(&request, &st));
}

static void local_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *member, *field;
    } table[] = {
        {"\"audio\":{\"voice\":\"x\"}", "audio"},
        {"\"web_search_options\":{}", "web_search_options"},
        {"\"no_such_field\":1", "no_such_field"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO(arena) struct arena *arena = arena_open(MIB);
        struct relay_request request;
        struct status st = {0};
        check_case(table[i].member);
        struct text body =
            arena_format(arena, "{\"model\":\"m\",%s,%s}", table[i].member, MESSAGES);
        assert_true(relay_request_read(RELAY_CHAT, body, arena, &request, &st));
        assert_false(relay_request_for_local(&request, &st));
        assert_int_equal(st.code, STATUS_INVALID);
        assert_string_equal(st.field, table[i].field);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses),
        cmocka_unit_test(rewrites),
        cmocka_unit_test(takes_every_field),
        cmocka_unit_test(local_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
