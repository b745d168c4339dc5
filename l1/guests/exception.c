/* exception: raises #UD and #BP, which L1 intercepts and gives back */
/* Exits with count=N: exception_or_nmi 2 N, io_instruction C + 1, C being the characters printed. */
#include "runtime/runtime.h"

#define UD2_LENGTH 2

static u64 faults, breakpoints;

/* A fault returns to the instruction that raised it. */
static void skip_ud2(struct trap_frame *frame)
{
	faults++;
	frame->rip += UD2_LENGTH;
}

/* A trap returns behind it. */
static void count_breakpoint(struct trap_frame *frame)
{
	(void)frame;
	breakpoints++;
}

bool payload(u64 count)
{
	on_trap(VECTOR_UD, skip_ud2);
	on_trap(VECTOR_BP, count_breakpoint);
	for (u64 i = 0; i < count; i++)
		__asm__ volatile("ud2; int3" : : : "memory");
	report("exception: %lu #UD, %lu #BP", faults, breakpoints);
	return faults == count && breakpoints == count;
}
