#include "model_chat.h"
#include "check.h"
#include "grammar.h"
#include "grammar_matcher.h"
#include <stdio.h>

static const char chatml[] =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+"
    " '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    "{% endif %}";
static const char headers[] = /* in the manner of Llama 3 */
    "{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + "
    "'<|end_header_id|>\\n\\n'"
    " + message['content'] | trim + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}";
static const char turns[] = /* in the manner of Gemma: no system role, the assistant is the model */
    "{%- if messages[0]['role'] == 'system' -%}{{ raise_exception('System role not supported') }}"
    "{%- endif -%}{%- for message in messages -%}{%- if (message['role'] == 'user') != "
    "(loop.index0 % 2 == 0) -%}{{ raise_exception('Roles must alternate') }}{%- endif -%}"
    "{%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}"
    "{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}";
static const char brackets[] = /* in the manner of Mistral, with a namespace and a slice */
    "{%- set ns = namespace(system='') -%}{%- if messages[0].role == 'system' -%}"
    "{%- set ns.system = messages[0].content ~ '\\n\\n' -%}{%- set messages = messages[1:] -%}"
    "{%- endif -%}{%- for m in messages -%}{%- if m.role == 'user' -%}[INST] "
    "{{ (ns.system if loop.last else '') + m.content }} [/INST]{%- else -%}{{ ' ' + m.content }}"
    "</s>{%- endif -%}{%- endfor -%}";

#define USER(text) "{\"role\":\"user\",\"content\":\"" text "\"}"
#define SYSTEM(text) "{\"role\":\"system\",\"content\":\"" text "\"}"
#define ASSISTANT(text) "{\"role\":\"assistant\",\"content\":\"" text "\"}"

static const struct {
    const char *name, *source, *messages, *prompt; /* prompt NULL: refused */
    const char *says;
} cases[] = {
    {"chatml", chatml, "[" SYSTEM("be brief") "," USER("hi") "]",
     "<|im_start|>system\nbe "
     "brief<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
     NULL},
    {"text is no template", chatml, "[" USER("{{ 7 * 7 }} {% raw %}") "]",
     "<|im_start|>user\n{{ 7 * 7 }} {% raw %}<|im_end|>\n<|im_start|>assistant\n", NULL},
    {"characters", chatml, "[" USER("\\ud83d\\ude00 \\u65e5 \\\"q\\\" \\n") "]",
     "<|im_start|>user\n\xf0\x9f\x98\x80 \xe6\x97\xa5 \"q\" \n<|im_end|>\n<|im_start|>assistant\n",
     NULL},
    {"headers", headers, "[" USER("  hi ") "," ASSISTANT("yes") "," USER("and?") "]",
     "<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\nyes<|eot_id|>"
     "<|start_header_id|>user<|end_header_id|>\n\nand?<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\n",
     NULL},
    {"turns", turns, "[" USER("hi") "]",
     "<start_of_turn>user\nhi<end_of_turn>\n<start_of_turn>model\n", NULL},
    {"turns, system folded in", turns, "[" SYSTEM("be brief") "," USER("hi") "]",
     "<start_of_turn>user\nbe brief\nhi<end_of_turn>\n<start_of_turn>model\n", NULL},
    {"turns, refused", turns, "[" USER("hi") "," USER("again") "]", NULL, "Roles must alternate"},
    {"brackets", brackets, "[" SYSTEM("sys") "," USER("a") "," ASSISTANT("b") "," USER("c") "]",
     "[INST] a [/INST] b</s>[INST] sys\n\nc [/INST]", NULL},
    {"no list", chatml, "{}", NULL, "messages"},
    {"no role", chatml, "[{\"content\":\"x\"}]", NULL, "role"},
};

static void prompts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct model_chat *chat = NULL;
        struct model_chat_output out = {0};
        struct status st = {0};
        check_case(cases[i].name);
        if (!model_chat_open(NULL, cases[i].source, &chat, &st))
            fail_msg("%s", st.text);
        struct model_chat_input input = {.messages = cases[i].messages};
        bool ok = model_chat_apply(chat, &input, &out, &st);
        if (cases[i].prompt != NULL) {
            if (!ok)
                fail_msg("%s", st.text);
            check_text(text_of(out.prompt), cases[i].prompt);
            assert_null(out.stops[0]);
            assert_null(out.format);
            assert_string_equal(out.grammar, "");
        } else {
            assert_false(ok);
            assert_int_equal(st.code, STATUS_INVALID);
            if (strstr(st.text, cases[i].says) == NULL)
                fail_msg("%s", st.text);
        }
        model_chat_output_free(&out);
        model_chat_close(chat);
    }
}

