/*
 * The other CPU: started by a SIPI at AP_PAGE, it enters flat 32-bit code and changes words of memory, over and over,
 * as a list says, until it is told to stop. Between two rounds it waits for a time that it draws: in step with the
 * first CPU, it would show that one the same bits each time. It runs as a copy at AP_PAGE.
 */
#include "tests/attack/ap.h"

#define HERE(label) (label - ap_code)
#define CR0_PROTECTED 0x11
#define CODE 0x08
#define DATA 0x10
#define RANDOM_FACTOR 1664525
#define RANDOM_TERM 1013904223
#define RANDOM_SHIFT 25 /* waits of 1 to 128 */

	.section .rodata
	.globl ap_code, ap_code_end
	.code16
ap_code:
	cli
	movw	%cs, %ax
	movw	%ax, %ds
	lgdtl	HERE(gdt_pointer)
	movl	$CR0_PROTECTED, %eax
	movl	%eax, %cr0
	ljmpl	$CODE, $(AP_PAGE + HERE(protected))
	.code32
protected:
	movl	$DATA, %eax
	movl	%eax, %ds
	movl	$1, AP_PAGE + AP_RUNNING
	xorl	%ebx, %ebx
1:	cmpl	$0, AP_PAGE + AP_STOP
	jne	3f
	movl	$(AP_PAGE + AP_LIST), %esi
	imull	$RANDOM_FACTOR, %ebx
	addl	$RANDOM_TERM, %ebx
	movl	%ebx, %ecx
	shrl	$RANDOM_SHIFT, %ecx
	incl	%ecx
5:	loop	5b
2:	movl	(%esi), %edi
	testl	%edi, %edi
	jz	1b
	movl	4(%esi), %eax
	lock xorl %eax, (%edi)
	addl	$AP_WORD, %esi
	jmp	2b
3:	movl	$0, AP_PAGE + AP_RUNNING
4:	hlt
	jmp	4b
	.balign 8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
	.word	. - gdt - 1
	.long	AP_PAGE + HERE(gdt)
ap_code_end:
	.code64
	.section .note.GNU-stack, "", @progbits
