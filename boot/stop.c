#include "stop.h"
#include "insn.h"
#include "turtles_abi.h"

#define SERIAL_LINE_CONTROL 3
#define SERIAL_LINE_STATUS 5
#define SERIAL_DIVISOR_LATCH 0x80
#define SERIAL_8N1 0x03
#define SERIAL_SPACE 0x20
#define SERIAL_EMPTY 0x40

static void print(const char *text)
{
	outb(PORT_COM1 + SERIAL_LINE_CONTROL, SERIAL_DIVISOR_LATCH | SERIAL_8N1);
	outb(PORT_COM1, 1);
	outb(PORT_COM1 + 1, 0);
	outb(PORT_COM1 + SERIAL_LINE_CONTROL, SERIAL_8N1);
	for (; *text; text++) {
		while (!(inb(PORT_COM1 + SERIAL_LINE_STATUS) & SERIAL_SPACE))
			cpu_relax();
		outb(PORT_COM1, *text);
	}
}

void boot_stop(const char *why)
{
	const char *end = TURTLES_SHUTDOWN_BYTES;

	print(why);
	print(TURTLES_VERDICT_FAILURE "\n");
	/* The machine takes with it what is not sent yet. */
	while (!(inb(PORT_COM1 + SERIAL_LINE_STATUS) & SERIAL_EMPTY))
		cpu_relax();
	outb(TURTLES_PORT_EXIT, TURTLES_STATUS_FAILURE);
	while (*end)
		outb(TURTLES_PORT_SHUTDOWN, *end++);
	cpu_halt_forever();
}
