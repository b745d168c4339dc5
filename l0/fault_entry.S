/* The entries of L0's IDT: vector and error code onto the stack, registers, fault_handle(); and a HLT that NMIs end. */

#define HAS_ERROR_CODE(v) ((v) == 8 || ((v) >= 10 && (v) <= 14) || (v) == 17 || (v) == 21)

	.text
	.altmacro
	.macro stub vector
fault_stub_\vector:
	.if !HAS_ERROR_CODE(\vector)
	pushq	$0
	.endif
	pushq	$\vector
	jmp	fault_common
	.endm

	.set i, 0
	.rept 32
	stub %i
	.set i, i + 1
	.endr

fault_common:
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rbx
	pushq	%rbp
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	cld
	movq	%rsp, %rdi
	call	fault_handle
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rbp
	popq	%rbx
	popq	%rdx
	popq	%rcx
	popq	%rax
	addq	$16, %rsp
	iretq


/* void halt_unless(const bool *attention): kick.h. The NMI handler skips a HLT that is not yet executed. */
	.globl	halt_unless, halt_window_start, halt_window_end
halt_unless:
halt_window_start:
	cmpb	$0, (%rdi)
	jne	halt_window_end
	hlt
halt_window_end:
	ret

	.section .rodata
	.balign 8
	.globl fault_stubs
fault_stubs:
	.macro stub_address vector
	.quad	fault_stub_\vector
	.endm
	.set i, 0
	.rept 32
	stub_address %i
	.set i, i + 1
	.endr

	.section .note.GNU-stack, "", @progbits
