/* National Semiconductor PC16550D data sheet, "Registers". */
#include "serial.h"
#include "insn.h"

enum {
	SERIAL_DATA = 0,
	SERIAL_DIVISOR_LOW = 0, /* with LINE_CONTROL_DIVISOR */
	SERIAL_INTERRUPT_ENABLE = 1,
	SERIAL_DIVISOR_HIGH = 1,
	SERIAL_FIFO_CONTROL = 2,
	SERIAL_LINE_CONTROL = 3,
	SERIAL_MODEM_CONTROL = 4,
	SERIAL_LINE_STATUS = 5,
};
#define FIFO_ENABLE_AND_CLEAR 0x07
#define LINE_CONTROL_8N1 0x03
#define LINE_CONTROL_DIVISOR 0x80
#define MODEM_CONTROL_DTR_RTS 0x03
#define LINE_STATUS_SPACE 0x20
#define LINE_STATUS_ALL_SENT 0x40
#define DIVISOR_115200 1

/* Many times what one byte takes at 115200 baud, on a CPU of any speed. */
#define POLLS_MAX 10000000

void serial_init(u16 port)
{
	outb(port + SERIAL_INTERRUPT_ENABLE, 0);
	outb(port + SERIAL_LINE_CONTROL, LINE_CONTROL_DIVISOR | LINE_CONTROL_8N1);
	outb(port + SERIAL_DIVISOR_LOW, DIVISOR_115200);
	outb(port + SERIAL_DIVISOR_HIGH, 0);
	outb(port + SERIAL_LINE_CONTROL, LINE_CONTROL_8N1);
	outb(port + SERIAL_FIFO_CONTROL, FIFO_ENABLE_AND_CLEAR);
	outb(port + SERIAL_MODEM_CONTROL, MODEM_CONTROL_DTR_RTS);
}

static bool wait_until(u16 port, u8 status)
{
	for (unsigned polls = 0; polls < POLLS_MAX; polls++)
		if (inb(port + SERIAL_LINE_STATUS) & status)
			return true;
	return false;
}

void serial_write(u16 port, const char *text, size_t size)
{
	while (size-- && wait_until(port, LINE_STATUS_SPACE))
		outb(port + SERIAL_DATA, (u8)*text++);
	wait_until(port, LINE_STATUS_ALL_SENT);
}
