#include "fiber_switch.h"
#include <stdint.h>
#include <string.h>

#if FIBER_SWITCH_ASSEMBLY

/* In fiber_switch_x86_64.S and fiber_switch_arm64.S. */
void fiber_switch_to(void **save_sp, void *to_sp);
void fiber_switch_begin(void);

#ifdef __x86_64__
/* From the lowest address, as fiber_switch_to pops them. */
struct frame {
    uint32_t mxcsr;
    uint16_t x87_control, unused;
    void *r15, *r14, *r13, *r12, *rbx, *rbp, *rip;
    void *above[2]; /* keeps the stack aligned to 16 at the call in fiber_switch_begin */
};
#else
struct frame {
    void *x19_x28[10], *x29, *x30;
    double d8_d15[8];
    uint64_t fpcr, unused;
};
#endif
static void frame_fill(struct frame *frame, void (*entry)(void *arg), void *arg);

void fiber_context_make(struct fiber_context *context, void *low, size_t size,
                        void (*entry)(void *arg), void *arg)
{
    char *top = (char *)low + size;
    top -= (uintptr_t)top % 16;
    struct frame frame;
    memset(&frame, 0, sizeof(frame));
    frame_fill(&frame, entry, arg);
    context->sp = memcpy(top - sizeof(frame), &frame, sizeof(frame));
}

void fiber_context_switch(struct fiber_context *from, struct fiber_context *to)
{
    fiber_switch_to(&from->sp, to->sp);
}

/* A function's address as a value: ISO C has no cast for it. */
static void *code_address(void (*function)(void))
{
    union {
        void (*function)(void);
        void *address;
    } pointer = {.function = function};
    _Static_assert(sizeof(pointer) == sizeof(void *), "code and data pointers differ");
    return pointer.address;
}

#ifdef __x86_64__
static void frame_fill(struct frame *frame, void (*entry)(void *arg), void *arg)
{
    /* A new fiber begins with the control words of whoever makes it. */
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(frame->mxcsr), "=m"(frame->x87_control));
    frame->r12 = code_address((void (*)(void))entry);
    frame->r13 = arg;
    frame->rip = code_address(fiber_switch_begin);
}
#else
static void frame_fill(struct frame *frame, void (*entry)(void *arg), void *arg)
{
    __asm__ volatile("mrs %0, fpcr" : "=r"(frame->fpcr));
    frame->x19_x28[0] = code_address((void (*)(void))entry);
    frame->x19_x28[1] = arg;
    frame->x30 = code_address(fiber_switch_begin);
}
#endif

#else /* ucontext */

/* makecontext passes ints only, so the pointer travels in two halves. */
static void begin(unsigned high, unsigned low)
{
    uintptr_t address = ((uintptr_t)high << 16 << 16) | low;
    struct fiber_context *context = (struct fiber_context *)address;
    context->entry(context->arg);
}

void fiber_context_make(struct fiber_context *context, void *low, size_t size,
                        void (*entry)(void *arg), void *arg)
{
    (void)getcontext(&context->ucontext);
    context->ucontext.uc_stack.ss_sp = low;
    context->ucontext.uc_stack.ss_size = size;
    context->ucontext.uc_link = NULL;
    context->entry = entry;
    context->arg = arg;
    uintptr_t address = (uintptr_t)context;
    makecontext(&context->ucontext, (void (*)(void))begin, 2, (unsigned)(address >> 16 >> 16),
                (unsigned)address);
}

void fiber_context_switch(struct fiber_context *from, struct fiber_context *to)
{
    (void)swapcontext(&from->ucontext, &to->ucontext);
}

#endif
