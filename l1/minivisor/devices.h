/* The ports that L2 believes in: a console, a test port, the exit port. */
#ifndef MINIVISOR_DEVICES_H
#define MINIVISOR_DEVICES_H

#include "guest.h"

/* value has no bits beyond the width of the access; those of an answer are dropped by the caller. */
void device_out(struct guest *guest, u16 port, u32 value);
u32 device_in(struct guest *guest, u16 port);

/* Print what is left of a line without newline. */
void console_flush(struct guest *guest);

#endif
