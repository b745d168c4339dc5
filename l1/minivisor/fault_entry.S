/* Where L1's IDT points: exceptions end in fault_report(), the timer's interrupt in timer_interrupt(). */
	.text

	/* SDM "Exceptions and Interrupts": the vectors that push an error code */
#define VECTORS_WITH_ERROR_CODE ((1 << 8) | (0x1f << 10) | (1 << 17) | (1 << 21))

	.macro	fault_stub vector
fault_\vector:
	.if	(VECTORS_WITH_ERROR_CODE >> \vector) % 2 == 0
	pushq	$0
	.endif
	pushq	$\vector
	jmp	fault_common
	.endm

	.altmacro
	.set	vector, 0
	.rept	32
	fault_stub %vector
	.set	vector, vector + 1
	.endr

fault_common:
	cld
	movq	%rsp, %rdi
	andq	$-16, %rsp
	call	fault_report
	ud2

	.globl timer_stub, spurious_stub
timer_stub:
	.irp	register, rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11
	pushq	%\register
	.endr
	cld
	call	timer_interrupt
	.irp	register, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax
	popq	%\register
	.endr
spurious_stub:
	iretq

	.section .rodata
	.balign 8
	.globl fault_stubs
	.macro	fault_address vector
	.quad	fault_\vector
	.endm
fault_stubs:
	.set	vector, 0
	.rept	32
	fault_address %vector
	.set	vector, vector + 1
	.endr

	.section .note.GNU-stack, "", @progbits