static void bad_templates(void **state)
{
    (void)state;
    static const char *const sources[] = {"{% for %}", "{{ unclosed", "{% if x %}",
                                          "{% nonsense %}"};
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        struct model_chat *chat = NULL;
        struct status st = {0};
        check_case(sources[i]);
        assert_false(model_chat_open(NULL, sources[i], &chat, &st));
        assert_int_equal(st.code, STATUS_INVALID);
    }
}

/* In the manner of Hermes: functions in the system's turn, calls between tags. */
static const char tags[] =
    "{%- if tools %}{{- '<|im_start|>system\\n# Tools\\n<tools>' }}{%- for tool in tools %}"
    "{{- '\\n' }}{{- tool | tojson }}{%- endfor %}{{- '\\n</tools>\\nFor each call return a json "
    "object in tags:\\n<tool_call>\\n{\"name\": <name>, \"arguments\": <arguments>}\\n</tool_call>"
    "<|im_end|>\\n' }}{%- endif %}{%- for message in messages %}{%- if message.role == 'assistant' "
    "and message.tool_calls %}{{- '<|im_start|>assistant' }}{%- if message.content %}{{- '\\n' + "
    "message.content }}{%- endif %}{%- for tool_call in message.tool_calls %}{%- if "
    "tool_call.function %}{%- set tool_call = tool_call.function %}{%- endif %}{{- "
    "'\\n<tool_call>\\n{\"name\": \"' }}{{- tool_call.name }}{{- '\", \"arguments\": ' }}{{- "
    "tool_call.arguments | tojson }}{{- '}\\n</tool_call>' }}{%- endfor %}{{- '<|im_end|>\\n' }}"
    "{%- elif message.role == 'tool' %}{{- '<|im_start|>user\\n<tool_response>\\n' + "
    "message.content + '\\n</tool_response><|im_end|>\\n' }}{%- else %}{{- '<|im_start|>' + "
    "message.role + '\\n' + message.content + '<|im_end|>\\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}";
/* In the manner of Qwen 3 and DeepSeek: thoughts first. */
static const char thoughts[] =
    "{%- for message in messages %}{%- if message.role == 'assistant' %}{%- set content = "
    "message.content %}{%- set reasoning = '' %}{%- if message.reasoning_content %}{%- set "
    "reasoning = message.reasoning_content %}{%- endif %}{%- if reasoning %}{{- '<|im_start|>"
    "assistant\\n<think>\\n' + reasoning + '\\n</think>\\n\\n' + content + '<|im_end|>\\n' }}"
    "{%- else %}{{- '<|im_start|>assistant\\n' + content + '<|im_end|>\\n' }}{%- endif %}"
    "{%- else %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endif %}{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>"
    "\\n\\n' }}{%- endif %}{%- endif %}";

static const char weather[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"weather\",\"description\":\"d\","
    "\"parameters\":{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"},\"days\":"
    "{\"type\":\"integer\"}},\"required\":[\"city\"]}}}]";

/* What a reader made, as one text: [c:…] content, [r:…] thoughts, [f0:…] a call, [a0:…]. */
struct told {
    char text[2000];
    size_t len;
    int kind;
    uint32_t call;
};

static void tell(void *arg, const struct model_part *part)
{
    struct told *told = arg;
    if (told->len == 0 || told->kind != (int)part->kind || told->call != part->call)
        told->len += (size_t)snprintf(told->text + told->len, sizeof told->text - told->len,
                                      "[%c%u]", "crfa"[part->kind], part->call);
    told->kind = (int)part->kind;
    told->call = part->call;
    told->len += (size_t)snprintf(told->text + told->len, sizeof told->text - told->len, "%.*s",
                                  TEXT_ARG(part->text));
}

/* Whatever the pieces, the same parts. */
static void check_reads(const struct model_chat_format *format, const char *answer,
                        const char *want)
{
    for (size_t step = 1; step <= 64; step *= 4) {
        struct told told = {.len = 0};
        AUTO(model_reader) struct model_reader *reader = model_chat_reader_new(format);
        struct text rest = text_of(answer);
        for (; rest.len > step; rest = text_skip(rest, step))
            model_reader_add(reader, text_take(rest, step), false, tell, &told);
        model_reader_add(reader, rest, true, tell, &told);
        assert_string_equal(told.text, want);
    }
}

