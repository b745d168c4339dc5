/*
 * L1's local APIC, which is the CPU's own. L0 stands in for it where L1 sends INIT, SIPI and NMI, if the switch icr
 * says so: L1's writes to the interrupt command register exit, by EPT01 and the MSR bitmap, and so do those to other
 * registers of the page, which L0 makes in L1's place.
 */
#ifndef TURTLES_L1_APIC_H
#define TURTLES_L1_APIC_H

#include "cpu.h"

/* Are L1's interrupt commands L0's to carry out? Decided before L1 starts, by the switch icr. */
extern bool icr_intercepted;
void icr_choose(void);

/* Look up how this CPU's APIC is reached; after anything that may have changed it. */
void apic_learn(struct cpu *cpu);
/* A window for each CPU; at start. */
void apic_init(struct cpu *cpu);
/* From one CPU to another by the hardware; L1's own command register stays as it is, as far as it tells where to. */
void apic_send_nmi(struct cpu *from, const struct cpu *to);
/* The state after INIT; SDM "Local APIC State After It Receives an INIT IPI". */
void apic_reset(struct cpu *cpu);

/* L1's WRMSR of the command register in x2APIC mode; false where it is #GP. */
bool l1_write_x2apic_icr(struct cpu *cpu, u64 value);

/*
 * The guest's write at hand to a page that L0 guards (l1_memory_is_guarded()): carry it out and go on behind the
 * instruction. What L0 cannot decode ends the guarding, and the guest tries again.
 */
void l1_guarded_write(struct cpu *cpu, u64 address10);

#endif
