/*
 * Into a piece of code under test and out of it by whatever vector it ends in: the stack of all vectors is
 * probe_frame itself, so what the CPU and the stubs push is the code's state as it ended.
 */
#define HAS_ERROR_CODE(v) ((v) == 8 || ((v) >= 10 && (v) <= 14) || (v) == 17 || (v) == 21)
#define VECTORS 256

	.text
	.altmacro
	.macro stub vector
vector_stub_\vector:
	.if !HAS_ERROR_CODE(\vector)
	pushq	$0
	.endif
	pushq	$\vector
	jmp	vector_common
	.endm

	.set i, 0
	.rept VECTORS
	stub %i
	.set i, i + 1
	.endr

vector_common:
	.irp	register, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	pushq	%\register
	.endr
	cld
	movq	probe_stack(%rip), %rsp
	testq	%rsp, %rsp
	jz	1f
	movq	$0, probe_stack(%rip)
	.irp	register, r15, r14, r13, r12, rbp, rbx
	popq	%\register
	.endr
	ret
1:	leaq	fault_stack_top(%rip), %rsp	/* no probe: the image itself has faulted */
	call	image_faulted
	ud2

	/* void probe_enter(void): runs probe_frame until a vector ends it. */
	.globl probe_enter
probe_enter:
	.irp	register, rbx, rbp, r12, r13, r14, r15
	pushq	%\register
	.endr
	movq	%rsp, probe_stack(%rip)
	leaq	probe_frame(%rip), %rsp
	.irp	register, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
	popq	%\register
	.endr
	leaq	16(%rsp), %rsp			/* vector and error code */
	iretq

	.section .rodata
	.balign 8
	.globl vector_stubs
	.macro stub_address vector
	.quad	vector_stub_\vector
	.endm
vector_stubs:
	.set i, 0
	.rept VECTORS
	stub_address %i
	.set i, i + 1
	.endr

	.bss
	.balign 16
probe_stack:
	.skip 16
	.skip 8192
fault_stack_top:

	.section .note.GNU-stack, "", @progbits