/* Every byte is a token. */
static size_t byte_of(void *arg, int32_t token, char *out)
{
    (void)arg;
    *out = (char)token;
    return token != 0;
}

/* Whether the answer follows the grammar, as far as it goes; `then` may not come next. */
static void check_follows(const struct model_chat_output *out, const char *answer, char then)
{
    struct status st = {0};
    AUTO(grammar) struct grammar *grammar = NULL;
    AUTO(grammar_pieces)
    struct grammar_pieces *pieces = grammar_pieces_new(256, byte_of, NULL, NULL, 0);
    if (!grammar_compile(text_of(out->grammar), &grammar, &st))
        fail_msg("%s\n%s", st.text, out->grammar);
    struct grammar_start start = {.written = text_of(out->written)};
    for (size_t i = 0; i < out->triggers_count; i++)
        start.triggers[start.triggers_count++] =
            (struct grammar_trigger){text_of(out->triggers[i].text), out->triggers[i].before,
                                     out->triggers[i].at_start, out->triggers[i].at_end};
    AUTO(grammar_matcher) struct grammar_matcher *m = grammar_matcher_new(grammar, pieces, &start);
    for (const char *c = answer; *c != 0; c++) {
        if (!grammar_matcher_allows(m, *c))
            fail_msg("not %s\n%s", c, out->grammar);
        grammar_matcher_accept(m, *c);
    }
    assert_false(grammar_matcher_stuck(m));
    assert_false(grammar_matcher_allows(m, then));
}

static void own_calls(void **state)
{
    (void)state;
    struct model_chat *chat = NULL;
    struct model_chat_output out = {0};
    struct status st = {0};
    assert_true(model_chat_open(NULL, tags, &chat, &st));
    assert_true(model_chat_takes_tools(chat));
    struct model_chat_input input = {
        .messages = "[" USER("hi") "]", .tools = weather, .must_call = true, .parallel = true};
    if (!model_chat_apply(chat, &input, &out, &st))
        fail_msg("%s", st.text);
    assert_non_null(strstr(out.prompt, "\"weather\""));
    assert_non_null(strstr(out.grammar, "root ::= "));
    assert_false(out.lazy);
    AUTO(grammar) struct grammar *grammar = NULL;
    if (!grammar_compile(text_of(out.grammar), &grammar, &st))
        fail_msg("%s\n%s", st.text, out.grammar);
    check_follows(&out, "<tool_call>\n{\"name\": \"weather\"", 'x');
    assert_non_null(out.format);
    check_reads(out.format,
                "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n"
                "</tool_call>\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": "
                "\"Oslo\", \"days\": 2}}\n</tool_call>",
                "[f0]weather[a0]{\"city\": \"Rome\"}[f1]weather[a1]{\"city\": \"Oslo\", \"days\": "
                "2}");
    model_chat_output_free(&out);
    input.must_call = false;
    assert_true(model_chat_apply(chat, &input, &out, &st));
    assert_true(out.lazy);
    assert_non_null(strstr(out.triggers[0].text, "<tool_call>"));
    check_reads(out.format, "Only words.", "[c0]Only words.");
    model_chat_output_free(&out);
    input.messages =
        "[" USER("hi") ",{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{"
                       "\"id\":\"1\",\"type\":\"function\",\"function\":{\"name\":\"weather\","
                       "\"arguments\":\"{\\\"city\\\":\\\"Rome\\\"}\"}}]},{\"role\":\"tool\","
                       "\"tool_call_id\":\"1\",\"content\":\"sunny\"}]";
    assert_true(model_chat_apply(chat, &input, &out, &st));
    assert_non_null(strstr(out.prompt, "\"city\""));
    assert_non_null(strstr(out.prompt, "<tool_response>\nsunny"));
    model_chat_output_free(&out);
    model_chat_close(chat);
}

