/* account_rules: what names, addresses and passwords may be. A password is long rather than
 * colourful: no rule of composition, no expiry; what is refused are the few long ones that
 * everybody tries first, and those that are one short thing over and over. */
#include <string.h>
#include "account_internal.h"

/* Long ones from published lists of leaked passwords; shorter ones are refused by their length. */
static const char *const known[] = {
    "passwordpassword",
    "password123456789",
    "1234567890123456",
    "123456789012345",
    "qwertyuiopasdfgh",
    "qwertyuiopasdfghjkl",
    "qwertyuiop123456",
    "1q2w3e4r5t6y7u8i",
    "1qaz2wsx3edc4rfv",
    "qwertyuiop1234567890",
    "iloveyouiloveyou",
    "correcthorsebatterystaple",
    "correct horse battery staple",
    "letmeinletmeinletmein",
    "administrator123",
    "administratoradministrator",
    "changemechangeme",
    "thisismypassword",
    "mypasswordispassword",
    "welcome123456789",
    "trustno1trustno1",
    "abcdefghijklmnop",
    "abcdefghijklmnopqrstuvwxyz",
    "zxcvbnmasdfghjkl",
    "asdfghjklqwertyuiop",
    "abcdefgh12345678",
    "passw0rdpassw0rd",
    "p@ssw0rdp@ssw0rd",
};

static size_t characters(struct text text);
static bool has_control(struct text text);
static bool is_one_thing_repeated(struct text text);
static bool is_a_run(struct text text);

bool account_name_check(struct text name, const char *field, struct status *st)
{
    if (!text_utf8_valid(name) || has_control(name))
        return status_fail_field(st, STATUS_INVALID, field,
                                 "%s must be UTF-8 without control characters", field);
    if (text_trim(name).len == 0 || text_trim(name).len != name.len)
        return status_fail_field(st, STATUS_INVALID, field,
                                 "%s must not be empty, nor begin or end with a space", field);
    if (characters(name) > ACCOUNT_NAME_CHARS_MAX)
        return status_fail_field(st, STATUS_INVALID, field, "%s has more than %d characters", field,
                                 ACCOUNT_NAME_CHARS_MAX);
    return true;
}

bool account_email_check(struct text email, const char *field, struct status *st)
{
    size_t at = text_find_byte(email, '@');
    struct text domain = text_skip(email, at + 1);
    bool spaced = text_find_byte(email, ' ') < email.len;
    if (!text_utf8_valid(email) || has_control(email) || spaced || at == 0 || domain.len == 0 ||
        text_find_byte(domain, '@') < domain.len)
        return status_fail_field(st, STATUS_INVALID, field,
                                 "%s must be an address such as name@example.com", field);
    if (email.len > ACCOUNT_EMAIL_BYTES_MAX)
        return status_fail_field(st, STATUS_INVALID, field, "%s is longer than %d bytes", field,
                                 ACCOUNT_EMAIL_BYTES_MAX);
    return true;
}

bool account_password_check(struct text password, struct text email, const char *field,
                            struct status *st)
{
    if (password.len > ACCOUNT_PASSWORD_BYTES_MAX)
        return status_fail_field(st, STATUS_INVALID, field, "the password is longer than %d bytes",
                                 ACCOUNT_PASSWORD_BYTES_MAX);
    if (!text_utf8_valid(password) || text_find_byte(password, '\0') < password.len)
        return status_fail_field(st, STATUS_INVALID, field, "the password must be UTF-8");
    if (characters(password) < ACCOUNT_PASSWORD_CHARS_MIN)
        return status_fail_field(st, STATUS_INVALID, field,
                                 "the password must have at least %d characters",
                                 ACCOUNT_PASSWORD_CHARS_MIN);
    bool common =
        is_one_thing_repeated(password) || is_a_run(password) || text_equal_nocase(password, email);
    for (size_t i = 0; i < ARRAY_LEN(known) && !common; i++)
        common = text_equal_nocase(password, text_of(known[i]));
    return !common || status_fail_field(st, STATUS_INVALID, field,
                                        "the password is among the first that anybody would try");
}

/* Characters of UTF-8 that is known to be valid. */
static size_t characters(struct text text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += ((unsigned char)text.at[i] & 0xc0) != 0x80;
    return count;
}

/* C0, DEL and C1. */
static bool has_control(struct text text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.at[i];
        unsigned char next = i + 1 < text.len ? (unsigned char)text.at[i + 1] : 0;
        if (byte < 0x20 || byte == 0x7f || (byte == 0xc2 && next >= 0x80 && next < 0xa0))
            return true;
    }
    return false;
}

/* "aaaa…", "abcabcabc…": with a period of at most 5 bytes. */
static bool is_one_thing_repeated(struct text text)
{
    for (size_t period = 1; period <= 5; period++) {
        size_t i = period;
        while (i < text.len && text.at[i] == text.at[i - period])
            i++;
        if (i == text.len)
            return true;
    }
    return false;
}

/* Each byte one more, or one less, than the one before; 9 and 0 are neighbours. */
static bool is_a_run(struct text text)
{
    for (int step = -1; step <= 1; step += 2) {
        size_t i = 1;
        for (; i < text.len; i++) {
            bool wraps = step > 0 ? text.at[i - 1] == '9' && text.at[i] == '0'
                                  : text.at[i - 1] == '0' && text.at[i] == '9';
            if (text.at[i] != text.at[i - 1] + step && !wraps)
                break;
        }
        if (i == text.len)
            return true;
    }
    return false;
}
