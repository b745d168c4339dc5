/* Where another CPU wakes up: copied to a page below 1 MiB, it takes the boot CPU's page tables and a stack. */
#define AP_PAGE 0x9000
#define CR4_PAE (1 << 5)
#define CR0_NE_PE ((1 << 5) | 1)
#define CR0_PG_NE_PE ((1 << 31) | (1 << 5) | 1)
#define EFER 0xc0000080
#define EFER_LME (1 << 8)
#define HERE(label) (AP_PAGE + label - ap_code)
#define STACK_SHIFT 14

	.section .rodata
	.balign 16
	.globl ap_code, ap_code_end, ap_code_cr3
	.code16
ap_code:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	lgdtl	HERE(ap_gdt_pointer)
	movl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	HERE(ap_code_cr3), %eax
	movl	%eax, %cr3
	movl	$EFER, %ecx
	movl	$EFER_LME, %eax
	xorl	%edx, %edx
	wrmsr
	movl	$CR0_NE_PE, %eax		/* in two steps: L0 sees NE change, and then not PG */
	movl	%eax, %cr0
	movl	$CR0_PG_NE_PE, %eax
	movl	%eax, %cr0
	ljmpl	$0x08, $HERE(ap_64)
	.code64
ap_64:
	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$1, %eax
	cpuid
	shrl	$24, %ebx		/* the initial APIC ID */
	movl	%ebx, %edi
	incl	%ebx
	shll	$STACK_SHIFT, %ebx
	leaq	ap_stacks(%rbx), %rsp
	movl	$ap_main, %eax
	call	*%rax

	.balign 8
ap_gdt:
	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
ap_gdt_pointer:
	.word . - ap_gdt - 1
	.long HERE(ap_gdt)
	.balign 4
ap_code_cr3:
	.long 0
ap_code_end:

	.section .note.GNU-stack, "", @progbits
