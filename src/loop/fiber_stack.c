#include "fiber_stack.h"
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>
#include "sanitize.h"

/* Linux 6.13: a guard that is no mapping of its own, so that tens of thousands of stacks do not
 * run into vm.max_map_count. Older kernels refuse it, and mprotect does the same at that price. */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#if SANITIZE_ADDRESS
#define STACK_BYTES_DEFAULT (1024 * KIB)
#elif SANITIZE_THREAD
#define STACK_BYTES_DEFAULT (512 * KIB)
#else
#define STACK_BYTES_DEFAULT (256 * KIB)
#endif
/* More than a page, for frames of code that was built without stack probes. */
#define GUARD_BYTES (16 * KIB)

static size_t guard_bytes(void);
static char *stack_map(size_t size);
static void stack_unmap(struct fiber_stack_pool *pool, char *mapping);

void fiber_stack_pool_open(struct fiber_stack_pool *pool, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    *pool = (struct fiber_stack_pool){.size = size == 0 ? STACK_BYTES_DEFAULT : size};
    pool->size = (pool->size + page - 1) / page * page;
    WEIR_ASSERT(pool->size >= guard_bytes() + 16 * KIB);
}

void fiber_stack_pool_close(struct fiber_stack_pool *pool)
{
    WEIR_ASSERT(pool->mapped == pool->free_count);
    while (pool->free_count > 0)
        stack_unmap(pool, pool->free[--pool->free_count]);
}

bool fiber_stack_take(struct fiber_stack_pool *pool, struct fiber_stack *out)
{
    char *mapping;
    if (pool->free_count > 0) {
        mapping = pool->free[--pool->free_count];
        if (pool->cold_count > pool->free_count)
            pool->cold_count = pool->free_count;
    } else {
        mapping = stack_map(pool->size);
        if (mapping == NULL)
            return false;
        pool->mapped++;
    }
    *out = (struct fiber_stack){mapping + guard_bytes(), pool->size - guard_bytes()};
    return true;
}

void fiber_stack_release(struct fiber_stack_pool *pool, struct fiber_stack stack)
{
    char *mapping = stack.low - guard_bytes();
#if SANITIZE_ADDRESS
    /* The last frames never returned: their red zones would meet the next fiber. */
    __asan_unpoison_memory_region(stack.low, stack.size);
#endif
    if (pool->free_count == FIBER_STACK_POOL_MAX) {
        stack_unmap(pool, mapping);
        return;
    }
    pool->free[pool->free_count++] = mapping;
    while (pool->free_count - pool->cold_count > FIBER_STACK_HOT_MAX) {
        char *oldest = pool->free[pool->cold_count++];
        (void)madvise(oldest + guard_bytes(), pool->size - guard_bytes(), MADV_DONTNEED);
    }
}

void fiber_stack_trim(struct fiber_stack stack, const void *here)
{
    enum { KEPT_BYTES = 1024 }; /* for the call to the system itself, and the red zone */
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t low = (uintptr_t)stack.low, end = ((uintptr_t)here - KEPT_BYTES) / page * page;
    WEIR_ASSERT((uintptr_t)here > low && (uintptr_t)here <= low + stack.size);
    if (end > low)
        (void)madvise(stack.low, end - low, MADV_DONTNEED);
}

static size_t guard_bytes(void)
{
    static size_t bytes; /* the same in every thread */
    if (__atomic_load_n(&bytes, __ATOMIC_RELAXED) == 0) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        __atomic_store_n(&bytes, page > GUARD_BYTES ? page : GUARD_BYTES, __ATOMIC_RELAXED);
    }
    return __atomic_load_n(&bytes, __ATOMIC_RELAXED);
}

static char *stack_map(size_t size)
{
    void *mapping = mmap(NULL, size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (mapping == MAP_FAILED)
        return NULL;
    /* Neighbouring stacks are one area to the kernel, which would otherwise back the few pages
     * that each of them uses with 2 MiB at once. */
    (void)madvise(mapping, size, MADV_NOHUGEPAGE);
    if (madvise(mapping, guard_bytes(), MADV_GUARD_INSTALL) != 0 &&
        mprotect(mapping, guard_bytes(), PROT_NONE) != 0) {
        int error = errno;
        (void)munmap(mapping, size);
        errno = error;
        return NULL;
    }
#if SANITIZE_ADDRESS
    __lsan_register_root_region((char *)mapping + guard_bytes(), size - guard_bytes());
#endif
    return mapping;
}

static void stack_unmap(struct fiber_stack_pool *pool, char *mapping)
{
#if SANITIZE_ADDRESS
    __lsan_unregister_root_region(mapping + guard_bytes(), pool->size - guard_bytes());
#endif
    WEIR_ASSERT(munmap(mapping, pool->size) == 0);
    pool->mapped--;
}
