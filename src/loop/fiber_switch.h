/* fiber_switch: leaves one stack and goes on in another. Nothing else: no scheduling, no memory,
 * no sanitizers (fiber.c tells them). Needs no library, so that it runs alone under an emulator.
 * Assembly on x86-64 and arm64 (the callee-saved registers and the floating-point control words),
 * ucontext elsewhere or with WEIR_FIBER_UCONTEXT. */
#pragma once

#if (defined(__x86_64__) && !defined(__ILP32__) || defined(__aarch64__)) &&                        \
    !defined(WEIR_FIBER_UCONTEXT)
#define FIBER_SWITCH_ASSEMBLY 1
#else
#define FIBER_SWITCH_ASSEMBLY 0
#endif

#ifndef __ASSEMBLER__
#include <stddef.h>
#if FIBER_SWITCH_ASSEMBLY
struct fiber_context {
    void *sp; /* all else is on the stack */
};
#else
#include <ucontext.h>
struct fiber_context {
    ucontext_t ucontext;
    void (*entry)(void *arg);
    void *arg;
};
#endif

/* Prepares `context` so that the first switch to it calls `entry(arg)` on the stack that begins at
 * `low` and is `size` bytes long. `entry` must never return. `context` must not move afterwards. */
void fiber_context_make(struct fiber_context *context, void *low, size_t size,
                        void (*entry)(void *arg), void *arg);
/* Saves the caller in `from` and goes on where `to` was saved; returns when somebody switches to
 * `from`. Both belong to the calling thread. */
void fiber_context_switch(struct fiber_context *from, struct fiber_context *to);
#endif
