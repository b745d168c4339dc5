/* From the VMCS of one level to that of the other: vmcs01 is current while L1 runs, a slot's vmcs02 while L2 does. */
#ifndef TURTLES_NESTED_SWITCH_H
#define TURTLES_NESTED_SWITCH_H

#include "cpu.h"
#include "host_state12.h"

static inline u64 field12(const struct vmcs_slot *slot, enum vmcs_field field)
{
	return vmcs12_get(&slot->vmcs12, field);
}

static inline u32 controls12(const struct vmcs_slot *slot, enum control_group group)
{
	return vmcs12_controls(&slot->vmcs12, group);
}

/* Make a VMCS of L0's own current. Its address is taken from memory; SDM "VMPTRLD" leaves it nothing to fail for. */
static inline void load_vmcs(const u64 *physical)
{
	__asm__ goto("vmptrld %0; jna %l[failed]" : : "m"(*physical) : "cc", "memory" : failed);
	return;
failed:
	ASSERT(!"VMPTRLD of a VMCS of L0's own");
}

static inline void load_vmcs01(const struct cpu *cpu)
{
	load_vmcs(&cpu->vmcs01);
}

static inline void load_vmcs02(const struct vmcs_slot *slot)
{
	load_vmcs(&slot->vmcs02);
}

/* Copy fields of the current vmcs02 into vmcs12. */
void read_fields02(struct vmcs12 *vmcs12, struct field_set fields);

/* L1 runs next, with vmcs12's host state: the exit information is in vmcs12 already. */
void switch_to_l1(struct cpu *cpu, struct vmcs_slot *slot, const struct left_by_l2 *left);

/* SDM "VMX Aborts": the exit to L1 cannot be completed. L1's CPU shuts down; if it is the only one, the run ends. */
COLD void vmx_abort(struct cpu *cpu, struct vmcs_slot *slot, enum vmx_abort indicator);

/* SDM "VM-Entry Failures During or After Loading Guest State": the exit is seen by L1 alone, L2 never ran. */
void fail_entry(struct cpu *cpu, struct vmcs_slot *slot, u32 reason, u64 qualification);

#endif
