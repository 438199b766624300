/* What names, addresses and passwords may be. */
#include "account.h"
#include "check.h"

#include <string.h>

static const struct {
    const char *name;
    struct text text;
    bool good;
} names[] = {
    {"plain", {"Ada Lovelace", 12}, true},
    {"not Latin", {"李小龍", 9}, true},
    {"empty", {"", 0}, false},
    {"only spaces", {"  ", 2}, false},
    {"a space in front", {" Ada", 4}, false},
    {"a space behind", {"Ada ", 4}, false},
    {"a line end", {"A\nda", 4}, false},
    {"a zero byte", {"A\0da", 4}, false},
    {"a delete", {"A\x7f", 2}, false},
    {"a C1 control", {"A\xc2\x85z", 4}, false},
    {"not UTF-8", {"A\xff", 2}, false},
    {"100 characters",
     {"12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012"
      "34"
      "567890",
      100},
     true},
    {"101 characters",
     {"12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012"
      "34"
      "5678901",
      101},
     false},
};

static void names_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct status st = {0};
        check_case(names[i].name);
        assert_int_equal(account_name_check(names[i].text, "organisation", &st), names[i].good);
        if (names[i].good)
            continue;
        assert_int_equal(st.code, STATUS_INVALID);
        assert_string_equal(st.field, "organisation");
    }
}

static const struct {
    const char *email;
    bool good;
} emails[] = {
    {"a@b", true},     {"Ada.Lovelace+x@example.com", true},
    {"ü@ü.de", true},  {"", false},
    {"@", false},      {"a@", false},
    {"@b", false},     {"a", false},
    {"a@b@c", false},  {"a b@c", false},
    {"a@b c", false},  {"a\n@b", false},
    {"a@\x7f", false},
};

static void emails_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(emails); i++) {
        struct status st = {0};
        check_case(emails[i].email);
        assert_int_equal(account_email_check(text_of(emails[i].email), "email", &st),
                         emails[i].good);
    }
    struct status st = {0};
    char text[256];
    memset(text, 'a', sizeof(text));
    text[1] = '@';
    assert_true(account_email_check((struct text){text, 254}, "email", &st));
    assert_false(account_email_check((struct text){text, 255}, "email", &st));
}

static const struct {
    const char *name, *password;
    bool good;
} passwords[] = {
    {"a sentence", "a long sentence of mine", true},
    {"15 characters", "fifteen letters", true},
    {"14 characters", "fourteen lette", false},
    {"15 characters of several bytes", "äöüßäöüÄÖÜẞ日本語字", true},
    {"14 characters of several bytes", "äöüßäöüÄÖÜẞ日本語", false},
    {"empty", "", false},
    {"one letter", "aaaaaaaaaaaaaaaaaaaa", false},
    {"one word", "tacotacotacotaco", false},
    {"digits in order", "12345678901234567890", false},
    {"digits down", "98765432109876543210", false},
    {"the alphabet", "abcdefghijklmnopqrstuvw", false},
    {"a well-known one", "CorrectHorseBatteryStaple", false},
    {"the address", "someone@example.com", false},
    {"almost the alphabet", "abcdefghijklmnox", true},
};

static void passwords_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(passwords); i++) {
        struct status st = {0};
        check_case(passwords[i].name);
        bool good = account_password_check(text_of(passwords[i].password),
                                           TEXT("Someone@example.com"), "password", &st);
        assert_int_equal(good, passwords[i].good);
        if (!good) /* never shown back */
            assert_true(passwords[i].password[0] == '\0' ||
                        strstr(st.text, passwords[i].password) == NULL);
    }
    struct status st = {0};
    char text[1026];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('a' + i * i % 26);
    assert_true(account_password_check((struct text){text, 1024}, TEXT_NONE, "password", &st));
    assert_false(account_password_check((struct text){text, 1025}, TEXT_NONE, "password", &st));
    text[20] = '\0';
    assert_false(account_password_check((struct text){text, 100}, TEXT_NONE, "password", &st));
    text[20] = '\xff';
    assert_false(account_password_check((struct text){text, 100}, TEXT_NONE, "password", &st));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_checked),
        cmocka_unit_test(emails_checked),
        cmocka_unit_test(passwords_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
