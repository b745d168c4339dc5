/* delivery: raises #UD with a stack that is not there yet, so that its delivery exits too */
/*
 * Exits with count=N: exception_or_nmi N, io_instruction C + 1, C being the characters printed; ept_violation
 * N (with map=eager or map=large none).
 */
#include "runtime/runtime.h"

#define UD2_LENGTH 2

static u64 faults;

static void skip_ud2(struct trap_frame *frame)
{
	faults++;
	frame->rip += UD2_LENGTH;
}

static void ud2_on_stack(u64 stack)
{
	u64 kept;

	__asm__ volatile("mov %%rsp, %0; mov %1, %%rsp; ud2; mov %0, %%rsp"
			 : "=&b"(kept)
			 : "r"(stack)
			 : "memory");
}

bool payload(u64 count)
{
	u64 pages = (free_memory_end() - free_memory_start()) / PAGE_SIZE;

	if (count > pages) {
		report("delivery: count=%lu is too large: there are %lu free pages; raise memory=", count,
		       pages);
		return false;
	}
	on_trap(VECTOR_UD, skip_ud2);
	for (u64 i = 0; i < count; i++)
		ud2_on_stack(free_memory_start() + (i + 1) * PAGE_SIZE);
	report("delivery: %lu #UD", faults);
	return faults == count;
}
