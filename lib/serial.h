/* A 16550 serial port, polled. */
#ifndef TURTLES_SERIAL_H
#define TURTLES_SERIAL_H

#include "types.h"

/* 115200 baud, 8 data bits, no parity, FIFO on, no interrupts. */
void serial_init(u16 port);
/*
 * Waits for the line before each byte, and at the end until all is out: the machine may end next. "\n" goes out as
 * it is. Gives up on a port that never gets ready.
 */
void serial_write(u16 port, const char *text, size_t size);

#endif
