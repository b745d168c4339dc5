/*
 * Where an L1 starts that the machine's BIOS boots: real-mode code that stays resident at the end of conventional
 * memory. It boots as the BIOS does at power-on, by INT 19h, and answers INT 15h's questions about memory in the
 * BIOS's place, for the BIOS does not know of L0's home. payload_bios.c copies it there and fills in its data.
 */
#define HERE(label) (label - bios_stub)

#define SMAP 0x534d4150	/* ACPI Specification, "INT 15H, E820H - Query System Address Map" */
#define E820_ENTRY 20
#define FLAGS_ON_STACK 6	/* above BP, IP and CS, once BP is pushed */
#define CARRY 1

	.section .rodata
	.balign 16
	.globl bios_stub, bios_stub_end, bios_int15, bios_data
	.code16
bios_stub:
	xorw	%ax, %ax
	movw	%ax, %ss
	movw	$0x7c00, %sp
	movw	%ax, %ds
	movw	%ax, %es
	sti
	int	$0x19
1:	hlt
	jmp	1b

bios_int15:
	cmpw	$0xe820, %ax
	je	map
	cmpw	$0xe801, %ax
	je	sizes
	cmpb	$0x88, %ah
	je	extended
	ljmpw	*%cs:HERE(old_int15)

map:
	cmpl	$SMAP, %edx
	jne	fail
	cmpl	%cs:HERE(map_count), %ebx
	jae	fail
	cmpl	$E820_ENTRY, %ecx
	jb	fail
	pushw	%ds
	pushw	%si
	pushw	%di
	pushw	%cs
	popw	%ds
	imulw	$E820_ENTRY, %bx, %si
	addw	$HERE(map_entries), %si
	movw	$E820_ENTRY, %cx
	cld
	rep movsb
	popw	%di
	popw	%si
	popw	%ds
	movl	$E820_ENTRY, %ecx
	movl	$SMAP, %eax
	incl	%ebx
	cmpl	%cs:HERE(map_count), %ebx
	jb	succeed
	xorl	%ebx, %ebx
	jmp	succeed

sizes:
	movw	%cs:HERE(kib_below_16m), %ax
	movw	%cs:HERE(blocks_above_16m), %bx
	movw	%ax, %cx
	movw	%bx, %dx
	jmp	succeed

extended:
	movw	%cs:HERE(kib_extended), %ax

succeed:
	pushw	%bp
	movw	%sp, %bp
	andw	$~CARRY, FLAGS_ON_STACK(%bp)
	popw	%bp
	iretw

fail:
	pushw	%bp
	movw	%sp, %bp
	orw	$CARRY, FLAGS_ON_STACK(%bp)
	popw	%bp
	movb	$0x86, %ah
	iretw

	/* struct bios_data of payload_bios.c */
	.balign 8
bios_data:
old_int15:		.long 0
map_count:		.long 0
kib_below_16m:		.word 0
blocks_above_16m:	.word 0
kib_extended:		.word 0
			.word 0
map_entries:		.fill 128 * E820_ENTRY
bios_stub_end:

	.section .note.GNU-stack, "", @progbits
