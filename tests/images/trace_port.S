/* What an L1 that writes to the port of L0's trace gets: an absent port, and the trace stays whole. */
#include "image.h"

#define TRACE_PORT 0xe9

	IMAGE_HEADER
main:
	movw $TRACE_PORT, %dx
	movl $verdict, %esi
	movl $8, %ecx
	rep outsb
	movb $'T', %al
	outb %al, $TRACE_PORT
	inb $TRACE_PORT, %al
	cmpb $0xff, %al
	jne 1f
	movl $verdict, %esi
	call print
	movb $0, %al
	jmp end_machine
1:	movl $seen, %esi
	call print
	movb $1, %al
	jmp end_machine

verdict: .asciz "turtles-verdict: success\n"
seen: .asciz "turtles-verdict: failure\n"
