/* The assembly of task.c: traps, the first instructions of the tasks, a call that a trap can end. */
#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_MAIN 0x18
#define HAS_ERROR_CODE(v) ((v) == 8 || ((v) >= 10 && (v) <= 14) || (v) == 17)
#define NT_HIGH 0x40 /* of the second byte of EFLAGS */

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
	.rept 33
	stub %i
	.set i, i + 1
	.endr

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

/* The order of struct seen. ESP may be of 16 bits here. */
	.global	task_entry
task_entry:
	movl	%eax, seen
	movl	%ecx, seen + 4
	movl	%edx, seen + 8
	movl	%ebx, seen + 12
	movl	%esp, seen + 16
	movl	%ebp, seen + 20
	movl	%esi, seen + 24
	movl	%edi, seen + 28
	movw	%es, seen + 32
	movw	%cs, seen + 36
	movw	%ss, seen + 40
	movw	%ds, seen + 44
	movw	%fs, seen + 48
	movw	%gs, seen + 52
	str	%eax
	movl	%eax, seen + 56
	sldt	%eax
	movl	%eax, seen + 60
	movl	%cr0, %eax
	movl	%eax, seen + 64
	movl	%cr3, %eax
	movl	%eax, seen + 68
	movl	%dr7, %eax
	movl	%eax, seen + 72
	pushfl
	popl	seen + 76
	popl	%eax
	movl	%eax, seen + 80
	movl	$SELECTOR_DATA, %eax
	movl	%eax, %es
	movl	%eax, %ss
	movl	$task_stack_end, %esp
	ljmp	$SELECTOR_CODE, $1f
1:	cld
	call	task_main
	testb	$NT_HIGH, seen + 77
	jz	2f
	iret
2:	ljmp	$SELECTOR_MAIN, $0

	.global	user_entry
user_entry:
	int	$32

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
	.rept 33
	stub_address %i
	.set i, i + 1
	.endr

	.bss
	.balign 16
attempt_stack:
	.skip	16
	.skip	4096
task_stack_end:
	.skip	4096
trap_stack_end:

	.section .note.GNU-stack, "", @progbits
