/* send_emulated: sends packets by a device that L1 emulates: two port accesses each */
/*
 * Exits with count=N: cpuid 2, io_instruction 2 N + C + 2, C being the characters printed;
 * ept_violation 32, for the pages of the packets.
 */
#include "runtime/packets.h"

bool payload(u64 count)
{
	u64 wrong = 0;

	if (!on_minivisor()) {
		report("send_emulated: needs the packet device of minivisor");
		return false;
	}
	packets_init();
	measure_begin();
	for (u64 i = 0; i < count; i++) {
		struct guest_packet_ring ring = { 1, { (u32)(uintptr_t)packet_make(i) } };

		packets_send(&ring);
		wrong += packets_sent() != i + 1;
	}
	measure_end();
	wrong += packets_sent() != count;
	report("send_emulated: %lu packets, %lu wrong", count, wrong);
	return !wrong;
}
