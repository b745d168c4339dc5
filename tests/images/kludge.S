/* A raw file whose multiboot header says where it is loaded; it checks that its .bss is clear. */
#define MULTIBOOT_FLAGS 0x10003
#define IMAGE_BSS 0x100000
#include "image.h"

	IMAGE_HEADER
main:
	xorl %eax, %eax
	movl $image_bss, %edi
	movl $(IMAGE_BSS / 4), %ecx
	repe scasl
	jne failed
	movl $success, %esi
	call print
	movb $0, %al
	jmp end_machine
failed:	movl $failure, %esi
	call print
	movb $1, %al
	jmp end_machine

success: .asciz "turtles-verdict: success\n"
failure: .asciz "turtles-verdict: failure\n"
