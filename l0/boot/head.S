/*
 * L0's first instructions: multiboot leaves us in 32-bit protected mode without paging. Build an identity
 * map of the low 4 GiB, enter 64-bit mode, call l0_main(magic, info).
 */
#include "ports.h"
#include "../stacks.h"

#define EARLY_CR4 (1 << 5)			/* PAE */
#define EARLY_CR0 ((1 << 31) | (1 << 5) | 1)	/* PG, NE, PE */
#define EFER 0xc0000080
#define EFER_LME_NXE ((1 << 8) | (1 << 11))
#define PAGE_2M_RW 0x83
#define TABLE_RW 0x3

	.section .multiboot, "ax"
	.balign 4
	.globl multiboot_header
multiboot_header:
	.long MULTIBOOT_HEADER_MAGIC
	.long 3				/* modules on page borders, memory information */
	.long -(MULTIBOOT_HEADER_MAGIC + 3)

	.section .text.boot, "ax"
	.code32
	.globl l0_start
l0_start:
	cli
	cld
	movl	%eax, %edi
	movl	%ebx, %esi

	/* CPUID leaf 0x80000001, EDX bit 29: 64-bit mode */
	movl	$0x80000000, %eax
	cpuid
	cmpl	$0x80000001, %eax
	jb	no_long_mode
	movl	$0x80000001, %eax
	cpuid
	btl	$29, %edx
	jnc	no_long_mode

	/* 2048 pages of 2 MiB: four page directories on end */
	movl	$early_pd, %ecx
	movl	$PAGE_2M_RW, %eax
1:	movl	%eax, (%ecx)
	addl	$8, %ecx
	addl	$0x200000, %eax
	jnc	1b
	movl	$(early_pd + TABLE_RW), %eax
	movl	$early_pdpt, %ecx
2:	movl	%eax, (%ecx)
	addl	$4096, %eax
	addl	$8, %ecx
	cmpl	$(early_pdpt + 4 * 8), %ecx
	jb	2b
	movl	$(early_pdpt + TABLE_RW), early_pml4

	movl	$EARLY_CR4, %eax
	movl	%eax, %cr4
	movl	$early_pml4, %eax
	movl	%eax, %cr3
	movl	$EFER, %ecx
	movl	$EFER_LME_NXE, %eax
	xorl	%edx, %edx
	wrmsr
	movl	$EARLY_CR0, %eax
	movl	%eax, %cr0
	lgdt	early_gdt_pointer
	ljmp	$0x08, $l0_start64

no_long_mode:
	movl	$(stacks + STACK_SIZE), %esp
	movl	$PORT_COM2, %ebp
	call	tell_no_long_mode
	movl	$PORT_COM1, %ebp
	call	tell_no_long_mode
	movb	$TURTLES_STATUS_FAILURE, %al
	outb	%al, $TURTLES_PORT_EXIT
	movl	$shutdown_text, %esi
	movl	$8, %ecx
	movw	$TURTLES_PORT_SHUTDOWN, %dx
	rep outsb
3:	hlt
	jmp	3b

/* The text on the serial port at EBP, which nobody has set up yet. */
tell_no_long_mode:
	leal	3(%ebp), %edx		/* line control: divisor latch, 8N1 */
	movb	$0x83, %al
	outb	%al, %dx
	movl	%ebp, %edx		/* divisor: 115200 Bd */
	movb	$1, %al
	outb	%al, %dx
	incl	%edx
	movb	$0, %al
	outb	%al, %dx
	leal	3(%ebp), %edx		/* the latch closed */
	movb	$0x03, %al
	outb	%al, %dx
	movl	$no_long_mode_text, %esi
1:	leal	5(%ebp), %edx		/* line status: sent */
2:	inb	%dx, %al
	testb	$0x40, %al
	jz	2b
	lodsb
	testb	%al, %al
	jz	3f
	movl	%ebp, %edx
	outb	%al, %dx
	jmp	1b
3:	ret

	.code64
l0_start64:
	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movl	$(stacks + STACK_SIZE), %esp	/* zero-extends: L0 is linked below 4 GiB */
	call	l0_main
	ud2

/*
 * void relocate(u64 to, u64 from, u64 size, u64 cr3): copy the image to its home and go on there, at the same
 * virtual addresses. Nothing may be written between the copy and the new CR3: the copy would miss it.
 */
	.text
	.globl relocate
relocate:
	movq	%rcx, %rax
	movq	%rdx, %rcx
	shrq	$3, %rcx
	rep movsq
	movq	%rax, %cr3
	ret

	.section .rodata
	.balign 8
early_gdt:
	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
early_gdt_pointer:
	.word . - early_gdt - 1
	.quad early_gdt
no_long_mode_text:
	.asciz "L0: this CPU has no 64-bit mode (CPUID.80000001H:EDX.LM), which L0 needs\n"
shutdown_text:
	.ascii TURTLES_SHUTDOWN_BYTES

	.section .bss
	.balign 4096
early_pml4:
	.skip 4096
early_pdpt:
	.skip 4096
early_pd:
	.skip 4 * 4096

	.section .note.GNU-stack, "", @progbits
