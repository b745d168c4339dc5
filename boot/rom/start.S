/* The reset vector: straight to protected mode, let loader.c copy the image, enter it per multiboot. */
#define CODE_SELECTOR 0x08
#define DATA_SELECTOR 0x10
#define CR0_PE 0x1
#define CR0_CACHE_OFF 0x60000000 /* CD and NW, both set by reset */
#define PORT_A20 0x92
#define A20_ON 0x2

	.section .start, "ax"
	.code16
start16:
	cli
	cld
	inb $PORT_A20, %al
	orb $A20_ON, %al
	outb %al, $PORT_A20
	/* CS still has its base of 0xffff0000, and this is the last page of that segment. */
	lgdtl %cs:gdt_pointer_low
	movl %cr0, %eax
	andl $~CR0_CACHE_OFF, %eax
	orl $CR0_PE, %eax
	movl %eax, %cr0
	ljmpl $CODE_SELECTOR, $start32

	.code32
start32:
	movl $DATA_SELECTOR, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %fs
	movl %eax, %gs
	movl %eax, %ss
	movl $rom_stack, %esp
	call rom_load
	movl %eax, %ecx
	movl $rom_info_address, %ebx
	movl $multiboot_boot_magic, %eax
	jmp *%ecx

	.balign 8
gdt:	.quad 0
	.quad 0x00cf9b000000ffff /* accessed bits set: the CPU cannot write them here */
	.quad 0x00cf93000000ffff
	.global gdt_pointer
gdt_pointer:
	.word . - gdt - 1
	.long gdt

	.section .reset, "ax"
	.code16
	.global reset
reset:
	jmp start16

	.section .note.GNU-stack, "", @progbits
