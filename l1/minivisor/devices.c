#include "devices.h"
#include "insn.h"
#include "print.h"
#include "string.h"

#define LINE_STATUS_READY 0x60
#define NOTHING_THERE 0xffffffffu

void console_flush(struct guest *guest)
{
	if (guest->line_length)
		print("[%s] %s\n", guest->name, guest->line);
	guest->line_length = 0;
}

static void console_put(struct guest *guest, char c)
{
	if (c == '\n') {
		console_flush(guest);
		return;
	}
	if (guest->line_length == GUEST_LINE_SIZE - 1)
		console_flush(guest);
	guest->line[guest->line_length++] = c;
	guest->line[guest->line_length] = '\0';
}

/* The packets lie in L1 for as long as they are under way, as with any device that L1 stands in for. */
static void send_packet(struct guest *guest, u32 address)
{
	static u8 outgoing[GUEST_PACKET_SIZE];
	const void *packet = guest_memory(guest, address, GUEST_PACKET_SIZE);

	if (!packet)
		return;
	memcpy(outgoing, packet, GUEST_PACKET_SIZE);
	outb(GUEST_PORT_PASS, outgoing[0]);
	guest->packets_sent++;
}

static void send_ring(struct guest *guest, u32 address)
{
	const struct guest_packet_ring *ring = guest_memory(guest, address, sizeof(*ring));

	if (!ring)
		return;
	for (u32 i = 0; i < ring->count && i < GUEST_RING_PACKETS; i++)
		send_packet(guest, ring->packets[i]);
}

void device_out(struct guest *guest, u16 port, u32 value)
{
	switch (port) {
	case GUEST_PORT_CONSOLE:
		console_put(guest, (char)value);
		break;
	case GUEST_PORT_TEST:
		guest->test_counter = value;
		break;
	case GUEST_PORT_PACKETS:
		send_ring(guest, value);
		break;
	case TURTLES_PORT_EXIT:
		guest_end(guest, value == TURTLES_STATUS_SUCCESS);
		break;
	}
}

u32 device_in(struct guest *guest, u16 port)
{
	switch (port) {
	case GUEST_PORT_CONSOLE_STATUS:
		return LINE_STATUS_READY;
	case GUEST_PORT_TEST:
		return (u32)++guest->test_counter;
	case GUEST_PORT_PACKETS:
		return guest->packets_sent;
	default:
		return NOTHING_THERE;
	}
}
