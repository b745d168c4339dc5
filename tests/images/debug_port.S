/* Writes its first module to port 0xe9, byte for byte, as L0 does with its trace, and ends the run with success. */
#include "image.h"

/* Multiboot specification, "Boot information format". */
#define INFO_MODULES_COUNT 20
#define INFO_MODULES 24
#define PORT_TRACE 0xe9

	IMAGE_HEADER
main:
	cmpl $0, INFO_MODULES_COUNT(%ebx)
	je 1f
	movl INFO_MODULES(%ebx), %ebx
	movl (%ebx), %esi
	movl 4(%ebx), %ecx
	subl %esi, %ecx
	movw $PORT_TRACE, %dx
	rep outsb
1:	movl $verdict, %esi
	call print
	movb $0, %al
	jmp end_machine

verdict: .asciz "turtles-verdict: success\n"
