/* vault_ring: the file of a ring. Lines for people, and for the tools that put secrets into files:
 *     # weir key ring "pepper": the last key is the one in use
 *     3f09ab12 <64 hex digits>
 * An id, a space, a key; newest last. Empty lines and lines that begin with # mean nothing. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "rand.h"
#include "vault_internal.h"

enum { LINE_BYTES_MAX = 8 + 1 + 2 * VAULT_KEY_BYTES, FILE_BYTES_MAX = 16 * 1024 };

static bool file_open(const char *path, int *fd, struct status *st);
static bool ring_parse(const char *path, struct text text, struct ring *ring, struct status *st);
static bool line_parse(struct text line, struct ring_key *key);
static void ring_ready(struct ring *ring);
static bool write_all(int fd, const char *bytes, size_t size);
static bool folder_sync(const char *path);

bool ring_read(const char *path, struct ring *ring, struct status *st)
{
    int fd;
    if (!file_open(path, &fd, st))
        return false;
    char *bytes = sodium_malloc(FILE_BYTES_MAX);
    WEIR_ASSERT(bytes != NULL);
    size_t len = 0;
    ssize_t got = 1;
    while (got > 0 && len < FILE_BYTES_MAX) {
        got = read(fd, bytes + len, FILE_BYTES_MAX - len);
        len += got > 0 ? (size_t)got : 0;
    }
    int error = errno;
    close(fd);
    bool ok = false;
    if (got < 0)
        status_fail_errno(st, error, "could not read %s", path);
    else if (len == FILE_BYTES_MAX)
        status_fail(st, STATUS_INVALID, "%s is too long for a key ring", path);
    else
        ok = ring_parse(path, (struct text){bytes, len}, ring, st);
    sodium_free(bytes);
    return ok;
}

/* A file of ours must be ours alone. What a secret store mounts belongs to others and is often
 * readable by a group; only one that anybody may write is refused there. */
static bool file_open(const char *path, int *fd, struct status *st)
{
    struct stat info;
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0 && errno == ENOENT)
        return status_fail(st, STATUS_NOT_FOUND, "there is no key ring %s", path);
    if (*fd < 0 || fstat(*fd, &info) != 0) {
        status_fail_errno(st, errno, "could not open key ring %s", path);
        if (*fd >= 0)
            close(*fd);
        return false;
    }
    bool ours = info.st_uid == geteuid();
    bool bad = (info.st_mode & (ours ? 0027 : 0002)) != 0;
    if (bad || !S_ISREG(info.st_mode)) {
        close(*fd);
        return status_fail(st, STATUS_FORBIDDEN,
                           "key ring %s must be a file that nobody else can use: chmod 600", path);
    }
    return true;
}

static bool ring_parse(const char *path, struct text text, struct ring *ring, struct status *st)
{
    struct text line;
    sodium_memzero(ring, sizeof(*ring));
    for (int number = 1; text_split(&text, '\n', &line); number++) {
        line = text_trim(line);
        if (line.len == 0 || line.at[0] == '#')
            continue;
        if (ring->count == RING_KEYS_MAX)
            return status_fail(st, STATUS_INVALID, "%s has more than %d keys", path, RING_KEYS_MAX);
        struct ring_key *key = &ring->keys[ring->count];
        if (!line_parse(line, key)) /* the line is not shown: it may be most of a key */
            return status_fail(st, STATUS_INVALID,
                               "%s, line %d: not an id of 8 and a key of %d hex digits", path,
                               number, 2 * VAULT_KEY_BYTES);
        for (size_t i = 0; i < ring->count; i++)
            if (ring->keys[i].id == key->id)
                return status_fail(st, STATUS_INVALID, "%s, line %d: its id stands there twice",
                                   path, number);
        ring->count++;
    }
    if (ring->count == 0)
        return status_fail(st, STATUS_INVALID, "%s has no key", path);
    ring_ready(ring);
    return true;
}

