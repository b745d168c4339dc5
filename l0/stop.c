/* The ends of a run. */
#include "cpu.h"
#include "machine.h"
#include "options.h"
#include "print.h"
#include "self_check.h"
#include "serial.h"
#include "trace.h"
#include "turtles_abi.h"

struct cpu *cpus[MAX_CPUS];
unsigned cpu_count;

static bool stopping;

void l0_stop(u8 status)
{
	if (options.self_check && status == TURTLES_STATUS_SUCCESS && !stopping)
		self_check();
	if (!stopping) {
		stopping = true;
		trace_end(status);
		stats_print();
		print("%s%s\n", TURTLES_L0_VERDICT, status == TURTLES_STATUS_SUCCESS ? "success" : "failure");
	}
	machine_end(status);
}

void l0_panic(const char *format, ...)
{
	va_list args;

	print("\nL0 panic: ");
	va_start(args, format);
	vprint(format, args);
	va_end(args);
	print("\nbacktrace (words on the stack that follow a call):\n");
	backtrace((u64)__builtin_frame_address(0));
	l0_stop(TURTLES_STATUS_FAILURE);
}

static u16 log_port(void)
{
	return options.log == LOG_com1 ? PORT_COM1 : PORT_COM2;
}

void log_init(void)
{
	serial_init(log_port());
	print_to_port(log_port());
}

/* On L1's console too: the person who started the machine looks there. */
void l0_refuse(const char *format, ...)
{
	static const u16 ports[] = { PORT_COM2, PORT_COM1 };
	va_list args;

	serial_init(PORT_COM1); /* L1, whose console it is, does not run yet */
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
		print_to_port(ports[i]);
		print("L0: ");
		va_start(args, format);
		vprint(format, args);
		va_end(args);
		print("\n");
	}
	print_to_port(log_port());
	l0_stop(TURTLES_STATUS_FAILURE);
}

void assert_failed(const char *what, const char *file, int line)
{
	l0_panic("%s:%d: not so: %s", file, line, what);
}

void vmwrite_failed(u64 encoding, u64 value)
{
	u64 number = 0;

	vmread_checked(ENC_vm_instruction_error, &number);
	l0_panic("VMWRITE of %lx to field %lx failed, VM-instruction error %lu", value,
		 encoding, number);
}
