/*
 * L1's MSR load and store lists, worked through by L0. SDM "VM-Entry Controls for MSRs", "VM-Exit Controls for MSRs".
 */
#ifndef TURTLES_MSR_LIST_H
#define TURTLES_MSR_LIST_H

#include "cpu.h"

/* Load count MSRs from L1's VM-exit MSR-load list; L1 can load what it may write. False at the first that cannot be. */
bool msr_list_load(struct cpu *cpu, u64 address10, u32 count);

/*
 * L1's VM-entry MSR-load list as the CPU may load it into L2, whose VMCS is current: it does so after its checks of the
 * guest state, as L1 must see it. list has room for MSR_LIST_PAGES; returns how many entries it has now. What L1 may
 * not load is refused by the CPU in the same place.
 */
u32 msr_list_for_cpu(struct cpu *cpu, u64 address10, u32 count, struct vmx_msr_entry *list);

/* Store the MSRs of L2, whose VMCS is current. One that cannot be read is passed over. */
void msr_list_store(struct cpu *cpu, u64 address10, u32 count);

#endif
