#include "devices.h"
#include "print.h"

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

void device_out(struct guest *guest, u16 port, u32 value)
{
	switch (port) {
	case GUEST_PORT_CONSOLE:
		console_put(guest, (char)value);
		break;
	case GUEST_PORT_TEST:
		guest->test_counter = value;
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
	default:
		return NOTHING_THERE;
	}
}
