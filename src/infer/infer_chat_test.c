#include "infer_chat.h"
#include "check.h"

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
        struct infer_chat *chat = NULL;
        struct infer_chat_output out = {0};
        struct status st = {0};
        check_case(cases[i].name);
        if (!infer_chat_open(NULL, cases[i].source, &chat, &st))
            fail_msg("%s", st.text);
        struct infer_chat_input input = {.messages = cases[i].messages};
        bool ok = infer_chat_apply(chat, &input, &out, &st);
        if (cases[i].prompt != NULL) {
            if (!ok)
                fail_msg("%s", st.text);
            check_text(text_of(out.prompt), cases[i].prompt);
            assert_string_equal(out.stops, "[]");
            assert_string_equal(out.grammar, "");
        } else {
            assert_false(ok);
            assert_int_equal(st.code, STATUS_INVALID);
            if (strstr(st.text, cases[i].says) == NULL)
                fail_msg("%s", st.text);
        }
        infer_chat_output_free(&out);
        infer_chat_close(chat);
    }
}

static void bad_templates(void **state)
{
    (void)state;
    static const char *const sources[] = {"{% for %}", "{{ unclosed", "{% if x %}",
                                          "{% nonsense %}"};
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        struct infer_chat *chat = NULL;
        struct status st = {0};
        check_case(sources[i]);
        assert_false(infer_chat_open(NULL, sources[i], &chat, &st));
        assert_int_equal(st.code, STATUS_INVALID);
    }
}

/* What tools and schemas will need: a grammar comes out. */
static void schema_gives_a_grammar(void **state)
{
    (void)state;
    struct infer_chat *chat = NULL;
    struct infer_chat_output out = {0};
    struct status st = {0};
    assert_true(infer_chat_open(NULL, chatml, &chat, &st));
    struct infer_chat_input input = {
        .messages = "[" USER("hi") "]",
        .json_schema = "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}}}"};
    if (!infer_chat_apply(chat, &input, &out, &st))
        fail_msg("%s", st.text);
    assert_non_null(strstr(out.grammar, "root"));
    infer_chat_output_free(&out);
    infer_chat_close(chat);
    infer_chat_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(prompts), cmocka_unit_test(bad_templates),
                                       cmocka_unit_test(schema_gives_a_grammar)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
