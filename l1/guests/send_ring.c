/* send_ring: sends packets by a ring in memory, 16 at a time: a port access for each batch */
/*
 * Exits with count=N: cpuid 2, io_instruction B + C + 2, B being the batches and C the characters printed;
 * ept_violation 32, for the pages of the packets.
 */
#include "runtime/packets.h"

#define BATCH 16

bool payload(u64 count)
{
	struct guest_packet_ring ring = { 0 };
	u64 sent;

	if (!on_minivisor()) {
		report("send_ring: needs the packet device of minivisor");
		return false;
	}
	packets_init();
	measure_begin();
	for (u64 i = 0; i < count; i++) {
		ring.packets[ring.count++] = (u32)(uintptr_t)packet_make(i);
		if (ring.count < BATCH && i + 1 < count)
			continue;
		packets_send(&ring);
		ring.count = 0;
	}
	measure_end();
	sent = packets_sent();
	report("send_ring: %lu packets, %lu sent", count, sent);
	return sent == count;
}
