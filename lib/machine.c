#include "machine.h"
#include "insn.h"
#include "print.h"

void machine_end(u8 status)
{
	outb(TURTLES_PORT_EXIT, status);
	for (const char *byte = TURTLES_SHUTDOWN_BYTES; *byte; byte++)
		outb(TURTLES_PORT_SHUTDOWN, (u8)*byte);
	cpu_halt_forever();
}

void machine_verdict(bool success)
{
	print("%s\n", success ? TURTLES_VERDICT_SUCCESS : TURTLES_VERDICT_FAILURE);
	machine_end(success ? TURTLES_STATUS_SUCCESS : TURTLES_STATUS_FAILURE);
}
