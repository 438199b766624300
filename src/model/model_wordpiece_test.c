#include "model_wordpiece.h"
#include "arena.h"
#include "check.h"
#include "model_unicode.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Numbers from 0. */
static const char lines[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\nun\n##aff\n##able\nhello\n,\n!\n\xe4\xbd\xa0\n"
    "caf\n##e\n\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab\n[\n]\nsep\ni\n";
enum {
    PAD,
    UNK,
    CLS,
    SEP,
    UN,
    AFF,
    ABLE,
    HELLO,
    COMMA,
    SHOUT,
    NI,
    CAF,
    E,
    HAN,
    LEFT,
    RIGHT,
    SEP_WORD,
    I
};

static const struct {
    const char *name, *text;
    int32_t tokens[8];
    size_t count;
} texts[] = {
    {"nothing", "", {0}, 0},
    {"only spaces", " \t\n\xc2\xa0\xe3\x80\x80", {0}, 0},
    {"a word", "hello", {HELLO}, 1},
    {"pieces", "unaffable", {UN, AFF, ABLE}, 3},
    {"the rest of a word is unknown: so is all of it", "unaffablex", {UNK}, 1},
    {"unknown", "xyz hello", {UNK, HELLO}, 2},
    {"case", "HeLLo", {HELLO}, 1},
    {"an accent of its own and one within", "Cafe\xcc\x81 CAF\xc3\x89", {CAF, E, CAF, E}, 4},
    {"punctuation stands alone", "hello,hello!!", {HELLO, COMMA, HELLO, SHOUT, SHOUT}, 5},
    {"Chinese stands alone", "hello\xe4\xbd\xa0hello\xe4\xbd\xa0", {HELLO, NI, HELLO, NI}, 4},
    {"control characters are nothing", "hel\x01lo\x7f \xe2\x80\x8bhello", {HELLO, HELLO}, 2},
    {"the replacement character is nothing", "hel\xef\xbf\xbdlo", {HELLO}, 1},
    {"a Korean syllable is taken apart", "\xed\x95\x9c", {HAN}, 1},
    {"special tokens are text", "[SEP]", {LEFT, SEP_WORD, RIGHT}, 3},
    {"the Turkish I loses its dot", "\xc4\xb0", {I}, 1},
    {"marks alone are no word", "\xcc\x81\xcc\x82", {0}, 0},
};

static struct model_wordpiece *open_lines(const char *config)
{
    struct status st = {0};
    struct model_wordpiece *wp = NULL;
    if (!model_wordpiece_open_lines(text_of(lines), text_of(config), &wp, &st))
        fail_msg("%s", st.text);
    return wp;
}

static void check_tokens(const struct model_wordpiece *wp, const char *text, const int32_t *want,
                         size_t count)
{
    struct status st = {0};
    struct engine_tokens tokens = {0};
    size_t got = 99;
    assert_true(model_wordpiece_encode(wp, text_of(text), 100, &tokens, &got, &st));
    assert_int_equal(got, count);
    assert_int_equal(tokens.count, count);
    if (count > 0)
        assert_memory_equal(tokens.at, want, count * sizeof *want);
    engine_tokens_free(&tokens);
}

static void texts_become_tokens(void **state)
{
    (void)state;
    AUTO(model_wordpiece) struct model_wordpiece *wp = open_lines("");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        check_case(texts[i].name);
        check_tokens(wp, texts[i].text, texts[i].tokens, texts[i].count);
    }
    struct model_wordpiece_ids ids = model_wordpiece_ids(wp);
    assert_int_equal(ids.unknown, UNK);
    assert_int_equal(ids.first, CLS);
    assert_int_equal(ids.end, SEP);
    assert_int_equal(ids.padding, PAD);
    assert_int_equal(model_wordpiece_count(wp), I + 1);
}

