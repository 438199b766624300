/* Grammars, and walking along them, over a vocabulary of our own: every byte is a token, then come
 * some longer pieces, then what ends an answer. No model. */
#include "grammar.h"
#include "arena.h"
#include "check.h"
#include "clock.h"
#include "grammar_cache.h"
#include "grammar_matcher.h"
#include <math.h>
#include <stdlib.h>

static const char *const longer[] = {
    "true",   "tru", "\", \"",   "{\"a\": ", "12",          "<tool",
    "_call>", "}\n", "\xe6\x97", "\xa5x",    "\xe6\x97\xa5"};
enum { LONGER = 11, END_TOKEN = 256 + LONGER, MUTE_TOKEN, VOCAB };
static struct grammar_pieces *pieces;

static size_t piece_of(void *arg, int32_t token, char *out)
{
    (void)arg;
    if (token == END_TOKEN || token == MUTE_TOKEN)
        return 0;
    if (token < 256) {
        *out = (char)token;
        return 1;
    }
    size_t len = strlen(longer[token - 256]);
    memcpy(out, longer[token - 256], len);
    return len;
}

static int setup(void **state)
{
    (void)state;
    int32_t end = END_TOKEN;
    pieces = grammar_pieces_new(VOCAB, piece_of, NULL, &end, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    grammar_pieces_free(pieces);
    return 0;
}

static struct grammar_matcher *matcher_of(const char *gbnf)
{
    AUTO(grammar) struct grammar *grammar = NULL;
    struct status st = {0};
    if (!grammar_compile(text_of(gbnf), &grammar, &st))
        fail_msg("%s", st.text);
    return grammar_matcher_new(grammar, pieces, NULL);
}

/* Byte by byte; 1: it may end there, 0: it may not yet, -1: it cannot stand there. */
static int walk(struct grammar_matcher *m, const char *text)
{
    for (; *text != 0; text++) {
        if (!grammar_matcher_allows(m, (unsigned char)*text))
            return -1;
        grammar_matcher_accept(m, (unsigned char)*text);
        assert_false(grammar_matcher_stuck(m));
    }
    return grammar_matcher_allows(m, END_TOKEN) ? 1 : 0;
}

static void languages(void **state)
{
    (void)state;
    static const struct {
        const char *gbnf, *yes, *partly, *no;
    } cases[] = {
        {"root ::= \"a\" \"b\"", "ab", "a", "b"},
        {"root ::= \"a\" | \"bc\" # comment\n", "bc", "b", "c"},
        {"root ::= \"a\"*", "aaaa", NULL, "ab"},
        {"root ::= \"ab\"+ \"c\"", "ababc", "abab", "c"},
        {"root ::= \"a\"? \"b\"", "b", "a", "aa"},
        {"root ::= \"a\"{3}", "aaa", "aa", "aaaa"},
        {"root ::= \"a\"{2,}", "aaaaa", "a", "b"},
        {"root ::= \"a\"{1,3} \"b\"", "aab", "aaa", "aaaa"},
        {"root ::= \"a\"{0,2}", "", NULL, "aaa"},
        {"root ::= [a-c] [^a-c]", "cz", "a", "aa"},
        {"root ::= [\\x00-\\x1F\\\\\\]-]+", "\\]-\x01", NULL, "a"},
        {"root ::= . \"x\"", "\xe6\x97\xa5x", "\xe6\x97\xa5", "xy"},
        {"root ::= \"\xe6\x97\xa5\" | \"\\u00e9\"", "\xc3\xa9", "\xe6\x97", "\xe6\x98"},
        {"root ::= [\\U00010000-\\U0010FFFF]", "\xf0\x9f\x98\x80", "\xf0", "\xef"},
        {"root ::= .*", "\xe0\xa0\x80\xed\x9f\xbf\xf4\x8f\xbf\xbf", "\xe0", "\xe0\x80\xa2"},
        {"root ::= .*", "\xf0\x90\x80\x80", "\xed", "\xed\xa0\x80"},
        {"root ::= .*", "\xf1\x80\x80\x80", "\xf0", "\xf0\x8f\xbf\xbf"},
        {"root ::= .*", "\xc2\x80", "\xf4", "\xf4\x90\x80\x80"},
        {"root ::= a\na ::= \"(\" a \")\" | \"x\"", "((x))", "((x)", "(x))"},
        {"root ::= (a | b)+\na::=\"1\"\nb ::=\n \"2\"\n\n", "1221", NULL, "3"},
        {"root ::= \"\" \"\"* a\na ::= (\"x\"?)*", "xx", NULL, "y"}, /* empty things repeated */
        {"root ::= root-2\nroot-2 ::= [0-9] root-2 | \"\"", "123", NULL, "a"},
        {"root ::= \"a\" # no more\r\n# nothing\r\n", "a", NULL, "b"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check_case(cases[i].gbnf);
        AUTO(grammar_matcher) struct grammar_matcher *yes = matcher_of(cases[i].gbnf);
        AUTO(grammar_matcher) struct grammar_matcher *partly = matcher_of(cases[i].gbnf);
        AUTO(grammar_matcher) struct grammar_matcher *no = matcher_of(cases[i].gbnf);
        assert_int_equal(walk(yes, cases[i].yes), 1);
        if (cases[i].partly != NULL)
            assert_int_equal(walk(partly, cases[i].partly), 0);
        assert_int_equal(walk(no, cases[i].no), -1);
    }
}

static void faults(void **state)
{
    (void)state;
    static const struct {
        const char *gbnf, *says;
    } cases[] = {
        {"", "no rule root"},
        {"x ::= \"a\"", "no rule root"},
        {"root ::= x", "no rule x"},
        {"root ::= \"a", "does not end"},
        {"root ::= [a", "does not end"},
        {"root ::= []", "is empty"},
        {"root ::= [b-a]", "wrong way round"},
        {"root ::= (\"a\"", "expected )"},
        {"root ::= \"a\")", "end of the rule"},
        {"root = \"a\"", "line 1, column 6 of the grammar: expected ::="},
        {"root ::= \"a\"\nroot ::= \"b\"", "line 2, column 5 of the grammar: this rule was there"},
        {"root ::= *", "nothing to repeat"},
        {"root ::= \"a\"{2,1}", "over the most"},
        {"root ::= \"a\"{x}", "expected a number"},
        {"root ::= \"a\"{999999999999}", "too many repetitions"},
        {"root ::= \"\\q\"", "escape is not known"},
        {"root ::= \"\\xZZ\"", "hexadecimal"},
        {"root ::= \"\\U00110000\"", "no such character"},
        {"root ::= <[7]>", "name tokens"},
        {"root ::= !<x>", "name tokens"},
        {"root ::= @", "unexpected character"},
        {"::= \"a\"", "name of a rule"},
        {"root ::= root \"a\" | \"a\"", "left recursion"},
        {"root ::= a\na ::= b \"x\"\nb ::= a | \"y\"", "left recursion"},
        /* hidden behind something that may be empty, not directly but by way of another rule */
        {"root ::= e root \"a\" | \"a\"\ne ::= f\nf ::= \"x\"?", "left recursion"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct grammar *grammar = NULL;
        struct status st = {0};
        check_case(cases[i].gbnf);
        assert_false(grammar_compile(text_of(cases[i].gbnf), &grammar, &st));
        assert_true(st.code == STATUS_INVALID || st.code == STATUS_TOO_LARGE);
        if (strstr(st.text, cases[i].says) == NULL)
            fail_msg("%s", st.text);
    }
}

/* What is made to take long or much: an answer within a second, and no crash. */
static void hostile(void **state)
{
    (void)state;
    enum { MANY = 200000 };
    AUTO(arena) struct arena *arena = arena_open(64 * MIB);
    struct text_buf many[6];
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = text_buf_in(arena, 8 * MIB);
    text_buf_add(&many[0], TEXT("root ::= "));
    for (int i = 0; i < MANY; i++)
        text_buf_add(&many[0], TEXT("("));
    text_buf_add(&many[1], TEXT("root ::= \"a\""));
    for (int i = 0; i < MANY; i++)
        text_buf_add(&many[1], TEXT("|\"a\""));
    text_buf_add(&many[2], TEXT("root ::= r0\n")); /* a path for each number of 30 bits */
    for (int i = 0; i < 30; i++)
        text_buf_addf(&many[2], "r%d ::= r%d | r%d\n", i, i + 1, i + 1);
    text_buf_add(&many[2], TEXT("r30 ::= \"a\"\n"));
    text_buf_add(&many[3], TEXT("root ::= r0\n")); /* a long chain */
    for (int i = 0; i < 20000; i++)
        text_buf_addf(&many[3], "r%d ::= r%d\n", i, i + 1);
    text_buf_add(&many[3], TEXT("r20000 ::= \"a\"\n"));
    text_buf_add(&many[4], TEXT("root ::= (((\"a\"?){0,900}){0,900}){0,900}"));
    text_buf_add(&many[5],
                 TEXT("root ::= \"a\" root | \"a\" t | \"a\" u | \"a\"\n"
                      "t ::= root u t | \"a\" t u | \"a\"\nu ::= \"a\" u t | \"a\" t u | \"a\"\n"));
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        AUTO(grammar) struct grammar *grammar = NULL;
        struct status st = {0};
        int64_t began = clock_mono_us();
        if (grammar_compile(text_buf_text(&many[i]), &grammar, &st)) {
            AUTO(grammar_matcher)
            struct grammar_matcher *m = grammar_matcher_new(grammar, pieces, NULL);
            for (int k = 0; k < 200 && !grammar_matcher_stuck(m) && grammar_matcher_allows(m, 'a');
                 k++)
                grammar_matcher_accept(m, 'a');
        } else {
            assert_true(st.code == STATUS_INVALID || st.code == STATUS_TOO_LARGE);
        }
        print_message("hostile %zu: %lld ms %s\n", i, (long long)(clock_mono_us() - began) / 1000,
                      st.text);
        assert_true(clock_mono_us() - began < 5000000);
    }
}

/* So long a hostile grammar may keep a thread: the worst took minutes before the work was bounded,
 * and takes tenths of a second since, or up to ten times as long under a sanitizer. */
static const int64_t hostile_us_max = 10000000;

/* Many classes of characters, and many places that each of them must be tried at. */
static void hostile_to_follow(void **state)
{
    (void)state;
    AUTO(arena) struct arena *arena = arena_open(64 * MIB);
    struct text_buf text = text_buf_in(arena, MIB);
    AUTO(grammar) struct grammar *grammar = NULL;
    struct status st = {0};
    text_buf_add(&text, TEXT("s ::= ["));
    for (int i = 0; i < 4000; i++)
        text_buf_addf(&text, "\\u%04X", 0x4000 + 2 * i);
    text_buf_add(&text, TEXT("]\nt ::= ["));
    for (int i = 0; i < 4000; i++)
        text_buf_addf(&text, "\\u%04X", 0x8000 + 2 * i);
    text_buf_add(&text, TEXT("]\nroot ::= \"x\" t"));
    for (int i = 0; i < 2000; i++)
        text_buf_addf(&text, "|s \"%d\"", i);
    assert_true(grammar_compile(text_buf_text(&text), &grammar, &st));
    AUTO(grammar_matcher)
    struct grammar_matcher *m = grammar_matcher_new(grammar, pieces, NULL);
    float row[VOCAB] = {0};
    int64_t began = clock_mono_us();
    for (int32_t i = 0; i < VOCAB; i++)
        (void)grammar_matcher_allows(m, i);
    grammar_matcher_mask(m, row);
    print_message("hostile to follow: %lld ms\n", (long long)(clock_mono_us() - began) / 1000);
    assert_true(clock_mono_us() - began < hostile_us_max);
}

/* Words that part early, and all their beginnings as tokens. */
enum { WORDS = 1000, WORD_BYTES = 8 };
static char words[WORDS][WORD_BYTES + 1];

static size_t beginning_of(void *arg, int32_t token, char *out)
{
    (void)arg;
    size_t len = (size_t)token % WORD_BYTES + 1;
    memcpy(out, words[token / WORD_BYTES], len);
    return len;
}

/* The mask goes through more states than are kept. */
static void more_states_than_kept(void **state)
{
    (void)state;
    static float row[WORDS * WORD_BYTES];
    AUTO(arena) struct arena *arena = arena_open(64 * MIB);
    struct text_buf text = text_buf_in(arena, MIB);
    AUTO(grammar) struct grammar *grammar = NULL;
    struct status st = {0};
    uint32_t random = 1;
    text_buf_add(&text, TEXT("root ::= "));
    for (int i = 0; i < WORDS; i++) {
        for (int k = 0; k < WORD_BYTES; k++) {
            random = random * 1664525U + 1013904223U;
            words[i][k] = (char)('a' + (random >> 16) % 26);
        }
        text_buf_addf(&text, "%s\"%s\"", i > 0 ? "|" : "", words[i]);
    }
    assert_true(grammar_compile(text_buf_text(&text), &grammar, &st));
    AUTO(grammar_pieces)
    struct grammar_pieces *beginnings =
        grammar_pieces_new(WORDS * WORD_BYTES, beginning_of, NULL, NULL, 0);
    AUTO(grammar_matcher)
    struct grammar_matcher *m = grammar_matcher_new(grammar, beginnings, NULL);
    grammar_matcher_mask(m, row);
    for (int32_t i = 0; i < WORDS * WORD_BYTES; i++)
        assert_true(row[i] >= 0);
    for (int32_t i = WORDS * WORD_BYTES; i-- > 0;)
        assert_true(grammar_matcher_allows(m, i));
    assert_false(grammar_matcher_stuck(m));
    grammar_matcher_accept(m, WORDS * WORD_BYTES - 1);
    assert_true(grammar_matcher_done(m));
}

/* The mask says of every token what allows() says of it. */
static void masks(void **state)
{
    (void)state;
    static const struct {
        const char *gbnf, *before;
    } cases[] = {
        {"root ::= [a-z]+ \"\xe6\x97\xa5\" .*", ""},
        {"root ::= [a-z]+ \"\xe6\x97\xa5\" .*", "ab"},
        {"root ::= [a-z]+ \"\xe6\x97\xa5\" .*", "ab\xe6\x97"},
        {"root ::= \"{\\\"a\\\": \" (\"true\" | [0-9]+) \"}\"", ""},
        {"root ::= \"{\\\"a\\\": \" (\"true\" | [0-9]+) \"}\"", "{\"a\": "},
        {"root ::= \"{\\\"a\\\": \" (\"true\" | [0-9]+) \"}\"", "{\"a\": 1"},
        {"root ::= [^\\x00-\\x7F]*", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(grammar_matcher) struct grammar_matcher *m = matcher_of(cases[i].gbnf);
        float row[VOCAB] = {0};
        int allowed = 0;
        check_case(cases[i].gbnf);
        assert_true(walk(m, cases[i].before) >= 0);
        grammar_matcher_mask(m, row);
        for (int32_t token = 0; token < VOCAB; token++) {
            assert_int_equal(row[token] >= 0, grammar_matcher_allows(m, token));
            allowed += row[token] >= 0;
        }
        assert_true(allowed > 0 && allowed < VOCAB);
    }
}

/* A token is taken as a whole or not at all; the end is where nothing may follow. */
static void tokens(void **state)
{
    (void)state;
    AUTO(grammar_matcher)
    struct grammar_matcher *m = matcher_of("root ::= \"{\\\"a\\\": \" \"true\" \"}\"");
    enum { OPEN = 256 + 3, TRUE = 256, TRU = 257, CLOSE_LINE = 256 + 7 };
    assert_true(grammar_matcher_allows(m, OPEN));
    assert_false(grammar_matcher_allows(m, TRUE) || grammar_matcher_allows(m, MUTE_TOKEN));
    grammar_matcher_accept(m, OPEN);
    assert_true(grammar_matcher_allows(m, TRUE) && grammar_matcher_allows(m, TRU));
    grammar_matcher_accept(m, TRU);
    assert_false(grammar_matcher_allows(m, TRUE) || grammar_matcher_done(m));
    grammar_matcher_accept(m, 'e');
    assert_false(grammar_matcher_allows(m, CLOSE_LINE) || grammar_matcher_allows(m, END_TOKEN));
    grammar_matcher_accept(m, '}');
    assert_true(grammar_matcher_done(m) && grammar_matcher_allows(m, END_TOKEN));
    AUTO(grammar_matcher)
    struct grammar_matcher *parts = matcher_of("root ::= \"\xe6\x97\xa5\" \"x\"");
    assert_true(grammar_matcher_allows(parts, 256 + 8) && grammar_matcher_allows(parts, 256 + 10));
    grammar_matcher_accept(parts, 256 + 8);
    assert_false(grammar_matcher_allows(parts, END_TOKEN) || grammar_matcher_allows(parts, 'x'));
    grammar_matcher_accept(parts, 256 + 9);
    assert_true(grammar_matcher_done(parts));
}

static void triggers(void **state)
{
    (void)state;
    AUTO(grammar) struct grammar *grammar = NULL;
    struct status st = {0};
    struct grammar_start start = {.triggers = {{.text = TEXT("<tool_call>")}}, .triggers_count = 1};
    assert_true(grammar_compile(TEXT("root ::= \"<tool_call>\" [0-9]+ \";\""), &grammar, &st));
    AUTO(grammar_matcher)
    struct grammar_matcher *m = grammar_matcher_new(grammar, pieces, &start);
    enum { LEFT = 256 + 5, RIGHT = 256 + 6 };
    for (int i = 0; i < 100; i++)
        grammar_matcher_accept(m, 'x');
    assert_true(grammar_matcher_allows(m, END_TOKEN) && grammar_matcher_allows(m, '<'));
    grammar_matcher_accept(m, LEFT);
    assert_true(grammar_matcher_allows(m, RIGHT) && grammar_matcher_allows(m, 'x'));
    grammar_matcher_accept(m, RIGHT);
    assert_false(grammar_matcher_allows(m, END_TOKEN) || grammar_matcher_allows(m, 'x'));
    grammar_matcher_accept(m, '7');
    grammar_matcher_accept(m, ';');
    assert_true(grammar_matcher_done(m));
    float row[VOCAB] = {0};
    AUTO(grammar_matcher)
    struct grammar_matcher *free = grammar_matcher_new(grammar, pieces, &start);
    grammar_matcher_mask(free, row);
    for (int i = 0; i < VOCAB; i++)
        assert_true(row[i] >= 0);
}

/* What comes before the grammar's part of a trigger, and where a trigger may stand. */
static void placed_triggers(void **state)
{
    (void)state;
    const struct {
        const char *name, *answer; /* by single bytes */
        struct grammar_trigger trigger;
        bool begun;
    } cases[] = {
        {"behind a text", "x<s>to", {TEXT("<s>to"), 3, false, false}, true},
        {"not without it", "xx>to", {TEXT("<s>to"), 3, false, false}, false},
        {"at the start", "to", {TEXT("to"), 0, true, false}, true},
        {"not at the start", "xto", {TEXT("to"), 0, true, false}, false},
        {"far from the start",
         "0123456789012345678901234567890123456789012345678901234567890123456789to",
         {TEXT("to"), 0, true, false},
         false},
        {"at the end of a token", "to", {TEXT("to"), 0, true, true}, true},
    };
    struct status st = {0};
    AUTO(grammar) struct grammar *grammar = NULL;
    assert_true(grammar_compile(TEXT("root ::= \"to=\" [0-9]"), &grammar, &st));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check_case(cases[i].name);
        struct grammar_start start = {.triggers = {cases[i].trigger}, .triggers_count = 1};
        AUTO(grammar_matcher)
        struct grammar_matcher *m = grammar_matcher_new(grammar, pieces, &start);
        for (const char *c = cases[i].answer; *c != 0; c++) {
            assert_true(grammar_matcher_allows(m, *c));
            grammar_matcher_accept(m, *c);
        }
        assert_false(grammar_matcher_stuck(m));
        assert_int_equal(grammar_matcher_allows(m, 'x'), !cases[i].begun);
        assert_true(grammar_matcher_allows(m, '='));
    }
}

/* A token that has more than the trigger: another word, or the trigger and what follows. */
static void triggers_within_tokens(void **state)
{
    (void)state;
    enum { CALL = 256 + 6 };
    struct status st = {0};
    AUTO(grammar) struct grammar *grammar = NULL;
    assert_true(grammar_compile(TEXT("root ::= \"_c\" [0-9]"), &grammar, &st));
    struct text token = grammar_pieces_text(pieces, CALL);
    assert_true(token.len > 2);
    for (int at_end = 0; at_end < 2; at_end++) {
        struct grammar_start start = {.triggers = {{text_take(token, 2), 0, false, at_end == 1}},
                                      .triggers_count = 1};
        AUTO(grammar_matcher)
        struct grammar_matcher *m = grammar_matcher_new(grammar, pieces, &start);
        assert_int_equal(grammar_matcher_allows(m, CALL), at_end == 1);
    }
}

static void begun_before(void **state)
{
    (void)state;
    struct status st = {0};
    AUTO(grammar) struct grammar *grammar = NULL;
    assert_true(grammar_compile(TEXT("root ::= \"<me>\\n\" [0-9] \";\""), &grammar, &st));
    struct grammar_start start = {.written = TEXT("<me>\n")};
    AUTO(grammar_matcher) struct grammar_matcher *m = grammar_matcher_new(grammar, pieces, &start);
    assert_true(grammar_matcher_allows(m, '7') && !grammar_matcher_allows(m, '<'));
    grammar_matcher_accept(m, '7');
    grammar_matcher_accept(m, ';');
    assert_true(grammar_matcher_done(m));
    start.written = TEXT("<you>");
    AUTO(grammar_matcher)
    struct grammar_matcher *other = grammar_matcher_new(grammar, pieces, &start);
    assert_true(grammar_matcher_stuck(other));
}

/* Long and deep: what is kept is thrown away again and again, and the place is not lost. */
static void long_answers(void **state)
{
    (void)state;
    AUTO(grammar_matcher)
    struct grammar_matcher *m =
        matcher_of("root ::= v\nv ::= \"[\" (v (\",\" v)*)? \"]\" | [a-z0-9\xc3\xa9\xe6\x97\xa5]+ "
                   "| \"\\\"\" [^\"]* \"\\\"\"");
    for (int i = 0; i < 3000; i++) {
        grammar_matcher_accept(m, '[');
        assert_false(grammar_matcher_stuck(m));
    }
    for (int i = 0; i < 20000; i++) {
        grammar_matcher_accept(m, 'a' + i % 26);
        if (i % 5 == 0)
            grammar_matcher_accept(m, ',');
        else
            grammar_matcher_accept(m, '0' + i % 10);
    }
    assert_false(grammar_matcher_stuck(m));
    grammar_matcher_accept(m, 'z');
    for (int i = 0; i < 3000; i++) {
        assert_false(grammar_matcher_allows(m, END_TOKEN));
        assert_true(grammar_matcher_allows(m, ']'));
        grammar_matcher_accept(m, ']');
    }
    assert_true(grammar_matcher_done(m));
}

static void kept(void **state)
{
    (void)state;
    struct grammar_cache *all = grammar_cache_new();
    struct grammar *one, *two;
    struct status st = {0};
    size_t count;
    uint64_t hits;
    assert_true(grammar_cache_take(all, TEXT("root ::= \"a\""), pieces, &one, &st));
    assert_true(grammar_cache_take(all, TEXT("root ::= \"a\""), pieces, &two, &st));
    assert_ptr_equal(one, two);
    grammar_release(two);
    for (int i = 0; i < 200; i++) {
        AUTO(arena) struct arena *arena = arena_open(MIB);
        struct text text = arena_format(arena, "root ::= \"%d\"", i);
        assert_true(grammar_cache_take(all, text, pieces, &two, &st));
        grammar_release(two);
    }
    assert_false(grammar_cache_take(all, TEXT("root ::= a\na ::= a"), pieces, &two, &st));
    assert_false(grammar_cache_take(all, TEXT("root ::= \"\""), pieces, &two, &st) &&
                 (grammar_release(two), false));
    grammar_cache_counts(all, &count, &hits);
    assert_int_equal(count, GRAMMAR_CACHE_MAX);
    assert_int_equal(hits, 1);
    for (int i = 0; i < GRAMMAR_CACHE_MAX; i++) { /* a short text may become much */
        AUTO(arena) struct arena *arena = arena_open(MIB);
        struct text text = arena_format(arena, "root ::= \"a\"{%d}", 60000 + i);
        assert_true(grammar_cache_take(all, text, pieces, &two, &st));
        grammar_release(two);
        assert_true(grammar_cache_bytes(all) <= GRAMMAR_CACHE_BYTES_MAX);
    }
    grammar_cache_counts(all, &count, &hits);
    assert_true(count > 8 && count < GRAMMAR_CACHE_MAX);
    grammar_cache_free(all);
    AUTO(grammar_matcher) struct grammar_matcher *m = grammar_matcher_new(one, pieces, NULL);
    grammar_release(one); /* the matcher holds it */
    assert_int_equal(walk(m, "a"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(languages),       cmocka_unit_test(faults),
        cmocka_unit_test(hostile),         cmocka_unit_test(hostile_to_follow),
        cmocka_unit_test(masks),           cmocka_unit_test(more_states_than_kept),
        cmocka_unit_test(tokens),          cmocka_unit_test(triggers),
        cmocka_unit_test(placed_triggers), cmocka_unit_test(triggers_within_tokens),
        cmocka_unit_test(begun_before),    cmocka_unit_test(kept),
        cmocka_unit_test(long_answers),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
