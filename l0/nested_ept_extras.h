/* What L1 may add to EPT12: page-modification logging, #VE, EPTP switching. L0 emulates all three. */
#ifndef TURTLES_NESTED_EPT_EXTRAS_H
#define TURTLES_NESTED_EPT_EXTRAS_H

#include "nested_switch.h"

/* Does L1 log the pages of L2 that get dirty? SDM "Page-Modification Logging". */
static inline bool pml_in_use(const struct vmcs_slot *slot)
{
	return UNLIKELY(controls12(slot, CONTROLS_proc2) & PROC2_enable_pml) &&
	       field12(slot, F_ept_pointer) & EPTP_ACCESSED_DIRTY;
}
/* No room for another entry: the next access that would set a flag in EPT12 is an exit to L1 instead. */
bool pml_is_full(const struct vmcs_slot *slot);
/* A page of L2 has got dirty. */
void pml_log(struct vmcs_slot *slot, u64 address20);

/*
 * An EPT violation that is L1's: give L2 a #VE instead where L1 asked for that. False if it must be an exit. SDM
 * "Convertible EPT Violations".
 */
bool ve_deliver(struct cpu *cpu, u64 qualification, bool suppressed);
static inline bool ve_in_use(const struct vmcs_slot *slot)
{
	return UNLIKELY(controls12(slot, CONTROLS_proc2) & PROC2_ept_violation_ve);
}

/* VMFUNC by L2: true if L0 has switched EPTP12 for it, false if it is an exit to L1. SDM "EPTP Switching". */
bool vmfunc_switch_eptp(struct cpu *cpu);

#endif
