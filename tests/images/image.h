/* What the tests' own images share: a multiboot header, a print on COM1, the end of a run. 32-bit code. */

#define MULTIBOOT_MAGIC 0x1badb002
#ifndef MULTIBOOT_FLAGS
#define MULTIBOOT_FLAGS 0x3
#endif
#define LOAD_ADDRESS 0x100000
#ifndef IMAGE_BSS
#define IMAGE_BSS 4
#endif
#define STACK_SIZE 1024

#define COM1 0x3f8
#define COM1_LINE_CONTROL (COM1 + 3)
#define COM1_LINE_STATUS (COM1 + 5)
#define DIVISOR_LATCH_8N1 0x83
#define EIGHT_BITS 0x03
#define SPACE_TO_SEND 0x20
#define ALL_SENT 0x40
#define PORT_EXIT 0xf4
#define PORT_SHUTDOWN 0x8900

	.macro IMAGE_HEADER
	.text
	.code32
	.balign 4
header:	.long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
	.long header, LOAD_ADDRESS, 0, stack_end, start

/* Multiboot promises no stack. */
	.global start
start:
	movl $stack_end, %esp
	jmp main

	IMAGE_CONSOLE
	.endm

	.macro IMAGE_CONSOLE
/* Prints the string at ESI and waits until it is out. */
print:
	movw $COM1_LINE_CONTROL, %dx
	movb $DIVISOR_LATCH_8N1, %al
	outb %al, %dx
	movw $COM1, %dx
	movb $1, %al
	outb %al, %dx
	incw %dx
	movb $0, %al
	outb %al, %dx
	movw $COM1_LINE_CONTROL, %dx
	movb $EIGHT_BITS, %al
	outb %al, %dx
1:	movw $COM1_LINE_STATUS, %dx
2:	inb %dx, %al
	testb $SPACE_TO_SEND, %al
	jz 2b
	lodsb
	testb %al, %al
	jz 3f
	movw $COM1, %dx
	outb %al, %dx
	jmp 1b
3:	movw $COM1_LINE_STATUS, %dx
4:	inb %dx, %al
	testb $ALL_SENT, %al
	jz 4b
	ret

/* Ends the machine with the status in AL. */
end_machine:
	outb %al, $PORT_EXIT
	movw $PORT_SHUTDOWN, %dx
	movl $shutdown_bytes, %esi
	movl $8, %ecx
	rep outsb
5:	cli
	hlt
	jmp 5b
shutdown_bytes: .ascii "Shutdown"
	.endm

	.bss
	.balign 16
image_bss:
	.skip IMAGE_BSS
	.skip STACK_SIZE
stack_end:
	.section .note.GNU-stack, "", @progbits
