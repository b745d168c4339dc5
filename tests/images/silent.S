/* Ends the machine without a verdict: a status alone is not success. */
#include "image.h"

	IMAGE_HEADER
main:
	movl $line, %esi
	call print
	movb $0, %al
	jmp end_machine

line:	.asciz "not turtles-verdict: success\n"
