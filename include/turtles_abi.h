/* What L0 shares with L1, L2 and the harness: ports, the end of a run, the signature leaf. */
#ifndef TURTLES_ABI_H
#define TURTLES_ABI_H

#include "types.h"

/*
 * The end of a run. A guest that is done prints a verdict line on its console, writes its status to
 * TURTLES_PORT_EXIT and then the bytes of "Shutdown" to TURTLES_PORT_SHUTDOWN. The first ends a
 * machine that has QEMU's isa-debug-exit, the second ends Bochs; L0 takes both from L1, writes its
 * tables to its log and then ends the machine the same way.
 */
#define TURTLES_PORT_EXIT 0xf4
#define TURTLES_PORT_SHUTDOWN 0x8900
#define TURTLES_SHUTDOWN_BYTES "Shutdown"
#define TURTLES_STATUS_SUCCESS 0
#define TURTLES_STATUS_FAILURE 1
/* The verdict lines, which the harness requires: the guest's on COM1, L0's on COM2. */
#define TURTLES_VERDICT_SUCCESS "turtles-verdict: success"
#define TURTLES_VERDICT_FAILURE "turtles-verdict: failure"
#define TURTLES_L0_VERDICT "turtles-l0-verdict: "

/* L1's console and L0's log. COM2 belongs to L0: to L1 it is an absent port. */
#define PORT_COM1 0x3f8
#define PORT_COM2 0x2f8

/* CPUID leaves that L0 answers to L1; EBX, ECX, EDX of the first spell the signature. */
#define TURTLES_CPUID_SIGNATURE 0x40000000u
#define TURTLES_CPUID_LAST 0x40000001u
#define TURTLES_SIGNATURE "TurtlesL0VMX"
#define TURTLES_ABI_VERSION 1

#endif
