/* fiber_switch for x86-64, System V ABI. What a function must preserve is pushed on its own stack:
 * rbp, rbx, r12 to r15, and the control words of SSE (mxcsr) and x87.
 * The object is marked for IBT but not for SHSTK: a shadow stack would have to be switched as well,
 * and the missing mark makes the linker leave it off for the whole program. */
#include "fiber_switch.h"
#if defined(__x86_64__) && FIBER_SWITCH_ASSEMBLY
        .text

/* void fiber_switch_to(void **save_sp, void *to_sp) */
        .globl  fiber_switch_to
        .hidden fiber_switch_to
        .type   fiber_switch_to, @function
        .balign 16
fiber_switch_to:
        .cfi_startproc
        endbr64
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r15, 0
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        stmxcsr (%rsp)
        fnstcw  4(%rsp)
        movq    %rsp, (%rdi)
        movq    %rsi, %rsp
        fldcw   4(%rsp)
        ldmxcsr (%rsp)
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        popq    %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r15
        popq    %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r14
        popq    %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r13
        popq    %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r12
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbp
        ret
        .cfi_endproc
        .size   fiber_switch_to, . - fiber_switch_to

/* Where a new stack begins: fiber_context_make has put the entry into r12 and its argument into
 * r13. A backtrace ends here. */
        .globl  fiber_switch_begin
        .hidden fiber_switch_begin
        .type   fiber_switch_begin, @function
        .balign 16
fiber_switch_begin:
        .cfi_startproc
        .cfi_undefined %rip
        endbr64
        movq    %r13, %rdi
        xorl    %ebp, %ebp
        callq   *%r12
        ud2
        .cfi_endproc
        .size   fiber_switch_begin, . - fiber_switch_begin

        .section .note.gnu.property, "a", @note
        .balign 8
        .long   4, 16, 5                /* sizes of name and content; NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .long   0xc0000002, 4, 1, 0     /* GNU_PROPERTY_X86_FEATURE_1_AND: IBT */
#endif
        .section .note.GNU-stack, "", %progbits
