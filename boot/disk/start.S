/* The boot sector: has the BIOS read the loader, asks it for the memory map, and enters protected mode. */
#define CODE_SELECTOR 0x10 /* Linux wants these two */
#define DATA_SELECTOR 0x18
#define CR0_PE 0x1
#define PORT_A20 0x92
#define A20_ON 0x2
#define E820_MAGIC 0x534d4150 /* "SMAP" */
#define E820_SIZE 20
#define E820_MAX 32

	.section .start, "ax"
	.code16
	.global start16
start16:
	cli
	cld
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $disk_stack, %sp
	ljmpw $0, $1f
1:	movw $loader_packet, %si
	movb $0x42, %ah		/* extended read */
	int $0x13
	jc failed
	/* The entries one by one; EBX is 0 before the first and behind the last. */
	movw $memory_map, %di
	xorl %ebx, %ebx
2:	movl $0xe820, %eax
	movl $E820_MAGIC, %edx
	movl $E820_SIZE, %ecx
	int $0x15
	jc 3f
	addw $E820_SIZE, %di
	incw memory_map_count
	cmpw $E820_MAX, memory_map_count
	jae 3f
	testl %ebx, %ebx
	jnz 2b
3:	cli
	inb $PORT_A20, %al
	orb $A20_ON, %al
	outb %al, $PORT_A20
	lgdtl gdt_pointer
	movl %cr0, %eax
	orl $CR0_PE, %eax
	movl %eax, %cr0
	ljmpl $CODE_SELECTOR, $start32

failed:
	hlt
	jmp failed

	.code32
start32:
	movl $DATA_SELECTOR, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %fs
	movl %eax, %gs
	movl %eax, %ss
	movl $disk_stack, %esp
	pushl memory_map_count
	pushl $memory_map
	call disk_load
	movl %eax, %ecx
	/* Multiboot looks into EAX and EBX, Linux into ESI. */
	movl $multiboot_boot_magic, %eax
	movl $disk_info_address, %ebx
	movl %ebx, %esi
	xorl %ebp, %ebp
	xorl %edi, %edi
	jmp *%ecx

	.balign 8
gdt:	.quad 0, 0
	.quad 0x00cf9b000000ffff
	.quad 0x00cf93000000ffff
gdt_pointer:
	.word . - gdt - 1
	.long gdt

	.balign 4
loader_packet:
	.byte 16, 0
	.word disk_loader_sectors
	.word disk_loader, 0
	.quad 1
memory_map_count:
	.long 0

	.bss
	.balign 4
memory_map:
	.skip E820_SIZE * E820_MAX

	.section .note.GNU-stack, "", @progbits
