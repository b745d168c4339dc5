/* A line, then a loop without end. */
#include "image.h"

	IMAGE_HEADER
main:
	movl $line, %esi
	call print
	.global hanging
hanging:
	jmp hanging

line:	.asciz "now hanging\n"
