/* vault_seal: one sealed blob.
 *   1 byte   the form, 1
 *   4 bytes  the id of the key, big-endian
 *   24 bytes nonce, random: XChaCha20's is long enough for that
 *   n bytes  what is sealed, and 16 bytes of Poly1305
 * Authenticated with it: the form, the key's id, and the place as texts with their lengths, so that
 * no two places give the same bytes. */
#include <assert.h>
#include <string.h>
#include "rand.h"
#include "vault_internal.h"

enum {
    FORM = 1,
    HEAD_BYTES = 1 + 4,
    NONCE_BYTES = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    TAG_BYTES = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    PLACE_BYTES_MAX = 512
};
static_assert(VAULT_SEAL_BYTES == HEAD_BYTES + NONCE_BYTES + TAG_BYTES, "the header says so");
static_assert(VAULT_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "one key size");

static size_t authenticated(const uint8_t *head, struct vault_place place, uint8_t *out);

void seal_with(const uint8_t key[VAULT_KEY_BYTES], uint32_t key_id, struct vault_place place,
               struct text plain, uint8_t *blob)
{
    uint8_t about[PLACE_BYTES_MAX];
    uint8_t *nonce = blob + HEAD_BYTES, *sealed = nonce + NONCE_BYTES;
    blob[0] = FORM;
    for (int i = 0; i < 4; i++)
        blob[1 + i] = (uint8_t)(key_id >> (24 - 8 * i));
    rand_bytes(nonce, NONCE_BYTES);
    size_t about_len = authenticated(blob, place, about);
    const uint8_t *from = (const uint8_t *)(plain.len > 0 ? plain.at : "");
    crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, NULL, from, plain.len, about, about_len,
                                               NULL, nonce, key);
}

bool seal_key_id(struct text blob, uint32_t *key_id)
{
    if (blob.len < VAULT_SEAL_BYTES || (uint8_t)blob.at[0] != FORM)
        return false;
    *key_id = 0;
    for (int i = 0; i < 4; i++)
        *key_id = *key_id << 8 | (uint8_t)blob.at[1 + i];
    return true;
}

bool open_with(const uint8_t key[VAULT_KEY_BYTES], struct vault_place place, struct text blob,
               uint8_t *plain)
{
    uint8_t about[PLACE_BYTES_MAX];
    WEIR_ASSERT(blob.len >= VAULT_SEAL_BYTES);
    const uint8_t *head = (const uint8_t *)blob.at, *nonce = head + HEAD_BYTES;
    size_t about_len = authenticated(head, place, about);
    return crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, nonce + NONCE_BYTES,
                                                      blob.len - HEAD_BYTES - NONCE_BYTES, about,
                                                      about_len, nonce, key) == 0;
}

static size_t authenticated(const uint8_t *head, struct vault_place place, uint8_t *out)
{
    const struct text parts[] = {place.table, place.org_id, place.row_id, place.column};
    size_t len = HEAD_BYTES;
    memcpy(out, head, HEAD_BYTES);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        WEIR_ASSERT(parts[i].len < 256 && len + 1 + parts[i].len <= PLACE_BYTES_MAX);
        out[len++] = (uint8_t)parts[i].len;
        if (parts[i].len > 0)
            memcpy(out + len, parts[i].at, parts[i].len);
        len += parts[i].len;
    }
    return len;
}
