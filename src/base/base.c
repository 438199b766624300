#include "base.h"

#include <stdio.h>
#include <stdlib.h>

void *base_alloc(size_t size)
{
    void *memory = calloc(1, size > 0 ? size : 1);
    if (memory == NULL)
        base_out_of_memory(size);
    return memory;
}

void *base_resize(void *memory, size_t size)
{
    WEIR_ASSERT(size > 0);
    void *resized = realloc(memory, size);
    if (resized == NULL)
        base_out_of_memory(size);
    return resized;
}

/* stderr is unbuffered, and nothing here allocates: both must work when little else does. */
void base_out_of_memory(size_t size)
{
    fprintf(stderr, "weir: out of memory: could not get %zu bytes\n", size);
    abort();
}

void base_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "weir: this is a bug in weir: %s:%d: not true: %s\n", file, line, condition);
    abort();
}
