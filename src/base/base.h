/* base: the compiler attributes and the few macros that every file uses.
 * Any thread. Nothing here waits. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_at, args_at) __attribute__((format(printf, format_at, args_at)))
#define NORETURN __attribute__((noreturn))

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))
#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

/* Runs type##_cleanup(&variable) when the variable leaves its scope. A type that can be held so
 * defines that function with AUTO_DEFINE, beside its closing function.
 *     AUTO(arena) struct arena *arena = arena_open(64 * KIB); */
#define AUTO(type) __attribute__((cleanup(type##_cleanup)))
#define AUTO_DEFINE(type, close_function)                                                          \
    static inline void type##_cleanup(struct type **held)                                          \
    {                                                                                              \
        if (*held != NULL)                                                                         \
            close_function(*held);                                                                 \
    }

/* Hands what an AUTO variable holds to the caller: the variable is NULL afterwards. */
#define TAKE(pointer)                                                                              \
    __extension__({                                                                                \
        __typeof__(pointer) taken_ = (pointer);                                                    \
        (pointer) = NULL;                                                                          \
        taken_;                                                                                    \
    })

/* For our own bugs only, and kept in release builds: prints where and what, then aborts. What a
 * client, a file or the network can cause is a struct status instead. */
#define WEIR_ASSERT(condition)                                                                     \
    ((condition) ? (void)0 : base_assert_failed(#condition, __FILE__, __LINE__))
NORETURN void base_assert_failed(const char *condition, const char *file, int line);

/* Zeroed memory for what lives longer than a request; free() it. Never NULL: a process out of
 * memory stops with a message. */
void *base_alloc(size_t size);
/* realloc that returns, like base_alloc; size > 0. What is new is not zeroed. */
void *base_resize(void *memory, size_t size);
NORETURN void base_out_of_memory(size_t size);
