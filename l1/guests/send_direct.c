/* send_direct: sends packets by a device that L1 hands over: a port that is not intercepted */
/*
 * Exits with count=N: cpuid 2, io_instruction C + 1, C being the characters printed;
 * ept_violation 32, for the pages of the packets.
 */
#include "runtime/packets.h"

bool payload(u64 count)
{
	u64 ticks;

	packets_init();
	measure_begin();
	for (u64 i = 0; i < count; i++)
		outb(GUEST_PORT_PASS, *packet_make(i));
	ticks = measure_end();
	report("send_direct: %lu packets", count);
	if (!on_minivisor())
		report("send_direct: %lu ticks", ticks);
	return true;
}