static void own_thoughts(void **state)
{
    (void)state;
    struct model_chat *chat = NULL;
    struct model_chat_output out = {0};
    struct status st = {0};
    assert_true(model_chat_open(NULL, thoughts, &chat, &st));
    assert_true(model_chat_thinks(chat));
    assert_false(model_chat_takes_tools(chat));
    struct model_chat_input input = {.messages = "[" USER("hi") "]"};
    if (!model_chat_apply(chat, &input, &out, &st))
        fail_msg("%s", st.text);
    check_reads(out.format, "<think>\nhm, hm\n</think>\n\nYes.", "[r0]hm, hm\n[c0]Yes.");
    check_reads(out.format, "Yes, at once.", "[c0]Yes, at once.");
    model_chat_output_free(&out);
    input.no_thoughts = true;
    assert_true(model_chat_apply(chat, &input, &out, &st));
    assert_non_null(strstr(out.prompt, "</think>"));
    model_chat_output_free(&out);
    model_chat_close(chat);
    model_chat_close(NULL);
}

/* The default model's: tools would be dropped without a word. */
static void none_of_either(void **state)
{
    (void)state;
    static const char *const sources[] = {chatml, headers, turns, brackets};
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        struct model_chat *chat = NULL;
        struct status st = {0};
        assert_true(model_chat_open(NULL, sources[i], &chat, &st));
        assert_false(model_chat_takes_tools(chat) || model_chat_thinks(chat));
        model_chat_close(chat);
    }
}

/* In the manner of gpt-oss: control tokens stand in the answer, and calls are known by patterns. */
static const char channels[] =
    "{#- <|channel|> #}{%- if tools %}<|start|>developer<|message|>{{ tools | tojson }}<|end|>"
    "{%- endif %}{%- for m in messages %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>"
    "{%- endfor %}{%- if add_generation_prompt %}<|start|>assistant{%- endif %}";
/* In the manner of Mistral. */
static const char marks[] =
    "{#- [ARGS] [TOOL_CALLS] #}{%- if tools %}[AVAILABLE_TOOLS]{{ tools | tojson }}"
    "[/AVAILABLE_TOOLS]{%- endif %}{%- for m in messages %}{%- if m.role == 'user' %}[INST]"
    "{{ m.content }}[/INST]{%- elif m.role == 'system' %}[SYSTEM_PROMPT]{{ m.content }}"
    "[/SYSTEM_PROMPT]{%- endif %}{%- endfor %}";
/* In the manner of functionary: a call is what is not for all. */
static const char arrows[] =
    "{#- >>>${recipient} #}{%- if tools %}{{ tools | tojson }}{%- endif %}{%- for m in messages %}"
    "<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{%- if m.role == 'assistant' %}>>>all\n"
    "{%- endif %}{{ m.content }}<|eot_id|>{%- endfor %}{%- if add_generation_prompt %}"
    "<|start_header_id|>assistant<|end_header_id|>\n\n>>>{%- endif %}";

static void open_with_tools(const char *source, bool must_call, struct model_chat **chat,
                            struct model_chat_output *out)
{
    struct status st = {0};
    if (!model_chat_open(NULL, source, chat, &st))
        fail_msg("%s", st.text);
    assert_true(model_chat_takes_tools(*chat));
    struct model_chat_input input = {
        .messages = "[" USER("hi") "]", .tools = weather, .must_call = must_call};
    if (!model_chat_apply(*chat, &input, out, &st))
        fail_msg("%s", st.text);
    assert_non_null(strstr(out->prompt, "\"weather\""));
}

static void check_kept(const struct model_chat *chat, const char *const *want, size_t count)
{
    const char *const *kept = model_chat_kept(chat);
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;
        while (kept[k] != NULL && strcmp(kept[k], want[i]) != 0)
            k++;
        if (kept[k] == NULL)
            fail_msg("%s is not kept", want[i]);
    }
}

#define CALL " to=functions.weather"
#define ROME "{\"city\": \"Rome\"}"

