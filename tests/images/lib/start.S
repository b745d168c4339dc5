/* Entry of the images written in C: main(magic, info) on a stack. */
#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0x3
#define STACK_SIZE 4096

	.section .text.start, "ax"
	.balign 4
	.long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
	.global start
start:
	movl $stack_end, %esp
	pushl %ebx
	pushl %eax
	call main

	.bss
	.balign 16
	.skip STACK_SIZE
stack_end:

	.section .note.GNU-stack, "", @progbits
