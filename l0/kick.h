/*
 * One CPU of L0 reaching another: by an NMI, since L0 takes no interrupts and L1 owns all vectors. With more than one
 * CPU every NMI exits, and L0 tells its own from L1's.
 */
#ifndef TURTLES_KICK_H
#define TURTLES_KICK_H

#include "cpu.h"

/* Make a wish for a CPU; it sees to it before it next enters a guest. Any CPU, and the NMI handler. */
static inline void wish(struct cpu *cpu, enum wish what)
{
	__atomic_fetch_or(&cpu->wishes, what, __ATOMIC_SEQ_CST);
}

static inline void wish_granted(struct cpu *cpu, enum wish what)
{
	__atomic_fetch_and(&cpu->wishes, ~(u32)what, __ATOMIC_SEQ_CST);
}

/* Have a CPU that may be in its guest, or halted in L0, look at its wishes. */
void kick(struct cpu *target);

/* An NMI has arrived here, in L0 or as an exit: one of L0's kicks, or a wish to pass it on to L1. */
void nmi_arrived(struct cpu *cpu);
/* An NMI that has caused an exit blocks the next ones until L0 executes IRET; SDM "VM Exits Caused by NMIs". */
void nmi_unblock(void);

/*
 * EPT01 or EPT02 are about to lose a translation that other CPUs may use: get them all out of their guests. None enters
 * again before the caller gives up the lock, and then without any translation that it has now.
 */
void kick_all_out(void);

/* Around an entry, with more than one CPU: give up the lock, and take it. */
void kickable_begin(struct cpu *cpu);
void kickable_end(struct cpu *cpu);

/* Halt until an NMI has arrived since the CPU last cleared its attention. The lock is not held meanwhile. */
void kick_wait(struct cpu *cpu);

#endif