static void calls_known_by_patterns(void **state)
{
    (void)state;
    static const char *const kept[] = {"<|channel|>", "<|constrain|>", "<|message|>", "<|start|>",
                                       "<|end|>"};
    static const struct {
        const char *text;
        size_t before;
        bool at_start, at_end;
    } triggers[] = {
        {" to", 0, true, true},
        {"<|channel|>commentary to=functions", 0, true, true},
        {"<|channel|>analysis to=functions", 0, true, true},
        {"<|start|>assistant to", 18, false, false},
        {"<|start|>assistant<|channel|>commentary to", 18, false, false},
        {"<|start|>assistant<|channel|>analysis to", 18, false, false},
    };
    struct model_chat *chat = NULL;
    struct model_chat_output out = {0};
    open_with_tools(channels, true, &chat, &out);
    check_kept(chat, kept, ARRAY_LEN(kept));
    assert_false(out.lazy);
    assert_string_equal(out.written, "<|start|>assistant");
    check_follows(&out, "<|channel|>commentary" CALL "<|message|>{\"city\"", 'x');
    check_follows(&out,
                  "<|channel|>analysis<|message|>hm<|end|><|start|>assistant" CALL
                  "<|channel|>commentary json<|message|>{\"city\"",
                  'x');
    model_chat_output_free(&out);
    model_chat_close(chat);

    open_with_tools(channels, false, &chat, &out);
    assert_true(out.lazy);
    assert_string_equal(out.written, "");
    assert_int_equal(out.triggers_count, ARRAY_LEN(triggers));
    for (size_t i = 0; i < ARRAY_LEN(triggers); i++) {
        check_case(triggers[i].text);
        assert_string_equal(out.triggers[i].text, triggers[i].text);
        assert_int_equal(out.triggers[i].before, triggers[i].before);
        assert_int_equal(out.triggers[i].at_start, triggers[i].at_start);
        assert_int_equal(out.triggers[i].at_end, triggers[i].at_end);
    }
    check_follows(&out, "<|channel|>commentary" CALL, '!');
    check_follows(&out, CALL "<|channel|>commentary<|message|>{\"city\"", 'x');
    check_follows(&out,
                  "<|channel|>analysis<|message|>they go to=x<|end|><|start|>assistant<|channel|>"
                  "commentary" CALL " <|constrain|>json<|message|>{\"city\"",
                  'x');
    check_reads(
        out.format,
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary" CALL
        " <|constrain|>json<|message|>" ROME,
        "[r0]hm[f0]weather[a0]" ROME);
    check_reads(out.format,
                "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final"
                "<|message|>Yes.",
                "[r0]hm[c0]Yes.");
    model_chat_output_free(&out);
    model_chat_close(chat);
}

static void calls_with_tokens_of_their_own(void **state)
{
    (void)state;
    static const char *const kept[] = {"[TOOL_CALLS]", "[ARGS]", "[THINK]", "[/THINK]"};
    struct model_chat *chat = NULL;
    struct model_chat_output out = {0};
    open_with_tools(marks, true, &chat, &out);
    check_kept(chat, kept, ARRAY_LEN(kept));
    check_follows(&out, "[TOOL_CALLS]weather[ARGS]{\"city\"", 'x');
    model_chat_output_free(&out);
    model_chat_close(chat);
    open_with_tools(marks, false, &chat, &out);
    assert_int_equal(out.triggers_count, 1);
    check_follows(&out, "I look. [TOOL_CALLS]weather[ARGS]{\"city\"", 'x');
    check_reads(out.format, "I look.[TOOL_CALLS]weather[ARGS]" ROME,
                "[c0]I look.[f0]weather[a0]" ROME);
    model_chat_output_free(&out);
    model_chat_close(chat);
}

/* Its pattern stands for no few texts: the answer is free, and read. One that must be a call is
 * held to the grammar all the same. */
static void calls_that_are_only_read(void **state)
{
    (void)state;
    struct model_chat *chat = NULL;
    struct model_chat_output out = {0};
    open_with_tools(arrows, false, &chat, &out);
    assert_true(out.lazy);
    assert_int_equal(out.triggers_count, 0);
    assert_string_equal(out.grammar, "");
    check_reads(out.format, "weather\n" ROME, "[f0]weather[a0]" ROME);
    check_reads(out.format, "all\nYes.", "[c0]Yes.");
    model_chat_output_free(&out);
    model_chat_close(chat);
    open_with_tools(arrows, true, &chat, &out);
    assert_non_null(strstr(out.written, ">>>"));
    check_follows(&out, "weather\n{\"city\"", 'x');
    model_chat_output_free(&out);
    model_chat_close(chat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(prompts),
                                       cmocka_unit_test(bad_templates),
                                       cmocka_unit_test(own_calls),
                                       cmocka_unit_test(own_thoughts),
                                       cmocka_unit_test(none_of_either),
                                       cmocka_unit_test(calls_known_by_patterns),
                                       cmocka_unit_test(calls_with_tokens_of_their_own),
                                       cmocka_unit_test(calls_that_are_only_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
