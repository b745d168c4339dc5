/* vmcall: makes hypercalls */
/* Exits with count=N: vmcall N, io_instruction C + 1, C being the characters printed. */
#include "runtime/runtime.h"

bool payload(u64 count)
{
	u64 wrong = 0;

	for (u64 i = 0; i < count; i++)
		wrong += hypercall(HYPERCALL_increment, i * i) != i * i + 1;
	report("vmcall: %lu hypercalls, %lu wrong", count, wrong);
	return !wrong;
}
