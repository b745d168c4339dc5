#include "image.h"
 IMAGE_HEADER
 .global start
start:
	movl $h, %esi
	call print
1:	jmp 1b
h: .asciz "now hanging\n"
