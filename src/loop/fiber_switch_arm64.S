/* fiber_switch for arm64, AAPCS64. What a function must preserve is stored on its own stack: x19 to
 * x30, d8 to d15 and FPCR. The object is marked for BTI; return addresses are not signed. */
#include "fiber_switch.h"
#if defined(__aarch64__) && FIBER_SWITCH_ASSEMBLY
        .text

/* void fiber_switch_to(void **save_sp, void *to_sp) */
        .globl  fiber_switch_to
        .hidden fiber_switch_to
        .type   fiber_switch_to, %function
        .balign 16
fiber_switch_to:
        .cfi_startproc
        hint    #34                     /* bti c */
        sub     sp, sp, #176
        .cfi_adjust_cfa_offset 176
        stp     x19, x20, [sp, #0]
        stp     x21, x22, [sp, #16]
        stp     x23, x24, [sp, #32]
        stp     x25, x26, [sp, #48]
        stp     x27, x28, [sp, #64]
        stp     x29, x30, [sp, #80]
        .cfi_rel_offset x29, 80
        .cfi_rel_offset x30, 88
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        mrs     x9, fpcr
        str     x9, [sp, #160]
        mov     x10, sp
        str     x10, [x0]
        mov     sp, x1
        ldr     x9, [sp, #160]
        msr     fpcr, x9
        ldp     x19, x20, [sp, #0]
        ldp     x21, x22, [sp, #16]
        ldp     x23, x24, [sp, #32]
        ldp     x25, x26, [sp, #48]
        ldp     x27, x28, [sp, #64]
        ldp     x29, x30, [sp, #80]
        ldp     d8, d9, [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        add     sp, sp, #176
        .cfi_adjust_cfa_offset -176
        .cfi_restore x29
        .cfi_restore x30
        ret
        .cfi_endproc
        .size   fiber_switch_to, . - fiber_switch_to

/* Where a new stack begins: fiber_context_make has put the entry into x19 and its argument into
 * x20. A backtrace ends here. */
        .globl  fiber_switch_begin
        .hidden fiber_switch_begin
        .type   fiber_switch_begin, %function
        .balign 16
fiber_switch_begin:
        .cfi_startproc
        .cfi_undefined x30
        hint    #38                     /* bti jc */
        mov     x0, x20
        mov     x29, xzr
        mov     x30, xzr
        blr     x19
        brk     #1
        .cfi_endproc
        .size   fiber_switch_begin, . - fiber_switch_begin

        .section .note.gnu.property, "a", %note
        .balign 8
        .word   4, 16, 5                /* sizes of name and content; NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .word   0xc0000000, 4, 1, 0     /* GNU_PROPERTY_AARCH64_FEATURE_1_AND: BTI */
#endif
        .section .note.GNU-stack, "", %progbits
