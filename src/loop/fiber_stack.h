/* fiber_stack: the stacks of fibers, from a pool. Each is reserved address space with a guard area
 * at its low end, and takes memory only for the pages that were used. Released stacks stay in the
 * pool: the last few as they are, more without their pages, the rest is unmapped.
 * One thread (the loop's) per pool. */
#pragma once
#include "base.h"

enum {
    FIBER_STACK_HOT_MAX = 64,    /* released stacks that keep their pages */
    FIBER_STACK_POOL_MAX = 1024, /* released stacks that keep their address space */
};

struct fiber_stack {
    char *low; /* above the guard */
    size_t size;
};

struct fiber_stack_pool {
    size_t size;   /* of each mapping, guard included */
    size_t mapped; /* how many exist, in use or not */
    char *free[FIBER_STACK_POOL_MAX];
    size_t free_count;
    size_t cold_count; /* the first so many of `free` have given their pages back */
};

/* `size` 0 is the default, 256 KiB (more under a sanitizer, whose frames are larger). */
void fiber_stack_pool_open(struct fiber_stack_pool *pool, size_t size);
void fiber_stack_pool_close(struct fiber_stack_pool *pool); /* all stacks are back */
/* Fails (false, errno) when the system has no more memory or mappings. */
MUST_CHECK bool fiber_stack_take(struct fiber_stack_pool *pool, struct fiber_stack *out);
void fiber_stack_release(struct fiber_stack_pool *pool, struct fiber_stack stack);
/* Gives back the whole pages below `here`, an address of the running function's frame. */
void fiber_stack_trim(struct fiber_stack stack, const void *here);
