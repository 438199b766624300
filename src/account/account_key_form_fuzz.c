/* What comes in an Authorization header, and what comes in a cookie. */
#include <string.h>
#include "account_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text text = {(const char *)data, size};
    uint8_t sha256[TOKEN_SHA256_BYTES];
    char key[ACCOUNT_KEY_BYTES + 1];
    struct status st;
    if (account_key_formed(text))
        WEIR_ASSERT(text.len == ACCOUNT_KEY_BYTES && text_starts(text, TEXT("weir_sk_")));
    if (token_sha256(text, sha256))
        WEIR_ASSERT(text.len == ACCOUNT_TOKEN_BYTES);
    if (account_email_check(text, "email", &st))
        WEIR_ASSERT(text.len <= ACCOUNT_EMAIL_BYTES_MAX && text_utf8_valid(text));
    if (account_name_check(text, "name", &st) ||
        account_password_check(text, TEXT_NONE, "password", &st))
        WEIR_ASSERT(text_utf8_valid(text));
    /* a good key with these bytes laid over it is good only if they change nothing */
    key_make(key);
    char other[sizeof(key)];
    memcpy(other, key, sizeof(key));
    memcpy(other, data, size < ACCOUNT_KEY_BYTES ? size : ACCOUNT_KEY_BYTES);
    bool same = memcmp(other, key, sizeof(key)) == 0;
    WEIR_ASSERT(!same || account_key_formed(text_of(other)));
    return 0;
}
