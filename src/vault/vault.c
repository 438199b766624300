/* vault: the rings and what is done with them directly. A ring is immutable; vault_reload puts a
 * new one in its place by one atomic store and keeps the old, which others may still read, until
 * the vault is closed. */
#include "vault.h"
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "vault_internal.h"

const char *const vault_ring_names[VAULT_RING_COUNT] = {
    [VAULT_RING_MASTER] = "master",
    [VAULT_RING_PEPPER] = "pepper",
    [VAULT_RING_TOKEN] = "token",
};

static bool folder_ready(const struct vault_options *options, struct status *st);
static char *ring_path(const struct vault_options *options, enum vault_ring ring);
static bool ring_load(struct vault *vault, enum vault_ring which, bool create, struct status *st);
static struct ring *ring_new(void);
static bool ring_same(const struct ring *a, const struct ring *b);
static bool rotate(struct vault *vault, enum vault_ring which, struct text oldest_id,
                   struct status *st);
static void ring_publish(struct vault *vault, enum vault_ring which, struct ring *ring);
static void digest_with(const struct ring *ring, size_t index, struct text purpose,
                        struct text data, struct vault_digest *out);

bool vault_open(const struct vault_options *options, struct vault **out, struct status *st)
{
    if (sodium_init() < 0)
        return status_fail(st, STATUS_SYSTEM, "could not prepare libsodium");
    if (options->create && !folder_ready(options, st))
        return false;
    struct vault *vault = calloc(1, sizeof(*vault));
    WEIR_ASSERT(vault != NULL);
    pthread_mutex_init(&vault->mutex, NULL);
    pthread_mutex_init(&vault->rotating, NULL);
    keys_open(vault);
    for (int i = 0; i < VAULT_RING_COUNT; i++) {
        vault->files[i] = ring_path(options, (enum vault_ring)i);
        if (!ring_load(vault, (enum vault_ring)i, options->create, st)) {
            vault_close(vault);
            return false;
        }
    }
    *out = vault;
    return true;
}

void vault_close(struct vault *vault)
{
    if (vault == NULL)
        return;
    keys_close(vault);
    for (int i = 0; i < VAULT_RING_COUNT; i++) {
        struct ring *ring = vault->rings[i];
        while (ring != NULL) {
            struct ring *before = ring->retired;
            sodium_free(ring); /* wipes it */
            ring = before;
        }
        free(vault->files[i]);
    }
    pthread_mutex_destroy(&vault->mutex);
    pthread_mutex_destroy(&vault->rotating);
    free(vault);
}

bool vault_reload(struct vault *vault, struct status *st)
{
    for (int i = 0; i < VAULT_RING_COUNT; i++)
        if (!ring_load(vault, (enum vault_ring)i, false, st))
            return false;
    return true;
}

void vault_ring_facts(struct vault *vault, enum vault_ring which, struct vault_ring_facts *out)
{
    const struct ring *ring = vault_ring_of(vault, which);
    *out = (struct vault_ring_facts){.count = ring->count, .max = RING_KEYS_MAX};
    memcpy(out->newest_id, ring->keys[ring->count - 1].id_text, sizeof(out->newest_id));
    memcpy(out->oldest_id, ring->keys[0].id_text, sizeof(out->oldest_id));
}

bool vault_ring_by_name(struct text name, enum vault_ring *out)
{
    for (int i = 0; i < VAULT_RING_COUNT; i++)
        if (text_equal(name, text_of(vault_ring_names[i]))) {
            *out = (enum vault_ring)i;
            return true;
        }
    return false;
}

bool vault_rotate(struct vault *vault, enum vault_ring which, struct status *st)
{
    return rotate(vault, which, TEXT_NONE, st);
}

bool vault_rotate_out(struct vault *vault, enum vault_ring which, struct text oldest_id,
                      struct status *st)
{
    WEIR_ASSERT(oldest_id.len > 0);
    return rotate(vault, which, oldest_id, st);
}

const struct ring *vault_ring_of(struct vault *vault, enum vault_ring ring)
{
    return atomic_load_explicit(&vault->rings[ring], memory_order_acquire);
}

const struct ring_key *ring_find(const struct ring *ring, uint32_t id)
{
    for (size_t i = ring->count; i > 0; i--)
        if (ring->keys[i - 1].id == id)
            return &ring->keys[i - 1];
    return NULL;
}

void vault_digest(struct vault *vault, enum vault_ring ring, struct text purpose, struct text data,
                  struct vault_digest *out)
{
    const struct ring *keys = vault_ring_of(vault, ring);
    digest_with(keys, keys->count - 1, purpose, data, out);
}

size_t vault_digest_all(struct vault *vault, enum vault_ring ring, struct text purpose,
                        struct text data, struct vault_digest *out, size_t size)
{
    const struct ring *keys = vault_ring_of(vault, ring);
    size_t count = 0;
    for (size_t i = keys->count; i > 0 && count < size; i--)
        digest_with(keys, i - 1, purpose, data, &out[count++]);
    return count;
}