static void settings_are_kept(void **state)
{
    (void)state;
    AUTO(model_wordpiece) struct model_wordpiece *cased = open_lines("{\"do_lower_case\":false}");
    check_tokens(cased, "Hello hello", (const int32_t[]){UNK, HELLO}, 2);
    check_tokens(cased, "caf\xc3\xa9", (const int32_t[]){UNK}, 1);
    AUTO(model_wordpiece)
    struct model_wordpiece *stripped = open_lines("{\"do_lower_case\":false,\"strip_accents\":true,"
                                                  "\"tokenize_chinese_chars\":false}");
    check_tokens(stripped, "caf\xc3\xa9", (const int32_t[]){CAF, E}, 2);
    check_tokens(stripped, "\xe4\xbd\xa0\xe4\xbd\xa0", (const int32_t[]){UNK}, 1);
}

static void long_words_and_many_tokens(void **state)
{
    (void)state;
    AUTO(model_wordpiece) struct model_wordpiece *wp = open_lines("");
    struct status st = {0};
    struct engine_tokens tokens = {0};
    size_t count;
    char word[5000] = "un";
    for (size_t i = 2; i + 4 <= 98; i += 4)
        memcpy(word + i, "able", 5);
    assert_true(model_wordpiece_encode(wp, text_of(word), 100, &tokens, &count, &st));
    assert_true(count == 25 && tokens.at[24] == ABLE);
    tokens.count = 0;
    memset(word, 'e', 101); /* a hundred characters are a word; one more is not */
    word[0] = 'c', word[1] = 'a', word[2] = 'f', word[100] = 0;
    assert_true(model_wordpiece_encode(wp, text_of(word), 200, &tokens, &count, &st));
    assert_int_equal(count, 98);
    tokens.count = 0;
    word[100] = 'e', word[101] = 0;
    assert_true(model_wordpiece_encode(wp, text_of(word), 200, &tokens, &count, &st));
    assert_true(count == 1 && tokens.at[0] == UNK);
    tokens.count = 0;
    memset(word, 'e', sizeof word - 1);
    assert_true(model_wordpiece_encode(wp, (struct text){word, 4999}, 200, &tokens, &count, &st));
    assert_true(count == 1 && tokens.at[0] == UNK);
    tokens.count = 0;
    for (size_t i = 0; i < 4999; i++)
        word[i] = ',';
    assert_true(model_wordpiece_encode(wp, (struct text){word, 4999}, 7, &tokens, &count, &st));
    assert_int_equal(count, 4999);
    assert_int_equal(tokens.count, 7);
    assert_false(model_wordpiece_encode(wp, TEXT("a\xff"), 7, &tokens, &count, &st));
    assert_int_equal(st.code, STATUS_INVALID);
    engine_tokens_free(&tokens);
}

#define FRAME                                                                                      \
    "\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",3],\"cls\":[\"[CLS]\",2]}"
#define NORMAL "\"normalizer\":{\"type\":\"BertNormalizer\",\"strip_accents\":null}"
#define CUT "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}"
#define MODEL                                                                                      \
    "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"vocab\":{\"[UNK]\":1,\"[CLS]\":"  \
    "2,"                                                                                           \
    "\"[SEP]\":3,\"a\":4,\"##a\":5}}"
static const struct {
    const char *name, *json, *says; /* says NULL: good */
} files[] = {
    {"good", "{" NORMAL "," CUT "," MODEL "," FRAME "}", NULL},
    {"empty", "", "empty"},
    {"cut", "{" NORMAL "," CUT, "line 1"},
    {"no object", "[]", "must be an object"},
    {"no normaliser", "{" CUT "," MODEL "," FRAME "}", "normalizer"},
    {"another normaliser", "{\"normalizer\":{\"type\":\"NFC\"}," CUT "," MODEL "," FRAME "}",
     "normalizer.type is NFC"},
    {"another cutter",
     "{" NORMAL ",\"pre_tokenizer\":{\"type\":\"ByteLevel\"}," MODEL "," FRAME "}",
     "pre_tokenizer.type is ByteLevel"},
    {"another model", "{" NORMAL "," CUT ",\"model\":{\"type\":\"BPE\"}," FRAME "}",
     "model.type is BPE"},
    {"another frame",
     "{" NORMAL "," CUT "," MODEL ",\"post_processor\":{\"type\":\"RobertaProcessing\"}}",
     "post_processor.type is RobertaProcessing"},
    {"an empty frame",
     "{" NORMAL "," CUT "," MODEL
     ",\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[],\"cls\":[]}}",
     "is empty"},
    {"no unknown",
     "{" NORMAL "," CUT "," FRAME
     ",\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[X]\",\"vocab\":{\"[CLS]\":2}}}",
     "lacks [X]"},
    {"a token without number",
     "{" NORMAL "," CUT "," FRAME
     ",\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"a\",\"vocab\":{\"a\":\"x\"}}}",
     "has no number"},
    {"a number below 0",
     "{" NORMAL "," CUT "," FRAME
     ",\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"a\",\"vocab\":{\"a\":-1}}}",
     "cannot be"},
    {"a template that is none",
     "{" NORMAL "," CUT "," MODEL ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":"
     "[{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[]}}",
     "is not the frame"},
};

