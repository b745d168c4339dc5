/*
 * The head of every payload: guest_header, page tables, and two ways in. minivisor enters at start64 with
 * paging on; a multiboot loader enters at start32, which gets there by itself.
 */
#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0x10002		/* memory information, and where the image lies */
#define GUEST_MAGIC 0x324c7472
#define CR4_PAE (1 << 5)
#define CR0_PG_WP_NE_PE ((1 << 31) | (1 << 16) | (1 << 5) | 1)
#define MSR_EFER 0xc0000080
#define EFER_LME (1 << 8)
#define LARGE_PAGE 0x83			/* present, writable, 2 MiB */
#define TABLE 0x3			/* present, writable */

	.section .header, "ax"
	.balign 4
header:
	.long	MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
	.long	header, image_start, image_load_end, image_end, start32
	.long	GUEST_MAGIC, start64, pml4

	.text
	.code32
	.globl start32
start32:
	cli
	movl	%ebx, %esi		/* the second argument; there is no first one */
	xorl	%edi, %edi
	movl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$pml4, %eax
	movl	%eax, %cr3
	movl	$MSR_EFER, %ecx
	movl	$EFER_LME, %eax
	xorl	%edx, %edx
	wrmsr
	movl	$CR0_PG_WP_NE_PE, %eax
	movl	%eax, %cr0
	lgdt	gdt_pointer
	ljmp	$0x08, $start64

	.code64
start64:
	cld
	lgdt	gdt_pointer
	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$stack_top, %esp
	call	runtime_start
	ud2

	.data
	.balign 8
gdt:
	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
	.word . - gdt - 1
	.quad gdt

	/* The first GiB, one to one, by 2 MiB pages. */
	.section .tables, "aw"
	.balign 4096
	.globl pml4
pml4:
	.quad pdpt + TABLE
	.balign 4096
pdpt:
	.quad page_directory + TABLE
	.balign 4096
page_directory:
	.set	page, 0
	.rept	512
	.quad	page * 0x200000 + LARGE_PAGE
	.set	page, page + 1
	.endr

	.bss
	.balign 16
	.skip 16384
stack_top:

	.section .note.GNU-stack, "", @progbits
