/* The other CPUs: taken over before L1 starts, then L1's by the INIT and SIPI it sends. */
#ifndef TURTLES_SMP_H
#define TURTLES_SMP_H

#include "cpu.h"

/* Start every other CPU and wait until each waits for L1's SIPI. */
void smp_start(u64 ram_bytes);

/* Make one CPU ready to run L1: descriptor tables, VMX operation, VMCS01, its nested state. main.c */
struct cpu *cpu_bring_up(unsigned number, u64 ram_bytes);

/* Exits of L1: SDM "INIT signal", "Start-up IPI (SIPI)" under "Other Causes of VM Exits". */
void l1_init_exit(struct cpu *cpu);
void l1_sipi_exit(struct cpu *cpu);

/* L1 sends INIT or SIPI to a CPU, and L0 carries it out: see to the wish that follows with kick(). */
void smp_init(struct cpu *target);
void smp_sipi(struct cpu *target, u8 vector);

/* Before an entry, with wishes: look at them; INIT and SIPI are taken. Returns when the CPU has something to run. */
void smp_attend(struct cpu *cpu);
/* Will the L2 whose VMCS is current wait for a SIPI, which it then does in L0 (WISH_wait)? */
bool smp_l2_waits(void);

/* One lock for all of L0 while it handles an exit: the CPUs share EPT01 and the watches. */
void shared_lock(void);
void shared_unlock(void);

#endif
