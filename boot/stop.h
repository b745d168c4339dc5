/* How a loader gives up. */
#ifndef TURTLES_BOOT_STOP_H
#define TURTLES_BOOT_STOP_H

#include "types.h"

/* Says why on COM1, with a verdict of failure, and ends the machine. */
NORETURN void boot_stop(const char *why);

#endif
