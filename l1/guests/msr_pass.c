/* msr_pass: writes and reads an MSR that L1 lets through */
/* Exits with count=N: io_instruction C + 1, C being the characters printed. */
#include "runtime/runtime.h"

bool payload(u64 count)
{
	u64 wrong = 0;

	for (u64 i = 0; i < count; i++) {
		wrmsr(MSR_IA32_FS_BASE, i << PAGE_SHIFT);
		wrong += rdmsr(MSR_IA32_FS_BASE) != i << PAGE_SHIFT;
	}
	report("msr_pass: %lu values written and read, %lu wrong", count, wrong);
	return !wrong;
}