static void tokenizer_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct status st = {0};
        AUTO(model_wordpiece) struct model_wordpiece *wp = NULL;
        check_case(files[i].name);
        bool ok = model_wordpiece_open(text_of(files[i].json), &wp, &st);
        assert_true(ok == (files[i].says == NULL));
        if (ok) {
            check_tokens(wp, "aa A b", (const int32_t[]){4, 5, 4, 1}, 4);
            continue;
        }
        assert_int_equal(st.code, STATUS_INVALID);
        if (strstr(st.text, files[i].says) == NULL)
            fail_msg("%s: %s", files[i].name, st.text);
    }
}

static void characters(void **state)
{
    (void)state;
    uint32_t out[4];
    assert_int_equal(model_unicode_kind('a'), MODEL_UNICODE_OTHER);
    assert_int_equal(model_unicode_kind('$'), MODEL_UNICODE_PUNCTUATION);
    assert_int_equal(model_unicode_kind(0x2028), MODEL_UNICODE_SPACE);
    assert_int_equal(model_unicode_kind(0x10ffff), MODEL_UNICODE_OTHER);
    assert_int_equal(model_unicode_kind(0xe000), MODEL_UNICODE_CONTROL);
    assert_int_equal(model_unicode_plain(0xac01, out), 3);
    assert_int_equal(out[2], 0x11a8);
    assert_int_equal(model_unicode_plain(0xf900, out), 1);
    assert_int_equal(out[0], 0x8c48);
    assert_int_equal(model_unicode_plain(0x301, out), 0);
    assert_int_equal(model_unicode_lower(0x10d50, out), 1);
    assert_int_equal(out[0], 0x10d70);
    for (uint32_t code = 0; code < 0x110000; code++) {
        if (code >= 0xd800 && code < 0xe000)
            continue;
        char bytes[4];
        size_t len = model_unicode_put(code, bytes);
        assert_true(text_utf8_valid((struct text){bytes, len}));
        const char *at = bytes;
        assert_int_equal(model_unicode_take(&at, bytes + len), code);
        assert_ptr_equal(at, bytes + len);
    }
}

/* As they stand in the vocabulary; there is nothing where it has a gap. */
static void names_of_tokens(void **state)
{
    (void)state;
    static const struct {
        int32_t token;
        const char *want;
    } cases[] = {{PAD, "[PAD]"}, {UN, "un"},  {AFF, "##aff"}, {COMMA, ","},
                 {I, "i"},       {I + 1, ""}, {-1, ""},       {INT32_MAX, ""}};
    struct model_wordpiece *wp = open_lines("");
    AUTO(arena) struct arena *arena = arena_open(64 * KIB);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct text_buf name = text_buf_in(arena, 100);
        model_wordpiece_piece(wp, cases[i].token, &name);
        check_text(text_buf_text(&name), cases[i].want);
    }
    model_wordpiece_close(wp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_become_tokens),
        cmocka_unit_test(settings_are_kept),
        cmocka_unit_test(long_words_and_many_tokens),
        cmocka_unit_test(names_of_tokens),
        cmocka_unit_test(tokenizer_files),
        cmocka_unit_test(characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