static void digest_with(const struct ring *ring, size_t index, struct text purpose,
                        struct text data, struct vault_digest *out)
{
    crypto_auth_hmacsha256_state state = ring->hmac[index];
    const unsigned char end = 0; /* a purpose has no zero byte, so it ends here */
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)purpose.at, purpose.len);
    crypto_auth_hmacsha256_update(&state, &end, 1);
    if (data.len > 0)
        crypto_auth_hmacsha256_update(&state, (const unsigned char *)data.at, data.len);
    crypto_auth_hmacsha256_final(&state, out->bytes);
    sodium_memzero(&state, sizeof(state));
    memcpy(out->key_id, ring->keys[index].id_text, sizeof(out->key_id));
}

/* One at a time: of two that read the file before either has written it, one would lose its key. */
static bool rotate(struct vault *vault, enum vault_ring which, struct text oldest_id,
                   struct status *st)
{
    struct ring *ring = ring_new();
    const char *path = vault->files[which];
    pthread_mutex_lock(&vault->rotating);
    bool ok = ring_read(path, ring, st);
    if (ok && oldest_id.len > 0) {
        ok = text_equal(oldest_id, text_of(ring->keys[0].id_text)) ||
             status_fail(st, STATUS_CONFLICT, "it was rotated by somebody else in this moment");
        if (ok)
            ring_drop_oldest(ring);
    }
    ok = ok && ring_add(ring, st) && ring_write(path, vault_ring_names[which], ring, false, st);
    if (ok)
        ring_publish(vault, which, ring);
    pthread_mutex_unlock(&vault->rotating);
    if (ok)
        return true;
    sodium_free(ring);
    return status_wrap(st, "could not rotate the %s key", vault_ring_names[which]);
}

/* Only when one of the files is to lie in it. */
static bool folder_ready(const struct vault_options *options, struct status *st)
{
    bool needed = false;
    for (int i = 0; i < VAULT_RING_COUNT; i++)
        needed |= options->files[i].len == 0;
    if (!needed)
        return true;
    char path[PATH_MAX];
    struct stat info;
    if (options->folder.len == 0 || options->folder.len >= sizeof(path))
        return status_fail(st, STATUS_INVALID, "no folder for the key rings, or too long a path");
    snprintf(path, sizeof(path), "%.*s", TEXT_ARG(options->folder));
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return status_fail_errno(st, errno, "could not make folder %s", path);
    if (stat(path, &info) != 0)
        return status_fail_errno(st, errno, "could not look at folder %s", path);
    if (!S_ISDIR(info.st_mode) || (info.st_mode & 0077) != 0)
        return status_fail(st, STATUS_FORBIDDEN,
                           "%s must be a folder that nobody else can enter: chmod 700", path);
    return true;
}

static char *ring_path(const struct vault_options *options, enum vault_ring ring)
{
    struct text file = options->files[ring];
    char *path = NULL;
    int len = file.len > 0 ? asprintf(&path, "%.*s", TEXT_ARG(file))
                           : asprintf(&path, "%.*s/%s.keys", TEXT_ARG(options->folder),
                                      vault_ring_names[ring]);
    WEIR_ASSERT(len >= 0);
    return path;
}

static bool ring_load(struct vault *vault, enum vault_ring which, bool create, struct status *st)
{
    struct ring *ring = ring_new();
    const char *path = vault->files[which];
    bool ok = ring_read(path, ring, st);
    if (!ok && create && st->code == STATUS_NOT_FOUND) {
        struct status why = {0};
        sodium_memzero(ring, sizeof(*ring));
        ok = ring_add(ring, &why) && ring_write(path, vault_ring_names[which], ring, true, &why);
        /* another process may have been first: then its file is the one */
        if (!ok && !ring_read(path, ring, st))
            *st = why;
        else
            ok = true;
    }
    if (!ok) {
        sodium_free(ring);
        return status_wrap(st, "could not read the %s keys", vault_ring_names[which]);
    }
    if (vault->rings[which] != NULL && ring_same(vault_ring_of(vault, which), ring))
        sodium_free(ring); /* a ring that is put away stays till the end: not one for each SIGHUP */
    else
        ring_publish(vault, which, ring);
    return true;
}

static bool ring_same(const struct ring *a, const struct ring *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->keys[i].id != b->keys[i].id ||
            sodium_memcmp(a->keys[i].bytes, b->keys[i].bytes, VAULT_KEY_BYTES) != 0)
            return false;
    return true;
}

static struct ring *ring_new(void)
{
    static_assert(sizeof(struct ring) % 16 == 0 || _Alignof(struct ring) <= 8,
                  "sodium_malloc aligns the end of the piece");
    struct ring *ring = sodium_malloc(sizeof(*ring));
    WEIR_ASSERT(ring != NULL);
    sodium_memzero(ring, sizeof(*ring));
    return ring;
}

static void ring_publish(struct vault *vault, enum vault_ring which, struct ring *ring)
{
    pthread_mutex_lock(&vault->mutex);
    ring->retired = vault->rings[which];
    atomic_store_explicit(&vault->rings[which], ring, memory_order_release);
    pthread_mutex_unlock(&vault->mutex);
}
