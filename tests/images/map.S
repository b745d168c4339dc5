/*
 * Prints the memory map that multiboot told it. All that is called RAM must be RAM: the last word of each
 * page holds what is written to it. Of all else it tells what the first word holds after a zero was written.
 */
#include "image.h"

#define INFO_MMAP_LENGTH 44
#define INFO_MMAP_ADDR 48
#define ENTRY_ADDRESS 4
#define ENTRY_LENGTH 12
#define ENTRY_TYPE 20
#define TYPE_RAM 1
#define PAGE_SHIFT 12
#define LAST_WORD ((1 << PAGE_SHIFT) - 4)

	IMAGE_HEADER
main:	movl INFO_MMAP_ADDR(%ebx), %ebp
	addl INFO_MMAP_LENGTH(%ebx), %ebp
	movl INFO_MMAP_ADDR(%ebx), %ebx
1:	cmpl %ebp, %ebx
	jae 3f
	call show_entry
	cmpl $TYPE_RAM, ENTRY_TYPE(%ebx)
	jne 2f
	call try_memory
2:	addl (%ebx), %ebx
	addl $4, %ebx
	jmp 1b
3:	movl $success, %esi
	call print
	movb $0, %al
	jmp end_machine

/* Of the entry at EBX. */
show_entry:
	movl $type, %edi
	movl ENTRY_TYPE(%ebx), %eax
	call put_hex
	movl $address, %edi
	movl ENTRY_ADDRESS + 4(%ebx), %eax
	call put_hex
	movl ENTRY_ADDRESS(%ebx), %eax
	call put_hex
	movl $length, %edi
	movl ENTRY_LENGTH + 4(%ebx), %eax
	call put_hex
	movl ENTRY_LENGTH(%ebx), %eax
	call put_hex
	movl $word, %edi
	movl ENTRY_ADDRESS(%ebx), %esi
	cmpl $TYPE_RAM, ENTRY_TYPE(%ebx)
	je 7f
	movl $0, (%esi)
7:	movl (%esi), %eax
	call put_hex
	movl $line, %esi
	jmp print

/* EAX as eight digits at EDI, which is left behind them. */
put_hex:
	movl $8, %ecx
4:	roll $4, %eax
	movl %eax, %edx
	andl $0xf, %edx
	movb digits(%edx), %dl
	movb %dl, (%edi)
	incl %edi
	loop 4b
	ret

try_memory:
	movl ENTRY_ADDRESS(%ebx), %edi
	movl ENTRY_LENGTH(%ebx), %ecx
	shrl $PAGE_SHIFT, %ecx
	jecxz 6f
5:	movl LAST_WORD(%edi), %eax
	notl LAST_WORD(%edi)
	movl LAST_WORD(%edi), %edx
	notl LAST_WORD(%edi)
	notl %edx
	cmpl %eax, %edx
	jne not_memory
	addl $(1 << PAGE_SHIFT), %edi
	loop 5b
6:	ret

not_memory:
	movl %edi, %eax
	movl $where, %edi
	call put_hex
	movl $failure, %esi
	call print
	movb $1, %al
	jmp end_machine

digits:	.ascii "0123456789abcdef"
line:	.ascii "type "
type:	.ascii "00000000 address "
address: .ascii "0000000000000000 length "
length:	.ascii "0000000000000000 word "
word:	.asciz "00000000\n"
failure: .ascii "no memory at "
where:	.asciz "00000000\nturtles-verdict: failure\n"
success: .asciz "turtles-verdict: success\n"
