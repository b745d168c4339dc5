/* Traps of the images written in C, and a call that a trap can end. */
#define SELECTOR_DATA 0x10
#define HAS_ERROR_CODE(v) ((v) == 8 || ((v) >= 10 && (v) <= 14) || (v) == 17)
#define STUBS 33

	.text
	.altmacro
	.macro stub vector
stub_\vector:
	.if !HAS_ERROR_CODE(\vector)
	pushl	$0
	.endif
	pushl	$\vector
	jmp	trap
	.endm
	.set i, 0
	.rept STUBS
	stub %i
	.set i, i + 1
	.endr

/* trap_main(frame, ss): the frame begins with what PUSHA leaves. */
trap:	pushal
	movl	%esp, %ecx
	movl	$SELECTOR_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%ss, %edx
	movl	%eax, %ss
	movl	$trap_stack_end, %esp
	cld
	pushl	%edx
	pushl	%ecx
	call	trap_main

/* attempt(how): 0 if it returned, 1 if a trap ended it. */
	.global	attempt
attempt:
	pushl	%ebp
	pushl	%ebx
	pushl	%esi
	pushl	%edi
	movl	%esp, attempt_stack
	call	*20(%esp)
	xorl	%eax, %eax
1:	popl	%edi
	popl	%esi
	popl	%ebx
	popl	%ebp
	ret
	.global	attempt_end
attempt_end:
	movl	attempt_stack, %esp
	movl	$1, %eax
	jmp	1b

	.section .rodata
	.balign 4
	.global	trap_stubs
trap_stubs:
	.macro stub_address vector
	.long	stub_\vector
	.endm
	.set i, 0
	.rept STUBS
	stub_address %i
	.set i, i + 1
	.endr

	.bss
	.balign 16
attempt_stack:
	.skip	16
	.skip	4096
trap_stack_end:

	.section .note.GNU-stack, "", @progbits
