/* debug: keeps a value of its own in DR7 over hypercalls */
/* Exits with count=N: vmcall N, io_instruction C + 1, C being the characters printed. */
#include "runtime/runtime.h"
#include "x86.h"

#define DR7_GLOBAL_BREAKPOINT_0 BIT(1)

static u64 read_dr7(void)
{
	u64 value;

	__asm__ volatile("mov %%dr7, %0" : "=r"(value));
	return value;
}

static void write_dr7(u64 value)
{
	__asm__ volatile("mov %0, %%dr7" : : "r"(value));
}

/* Breakpoint 0 stays at address 0, where nothing is executed. */
bool payload(u64 count)
{
	u64 wrong = 0;

	for (u64 i = 0; i < count; i++) {
		u64 dr7 = DR7_RESET | (i & 1 ? DR7_GLOBAL_BREAKPOINT_0 : 0);

		write_dr7(dr7);
		hypercall(HYPERCALL_increment, i);
		wrong += read_dr7() != dr7;
	}
	report("debug: %lu values kept, %lu wrong", count - wrong, wrong);
	return !wrong;
}
