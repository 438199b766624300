/* The text of a ring file, and blobs that come from a database somebody has meddled with. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "vault_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static struct ring ring;
    static const uint8_t key[VAULT_KEY_BYTES];
    struct status st;
    char path[64];
    if (fd < 0 && sodium_init() >= 0)
        fd = memfd_create("ring", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 0) != 0 || fchmod(fd, 0600) != 0 ||
        pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (ring_read(path, &ring, &st))
        WEIR_ASSERT(ring.count > 0 && ring.count <= RING_KEYS_MAX);
    uint32_t id;
    struct text blob = {(const char *)data, size};
    struct vault_place place = {TEXT("t"), TEXT("c"), TEXT("o"), TEXT("r")};
    if (seal_key_id(blob, &id)) {
        uint8_t *plain = malloc(size - VAULT_SEAL_BYTES + 1);
        WEIR_ASSERT(plain != NULL && !open_with(key, place, blob, plain));
        free(plain);
    }
    return 0;
}