static bool line_parse(struct text line, struct ring_key *key)
{
    uint8_t id[4];
    size_t len = 0;
    const char *end = NULL;
    if (line.len != LINE_BYTES_MAX || line.at[8] != ' ' ||
        sodium_hex2bin(id, sizeof(id), line.at, 8, NULL, &len, &end) != 0 || len != sizeof(id) ||
        sodium_hex2bin(key->bytes, sizeof(key->bytes), line.at + 9, line.len - 9, NULL, &len,
                       &end) != 0 ||
        len != sizeof(key->bytes))
        return false;
    key->id = (uint32_t)id[0] << 24 | (uint32_t)id[1] << 16 | (uint32_t)id[2] << 8 | id[3];
    return key->id != 0;
}

static void ring_ready(struct ring *ring)
{
    for (size_t i = 0; i < ring->count; i++) {
        struct ring_key *key = &ring->keys[i];
        crypto_auth_hmacsha256_init(&ring->hmac[i], key->bytes, VAULT_KEY_BYTES);
        snprintf(key->id_text, sizeof(key->id_text), "%08x", key->id);
    }
}

bool ring_add(struct ring *ring, struct status *st)
{
    if (ring->count == RING_KEYS_MAX)
        return status_fail(st, STATUS_LIMIT, "the ring has %d keys already: take old ones out",
                           RING_KEYS_MAX);
    struct ring_key *key = &ring->keys[ring->count];
    bool taken = true;
    while (taken) {
        rand_bytes(&key->id, sizeof(key->id));
        taken = key->id == 0;
        for (size_t i = 0; i < ring->count; i++)
            taken |= ring->keys[i].id == key->id;
    }
    rand_bytes(key->bytes, sizeof(key->bytes));
    ring->count++;
    ring_ready(ring);
    return true;
}

void ring_drop_oldest(struct ring *ring)
{
    WEIR_ASSERT(ring->count > 1);
    ring->count--;
    memmove(&ring->keys[0], &ring->keys[1], ring->count * sizeof(ring->keys[0]));
    sodium_memzero(&ring->keys[ring->count], sizeof(ring->keys[0]));
    sodium_memzero(&ring->hmac[ring->count], sizeof(ring->hmac[0]));
}

bool ring_write(const char *path, const char *name, const struct ring *ring, bool fresh,
                struct status *st)
{
    char temporary[PATH_MAX];
    int path_len = snprintf(temporary, sizeof(temporary), "%s.%d.new", path, (int)getpid());
    if (path_len < 0 || (size_t)path_len >= sizeof(temporary))
        return status_fail(st, STATUS_INVALID, "the path %s is too long", path);
    char *bytes = sodium_malloc(FILE_BYTES_MAX);
    WEIR_ASSERT(bytes != NULL);
    struct text_out out = text_out_over(bytes, FILE_BYTES_MAX);
    text_out_addf(&out, "# weir key ring \"%s\": the last key is the one in use\n", name);
    for (size_t i = 0; i < ring->count; i++) {
        char hex[2 * VAULT_KEY_BYTES + 1];
        sodium_bin2hex(hex, sizeof(hex), ring->keys[i].bytes, VAULT_KEY_BYTES);
        text_out_addf(&out, "%s %s\n", ring->keys[i].id_text, hex);
        sodium_memzero(hex, sizeof(hex));
    }
    WEIR_ASSERT(!out.cut);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool ok = fd >= 0 && write_all(fd, out.at, out.len) && fsync(fd) == 0;
    /* link, unlike rename, does not replace what another process has made meanwhile */
    ok = ok && (fresh ? link(temporary, path) == 0 : rename(temporary, path) == 0) &&
         folder_sync(path);
    int error = errno;
    if (fd >= 0) {
        close(fd);
        if (!ok || fresh)
            unlink(temporary);
    }
    sodium_free(bytes);
    return ok || status_fail_errno(st, error, "could not write key ring %s", path);
}

static bool write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t done = write(fd, bytes, size);
        if (done <= 0)
            return false;
        bytes += done;
        size -= (size_t)done;
    }
    return true;
}

/* So that the name, too, is on the disk. */
static bool folder_sync(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int len = slash == NULL ? 1 : slash == path ? 1 : (int)(slash - path);
    snprintf(folder, sizeof(folder), "%.*s", len, slash == NULL ? "." : path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}
