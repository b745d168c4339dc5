/* Where L2's IDT points: every vector ends in trap(frame), which may change what the frame returns to. */
	.text

	/* SDM "Exceptions and Interrupts": the vectors that push an error code */
#define VECTORS_WITH_ERROR_CODE ((1 << 8) | (0x1f << 10) | (1 << 17) | (1 << 21))
#define VECTORS 64

	.macro	trap_stub vector
trap_\vector:
	.if	\vector >= 32
	pushq	$0
	.elseif	(VECTORS_WITH_ERROR_CODE >> \vector) % 2 == 0
	pushq	$0
	.endif
	pushq	$\vector
	jmp	trap_common
	.endm

	.altmacro
	.set	vector, 0
	.rept	VECTORS
	trap_stub %vector
	.set	vector, vector + 1
	.endr

trap_common:
	.irp	register, rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11
	pushq	%\register
	.endr
	cld
	leaq	9*8(%rsp), %rdi
	call	trap
	.irp	register, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax
	popq	%\register
	.endr
	addq	$16, %rsp		/* vector and error code */
	iretq

	.section .rodata
	.balign 8
	.globl trap_stubs
	.macro	trap_address vector
	.quad	trap_\vector
	.endm
trap_stubs:
	.set	vector, 0
	.rept	VECTORS
	trap_address %vector
	.set	vector, vector + 1
	.endr

	.section .note.GNU-stack, "", @progbits
