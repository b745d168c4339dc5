/*
 * The trace: a record of each transition, VMX instruction of L1, injected event and page mapped in EPT01 and EPT02
 * (include/trace_format.h), in a ring that goes out by TURTLES_PORT_TRACE when it is full and at the end.
 *
 * With the switch trace off it costs no instruction: the way into guests is called by a pointer, and only that of a
 * traced run goes by the hooks. What they take is known to the instruction, is kept out of the accounts, and is told at
 * the end.
 */
#ifndef TURTLES_TRACE_H
#define TURTLES_TRACE_H

#include "cpu.h"
#include "trace_format.h"

/* The pages of the ring; taken from the pool at start whether the trace is on or off, so that memory is the same. */
u64 trace_memory_pages(void);
/* Begin the trace if it is on: before any CPU is accounted for. */
void trace_init(void);
/* The last records out, and none after them: at the end of a run. */
void trace_end(u8 status);

/* The hooks, by entry.S: behind all that L0 does for an exit, and behind the next exit. */
void trace_entering(struct cpu *cpu);
void trace_exited(struct cpu *cpu);

/* trace_ring.c: the ring, once it has been given its memory and the header has gone out. */
void trace_ring_init(u8 *memory, u64 size);
/* Append a record; the ring is written out if it does not fit. */
void trace_put(const union trace_record *record);
/* The closing record, and all out. */
void trace_ring_end(u8 status, u64 ticks);

#endif
