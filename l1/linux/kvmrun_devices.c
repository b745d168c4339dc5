/* Devices: COM1 as the console, COM2 as a log, a clock that stands still, ports that end a run, ACPI's registers. */
#include "kvmrun.h"
#include "ports.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define PORT_TEST 0xe0u
#define PORT_CMOS_INDEX 0x70
#define PORT_CMOS_DATA 0x71
#define PORT_KEYBOARD_COMMAND 0x64
#define KEYBOARD_RESET 0xfe
#define CONSOLE_IRQ 4
#define LOG_IRQ 3
#define LINE_SIZE 1024
/* ACPI specification, "PM1 Control Registers". The mode without ACPI does not exist here. */
#define PM1_CONTROL_SCI BIT(0)
#define PM1_CONTROL_SLEEP BIT(13)

/* National Semiconductor PC16550D data sheet, "Registers". */
enum { DATA = 0, INTERRUPT_ENABLE, INTERRUPT_IDENT, LINE_CONTROL, MODEM_CONTROL, LINE_STATUS, MODEM_STATUS, SCRATCH };
enum { FIFO_CONTROL = INTERRUPT_IDENT };
#define ENABLE_SPACE 0x02
#define IDENT_NONE 0x01
#define IDENT_SPACE 0x02
#define IDENT_FIFO 0xc0
#define LINE_CONTROL_DIVISOR 0x80
#define MODEM_CONTROL_LOOP 0x10
#define LINE_STATUS_READY 0x60 /* nothing waits to be sent, for what is written is sent at once */
#define MODEM_STATUS_READY 0xb0

struct uart {
	u16 port;
	u8 irq;
	u8 interrupt_enable, line_control, modem_control, scratch, divisor[2];
	bool fifo, space; /* space: the interrupt for it is due */
	bool raised;
	FILE *file;
	const char *prefix;
	char line[LINE_SIZE];
	unsigned length;
};

static struct uart console = { .port = PORT_COM1, .irq = CONSOLE_IRQ };
static struct uart log_port = { .port = PORT_COM2, .irq = LOG_IRQ };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int vm_descriptor;
static u8 cmos_index;
static u32 test_counter;
static u16 pm1_enable, pm1_control;
static unsigned shutdown_bytes;
static int status = KVMRUN_FAILURE;

void devices_init(int vm, const char *console_prefix, const char *log_file)
{
	vm_descriptor = vm;
	console.file = stdout;
	console.prefix = console_prefix;
	log_port.prefix = "";
	log_port.file = log_file ? fopen(log_file, "we") : stderr;
	if (!log_port.file)
		fail_errno("%s", log_file);
}

int device_status(void)
{
	return status;
}

static void uart_flush(struct uart *uart)
{
	if (!uart->length)
		return;
	fprintf(uart->file, "%s%.*s\n", uart->prefix, (int)uart->length, uart->line);
	fflush(uart->file);
	uart->length = 0;
}

void devices_flush(void)
{
	uart_flush(&console);
	uart_flush(&log_port);
}

static void uart_print(struct uart *uart, char c)
{
	if (c == '\r')
		return;
	if (c == '\n' && !uart->length)
		fprintf(uart->file, "%s\n", uart->prefix);
	if (c == '\n') {
		uart_flush(uart);
		return;
	}
	uart->line[uart->length++] = c;
	if (uart->length == LINE_SIZE)
		uart_flush(uart);
}

static void uart_interrupt(struct uart *uart)
{
	bool raised = uart->space && uart->interrupt_enable & ENABLE_SPACE;
	struct kvm_irq_level level = { .irq = uart->irq, .level = raised };

	if (raised != uart->raised && ioctl(vm_descriptor, KVM_IRQ_LINE, &level))
		fail_errno("KVM_IRQ_LINE");
	uart->raised = raised;
}

static void uart_enable(struct uart *uart, u8 value)
{
	if (value & ~uart->interrupt_enable & ENABLE_SPACE)
		uart->space = true;
	uart->interrupt_enable = value & 0x0f;
}

static void uart_out(struct uart *uart, unsigned reg, u8 value)
{
	if (reg < 2 && uart->line_control & LINE_CONTROL_DIVISOR) {
		uart->divisor[reg] = value;
		return;
	}
	switch (reg) {
	case DATA:
		if (!(uart->modem_control & MODEM_CONTROL_LOOP))
			uart_print(uart, (char)value);
		uart->space = true;
		break;
	case INTERRUPT_ENABLE: uart_enable(uart, value); break;
	case FIFO_CONTROL: uart->fifo = value & 1; break;
	case LINE_CONTROL: uart->line_control = value; break;
	case MODEM_CONTROL: uart->modem_control = value; break;
	case SCRATCH: uart->scratch = value; break;
	}
	uart_interrupt(uart);
}

