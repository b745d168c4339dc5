/* io_pass: writes a port that L1 lets through */
/* Exits with count=N: io_instruction C + 1, C being the characters printed. */
#include "runtime/runtime.h"

bool payload(u64 count)
{
	for (u64 i = 0; i < count; i++)
		outb(GUEST_PORT_PASS, (u8)i);
	report("io_pass: %lu bytes written", count);
	return true;
}
