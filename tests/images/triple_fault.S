/* An exception without an IDT: the CPU shuts down. */
#include "image.h"

	IMAGE_HEADER
main:
	lidt empty
	ud2

empty:	.word 0
	.long 0
