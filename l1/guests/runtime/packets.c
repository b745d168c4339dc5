#include "packets.h"
#include "string.h"

/* No packet crosses a page. */
#define PACKET_SPACE 2048

u8 *packet_make(u64 number)
{
	u8 *packet = (u8 *)free_memory_start() + number % GUEST_RING_PACKETS * PACKET_SPACE;

	memset(packet, (int)number, GUEST_PACKET_SIZE);
	return packet;
}

void packets_init(void)
{
	for (u64 i = 0; i < GUEST_RING_PACKETS; i++)
		packet_make(i);
}

void packets_send(const struct guest_packet_ring *ring)
{
	__asm__ volatile("outl %0, %w1" : : "a"((u32)(uintptr_t)ring), "Nd"(GUEST_PORT_PACKETS) : "memory");
}

u32 packets_sent(void)
{
	u32 sent;

	__asm__ volatile("inl %w1, %0" : "=a"(sent) : "Nd"(GUEST_PORT_PACKETS) : "memory");
	return sent;
}
