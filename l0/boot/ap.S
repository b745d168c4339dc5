/*
 * Where an application processor wakes up: copied to a page below 1 MiB, it goes from real mode to 64-bit mode under
 * L0's page tables, takes a number and its stack, and calls ap_main(number).
 */
#include "../stacks.h"
#include "../smp_page.h"

#define CR4_PAE (1 << 5)
#define CR0_ON ((1 << 31) | (1 << 16) | (1 << 5) | 1)	/* PG, WP, NE, PE */
#define EFER 0xc0000080
#define EFER_LME_NXE ((1 << 8) | (1 << 11))
#define HERE(label) (AP_PAGE + label - ap_trampoline)

	.section .rodata
	.balign 16
	.globl ap_trampoline, ap_trampoline_end, ap_trampoline_cr3
	.code16
ap_trampoline:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	lgdtl	HERE(ap_gdt_pointer)
	movl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	HERE(ap_trampoline_cr3), %eax
	movl	%eax, %cr3
	movl	$EFER, %ecx
	movl	$EFER_LME_NXE, %eax
	xorl	%edx, %edx
	wrmsr
	movl	$CR0_ON, %eax
	movl	%eax, %cr0
	ljmpl	$0x08, $HERE(ap_64)

	.code64
ap_64:
	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$1, %edi
	lock xaddl %edi, ap_next_number
	cmpl	$AP_NUMBERS, %edi
	jae	1f
	movl	%edi, %eax
	imull	$(STACKS_PER_CPU * STACK_SIZE), %eax
	leaq	stacks + STACK_SIZE(%rax), %rsp
	movabsq	$ap_main, %rax
	call	*%rax
1:	cli
	hlt
	jmp	1b

	.balign 8
ap_gdt:
	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
ap_gdt_pointer:
	.word . - ap_gdt - 1
	.long HERE(ap_gdt)
	.balign 4
ap_trampoline_cr3:
	.long 0
ap_trampoline_end:

	.section .note.GNU-stack, "", @progbits
