/*
 * Numbers that C and assembly share: constants only, nothing that an assembler could not read.
 *
 * The end of a run. A guest that is done prints a verdict line on its console, writes its status to
 * TURTLES_PORT_EXIT and then the bytes of "Shutdown" to TURTLES_PORT_SHUTDOWN. The first ends a
 * machine that has QEMU's isa-debug-exit, the second ends Bochs; L0 takes both from L1, writes its
 * tables to its log and then ends the machine the same way.
 */
#ifndef TURTLES_PORTS_H
#define TURTLES_PORTS_H

#define TURTLES_PORT_EXIT 0xf4
#define TURTLES_PORT_SHUTDOWN 0x8900
/* With the switch self_check a write asks L0 whether it is whole; without it an absent port. */
#define TURTLES_PORT_CHECK 0x8904
/* With the switch trace L0 writes its trace there, to what takes bytes without waiting; to L1 an absent port. */
#define TURTLES_PORT_TRACE 0xe9
#define TURTLES_SHUTDOWN_BYTES "Shutdown"
#define TURTLES_STATUS_SUCCESS 0
#define TURTLES_STATUS_FAILURE 1

/* L1's console and L0's log. COM2 belongs to L0: to L1 it is an absent port. */
/* Where a PC switches address line 20: system control port A, and the keyboard controller. */
#define PORT_SYSTEM_CONTROL 0x92
#define PORT_KEYBOARD_DATA 0x60
#define PORT_KEYBOARD_COMMAND 0x64

#define PORT_COM1 0x3f8
#define PORT_COM2 0x2f8
#define PORTS_PER_UART 8

#define MULTIBOOT_HEADER_MAGIC 0x1badb002
#define MULTIBOOT_BOOT_MAGIC 0x2badb002

#endif
