#include "model_answer.h"
#include "check.h"
#include <stdio.h>

/* Pieces, and what each must let go; "!" in front of the last: it completes a stop string. */
static const struct {
    const char *name;
    const char *stops[4];
    const char *pieces[8];
    const char *sent[8];
    const char *rest;
} cases[] = {
    {"plain", {NULL}, {"Hel", "lo"}, {"Hel", "lo"}, ""},
    {"character in three",
     {NULL},
     {"a\xe2", "\x82",
      "\xac"
      "b"},
     {"a", "",
      "\xe2\x82\xac"
      "b"},
     ""},
    {"emoji in two", {NULL}, {"\xf0\x9f\x98", "\x80!"}, {"", "\xf0\x9f\x98\x80!"}, ""},
    {"cut at the end", {NULL}, {"x\xf0\x9f"}, {"x"}, "\xef\xbf\xbd\xef\xbf\xbd"},
    {"never valid",
     {NULL},
     {"a\xff"
      "b\x80"},
     {"a\xef\xbf\xbd"
      "b\xef\xbf\xbd"},
     ""},
    {"stop in one", {"END"}, {"abENDcd"}, {"!ab"}, ""},
    {"stop across three", {"STOP"}, {"a S", "T", "OP b"}, {"a ", "", "!"}, ""},
    {"begun and not finished", {"STOP"}, {"a ST", "AR"}, {"a ", "STAR"}, ""},
    {"held to the end", {"STOP"}, {"a STO"}, {"a "}, "STO"},
    {"begins twice", {"aab"}, {"aa", "a", "b"}, {"", "a", "!"}, ""},
    {"the earliest wins", {"cd", "bc"}, {"a", "bcd"}, {"a", "!"}, ""},
    {"shortest possible", {"\n"}, {"a", "b\nc"}, {"a", "!b"}, ""},
    {"one within another", {"xyz", "y"}, {"x", "y"}, {"", "!x"}, ""},
    {"stop of many bytes", {"\xe2\x82\xac"}, {"5 \xe2", "\x82\xac"}, {"5 ", "!"}, ""},
    {"half a character before a stop",
     {"."},
     {"\xe2\x82", "."},
     {"", "!\xef\xbf\xbd\xef\xbf\xbd"},
     ""},
    {"empty pieces", {"ab"}, {"", "a", "", "c"}, {"", "", "", "ac"}, ""},
};

static void table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check_case(cases[i].name);
        struct text stops[4];
        size_t count = 0;
        while (count < 4 && cases[i].stops[count] != NULL) {
            stops[count] = text_of(cases[i].stops[count]);
            count++;
        }
        struct model_answer *answer = model_answer_new(stops, count);
        bool stopped = false;
        for (size_t k = 0; k < 8 && cases[i].pieces[k] != NULL; k++) {
            struct text out;
            stopped = model_answer_add(answer, text_of(cases[i].pieces[k]), &out);
            const char *want = cases[i].sent[k];
            bool want_stop = want[0] == '!';
            want += want_stop;
            if (stopped != want_stop || !text_equal(out, text_of(want)))
                fail_msg("%s, piece %zu: %.*s%s", cases[i].name, k, TEXT_ARG(out),
                         stopped ? " (stopped)" : "");
        }
        if (!stopped)
            check_text(model_answer_rest(answer), cases[i].rest);
        model_answer_free(answer);
    }
}

/* However a text is cut into pieces, what goes out is the same. */
static void any_cut(void **state)
{
    (void)state;
    static const char whole[] = "na\xc3\xafve \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80 ##stop";
    struct text stop = TEXT("##stop");
    for (size_t one = 1; one < sizeof whole - 1; one++)
        for (size_t two = one; two < sizeof whole - 1; two++) {
            char got[64] = "";
            const size_t ends[] = {one, two, sizeof whole - 1};
            struct model_answer *answer = model_answer_new(&stop, 1);
            bool stopped = false;
            for (size_t i = 0, from = 0; i < 3; from = ends[i++]) {
                struct text out;
                stopped =
                    model_answer_add(answer, (struct text){whole + from, ends[i] - from}, &out);
                assert_true(text_utf8_valid(out));
                strncat(got, out.at != NULL ? out.at : "", out.len);
            }
            assert_true(stopped);
            assert_string_equal(got, "na\xc3\xafve \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80 ");
            model_answer_free(answer);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table), cmocka_unit_test(any_cut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
