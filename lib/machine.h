/* The end of a run, the same way on every machine; see turtles_abi.h. */
#ifndef TURTLES_MACHINE_H
#define TURTLES_MACHINE_H

#include "turtles_abi.h"

/* Tell the machine to end: status to TURTLES_PORT_EXIT, "Shutdown" to TURTLES_PORT_SHUTDOWN, then halt. */
NORETURN void machine_end(u8 status);

/* For guests: print the verdict line, then machine_end(). */
NORETURN void machine_verdict(bool success);

#endif