static u8 uart_ident(struct uart *uart)
{
	u8 fifo = uart->fifo ? IDENT_FIFO : 0;

	if (!uart->raised)
		return fifo | IDENT_NONE;
	uart->space = false;
	uart_interrupt(uart);
	return fifo | IDENT_SPACE;
}

static u8 uart_in(struct uart *uart, unsigned reg)
{
	if (reg < 2 && uart->line_control & LINE_CONTROL_DIVISOR)
		return uart->divisor[reg];
	switch (reg) {
	case INTERRUPT_ENABLE: return uart->interrupt_enable;
	case INTERRUPT_IDENT: return uart_ident(uart);
	case LINE_CONTROL: return uart->line_control;
	case MODEM_CONTROL: return uart->modem_control;
	case LINE_STATUS: return LINE_STATUS_READY;
	/* In a loop the outputs come back as inputs: OUT2, OUT1, RTS, DTR as DCD, RI, CTS, DSR. */
	case MODEM_STATUS:
		if (uart->modem_control & MODEM_CONTROL_LOOP)
			return (u8)((uart->modem_control & 0x0c) << 4 | (uart->modem_control & 1) << 5 |
				    (uart->modem_control & 2) << 3);
		return MODEM_STATUS_READY;
	case SCRATCH: return uart->scratch;
	default: return 0;
	}
}

/* Motorola MC146818A: midnight of the first day of 2000, always, so that every run sees the same time. */
static u8 cmos_in(void)
{
	switch (cmos_index) {
	case 6: return 7;    /* a Saturday */
	case 7: return 1;    /* day */
	case 8: return 1;    /* month */
	case 10: return 0x26; /* register A: no update in progress */
	case 11: return 0x02; /* register B: 24 hours, BCD */
	case 13: return 0x80; /* register D: the battery is good */
	case 50: return 0x20; /* century */
	default: return 0;
	}
}

static struct uart *uart_at(u16 port)
{
	if (port - console.port < PORTS_PER_UART && port >= console.port)
		return &console;
	if (port - log_port.port < PORTS_PER_UART && port >= log_port.port)
		return &log_port;
	return NULL;
}

static enum device_answer other_out(u16 port, u32 value)
{
	switch (port) {
	case PORT_CMOS_INDEX: cmos_index = value & 0x7f; break;
	case PORT_TEST: test_counter = value; break;
	case PORT_KEYBOARD_COMMAND: return value == KEYBOARD_RESET ? DEVICE_END : DEVICE_GO_ON;
	case PORT_PM1_EVENT + 2: pm1_enable = (u16)value; break;
	case PORT_PM1_CONTROL:
		pm1_control = (u16)value;
		return value & PM1_CONTROL_SLEEP ? DEVICE_END : DEVICE_GO_ON;
	case TURTLES_PORT_EXIT:
		status = value == TURTLES_STATUS_SUCCESS ? KVMRUN_SUCCESS : KVMRUN_FAILURE;
		return DEVICE_END;
	case TURTLES_PORT_SHUTDOWN:
		shutdown_bytes = (char)value == TURTLES_SHUTDOWN_BYTES[shutdown_bytes] ? shutdown_bytes + 1 : 0;
		return shutdown_bytes == strlen(TURTLES_SHUTDOWN_BYTES) ? DEVICE_END : DEVICE_GO_ON;
	}
	return DEVICE_GO_ON;
}

enum device_answer device_out(u16 port, u32 value)
{
	enum device_answer answer = DEVICE_GO_ON;
	struct uart *uart = uart_at(port);

	pthread_mutex_lock(&lock);
	if (uart)
		uart_out(uart, port - uart->port, (u8)value);
	else
		answer = other_out(port, value);
	pthread_mutex_unlock(&lock);
	return answer;
}

static u32 other_in(u16 port)
{
	switch (port) {
	case PORT_CMOS_DATA: return cmos_in();
	case PORT_TEST: return ++test_counter;
	case PORT_PM1_EVENT: return 0; /* nothing happens */
	case PORT_PM1_EVENT + 2: return pm1_enable;
	case PORT_PM1_CONTROL: return pm1_control | PM1_CONTROL_SCI;
	default: return ~0u;
	}
}

u32 device_in(u16 port)
{
	struct uart *uart = uart_at(port);
	u32 value;

	pthread_mutex_lock(&lock);
	value = uart ? uart_in(uart, port - uart->port) : other_in(port);
	pthread_mutex_unlock(&lock);
	return value;
}
