/*
 * The first instructions: multiboot leaves us in 32-bit protected mode without paging. Map the low
 * 4 GiB one to one, enter 64-bit mode, call minivisor_main(magic, info).
 */
#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 3	/* modules on page borders, memory information */
#define CR4_PAE (1 << 5)
#define CR0_PG_NE_PE ((1 << 31) | (1 << 5) | 1)
#define MSR_EFER 0xc0000080
#define EFER_LME (1 << 8)
#define LARGE_PAGE 0x83		/* present, writable, 2 MiB */
#define TABLE 0x3		/* present, writable */

	.section .multiboot, "a"
	.balign 4
	.long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.text
	.code32
	.globl start
start:
	cli
	cld
	movl	%eax, %edi
	movl	%ebx, %esi

	/* 2048 pages of 2 MiB: four page directories on end */
	movl	$page_directories, %ecx
	movl	$LARGE_PAGE, %eax
1:	movl	%eax, (%ecx)
	addl	$8, %ecx
	addl	$0x200000, %eax
	jnc	1b
	movl	$page_directories + TABLE, %eax
	movl	$pdpt, %ecx
2:	movl	%eax, (%ecx)
	addl	$4096, %eax
	addl	$8, %ecx
	cmpl	$pdpt + 4 * 8, %ecx
	jb	2b
	movl	$pdpt + TABLE, pml4

	movl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$pml4, %eax
	movl	%eax, %cr3
	movl	$MSR_EFER, %ecx
	movl	$EFER_LME, %eax
	xorl	%edx, %edx
	wrmsr
	movl	$CR0_PG_NE_PE, %eax
	movl	%eax, %cr0
	lgdt	boot_gdt_pointer
	ljmp	$0x08, $start64

	.code64
start64:
	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movl	$stack_top, %esp
	call	minivisor_main
	ud2

	.section .rodata
	.balign 8
boot_gdt:
	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
boot_gdt_pointer:
	.word . - boot_gdt - 1
	.quad boot_gdt

	.bss
	.balign 4096
pml4:
	.skip 4096
pdpt:
	.skip 4096
page_directories:
	.skip 4 * 4096
	.skip 16384
stack_top:

	.section .note.GNU-stack, "", @progbits
