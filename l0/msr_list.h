/*
 * L1's MSR load and store lists, worked through by L0. SDM "VM-Entry Controls for MSRs", "VM-Exit Controls for MSRs".
 */
#ifndef TURTLES_MSR_LIST_H
#define TURTLES_MSR_LIST_H

#include "cpu.h"

/*
 * Load count MSRs from a list at an L1-physical address for the level that runs next, whose VMCS is current; L1 can
 * load what it may write. False at the first that cannot be, its place, counted from 1, in *failed.
 */
bool msr_list_load(struct cpu *cpu, u64 address10, u32 count, u32 *failed);

/*
 * Store the MSRs of L2, whose VMCS is current. False at the first that cannot be stored: a VMX abort. SDM
 * "Saving MSRs".
 */
bool msr_list_store(struct cpu *cpu, u64 address10, u32 count);

#define MSR_LIST_COPIED (PAGE_SIZE / sizeof(struct vmx_msr_entry))

/*
 * A list for vmcs02, out of count entries at an L1-physical address: true if the CPU does with them at an entry what
 * msr_list_load() would, and there are no more than MSR_LIST_COPIED.
 */
bool msr_list_copy(struct vmx_msr_entry *to, u64 address10, u32 count);

#endif
