#include "infer_tools.h"
#include "check.h"
#include "grammar.h"
#include "grammar_schema.h"
#include <stdio.h>

/* What a reader made: [c] content, [f0] a call's name, [a0] its arguments. */
struct told {
    char text[2000];
    size_t len;
    int kind;
    uint32_t call;
};

static void tell(void *arg, const struct model_part *part)
{
    struct told *told = arg;
    assert_true(part->text.len > 0 && text_utf8_valid(part->text));
    if (told->len == 0 || told->kind != (int)part->kind || told->call != part->call)
        told->len += (size_t)snprintf(told->text + told->len, sizeof told->text - told->len,
                                      "[%c%u]", "crfa"[part->kind], part->call);
    told->kind = (int)part->kind;
    told->call = part->call;
    told->len += (size_t)snprintf(told->text + told->len, sizeof told->text - told->len, "%.*s",
                                  TEXT_ARG(part->text));
}

static void answers(void **state)
{
    (void)state;
#define CALL(name, arguments)                                                                      \
    "<tool_call>{\"name\": \"" name "\", \"arguments\": " arguments "}</tool_call>"
    static const struct {
        const char *answer, *want;
    } cases[] = {
        {"", ""},
        {"Only words.", "[c0]Only words."},
        {"a < b <tool and <tool_cal", "[c0]a < b <tool and <tool_cal"},
        {CALL("f", "{}"), "[f0]f[a0]{}"},
        {CALL("f", "{\"a\": [1, {\"b\": \"}\\\"]\"}]}"),
         "[f0]f[a0]{\"a\": [1, {\"b\": \"}\\\"]\"}]}"},
        {CALL("f", "{\"x\": 1}") "\n" CALL("g-2", "{}"), "[f0]f[a0]{\"x\": 1}[f1]g-2[a1]{}"},
        {"Let me see. " CALL("f", "{}"), "[c0]Let me see. [f0]f[a0]{}"},
        /* cut off by the length */
        {"<tool_call>{\"name\": \"f", ""},
        {"<tool_call>{\"name\": \"f\", \"argum", "[f0]f"},
        {"<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1", "[f0]f[a0]{\"a\": 1"},
        /* not our form */
        {"<tool_call>nonsense", "[c0]<tool_call>nonsense"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t step = 1; step <= 64; step *= 2) {
            struct told told = {.len = 0};
            AUTO(model_reader) struct model_reader *reader = infer_tools_reader_new();
            struct text rest = text_of(cases[i].answer);
            check_case(cases[i].answer);
            for (; rest.len > step; rest = text_skip(rest, step))
                model_reader_add(reader, text_take(rest, step), false, tell, &told);
            model_reader_add(reader, rest, true, tell, &told);
            assert_string_equal(told.text, cases[i].want);
        }
}

static bool read_tools(struct arena *arena, const char *body, struct infer_tools *out,
                       struct status *st)
{
    json_t *root;
    if (!json_read_in(arena, text_of(body), NULL, &root, st))
        fail_msg("%s", st->text);
    struct json_at at = json_at_root(root);
    return infer_tools_read(&at, arena, out, st);
}

#define TWO                                                                                        \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\","        \
    "\"parameters\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}}}}},"        \
    "{\"type\":\"function\",\"function\":{\"name\":\"g\"}}]"

static void choices(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum infer_tools_choice choice;
        size_t count;
        bool parallel;
    } cases[] = {
        {"{}", INFER_TOOLS_NONE, 0, true},
        {"{\"tools\":[],\"tool_choice\":\"auto\"}", INFER_TOOLS_NONE, 0, true},
        {"{" TWO "}", INFER_TOOLS_AUTO, 2, true},
        {"{" TWO ",\"tool_choice\":\"none\"}", INFER_TOOLS_NONE, 2, true},
        {"{" TWO ",\"tool_choice\":\"required\",\"parallel_tool_calls\":false}",
         INFER_TOOLS_REQUIRED, 2, false},
        {"{" TWO ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"g\"}}}",
         INFER_TOOLS_REQUIRED, 1, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) struct arena *arena = arena_open(MIB);
        struct infer_tools tools;
        struct status st = {0};
        check_case(cases[i].body);
        if (!read_tools(arena, cases[i].body, &tools, &st))
            fail_msg("%s", st.text);
        assert_int_equal(tools.choice, cases[i].choice);
        assert_int_equal(tools.count, cases[i].count);
        assert_int_equal(tools.parallel, cases[i].parallel);
    }
}

static void told_and_constrained(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(16 * MIB);
    AUTO(grammar) struct grammar *grammar = NULL;
    struct infer_tools tools;
    struct status st = {0};
    struct text_buf told = text_buf_in(arena, MIB), gbnf = text_buf_in(arena, MIB);
    assert_true(read_tools(arena, "{" TWO "}", &tools, &st));
    infer_tools_describe(&tools, &told);
    assert_true(text_find(text_buf_text(&told), TEXT("\"name\":\"f\"")) < told.len);
    text_buf_add(&gbnf, TEXT("root ::= calls\n"));
    assert_true(infer_tools_add_grammar(&tools, &gbnf, &st));
    grammar_schema_add_basics(&gbnf);
    if (!grammar_compile(text_buf_text(&gbnf), &grammar, &st))
        fail_msg("%s\n%.*s", st.text, TEXT_ARG(text_buf_text(&gbnf)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers), cmocka_unit_test(choices),
                                       cmocka_unit_test(told_and_constrained)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
