/*
 * A disk that a BIOS boots: prints on COM1 what INT 15h answers about memory, by each question, and what INT 12h
 * does. From a disk the BIOS loads the first sector, which loads the rest; from a CD it loads all.
 */
#define PORT_EXIT 0xf4
#define PORT_SHUTDOWN 0x8900
#define COM1 0x3f8
#define COM1_LINE_CONTROL (COM1 + 3)
#define COM1_LINE_STATUS (COM1 + 5)
#define DIVISOR_LATCH_8N1 0x83
#define EIGHT_BITS 0x03
#define SPACE_TO_SEND 0x20
#define ALL_SENT 0x40

#define LOAD_ADDRESS 0x7c00
#define SECTOR 512
#define SECTORS_BEHIND 3
#define READ_SECTORS 0x0200	/* INT 13h, AH */
#define SECTOR_TWO 0x0002	/* of cylinder 0 */
#define MARK 0x4c314231

#define SMAP 0x534d4150
#define E820_ENTRY 20
#define ENTRIES_AT 0x600
#define CARRY 1

	.text
	.code16
	.global start
start:	ljmpw $0, $1f
1:	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $LOAD_ADDRESS, %sp
	cmpl $MARK, mark
	je main
	movw $(READ_SECTORS + SECTORS_BEHIND), %ax
	movw $(LOAD_ADDRESS + SECTOR), %bx
	movw $SECTOR_TWO, %cx
	movb $0, %dh
	int $0x13	/* the drive is in DL */
	jnc main
	hlt
	jmp 1b
	.org SECTOR - 2
	.word 0xaa55

main:	call start_com1
	call show_map
	movl $0, %edx
	movl $E820_ENTRY, %ecx
	call refused_map
	movw $0xe801, %ax
	int $0x15
	call show_flags_and_registers
	movb $0x88, %ah
	int $0x15
	xorw %bx, %bx
	xorw %cx, %cx
	xorw %dx, %dx
	call show_flags_and_registers
	int $0x12
	call show_flags_and_registers
	movw $0x24ff, %ax	/* the A20 gate, by a function that does not exist: the BIOS itself answers */
	int $0x15
	call show_flags_and_registers
	movw $verdict, %si
	call print
	movw $COM1_LINE_STATUS, %dx
1:	inb %dx, %al
	testb $ALL_SENT, %al
	jz 1b
	movb $0, %al
	outb %al, $PORT_EXIT
	movw $PORT_SHUTDOWN, %dx
	movw $shutdown_bytes, %si
	movw $8, %cx
	rep outsb
2:	cli
	hlt
	jmp 2b

/* The whole map, an entry a line; each question leaves other registers alone. */
show_map:
	xorl %ebx, %ebx
1:	movl $0xe820, %eax
	movl $SMAP, %edx
	movl $E820_ENTRY, %ecx
	movw $ENTRIES_AT, %di
	movl $0x12345678, %esi
	int $0x15
	jc 2f
	cmpl $SMAP, %eax
	jne 2f
	cmpl $0x12345678, %esi
	jne 2f
	cmpw $ENTRIES_AT, %di
	jne 2f
	cmpl $E820_ENTRY, %ecx
	jne 2f
	movw $range, %si
	call print
	movl ENTRIES_AT + 16, %eax
	call print_hex
	movl ENTRIES_AT + 4, %eax
	call print_hex
	movl ENTRIES_AT, %eax
	call print_hex_on
	movl ENTRIES_AT + 12, %eax
	call print_hex
	movl ENTRIES_AT + 8, %eax
	call print_hex_on
	movw $newline, %si
	call print
	testl %ebx, %ebx
	jnz 1b
	ret
2:	movw $bad_map, %si
	jmp print

/* A question in ECX and EDX that no BIOS answers. */
refused_map:
	movl $0xe820, %eax
	xorl %ebx, %ebx
	movw $ENTRIES_AT, %di
	int $0x15
	movw $refused, %si
	jc print
	movw $answered, %si
	jmp print

show_flags_and_registers:
	pushal
	pushfw
	popw %si
	andw $CARRY, %si
	pushw %dx
	pushw %cx
	pushw %bx
	pushw %ax
	pushw %si
	movw $registers, %si
	call print
	movw $5, %bp
1:	popw %ax
	movzwl %ax, %eax
	call print_hex
	decw %bp
	jnz 1b
	movw $newline, %si
	call print
	popal
	ret

/* A blank and EAX in eight digits; print_hex_on without the blank. */
print_hex:
	pushl %eax
	movb $' ', %al
	call put
	popl %eax
print_hex_on:
	movw $8, %cx
1:	roll $4, %eax
	pushl %eax
	andw $0xf, %ax
	movw %ax, %di
	movb digits(%di), %al
	call put
	popl %eax
	loop 1b
	ret

print:	lodsb
	testb %al, %al
	jz 1f
	call put
	jmp print
1:	ret

/* AL to COM1. */
put:	pushw %ax
	movw $COM1_LINE_STATUS, %dx
1:	inb %dx, %al
	testb $SPACE_TO_SEND, %al
	jz 1b
	popw %ax
	movw $COM1, %dx
	outb %al, %dx
	ret

start_com1:
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
	ret

digits:	.ascii "0123456789abcdef"
range:	.asciz "range"
bad_map: .asciz "INT 15h, E820h: not an answer\n"
refused: .asciz "refused\n"
answered: .asciz "answered\n"
registers: .asciz "carry, ax, bx, cx, dx"
verdict: .asciz "turtles-verdict: success\n"
newline: .asciz "\n"
shutdown_bytes: .ascii "Shutdown"
	.balign 4
mark:	.long MARK
	.org SECTOR * (1 + SECTORS_BEHIND)
	.section .note.GNU-stack, "", @progbits
