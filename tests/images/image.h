/* What the tests' own images share: a multiboot header, a print on COM1, the end of a run. 32-bit code. */

#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0x3

#define COM1 0x3f8
#define COM1_LINE_STATUS (COM1 + 5)
#define SPACE_TO_SEND 0x20
#define PORT_EXIT 0xf4
#define PORT_SHUTDOWN 0x8900

	.macro IMAGE_HEADER
	.text
	.code32
	.balign 4
	.long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

/* Prints the string at ESI. */
print:
	movw $(COM1 + 3), %dx
	movb $0x83, %al
	outb %al, %dx
	movw $COM1, %dx
	movb $1, %al
	outb %al, %dx
	incw %dx
	movb $0, %al
	outb %al, %dx
	movw $(COM1 + 3), %dx
	movb $0x03, %al
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
3:	ret

/* Ends the machine with the status in AL. */
end_machine:
	outb %al, $PORT_EXIT
	movw $PORT_SHUTDOWN, %dx
	movl $shutdown_bytes, %esi
	movl $8, %ecx
	rep outsb
4:	cli
	hlt
	jmp 4b
shutdown_bytes: .ascii "Shutdown"
	.endm

	.section .note.GNU-stack, "", @progbits
