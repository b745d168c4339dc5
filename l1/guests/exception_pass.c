/* exception_pass: raises #DE, which L1 does not intercept */
/* Exits with count=N: io_instruction C + 1, C being the characters printed. */
#include "runtime/runtime.h"

#define DIV_CL_LENGTH 2

static u64 faults;

static void skip_division(struct trap_frame *frame)
{
	faults++;
	frame->rip += DIV_CL_LENGTH;
}

bool payload(u64 count)
{
	on_trap(VECTOR_DE, skip_division);
	for (u64 i = 0; i < count; i++)
		__asm__ volatile("divb %%cl" : : "a"(1), "c"(0) : "cc", "memory");
	report("exception_pass: %lu #DE", faults);
	return faults == count;
}
