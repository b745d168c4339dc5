/* cr3: loads CR3 with what it holds */
/*
 * Exits with count=N: io_instruction C + 1, C being the characters printed; with cr3=exit also
 * control_register_access N, with ept=off 2 N.
 */
#include "runtime/runtime.h"

bool payload(u64 count)
{
	u64 first = read_cr3(), wrong = 0;

	for (u64 i = 0; i < count; i++) {
		write_cr3(read_cr3());
		wrong += read_cr3() != first;
	}
	report("cr3: %lu loads, %lu wrong", count, wrong);
	return !wrong;
}
