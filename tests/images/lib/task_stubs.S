/* The first instructions of task.c's tasks. */
#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_MAIN 0x18
#define NT_HIGH 0x40 /* of the second byte of EFLAGS */

	.text
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

	.bss
	.balign 16
	.skip	4096
task_stack_end:

	.section .note.GNU-stack, "", @progbits
