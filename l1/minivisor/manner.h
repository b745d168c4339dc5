/* How L1 goes about an exit: in its own sparing manner, or with as many VMREADs and VMWRITEs as an older hypervisor. */
#ifndef MINIVISOR_MANNER_H
#define MINIVISOR_MANNER_H

#include "guest.h"

/*
 * manner=kvm87: what kvm-87 does at an exit beyond what minivisor does, so that a CPUID of L2 takes seven VMREADs and
 * four VMWRITEs (Ben-Yehuda et al., "The Turtles Project", OSDI 2010, section 4.3). With manner=own none does anything.
 */

/* Just behind the VMREAD of the exit's reason. */
void manner_exited(void);

/* As the exit's instruction is skipped: SDM "Interruptibility State", its blocking by STI and MOV SS is over. */
void manner_skipped(void);

/* Just before the entry of that guest. */
void manner_entering(const struct guest *guest);

/* A port whose device is in user space: L1's kernel leaves L2's state for its own, and takes it up again. */
void manner_user_space(void);

#endif
